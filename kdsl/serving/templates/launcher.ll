; launcher
declare i32 @snprintf(ptr, i64, ptr, ...)
declare ptr @calloc(i64, i64)
declare void @free(ptr)
declare i32 @pthread_key_create(ptr, ptr)
declare ptr @pthread_getspecific(i32)
declare i32 @pthread_setspecific(i32, ptr)
declare i32 @sched_yield()
declare extern_weak void @TVMFFIErrorSetRaisedFromCStr(ptr, ptr)
declare extern_weak i32 @TVMFFIStringFromByteArray(ptr, ptr)
declare extern_weak ptr @dlsym(ptr, ptr)

@kdsl.key = internal global i32 0
@kdsl.key_state = internal global i32 0               ; 0 no key yet, 1 somebody makes it, 2 there, 3 refused
@kdsl.shared_buffer = internal global [{BYTES} x i8] zeroinitializer
@kdsl.no_shape = internal constant [16 x i64] zeroinitializer
; what an absent optional tensor is read as; all its checks are waived
@kdsl.absent = internal constant { ptr, i32, i32, i32, i32, ptr, ptr, i64 } { ptr null, i32 1, i32 0, i32 0, i32 0, ptr @kdsl.no_shape, ptr @kdsl.no_shape, i64 0 }
@kdsl.text_failed = private constant [38 x i8] c"%s: an assertion in the kernel failed\00"
@kdsl.text_memory = private constant [22 x i8] c"%s: not enough memory\00"
@kdsl.text_status = private constant [37 x i8] c"%s: the kernel failed with status %d\00"
@kdsl.raise_name = private constant [29 x i8] c"TVMFFIErrorSetRaisedFromCStr\00"
@kdsl.string_name = private constant [26 x i8] c"TVMFFIStringFromByteArray\00"

; the calling thread's message; one shared buffer only if the system has no thread keys left
define internal ptr @kdsl.error_buffer() noinline cold {
entry:
  %s = load atomic i32, ptr @kdsl.key_state acquire, align 4
  switch i32 %s, label %wait [ i32 0, label %try i32 2, label %get i32 3, label %shared ]
try:
  %x = cmpxchg ptr @kdsl.key_state, i32 0, i32 1 acquire acquire
  %won = extractvalue { i32, i1 } %x, 1
  br i1 %won, label %make, label %entry.again
make:
  %rc = call i32 @pthread_key_create(ptr @kdsl.key, ptr @free)
  %made = icmp eq i32 %rc, 0
  %state = select i1 %made, i32 2, i32 3
  store atomic i32 %state, ptr @kdsl.key_state release, align 4
  br i1 %made, label %get, label %shared
wait:
  %y = call i32 @sched_yield()
  br label %entry.again
entry.again:
  %r = call ptr @kdsl.error_buffer()
  ret ptr %r
get:
  %key = load i32, ptr @kdsl.key
  %p = call ptr @pthread_getspecific(i32 %key)
  %there = icmp ne ptr %p, null
  br i1 %there, label %found, label %new
found:
  ret ptr %p
new:
  %q = call ptr @calloc(i64 1, i64 {BYTES})
  %ok = icmp ne ptr %q, null
  br i1 %ok, label %keep, label %shared
keep:
  %k = call i32 @pthread_setspecific(i32 %key, ptr %q)
  ret ptr %q
shared:
  ret ptr @kdsl.shared_buffer
}

define ptr @kdsl_last_error() {
  %p = call ptr @kdsl.error_buffer()
  ret ptr %p
}

define internal void @kdsl.failed(ptr %name, i32 %status) noinline cold {
  %p = call ptr @kdsl.error_buffer()
  %assert = icmp eq i32 %status, 1
  %memory = icmp eq i32 %status, 2
  %t0 = select i1 %memory, ptr @kdsl.text_memory, ptr @kdsl.text_status
  %t1 = select i1 %assert, ptr @kdsl.text_failed, ptr %t0
  %n = call i32 (ptr, i64, ptr, ...) @snprintf(ptr %p, i64 {BYTES}, ptr %t1, ptr %name, i32 %status)
  ret void
}

; elements; null strides mean contiguous
define internal void @kdsl.strides(ptr %tensor, ptr %out, i64 %rank) {
entry:
  %shape.at = getelementptr i8, ptr %tensor, i64 24
  %shape = load ptr, ptr %shape.at
  %strides.at = getelementptr i8, ptr %tensor, i64 32
  %strides = load ptr, ptr %strides.at
  %none = icmp eq ptr %strides, null
  br label %loop
loop:
  %i = phi i64 [ %rank, %entry ], [ %k, %next ]
  %dense = phi i64 [ 1, %entry ], [ %dense1, %next ]
  %k = sub i64 %i, 1
  br i1 %none, label %count, label %copy
copy:
  %from = getelementptr i64, ptr %strides, i64 %k
  %given = load i64, ptr %from
  br label %next
count:
  br label %next
next:
  %v = phi i64 [ %given, %copy ], [ %dense, %count ]
  %to = getelementptr i64, ptr %out, i64 %k
  store i64 %v, ptr %to
  %dim.at = getelementptr i64, ptr %shape, i64 %k
  %dim = load i64, ptr %dim.at
  %dense1 = mul i64 %dense, %dim
  %more = icmp sgt i64 %k, 0
  br i1 %more, label %loop, label %done
done:
  ret void
}

; bits of an f32 to bits of a bf16 or f16: to nearest, ties to even; NaN stays NaN
define internal i32 @kdsl.to_bf16(i32 %x) {
  %mag = and i32 %x, 2147483647
  %nan = icmp ugt i32 %mag, 2139095040
  %odd0 = lshr i32 %x, 16
  %odd = and i32 %odd0, 1
  %half = add i32 %odd, 32767
  %sum = add i32 %x, %half
  %round = lshr i32 %sum, 16
  %quiet = or i32 %odd0, 64
  %r = select i1 %nan, i32 %quiet, i32 %round
  ret i32 %r
}

define internal i32 @kdsl.to_f16(i32 %x) {
entry:
  %sign0 = lshr i32 %x, 16
  %sign = and i32 %sign0, 32768
  %mag = and i32 %x, 2147483647
  %huge = icmp uge i32 %mag, 1199570944               ; 65536: infinity or NaN
  br i1 %huge, label %special, label %finite
special:
  %nan = icmp ugt i32 %mag, 2139095040
  %s = select i1 %nan, i32 32256, i32 31744
  br label %done
finite:
  %tiny = icmp ult i32 %mag, 947912704                ; 2^-14: the result is subnormal
  br i1 %tiny, label %subnormal, label %normal
subnormal:                                            ; adding 0.5 lets the adder round at bit 0 of the result
  %f = bitcast i32 %mag to float
  %g = fadd float %f, 0.5
  %gb = bitcast float %g to i32
  %sub = sub i32 %gb, 1056964608
  br label %done
normal:
  %odd0 = lshr i32 %mag, 13
  %odd = and i32 %odd0, 1
  %low = add i32 %mag, 4095
  %sum = add i32 %low, %odd
  %re = sub i32 %sum, 939524096
  %n = lshr i32 %re, 13
  br label %done
done:
  %m = phi i32 [ %s, %special ], [ %sub, %subnormal ], [ %n, %normal ]
  %r = or i32 %m, %sign
  ret i32 %r
}

define internal ptr @kdsl.find(ptr %weak, ptr %name) noinline {
entry:
  %there = icmp ne ptr %weak, null
  br i1 %there, label %yes, label %later
yes:
  ret ptr %weak
later:
  %able = icmp ne ptr @dlsym, null
  br i1 %able, label %ask, label %no
ask:
  %p = call ptr @dlsym(ptr null, ptr %name)
  ret ptr %p
no:
  ret ptr null
}

define internal i32 @kdsl.raise(i32 %code) noinline cold {
entry:
  %f = call ptr @kdsl.find(ptr @TVMFFIErrorSetRaisedFromCStr, ptr @kdsl.raise_name)
  %there = icmp ne ptr %f, null
  br i1 %there, label %yes, label %no
yes:
  %kind = call ptr @kdsl.error_kind(i32 %code)
  %text = call ptr @kdsl.error_buffer()
  call void %f(ptr %kind, ptr %text)
  br label %no
no:
  ret i32 -1
}

define internal i32 @kdsl.return_text(ptr %data, i64 %size, ptr %ret) noinline {
entry:
  %bytes = alloca { ptr, i64 }
  store ptr %data, ptr %bytes
  %at = getelementptr i8, ptr %bytes, i64 8
  store i64 %size, ptr %at
  %f = call ptr @kdsl.find(ptr @TVMFFIStringFromByteArray, ptr @kdsl.string_name)
  %there = icmp ne ptr %f, null
  br i1 %there, label %yes, label %no
yes:
  %rc = call i32 %f(ptr %bytes, ptr %ret)
  ret i32 %rc
no:
  ret i32 -1
}

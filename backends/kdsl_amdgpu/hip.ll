; what launches need of AMD's driver: the functions, the images on its devices; once in a built file
@kdsl.hip.table = internal global [{COUNT} x ptr] zeroinitializer, align 16
@kdsl.hip.ready = internal global i32 0, align 64     ; 1 once the table is filled
@kdsl.hip.mutex = internal global i32 0, align 64     ; 1 while somebody opens or loads
{TEXTS}

declare extern_weak ptr @dlopen(ptr, i32)
declare extern_weak ptr @dlsym(ptr, ptr)
declare i32 @sched_yield()
declare i32 @snprintf(ptr, i64, ptr, ...)
declare ptr @calloc(i64, i64)
declare void @free(ptr)
declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)

define internal void @kdsl.hip.lock() noinline {
entry:
  br label %try
try:
  %x = cmpxchg ptr @kdsl.hip.mutex, i32 0, i32 1 acquire monotonic
  %won = extractvalue { i32, i1 } %x, 1
  br i1 %won, label %done, label %wait
wait:
  %r = call i32 @sched_yield()
  br label %try
done:
  ret void
}

define internal void @kdsl.hip.unlock() alwaysinline {
  store atomic i32 0, ptr @kdsl.hip.mutex release, align 4
  ret void
}

define internal ptr @kdsl.hip.call(i64 %number) alwaysinline {
  %place = getelementptr ptr, ptr @kdsl.hip.table, i64 %number
  %function = load ptr, ptr %place
  ret ptr %function
}

; a result of the driver with the number of the function that gave it; no memory is status 2
define internal i32 @kdsl.hip.status(i32 %result, i32 %number) alwaysinline {
  %plain = icmp eq i32 %result, 2
  %good = icmp eq i32 %result, 0
  %keep = or i1 %plain, %good
  %low = and i32 %result, 4095
  %site = add i32 %number, 1
  %high = shl i32 %site, 12
  %both = or i32 %low, %high
  %status = select i1 %keep, i32 %result, i32 %both
  ret i32 %status
}

; use these functions instead of looking them up
define hidden void @kdsl_hip_adopt(ptr %addresses) {
  call void @llvm.memcpy.p0.p0.i64(ptr @kdsl.hip.table, ptr %addresses, i64 {TABLE_BYTES}, i1 false)
  store atomic i32 1, ptr @kdsl.hip.ready release, align 4
  ret void
}

; fill the table, under lock
define internal i32 @kdsl.hip.open() noinline cold {
entry:
  %ready = load atomic i32, ptr @kdsl.hip.ready acquire, align 4
  %open = icmp ne i32 %ready, 0
  br i1 %open, label %good, label %search
search:
  %weak = icmp eq ptr @dlopen, null
  %weak2 = icmp eq ptr @dlsym, null
  %without = or i1 %weak, %weak2
  br i1 %without, label %none, label %library
library:
  %l = phi i64 [ 0, %search ], [ %l.next, %another ]
  %l.place = getelementptr ptr, ptr @kdsl.hip.libraries, i64 %l
  %l.name = load ptr, ptr %l.place
  %handle = call ptr @dlopen(ptr %l.name, i32 2)
  %missing = icmp eq ptr %handle, null
  br i1 %missing, label %another, label %loop
another:
  %l.next = add i64 %l, 1
  %l.more = icmp ult i64 %l.next, {LIBRARY_COUNT}
  br i1 %l.more, label %library, label %none
none:
  ret i32 {NO_DRIVER}
loop:
  %i = phi i64 [ 0, %library ], [ %next, %found ]
  %name.place = getelementptr ptr, ptr @kdsl.hip.names, i64 %i
  %name = load ptr, ptr %name.place
  %f = call ptr @dlsym(ptr %handle, ptr %name)
  %absent = icmp eq ptr %f, null
  br i1 %absent, label %old, label %found
old:
  ret i32 {OLD_DRIVER}
found:
  %place = getelementptr ptr, ptr @kdsl.hip.table, i64 %i
  store ptr %f, ptr %place
  %next = add i64 %i, 1
  %more = icmp ult i64 %next, {COUNT}
  br i1 %more, label %loop, label %keep
keep:
  store atomic i32 1, ptr @kdsl.hip.ready release, align 4
  ret i32 0
good:
  ret i32 0
}

; a module is {count, image, names, what is loaded by device}; loaded: its functions, the status word
define internal i32 @kdsl.hip.load(ptr %module, i64 %device, ptr %slot) noinline cold {
entry:
  %handle = alloca ptr
  call void @kdsl.hip.lock()
  %there = load ptr, ptr %slot
  %done = icmp ne ptr %there, null
  br i1 %done, label %leave, label %open
open:
  %s0 = call i32 @kdsl.hip.open()
  %b0 = icmp eq i32 %s0, 0
  br i1 %b0, label %set, label %leave
set:
  %number = trunc i64 %device to i32
  %f1 = call ptr @kdsl.hip.call(i64 {hipSetDevice})
  %r1 = call i32 %f1(i32 %number)
  %s1 = call i32 @kdsl.hip.status(i32 %r1, i32 {hipSetDevice})
  %b1 = icmp eq i32 %s1, 0
  br i1 %b1, label %image, label %leave
image:
  %image.place = getelementptr i8, ptr %module, i64 8
  %data = load ptr, ptr %image.place
  %f2 = call ptr @kdsl.hip.call(i64 {hipModuleLoadData})
  %r2 = call i32 %f2(ptr %handle, ptr %data)
  %s2 = call i32 @kdsl.hip.status(i32 %r2, i32 {hipModuleLoadData})
  %b2 = icmp eq i32 %s2, 0
  br i1 %b2, label %room, label %leave
room:
  %count = load i64, ptr %module
  %cells = add i64 %count, 1
  %made = call ptr @calloc(i64 %cells, i64 8)
  %names.place = getelementptr i8, ptr %module, i64 16
  %names = load ptr, ptr %names.place
  %lib = load ptr, ptr %handle
  %word = getelementptr ptr, ptr %made, i64 %count
  %f3 = call ptr @kdsl.hip.call(i64 {hipMalloc})
  %r3 = call i32 %f3(ptr %word, i64 4)
  %s3 = call i32 @kdsl.hip.status(i32 %r3, i32 {hipMalloc})
  %b3 = icmp eq i32 %s3, 0
  br i1 %b3, label %clear, label %drop
clear:
  %w = load ptr, ptr %word
  %f4 = call ptr @kdsl.hip.call(i64 {hipMemset})
  %r4 = call i32 %f4(ptr %w, i32 0, i64 4)
  %s4 = call i32 @kdsl.hip.status(i32 %r4, i32 {hipMemset})
  %b4 = icmp eq i32 %s4, 0
  br i1 %b4, label %next, label %drop
next:
  %i = phi i64 [ 0, %clear ], [ %i.next, %got ]
  %more = icmp ult i64 %i, %count
  br i1 %more, label %get, label %keep
get:
  %name.place = getelementptr ptr, ptr %names, i64 %i
  %name = load ptr, ptr %name.place
  %function = getelementptr ptr, ptr %made, i64 %i
  %f5 = call ptr @kdsl.hip.call(i64 {hipModuleGetFunction})
  %r5 = call i32 %f5(ptr %function, ptr %lib, ptr %name)
  %s5 = call i32 @kdsl.hip.status(i32 %r5, i32 {hipModuleGetFunction})
  %b5 = icmp eq i32 %s5, 0
  br i1 %b5, label %got, label %drop
got:
  %i.next = add i64 %i, 1
  br label %next
keep:
  store atomic ptr %made, ptr %slot release, align 8
  br label %leave
drop:
  %dropped = phi i32 [ %s3, %room ], [ %s4, %clear ], [ %s5, %get ]
  call void @free(ptr %made)
  br label %leave
leave:
  %status = phi i32 [ 0, %entry ], [ %s0, %open ], [ %s1, %set ], [ %s2, %image ], [ 0, %keep ], [ %dropped, %drop ]
  call void @kdsl.hip.unlock()
  ret i32 %status
}

; a state is {what is loaded, stream, status word}
define hidden i32 @kdsl_hip_begin(ptr %module, ptr %state, ptr %stream, i64 %device) {
entry:
  %known = icmp ult i64 %device, {DEVICES}
  br i1 %known, label %look, label %bad
bad:
  ret i32 {NO_SUCH_DEVICE}
look:
  %table = getelementptr i8, ptr %module, i64 24
  %slot = getelementptr ptr, ptr %table, i64 %device
  %there = load atomic ptr, ptr %slot acquire, align 8
  %loaded = icmp ne ptr %there, null
  br i1 %loaded, label %use, label %load
load:
  %s0 = call i32 @kdsl.hip.load(ptr %module, i64 %device, ptr %slot)
  %b0 = icmp eq i32 %s0, 0
  br i1 %b0, label %use, label %fail
fail:
  ret i32 %s0
use:
  %now = load atomic ptr, ptr %slot acquire, align 8
  store ptr %now, ptr %state
  %at.stream = getelementptr i8, ptr %state, i64 8
  store ptr %stream, ptr %at.stream
  %count = load i64, ptr %module
  %word.place = getelementptr ptr, ptr %now, i64 %count
  %word = load ptr, ptr %word.place
  %at.word = getelementptr i8, ptr %state, i64 16
  store ptr %word, ptr %at.word
  %number = trunc i64 %device to i32
  %f1 = call ptr @kdsl.hip.call(i64 {hipSetDevice})
  %r1 = call i32 %f1(i32 %number)
  %s1 = call i32 @kdsl.hip.status(i32 %r1, i32 {hipSetDevice})
  ret i32 %s1
}

define hidden i32 @kdsl_hip_launch(ptr %state, i64 %kernel, i64 %x, i64 %y, i64 %z, i32 %lanes, ptr %segment, i64 %bytes) {
entry:
  %extra = alloca [5 x ptr], align 16
  %size = alloca i64, align 8
  %nx = icmp slt i64 %x, 1
  %ny = icmp slt i64 %y, 1
  %nz = icmp slt i64 %z, 1
  %n0 = or i1 %nx, %ny
  %none = or i1 %n0, %nz
  br i1 %none, label %empty, label %check
empty:
  ret i32 0
check:
  %bx = icmp ugt i64 %x, 2147483647
  %by = icmp ugt i64 %y, 65535
  %bz = icmp ugt i64 %z, 65535
  %b0 = or i1 %bx, %by
  %large = or i1 %b0, %bz
  br i1 %large, label %refuse, label %go
refuse:
  ret i32 {GRID_TOO_LARGE}
go:
  store i64 %bytes, ptr %size
  store ptr inttoptr (i64 1 to ptr), ptr %extra
  %e1 = getelementptr ptr, ptr %extra, i64 1
  store ptr %segment, ptr %e1
  %e2 = getelementptr ptr, ptr %extra, i64 2
  store ptr inttoptr (i64 2 to ptr), ptr %e2
  %e3 = getelementptr ptr, ptr %extra, i64 3
  store ptr %size, ptr %e3
  %e4 = getelementptr ptr, ptr %extra, i64 4
  store ptr inttoptr (i64 3 to ptr), ptr %e4
  %loaded = load ptr, ptr %state
  %place = getelementptr ptr, ptr %loaded, i64 %kernel
  %function = load ptr, ptr %place
  %at.stream = getelementptr i8, ptr %state, i64 8
  %stream = load ptr, ptr %at.stream
  %x32 = trunc i64 %x to i32
  %y32 = trunc i64 %y to i32
  %z32 = trunc i64 %z to i32
  %f = call ptr @kdsl.hip.call(i64 {hipModuleLaunchKernel})
  %r = call i32 %f(ptr %function, i32 %x32, i32 %y32, i32 %z32, i32 %lanes, i32 1, i32 1, i32 0, ptr %stream, ptr null, ptr %extra)
  %s = call i32 @kdsl.hip.status(i32 %r, i32 {hipModuleLaunchKernel})
  ret i32 %s
}

define hidden i32 @kdsl_hip_alloc(ptr %state, ptr %place, i64 %bytes) {
entry:
  %some = icmp eq i64 %bytes, 0
  %size = select i1 %some, i64 1, i64 %bytes
  %at.stream = getelementptr i8, ptr %state, i64 8
  %stream = load ptr, ptr %at.stream
  %f = call ptr @kdsl.hip.call(i64 {hipMallocAsync})
  %r = call i32 %f(ptr %place, i64 %size, ptr %stream)
  %s = call i32 @kdsl.hip.status(i32 %r, i32 {hipMallocAsync})
  ret i32 %s
}

define hidden i32 @kdsl_hip_free(ptr %state, ptr %memory) {
entry:
  %none = icmp eq ptr %memory, null
  br i1 %none, label %good, label %give
good:
  ret i32 0
give:
  %at.stream = getelementptr i8, ptr %state, i64 8
  %stream = load ptr, ptr %at.stream
  %f = call ptr @kdsl.hip.call(i64 {hipFreeAsync})
  %r = call i32 %f(ptr %memory, ptr %stream)
  %s = call i32 @kdsl.hip.status(i32 %r, i32 {hipFreeAsync})
  ret i32 %s
}

; what a status means, for a caller without Python; statuses that all back ends have stay as they are
define hidden i32 @kdsl_device_failure_10(ptr %name, i32 %status, ptr %buffer, i64 %bytes) noinline cold {
entry:
  %common = icmp ult i32 %status, {FIRST_STATUS}
  br i1 %common, label %keep, label %own
keep:
  ret i32 %status
own:
  %which = sub i32 %status, {FIRST_STATUS}
  %here = icmp ult i32 %which, {FORM_COUNT}
  br i1 %here, label %found, label %driver
found:
  %which64 = zext i32 %which to i64
  %form.place = getelementptr ptr, ptr @kdsl.hip.forms, i64 %which64
  %form = load ptr, ptr %form.place
  %n0 = call i32 (ptr, i64, ptr, ...) @snprintf(ptr %buffer, i64 %bytes, ptr %form, ptr %name)
  ret i32 3
driver:
  %result = and i32 %status, 4095
  %site = lshr i32 %status, 12
  %f = call ptr @kdsl.hip.call(i64 {hipGetErrorName})
  %text = call ptr %f(i32 %result)
  %silent = icmp eq ptr %text, null
  %words = select i1 %silent, ptr @kdsl.hip.failed1, ptr %text
  %n1 = call i32 (ptr, i64, ptr, ...) @snprintf(ptr %buffer, i64 %bytes, ptr @kdsl.hip.failed0, ptr %name, i32 %site, i32 %result, ptr %words)
  ret i32 3
}

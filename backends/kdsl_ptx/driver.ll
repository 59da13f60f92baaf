; the driver, its devices and the images on them: once in a built file, once in a process that compiles
@kdsl.gpu.table = internal global [{FUNCTIONS} x ptr] zeroinitializer, align 16
@kdsl.gpu.state = internal global i32 0, align 64     ; 2 once the table is filled and the driver is awake
@kdsl.gpu.mutex = internal global i32 0, align 64     ; 1 while somebody opens, loads or allocates for good
@kdsl.gpu.devices = internal global [{DEVICES} x [{RECORD} x i8]] zeroinitializer, align 64
@kdsl.gpu.log = internal global [{LOG_BYTES} x i8] zeroinitializer, align 16
@kdsl.gpu.words = internal global ptr null            ; page of status words, and how many are taken
@kdsl.gpu.taken = internal global i64 {WORDS}
@kdsl.gpu.library = private constant [{LIBRARY_BYTES} x i8] c"{LIBRARY}\00"
@kdsl.gpu.ones = internal constant [5 x i32] [i32 1, i32 1, i32 1, i32 1, i32 1]
{NAMES}

declare extern_weak ptr @dlopen(ptr, i32)
declare extern_weak ptr @dlsym(ptr, ptr)
declare i32 @sched_yield()
declare i32 @snprintf(ptr, i64, ptr, ...)
declare ptr @calloc(i64, i64)
declare i32 @memcmp(ptr, ptr, i64)
declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)

; ---------------------------------------------------------------------------------------- helpers

define internal void @kdsl.gpu.lock() noinline {
entry:
  br label %try
try:
  %x = cmpxchg ptr @kdsl.gpu.mutex, i32 0, i32 1 acquire monotonic
  %won = extractvalue { i32, i1 } %x, 1
  br i1 %won, label %done, label %wait
wait:
  %r = call i32 @sched_yield()
  br label %try
done:
  ret void
}

define internal void @kdsl.gpu.unlock() alwaysinline {
  store atomic i32 0, ptr @kdsl.gpu.mutex release, align 4
  ret void
}

define internal ptr @kdsl.gpu.call(i64 %number) alwaysinline {
  %place = getelementptr ptr, ptr @kdsl.gpu.table, i64 %number
  %function = load ptr, ptr %place
  ret ptr %function
}

; a result of the driver with the number of the function that gave it
define internal i32 @kdsl.gpu.status(i32 %result, i32 %number) alwaysinline {
  %good = icmp eq i32 %result, 0
  %low = and i32 %result, {RESULT_MASK}
  %site = add i32 %number, 1
  %high = shl i32 %site, {SITE_SHIFT}
  %both = or i32 %low, %high
  %status = select i1 %good, i32 0, i32 %both
  ret i32 %status
}

define internal ptr @kdsl.gpu.record(i64 %device) alwaysinline {
  %record = getelementptr [{RECORD} x i8], ptr @kdsl.gpu.devices, i64 %device
  ret ptr %record
}

define hidden ptr @kdsl_gpu_log() {
  ret ptr @kdsl.gpu.log
}

; a device's context, null as long as nothing was launched there
define hidden ptr @kdsl_gpu_context(i64 %device) {
  %record = call ptr @kdsl.gpu.record(i64 %device)
  %context = load atomic ptr, ptr %record acquire, align 8
  ret ptr %context
}

; what a status means, for a caller without Python; statuses that all back ends have stay as they are
define hidden i32 @kdsl_device_failure_2(ptr %name, i32 %status, ptr %buffer, i64 %bytes) noinline cold {
entry:
  %text = alloca ptr
  %common = icmp ult i32 %status, {FIRST_DEVICE_STATUS}
  br i1 %common, label %keep, label %own
keep:
  ret i32 %status
own:
  %result = and i32 %status, {RESULT_MASK}
  %site0 = lshr i32 %status, {SITE_SHIFT}
  %site = and i32 %site0, 255
  %detail0 = lshr i32 %status, {DETAIL_SHIFT}
  %detail = and i32 %detail0, 255
  %some = icmp ne i32 %site, 0
  %before = sub i32 %site, 1
  %wide = zext i32 %before to i64
  %number = select i1 %some, i64 %wide, i64 0
  %place = getelementptr ptr, ptr @kdsl.gpu.names, i64 %number
  %function = load ptr, ptr %place
  %found = icmp uge i32 %result, {FIRST_DEVICE_STATUS}
  br i1 %found, label %here, label %driver
here:
  %which = sub i32 %result, {FIRST_DEVICE_STATUS}
  %which64 = zext i32 %which to i64
  %form.place = getelementptr ptr, ptr @kdsl.gpu.forms, i64 %which64
  %form = load ptr, ptr %form.place
  %named = icmp eq i32 %result, {OLD_DRIVER}
  br i1 %named, label %missing, label %counted
missing:
  %n0 = call i32 (ptr, i64, ptr, ...) @snprintf(ptr %buffer, i64 %bytes, ptr %form, ptr %name, ptr %function)
  ret i32 3
counted:
  %n2 = call i32 (ptr, i64, ptr, ...) @snprintf(ptr %buffer, i64 %bytes, ptr %form, ptr %name, i32 %detail)
  ret i32 3
driver:
  store ptr @kdsl.gpu.nothing, ptr %text
  %f = call ptr @kdsl.gpu.call(i64 {cuGetErrorName})
  %r = call i32 %f(i32 %result, ptr %text)
  %words = load ptr, ptr %text
  %n1 = call i32 (ptr, i64, ptr, ...) @snprintf(ptr %buffer, i64 %bytes, ptr @kdsl.gpu.failed, ptr %name, ptr %function, i32 %result, ptr %words, ptr @kdsl.gpu.log)
  ret i32 3
}

; use these functions instead of looking them up: the process has opened the driver already
define hidden void @kdsl_gpu_adopt(ptr %addresses) {
  call void @llvm.memcpy.p0.p0.i64(ptr @kdsl.gpu.table, ptr %addresses, i64 {TABLE_BYTES}, i1 false)
  store atomic i32 2, ptr @kdsl.gpu.state release, align 4
  ret void
}

; ------------------------------------------------------------------------------- opening, under lock

define internal i32 @kdsl.gpu.open() noinline cold {
entry:
  %s = load atomic i32, ptr @kdsl.gpu.state acquire, align 4
  %awake = icmp eq i32 %s, 2
  br i1 %awake, label %good, label %search
search:
  %weak = icmp eq ptr @dlopen, null
  %weak2 = icmp eq ptr @dlsym, null
  %without = or i1 %weak, %weak2
  br i1 %without, label %none, label %library
library:
  %handle = call ptr @dlopen(ptr @kdsl.gpu.library, i32 2)
  %missing = icmp eq ptr %handle, null
  br i1 %missing, label %none, label %loop
none:
  ret i32 {NO_DRIVER}
loop:
  %i = phi i64 [ 0, %library ], [ %next, %found ]
  %name.place = getelementptr ptr, ptr @kdsl.gpu.names, i64 %i
  %name = load ptr, ptr %name.place
  %f = call ptr @dlsym(ptr %handle, ptr %name)
  %absent = icmp eq ptr %f, null
  %needed = icmp ult i64 %i, {REQUIRED}
  %bad = and i1 %absent, %needed
  br i1 %bad, label %old, label %found
old:
  %i32 = trunc i64 %i to i32
  %status.old = call i32 @kdsl.gpu.status(i32 {OLD_DRIVER}, i32 %i32)
  ret i32 %status.old
found:
  %place = getelementptr ptr, ptr @kdsl.gpu.table, i64 %i
  store ptr %f, ptr %place
  %next = add i64 %i, 1
  %more = icmp ult i64 %next, {FUNCTIONS}
  br i1 %more, label %loop, label %wake
wake:
  %init = call ptr @kdsl.gpu.call(i64 {cuInit})
  %rc = call i32 %init(i32 0)
  %status = call i32 @kdsl.gpu.status(i32 %rc, i32 {cuInit})
  %ok = icmp eq i32 %rc, 0
  br i1 %ok, label %keep, label %failed
failed:
  ret i32 %status
keep:
  store atomic i32 2, ptr @kdsl.gpu.state release, align 4
  ret i32 0
good:
  ret i32 0
}

; a device's own context, its size, and its counters
define internal i32 @kdsl.gpu.wake(i64 %device) noinline cold {
entry:
  %count = alloca i32
  %dev = alloca i32
  %sms = alloca i32
  %ctx = alloca ptr
  %pool = alloca ptr
  %limit = alloca i64
  %record = call ptr @kdsl.gpu.record(i64 %device)
  %known = load ptr, ptr %record
  %ready = icmp ne ptr %known, null
  br i1 %ready, label %good, label %ask
ask:
  %f0 = call ptr @kdsl.gpu.call(i64 {cuDeviceGetCount})
  %r0 = call i32 %f0(ptr %count)
  %s0 = call i32 @kdsl.gpu.status(i32 %r0, i32 {cuDeviceGetCount})
  %b0 = icmp eq i32 %s0, 0
  br i1 %b0, label %counted, label %fail
counted:
  %n = load i32, ptr %count
  %n64 = zext i32 %n to i64
  %there = icmp ult i64 %device, %n64
  br i1 %there, label %get, label %fail
get:
  %number = trunc i64 %device to i32
  %f1 = call ptr @kdsl.gpu.call(i64 {cuDeviceGet})
  %r1 = call i32 %f1(ptr %dev, i32 %number)
  %s1 = call i32 @kdsl.gpu.status(i32 %r1, i32 {cuDeviceGet})
  %b1 = icmp eq i32 %s1, 0
  br i1 %b1, label %size, label %fail
size:
  %d = load i32, ptr %dev
  %f2 = call ptr @kdsl.gpu.call(i64 {cuDeviceGetAttribute})
  %r2 = call i32 %f2(ptr %sms, i32 16, i32 %d)
  %s2 = call i32 @kdsl.gpu.status(i32 %r2, i32 {cuDeviceGetAttribute})
  %b2 = icmp eq i32 %s2, 0
  br i1 %b2, label %retain, label %fail
retain:
  %f3 = call ptr @kdsl.gpu.call(i64 {cuDevicePrimaryCtxRetain})
  %r3 = call i32 %f3(ptr %ctx, i32 %d)
  %s3 = call i32 @kdsl.gpu.status(i32 %r3, i32 {cuDevicePrimaryCtxRetain})
  %b3 = icmp eq i32 %s3, 0
  br i1 %b3, label %memory, label %fail
memory:
  ; freed workspaces stay with the process; a device without pools says so when one is asked for
  store i64 -1, ptr %limit
  %f4 = call ptr @kdsl.gpu.call(i64 {cuDeviceGetDefaultMemPool})
  %r4 = call i32 %f4(ptr %pool, i32 %d)
  %b4 = icmp eq i32 %r4, 0
  br i1 %b4, label %raise, label %enter
raise:
  %p = load ptr, ptr %pool
  %f5 = call ptr @kdsl.gpu.call(i64 {cuMemPoolSetAttribute})
  %r5 = call i32 %f5(ptr %p, i32 4, ptr %limit)
  br label %enter
enter:
  %c = load ptr, ptr %ctx
  %f6 = call ptr @kdsl.gpu.call(i64 {cuCtxPushCurrent})
  %r6 = call i32 %f6(ptr %c)
  %s6 = call i32 @kdsl.gpu.status(i32 %r6, i32 {cuCtxPushCurrent})
  %b6 = icmp eq i32 %s6, 0
  br i1 %b6, label %counters, label %fail
counters:
  %ring = getelementptr i8, ptr %record, i64 {AT_RING}
  %s7 = call i32 @kdsl.gpu.zeroed(ptr %ring)
  %f8 = call ptr @kdsl.gpu.call(i64 {cuCtxPopCurrent})
  %r8 = call i32 %f8(ptr %ctx)
  %b7 = icmp eq i32 %s7, 0
  br i1 %b7, label %keep, label %fail
keep:
  %sm = load i32, ptr %sms
  %sm64 = zext i32 %sm to i64
  %at.sms = getelementptr i8, ptr %record, i64 {AT_SMS}
  store i64 %sm64, ptr %at.sms
  %at.used = getelementptr i8, ptr %record, i64 {AT_USED}
  store i64 {COUNTERS}, ptr %at.used
  store atomic ptr %c, ptr %record release, align 8
  ret i32 0
fail:
  %status = phi i32 [ %s0, %ask ], [ {NO_SUCH_DEVICE}, %counted ], [ %s1, %get ], [ %s2, %size ], [ %s3, %retain ], [ %s6, %enter ], [ %s7, %counters ]
  ret i32 %status
good:
  ret i32 0
}

; counters in a new piece of memory: made and cleared apart from any stream that may be captured
define internal i32 @kdsl.gpu.zeroed(ptr %place) noinline cold {
entry:
  %mode = alloca i32
  %memory = alloca i64
  %stream = alloca ptr
  store i32 2, ptr %mode
  %f0 = call ptr @kdsl.gpu.call(i64 {cuThreadExchangeStreamCaptureMode})
  %r0 = call i32 %f0(ptr %mode)
  %f1 = call ptr @kdsl.gpu.call(i64 {cuMemAlloc})
  %r1 = call i32 %f1(ptr %memory, i64 {COUNTER_MEMORY})
  %s1 = call i32 @kdsl.gpu.status(i32 %r1, i32 {cuMemAlloc})
  %b1 = icmp eq i32 %s1, 0
  br i1 %b1, label %own, label %leave
own:
  %f2 = call ptr @kdsl.gpu.call(i64 {cuStreamCreate})
  %r2 = call i32 %f2(ptr %stream, i32 1)
  %s2 = call i32 @kdsl.gpu.status(i32 %r2, i32 {cuStreamCreate})
  %b2 = icmp eq i32 %s2, 0
  br i1 %b2, label %clear, label %leave
clear:
  %m = load i64, ptr %memory
  %st = load ptr, ptr %stream
  %f3 = call ptr @kdsl.gpu.call(i64 {cuMemsetD8Async})
  %r3 = call i32 %f3(i64 %m, i8 0, i64 {COUNTER_MEMORY}, ptr %st)
  %f4 = call ptr @kdsl.gpu.call(i64 {cuStreamSynchronize})
  %r4 = call i32 %f4(ptr %st)
  %f5 = call ptr @kdsl.gpu.call(i64 {cuStreamDestroy})
  %r5 = call i32 %f5(ptr %st)
  %s3 = call i32 @kdsl.gpu.status(i32 %r3, i32 {cuMemsetD8Async})
  %s4 = call i32 @kdsl.gpu.status(i32 %r4, i32 {cuStreamSynchronize})
  %b3 = icmp eq i32 %s3, 0
  %both = select i1 %b3, i32 %s4, i32 %s3
  %clean = icmp eq i32 %both, 0
  br i1 %clean, label %keep, label %leave
keep:
  store i64 %m, ptr %place
  br label %leave
leave:
  %status = phi i32 [ %s1, %entry ], [ %s2, %own ], [ %both, %clear ], [ 0, %keep ]
  %r6 = call i32 %f0(ptr %mode)
  ret i32 %status
}

; the image of a module on a device: {count, image, names, shared, status word, functions by device}
define internal i32 @kdsl.gpu.load(ptr %module, i64 %device) noinline cold {
entry:
  %handle = alloca ptr
  %mode = alloca i32
  %old = alloca ptr
  %word = alloca ptr
  %keys = alloca [2 x i32]
  %values = alloca [2 x ptr]
  call void @kdsl.gpu.lock()
  %slot0 = getelementptr i8, ptr %module, i64 {AT_LOADED}
  %slot = getelementptr ptr, ptr %slot0, i64 %device
  %there = load ptr, ptr %slot
  %done = icmp ne ptr %there, null
  br i1 %done, label %good, label %open
open:
  %s0 = call i32 @kdsl.gpu.open()
  %b0 = icmp eq i32 %s0, 0
  br i1 %b0, label %wake, label %fail
wake:
  %s1 = call i32 @kdsl.gpu.wake(i64 %device)
  %b1 = icmp eq i32 %s1, 0
  br i1 %b1, label %enter, label %fail
enter:
  %record = call ptr @kdsl.gpu.record(i64 %device)
  %ctx = load ptr, ptr %record
  %f2 = call ptr @kdsl.gpu.call(i64 {cuCtxPushCurrent})
  %r2 = call i32 %f2(ptr %ctx)
  %s2 = call i32 @kdsl.gpu.status(i32 %r2, i32 {cuCtxPushCurrent})
  %b2 = icmp eq i32 %s2, 0
  br i1 %b2, label %relax, label %fail
relax:
  store i32 2, ptr %mode
  %exchange = call ptr @kdsl.gpu.call(i64 {cuThreadExchangeStreamCaptureMode})
  %r3 = call i32 %exchange(ptr %mode)
  ; a status word, of a page that host and devices share
  %at.word = getelementptr i8, ptr %module, i64 {AT_WORD}
  %own = load ptr, ptr %at.word
  %has = icmp ne ptr %own, null
  br i1 %has, label %image, label %take
take:
  %taken = load i64, ptr @kdsl.gpu.taken
  %full = icmp uge i64 %taken, {WORDS}
  br i1 %full, label %page, label %give
page:
  %f4 = call ptr @kdsl.gpu.call(i64 {cuMemHostAlloc})
  %r4 = call i32 %f4(ptr %word, i64 {PAGE}, i32 3)
  %s4 = call i32 @kdsl.gpu.status(i32 %r4, i32 {cuMemHostAlloc})
  %b4 = icmp eq i32 %s4, 0
  br i1 %b4, label %fresh, label %leave
fresh:
  %new = load ptr, ptr %word
  call void @llvm.memset.p0.i64(ptr %new, i8 0, i64 {PAGE}, i1 false)
  store ptr %new, ptr @kdsl.gpu.words
  br label %give
give:
  %index = phi i64 [ %taken, %take ], [ 0, %fresh ]
  %words = load ptr, ptr @kdsl.gpu.words
  %mine = getelementptr i32, ptr %words, i64 %index
  %after = add i64 %index, 1
  store i64 %after, ptr @kdsl.gpu.taken
  store ptr %mine, ptr %at.word
  br label %image
image:
  ; what the driver's own compiler says goes to the log
  store i8 0, ptr @kdsl.gpu.log
  store i32 5, ptr %keys
  %keys1 = getelementptr i32, ptr %keys, i64 1
  store i32 6, ptr %keys1
  store ptr @kdsl.gpu.log, ptr %values
  %values1 = getelementptr ptr, ptr %values, i64 1
  store ptr inttoptr (i64 {LOG_BYTES} to ptr), ptr %values1
  %at.image = getelementptr i8, ptr %module, i64 {AT_IMAGE}
  %data = load ptr, ptr %at.image
  %f5 = call ptr @kdsl.gpu.call(i64 {cuModuleLoadDataEx})
  %r5 = call i32 %f5(ptr %handle, ptr %data, i32 2, ptr %keys, ptr %values)
  %s5 = call i32 @kdsl.gpu.status(i32 %r5, i32 {cuModuleLoadDataEx})
  %b5 = icmp eq i32 %s5, 0
  br i1 %b5, label %functions, label %leave
functions:
  %count = load i64, ptr %module
  %room = add i64 %count, 1
  %found = call ptr @calloc(i64 %room, i64 8)
  %some = icmp ne ptr %found, null
  br i1 %some, label %ready, label %leave
ready:
  %m = load ptr, ptr %handle
  %at.names = getelementptr i8, ptr %module, i64 {AT_NAMES}
  %names = load ptr, ptr %at.names
  %at.shared = getelementptr i8, ptr %module, i64 {AT_SHARED}
  %shared = load ptr, ptr %at.shared
  br label %loop
loop:
  %i = phi i64 [ 0, %ready ], [ %next, %following ]
  %more = icmp ult i64 %i, %count
  br i1 %more, label %function, label %publish
function:
  %name.place = getelementptr ptr, ptr %names, i64 %i
  %name = load ptr, ptr %name.place
  %place = getelementptr ptr, ptr %found, i64 %i
  %f6 = call ptr @kdsl.gpu.call(i64 {cuModuleGetFunction})
  %r6 = call i32 %f6(ptr %place, ptr %m, ptr %name)
  %s6 = call i32 @kdsl.gpu.status(i32 %r6, i32 {cuModuleGetFunction})
  %b6 = icmp eq i32 %s6, 0
  br i1 %b6, label %memory, label %leave
memory:
  %bytes.place = getelementptr i32, ptr %shared, i64 %i
  %bytes = load i32, ptr %bytes.place
  %large = icmp ugt i32 %bytes, {SHARED_FREE}
  br i1 %large, label %optin, label %following
optin:
  %function.handle = load ptr, ptr %place
  %f7 = call ptr @kdsl.gpu.call(i64 {cuFuncSetAttribute})
  %r7 = call i32 %f7(ptr %function.handle, i32 8, i32 %bytes)
  %s7 = call i32 @kdsl.gpu.status(i32 %r7, i32 {cuFuncSetAttribute})
  %b7 = icmp eq i32 %s7, 0
  br i1 %b7, label %following, label %leave
following:
  %next = add i64 %i, 1
  br label %loop
publish:
  store atomic ptr %found, ptr %slot release, align 8
  br label %leave
leave:
  %s8 = phi i32 [ %s4, %page ], [ %s5, %image ], [ 2, %functions ], [ %s6, %function ], [ %s7, %optin ], [ 0, %publish ]
  %r8 = call i32 %exchange(ptr %mode)
  %f9 = call ptr @kdsl.gpu.call(i64 {cuCtxPopCurrent})
  %r9 = call i32 %f9(ptr %old)
  br label %fail
fail:
  %status = phi i32 [ %s0, %open ], [ %s1, %wake ], [ %s2, %enter ], [ %s8, %leave ]
  call void @kdsl.gpu.unlock()
  ret i32 %status
good:
  call void @kdsl.gpu.unlock()
  ret i32 0
}

; ------------------------------------------------------------------------------------------- a call
; the state of a call: stream, device record, functions, whether a context was entered, module

define hidden i32 @kdsl_gpu_begin(ptr %module, ptr %state, ptr %stream, i64 %device) {
entry:
  %current = alloca ptr
  %exists = icmp ult i64 %device, {DEVICES}
  br i1 %exists, label %look, label %nowhere
nowhere:
  ret i32 {NO_SUCH_DEVICE}
look:
  %slot0 = getelementptr i8, ptr %module, i64 {AT_LOADED}
  %slot = getelementptr ptr, ptr %slot0, i64 %device
  %there = load atomic ptr, ptr %slot acquire, align 8
  %new = icmp eq ptr %there, null
  br i1 %new, label %load, label %enter
load:
  %rc = call i32 @kdsl.gpu.load(ptr %module, i64 %device)
  %good = icmp eq i32 %rc, 0
  br i1 %good, label %loaded, label %failed
failed:
  ret i32 %rc
loaded:
  %fresh = load atomic ptr, ptr %slot acquire, align 8
  br label %enter
enter:
  %functions = phi ptr [ %there, %look ], [ %fresh, %loaded ]
  ; an assert that failed since the last call is reported by this one
  %at.word = getelementptr i8, ptr %module, i64 {AT_WORD}
  %word = load ptr, ptr %at.word
  %seen = load volatile i32, ptr %word
  %clean = icmp eq i32 %seen, 0
  br i1 %clean, label %context, label %asserted
asserted:
  store volatile i32 0, ptr %word
  ret i32 1
context:
  %record = call ptr @kdsl.gpu.record(i64 %device)
  store ptr %stream, ptr %state
  %s1 = getelementptr i8, ptr %state, i64 8
  store ptr %record, ptr %s1
  %s2 = getelementptr i8, ptr %state, i64 16
  store ptr %functions, ptr %s2
  %s3 = getelementptr i8, ptr %state, i64 24
  store i64 0, ptr %s3
  %s4 = getelementptr i8, ptr %state, i64 32
  store ptr %word, ptr %s4
  %wanted = load ptr, ptr %record
  %f0 = call ptr @kdsl.gpu.call(i64 {cuCtxGetCurrent})
  %r0 = call i32 %f0(ptr %current)
  %st0 = call i32 @kdsl.gpu.status(i32 %r0, i32 {cuCtxGetCurrent})
  %b0 = icmp eq i32 %r0, 0
  br i1 %b0, label %compare, label %lost
lost:
  ret i32 %st0
compare:
  %now = load ptr, ptr %current
  %same = icmp eq ptr %now, %wanted
  br i1 %same, label %ready, label %push
push:
  %f1 = call ptr @kdsl.gpu.call(i64 {cuCtxPushCurrent})
  %r1 = call i32 %f1(ptr %wanted)
  %st1 = call i32 @kdsl.gpu.status(i32 %r1, i32 {cuCtxPushCurrent})
  %b1 = icmp eq i32 %r1, 0
  br i1 %b1, label %pushed, label %lost1
lost1:
  ret i32 %st1
pushed:
  store i64 1, ptr %s3
  ret i32 0
ready:
  ret i32 0
}

define hidden void @kdsl_gpu_end(ptr %state) {
entry:
  %old = alloca ptr
  %s3 = getelementptr i8, ptr %state, i64 24
  %pushed = load i64, ptr %s3
  %plain = icmp eq i64 %pushed, 0
  br i1 %plain, label %done, label %pop
pop:
  %f = call ptr @kdsl.gpu.call(i64 {cuCtxPopCurrent})
  %r = call i32 %f(ptr %old)
  br label %done
done:
  ret void
}

; site: {function, threads, shared bytes, overlap, cluster x, y, z}
define hidden i32 @kdsl_gpu_launch(ptr %state, ptr %site, i64 %x, i64 %y, i64 %z, ptr %params) {
entry:
  %config = alloca [56 x i8], align 8
  %attributes = alloca [144 x i8], align 8
  %x0 = icmp slt i64 %x, 1
  %y0 = icmp slt i64 %y, 1
  %z0 = icmp slt i64 %z, 1
  %xy0 = or i1 %x0, %y0
  %nothing = or i1 %xy0, %z0
  br i1 %nothing, label %done, label %limits
done:
  ret i32 0
limits:
  %bx = icmp ugt i64 %x, 2147483647
  %by = icmp ugt i64 %y, 65535
  %bz = icmp ugt i64 %z, 65535
  %xs = select i1 %bx, i32 {GRID_X}, i32 0
  %ys = select i1 %by, i32 {GRID_Y}, i32 %xs
  %zs = select i1 %bz, i32 {GRID_Z}, i32 %ys
  %fits = icmp eq i32 %zs, 0
  br i1 %fits, label %fill, label %large
large:
  ret i32 %zs
fill:
  %xi = trunc i64 %x to i32
  %yi = trunc i64 %y to i32
  %zi = trunc i64 %z to i32
  %stream = load ptr, ptr %state
  store i32 %xi, ptr %config
  %c1 = getelementptr i8, ptr %config, i64 4
  store i32 %yi, ptr %c1
  %c2 = getelementptr i8, ptr %config, i64 8
  store i32 %zi, ptr %c2
  %c3 = getelementptr i8, ptr %config, i64 12
  %p1 = getelementptr i8, ptr %site, i64 4
  %threads = load i32, ptr %p1
  store i32 %threads, ptr %c3
  %c4 = getelementptr i8, ptr %config, i64 16
  store i32 1, ptr %c4
  %c5 = getelementptr i8, ptr %config, i64 20
  store i32 1, ptr %c5
  %c6 = getelementptr i8, ptr %config, i64 24
  %p2 = getelementptr i8, ptr %site, i64 8
  %shared = load i32, ptr %p2
  store i32 %shared, ptr %c6
  %c7 = getelementptr i8, ptr %config, i64 32
  store ptr %stream, ptr %c7
  %c8 = getelementptr i8, ptr %config, i64 40
  store ptr %attributes, ptr %c8
  %c9 = getelementptr i8, ptr %config, i64 48
  %p3 = getelementptr i8, ptr %site, i64 12
  %overlap = load i32, ptr %p3
  %alone = icmp eq i32 %overlap, 0
  br i1 %alone, label %shape, label %early
early:
  store i32 6, ptr %attributes
  %a1 = getelementptr i8, ptr %attributes, i64 8
  store i32 1, ptr %a1
  br label %shape
shape:
  %count = phi i32 [ 0, %fill ], [ 1, %early ]
  %p4 = getelementptr i8, ptr %site, i64 16
  %cx = load i32, ptr %p4
  %p5 = getelementptr i8, ptr %site, i64 20
  %cy = load i32, ptr %p5
  %p6 = getelementptr i8, ptr %site, i64 24
  %cz = load i32, ptr %p6
  %cxy = mul i32 %cx, %cy
  %members = mul i32 %cxy, %cz
  %single = icmp ule i32 %members, 1
  br i1 %single, label %go, label %cluster
cluster:
  %wide = zext i32 %count to i64
  %offset = mul i64 %wide, 72
  %a2 = getelementptr i8, ptr %attributes, i64 %offset
  store i32 4, ptr %a2
  %a3 = getelementptr i8, ptr %a2, i64 8
  store i32 %cx, ptr %a3
  %a4 = getelementptr i8, ptr %a2, i64 12
  store i32 %cy, ptr %a4
  %a5 = getelementptr i8, ptr %a2, i64 16
  store i32 %cz, ptr %a5
  %one.more = add i32 %count, 1
  br label %go
go:
  %total = phi i32 [ %count, %shape ], [ %one.more, %cluster ]
  store i32 %total, ptr %c9
  %number = load i32, ptr %site
  %number64 = zext i32 %number to i64
  %s2 = getelementptr i8, ptr %state, i64 16
  %functions = load ptr, ptr %s2
  %place = getelementptr ptr, ptr %functions, i64 %number64
  %function = load ptr, ptr %place
  %f = call ptr @kdsl.gpu.call(i64 {cuLaunchKernelEx})
  %r = call i32 %f(ptr %config, ptr %function, ptr %params, ptr null)
  %s = call i32 @kdsl.gpu.status(i32 %r, i32 {cuLaunchKernelEx})
  ret i32 %s
}

define hidden i32 @kdsl_gpu_alloc(ptr %state, ptr %place, i64 %bytes) {
entry:
  %stream = load ptr, ptr %state
  %least = call i64 @llvm.umax.i64(i64 %bytes, i64 16)
  %f = call ptr @kdsl.gpu.call(i64 {cuMemAllocAsync})
  %r = call i32 %f(ptr %place, i64 %least, ptr %stream)
  %s = call i32 @kdsl.gpu.status(i32 %r, i32 {cuMemAllocAsync})
  %full = icmp eq i32 %r, 2
  %status = select i1 %full, i32 2, i32 %s
  ret i32 %status
}

define hidden i32 @kdsl_gpu_free(ptr %state, ptr %memory) {
entry:
  %none = icmp eq ptr %memory, null
  br i1 %none, label %done, label %free
done:
  ret i32 0
free:
  %stream = load ptr, ptr %state
  %address = ptrtoint ptr %memory to i64
  %f = call ptr @kdsl.gpu.call(i64 {cuMemFreeAsync})
  %r = call i32 %f(i64 %address, ptr %stream)
  %s = call i32 @kdsl.gpu.status(i32 %r, i32 {cuMemFreeAsync})
  ret i32 %s
}

define hidden i64 @kdsl_gpu_sms(ptr %state) {
  %s1 = getelementptr i8, ptr %state, i64 8
  %record = load ptr, ptr %s1
  %at = getelementptr i8, ptr %record, i64 {AT_SMS}
  %sms = load i64, ptr %at
  ret i64 %sms
}

; a zeroed counter: the next of a ring, or, for a graph that may run at any time, one for ever
define hidden i32 @kdsl_gpu_counter(ptr %state, ptr %place) {
entry:
  %capturing = alloca i32
  %stream = load ptr, ptr %state
  %s1 = getelementptr i8, ptr %state, i64 8
  %record = load ptr, ptr %s1
  %f = call ptr @kdsl.gpu.call(i64 {cuStreamIsCapturing})
  %r = call i32 %f(ptr %stream, ptr %capturing)
  %s = call i32 @kdsl.gpu.status(i32 %r, i32 {cuStreamIsCapturing})
  %good = icmp eq i32 %r, 0
  br i1 %good, label %asked, label %failed
failed:
  ret i32 %s
asked:
  %mode = load i32, ptr %capturing
  %eager = icmp eq i32 %mode, 0
  br i1 %eager, label %ring, label %graph
ring:
  %at.next = getelementptr i8, ptr %record, i64 {AT_NEXT}
  %ticket = atomicrmw add ptr %at.next, i64 1 monotonic, align 8
  %turn = urem i64 %ticket, {COUNTERS}
  %at.ring = getelementptr i8, ptr %record, i64 {AT_RING}
  %base = load i64, ptr %at.ring
  br label %give
graph:
  call void @kdsl.gpu.lock()
  %at.used = getelementptr i8, ptr %record, i64 {AT_USED}
  %used = load i64, ptr %at.used
  %at.once = getelementptr i8, ptr %record, i64 {AT_ONCE}
  %full = icmp uge i64 %used, {COUNTERS}
  br i1 %full, label %more, label %take
more:
  %rc = call i32 @kdsl.gpu.zeroed(ptr %at.once)
  %made = icmp eq i32 %rc, 0
  br i1 %made, label %take, label %none
none:
  call void @kdsl.gpu.unlock()
  ret i32 %rc
take:
  %mine = phi i64 [ %used, %graph ], [ 0, %more ]
  %after = add i64 %mine, 1
  store i64 %after, ptr %at.used
  %once = load i64, ptr %at.once
  call void @kdsl.gpu.unlock()
  br label %give
give:
  %from = phi i64 [ %base, %ring ], [ %once, %take ]
  %index = phi i64 [ %turn, %ring ], [ %mine, %take ]
  %offset = mul i64 %index, {COUNTER_BYTES}
  %address = add i64 %from, %offset
  store i64 %address, ptr %place
  ret i32 0
}

; -------------------------------------------------------------------------------------- tensor maps
; cache: {busy, valid, key[10], map}; spec: {rank, data type, swizzle, promotion, argument, box[5]}
; numbers: address, extents, strides in bytes of all but the first

define hidden i32 @kdsl_gpu_map(ptr %state, ptr %cache, ptr %spec, ptr %numbers, ptr %out) {
entry:
  %rank = load i32, ptr %spec
  %wide = zext i32 %rank to i64
  %words = shl i64 %wide, 1
  %bytes = shl i64 %words, 3
  %x = cmpxchg ptr %cache, i32 0, i32 1 acquire monotonic
  %won = extractvalue { i32, i1 } %x, 1
  br i1 %won, label %mine, label %plain
plain:
  ; another thread looks at this very place: make one without it
  %s0 = call i32 @kdsl.gpu.encode(ptr %state, ptr %spec, ptr %numbers, ptr %out)
  ret i32 %s0
mine:
  %at.valid = getelementptr i8, ptr %cache, i64 4
  %valid = load i32, ptr %at.valid
  %key = getelementptr i8, ptr %cache, i64 8
  %different = call i32 @memcmp(ptr %key, ptr %numbers, i64 %bytes)
  %same = icmp eq i32 %different, 0
  %is.valid = icmp eq i32 %valid, 1
  %hit = and i1 %same, %is.valid
  %map = getelementptr i8, ptr %cache, i64 {AT_MAP}
  br i1 %hit, label %copy, label %make
make:
  store i32 0, ptr %at.valid
  %s1 = call i32 @kdsl.gpu.encode(ptr %state, ptr %spec, ptr %numbers, ptr %out)
  %good = icmp eq i32 %s1, 0
  br i1 %good, label %keep, label %release
keep:
  call void @llvm.memcpy.p0.p0.i64(ptr %key, ptr %numbers, i64 %bytes, i1 false)
  call void @llvm.memcpy.p0.p0.i64(ptr align 64 %map, ptr align 64 %out, i64 128, i1 false)
  store i32 1, ptr %at.valid
  br label %release
copy:
  call void @llvm.memcpy.p0.p0.i64(ptr align 64 %out, ptr align 64 %map, i64 128, i1 false)
  br label %release
release:
  %status = phi i32 [ %s1, %make ], [ 0, %keep ], [ 0, %copy ]
  store atomic i32 0, ptr %cache release, align 4
  ret i32 %status
}

define internal i32 @kdsl.gpu.encode(ptr %state, ptr %spec, ptr %numbers, ptr %out) noinline {
entry:
  %dims = alloca [5 x i64], align 8
  %steps = alloca [5 x i64], align 8
  %rank = load i32, ptr %spec
  %wide = zext i32 %rank to i64
  %q4 = getelementptr i8, ptr %spec, i64 16
  %arg = load i32, ptr %q4
  %detail = shl i32 %arg, {DETAIL_SHIFT}
  %address = load i64, ptr %numbers
  %low = and i64 %address, 15
  %aligned = icmp eq i64 %low, 0
  %extents = getelementptr i8, ptr %numbers, i64 8
  %strides = getelementptr i64, ptr %extents, i64 %wide
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %next, %tail ]
  %empty = phi i1 [ false, %entry ], [ %empty.now, %tail ]
  %n.place = getelementptr i64, ptr %extents, i64 %i
  %n = load i64, ptr %n.place
  %zero = icmp eq i64 %n, 0
  %empty.now = or i1 %empty, %zero
  %huge = icmp ugt i64 %n, 2147483647
  br i1 %huge, label %extent, label %fits
extent:
  %bad.extent = or i32 %detail, {MAP_EXTENT}
  ret i32 %bad.extent
fits:
  %kept = call i64 @llvm.umax.i64(i64 %n, i64 1)
  %d.place = getelementptr i64, ptr %dims, i64 %i
  store i64 %kept, ptr %d.place
  %first = icmp eq i64 %i, 0
  br i1 %first, label %tail, label %step
step:
  %before = sub i64 %i, 1
  %s.place = getelementptr i64, ptr %strides, i64 %before
  %given = load i64, ptr %s.place
  %low.bits = and i64 %given, 15
  %odd = icmp ne i64 %low.bits, 0
  %far = icmp uge i64 %given, 1099511627776
  %unfit = or i1 %odd, %far
  ; the stride of an axis of one element is never used
  %short = icmp ule i64 %n, 1
  %used = xor i1 %short, true
  %bad = and i1 %unfit, %used
  br i1 %bad, label %stride, label %take
stride:
  %bad.stride = or i32 %detail, {MAP_STRIDE}
  ret i32 %bad.stride
take:
  %stored = select i1 %short, i64 16, i64 %given
  %t.place = getelementptr i64, ptr %steps, i64 %before
  store i64 %stored, ptr %t.place
  br label %tail
tail:
  %next = add i64 %i, 1
  %more = icmp ult i64 %next, %wide
  br i1 %more, label %loop, label %place
place:
  ; nothing is read of an empty tensor, which may have no address: the counters stand for it
  %s1 = getelementptr i8, ptr %state, i64 8
  %record = load ptr, ptr %s1
  %at.ring = getelementptr i8, ptr %record, i64 {AT_RING}
  %ring = load i64, ptr %at.ring
  %from = select i1 %empty.now, i64 %ring, i64 %address
  %right = or i1 %aligned, %empty.now
  br i1 %right, label %whole, label %misaligned
misaligned:
  %bad.address = or i32 %detail, {MAP_ADDRESS}
  ret i32 %bad.address
whole:
  br i1 %empty.now, label %shrink, label %encode
shrink:
  ; an empty tensor is a small one: no extent reaches beyond the counters
  store i64 1, ptr %dims
  br label %shrink.loop
shrink.loop:
  %j = phi i64 [ 1, %shrink ], [ %j.next, %shrink.body ]
  %j.more = icmp ult i64 %j, %wide
  br i1 %j.more, label %shrink.body, label %encode
shrink.body:
  %j.place = getelementptr i64, ptr %dims, i64 %j
  store i64 1, ptr %j.place
  %j.before = sub i64 %j, 1
  %j.step = getelementptr i64, ptr %steps, i64 %j.before
  store i64 16, ptr %j.step
  %j.next = add i64 %j, 1
  br label %shrink.loop
encode:
  %q1 = getelementptr i8, ptr %spec, i64 4
  %type = load i32, ptr %q1
  %q2 = getelementptr i8, ptr %spec, i64 8
  %swizzle = load i32, ptr %q2
  %q3 = getelementptr i8, ptr %spec, i64 12
  %promotion = load i32, ptr %q3
  %box = getelementptr i8, ptr %spec, i64 20
  %f = call ptr @kdsl.gpu.call(i64 {cuTensorMapEncodeTiled})
  %old = icmp eq ptr %f, null
  br i1 %old, label %missing, label %call
missing:
  %s.old = call i32 @kdsl.gpu.status(i32 {OLD_DRIVER}, i32 {cuTensorMapEncodeTiled})
  ret i32 %s.old
call:
  %r = call i32 %f(ptr %out, i32 %type, i32 %rank, i64 %from, ptr %dims, ptr %steps, ptr %box, ptr @kdsl.gpu.ones, i32 0, i32 %swizzle, i32 %promotion, i32 0)
  %s = call i32 @kdsl.gpu.status(i32 %r, i32 {cuTensorMapEncodeTiled})
  %named = or i32 %s, %detail
  %ok = icmp eq i32 %r, 0
  %status = select i1 %ok, i32 0, i32 %named
  ret i32 %status
}

declare i64 @llvm.umax.i64(i64, i64)
declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)

; thread pool
@kdsl.name = private unnamed_addr constant [17 x i8] c"KDSL_NUM_THREADS\00"
@kdsl.lock = internal global i32 0, align 64          ; 1 while a launch owns the pool
@kdsl.pid = internal global i32 0                     ; process that owns the workers; -pid while it takes over
@kdsl.workers = internal global i32 0                 ; started workers
@kdsl.limit = internal global i32 0                   ; threads per launch, the caller included; 0 = ask
@kdsl.job = internal global i64 0, align 64
@kdsl.sleepers = internal global i32 0, align 64
@kdsl.cap = internal global i32 0, align 64           ; workers that may be inside at once
@kdsl.fn = internal global ptr null
@kdsl.ctx = internal global ptr null
@kdsl.n = internal global i64 0
@kdsl.chunk = internal global i64 0
@kdsl.next = internal global i64 0, align 64          ; first item that nobody drew
@kdsl.status = internal global i32 0, align 64

declare i32 @getpid()
declare ptr @getenv(ptr)
declare i64 @strtol(ptr, ptr, i32)
declare i32 @sched_getaffinity(i32, i64, ptr)
declare i64 @syscall(i64, ...)
declare i32 @clock_gettime(i32, ptr)
declare i32 @pthread_create(ptr, ptr, ptr, ptr)
declare i32 @pthread_detach(i64)
declare i32 @pthread_sigmask(i32, ptr, ptr)
declare i64 @llvm.ctpop.i64(i64)
declare i64 @llvm.umax.i64(i64, i64)
declare i64 @llvm.smin.i64(i64, i64)
declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)
{PAUSE_DECL}

define internal void @kdsl.futex_wait(ptr %word, i32 %seen) noinline {
  %r = call i64 (i64, ...) @syscall(i64 {FUTEX}, ptr %word, i64 128, i32 %seen, ptr null, ptr null, i32 0)
  ret void
}

define internal void @kdsl.futex_wake(ptr %word, i32 %count) noinline {
  %r = call i64 (i64, ...) @syscall(i64 {FUTEX}, ptr %word, i64 129, i32 %count, ptr null, ptr null, i32 0)
  ret void
}

define internal i64 @kdsl.now() noinline {
  %t = alloca { i64, i64 }
  %r = call i32 @clock_gettime(i32 1, ptr %t)
  %s = load i64, ptr %t
  %np = getelementptr i8, ptr %t, i64 8
  %ns = load i64, ptr %np
  %m = mul i64 %s, 1000000000
  %v = add i64 %m, %ns
  ret i64 %v
}

; draw chunks until none is left; a failure makes the rest void
define internal void @kdsl.drain() {
entry:
  %fn = load ptr, ptr @kdsl.fn
  %ctx = load ptr, ptr @kdsl.ctx
  %n = load i64, ptr @kdsl.n
  %chunk = load i64, ptr @kdsl.chunk
  br label %loop
loop:
  %b = atomicrmw add ptr @kdsl.next, i64 %chunk monotonic
  %more = icmp slt i64 %b, %n
  br i1 %more, label %work, label %done
work:
  %e0 = add i64 %b, %chunk
  %e = call i64 @llvm.smin.i64(i64 %e0, i64 %n)
  %rc = call i32 %fn(ptr %ctx, i64 %b, i64 %e)
  %ok = icmp eq i32 %rc, 0
  br i1 %ok, label %loop, label %failed
failed:
  %x = cmpxchg ptr @kdsl.status, i32 0, i32 %rc monotonic monotonic
  store atomic i64 %n, ptr @kdsl.next monotonic, align 8
  br label %done
done:
  ret void
}

define internal ptr @kdsl.worker(ptr %unused) {
entry:
  br label %idle
idle:                                                 ; wait for a generation not yet seen
  %seen = phi i32 [ 0, %entry ], [ %gen, %finished ], [ %gen2, %look ]
  %t0 = call i64 @kdsl.now()
  br label %spin
spin:
  %turn = phi i32 [ 0, %idle ], [ %turn1, %again ], [ 0, %clock ]
  %j = load atomic i64, ptr @kdsl.job acquire, align 8
  %gh = lshr i64 %j, 32
  %gen = trunc i64 %gh to i32
  %same = icmp eq i32 %gen, %seen
  %bit = and i64 %j, {OPEN}
  %closed = icmp eq i64 %bit, 0
  %nothing = or i1 %same, %closed
  br i1 %nothing, label %pause, label %try
pause:
  {PAUSE}
  %turn1 = add i32 %turn, 1
  %often = icmp ult i32 %turn1, 32
  br i1 %often, label %again, label %clock
again:
  br label %spin
clock:
  %t1 = call i64 @kdsl.now()
  %dt = sub i64 %t1, %t0
  %young = icmp ult i64 %dt, {SPIN_NS}
  br i1 %young, label %spin, label %sleep
sleep:
  %s0 = atomicrmw add ptr @kdsl.sleepers, i32 1 seq_cst
  %word = getelementptr i8, ptr @kdsl.job, i64 4
  call void @kdsl.futex_wait(ptr %word, i32 %gen)
  %s1 = atomicrmw sub ptr @kdsl.sleepers, i32 1 seq_cst
  br label %look
look:
  %gen2 = phi i32 [ %seen, %sleep ]
  br label %idle
try:
  %count = and i64 %j, {COUNT_MASK}
  %cap0 = load atomic i32, ptr @kdsl.cap monotonic, align 4
  %cap = zext i32 %cap0 to i64
  %full = icmp uge i64 %count, %cap
  br i1 %full, label %pause, label %join
join:
  %j1 = add i64 %j, 1
  %cas = cmpxchg ptr @kdsl.job, i64 %j, i64 %j1 acq_rel monotonic
  %won = extractvalue { i64, i1 } %cas, 1
  br i1 %won, label %run, label %again_join
again_join:
  br label %pause
run:
  call void @kdsl.drain()
  %old = atomicrmw sub ptr @kdsl.job, i64 1 acq_rel
  %left = and i64 %old, {COUNT_MASK}
  %last = icmp eq i64 %left, 1
  %wbit = and i64 %old, {WAITING}
  %asleep = icmp ne i64 %wbit, 0
  %wake = and i1 %last, %asleep
  br i1 %wake, label %call, label %finished
call:
  call void @kdsl.futex_wake(ptr @kdsl.job, i32 1)
  br label %finished
finished:
  br label %idle
}

define internal i32 @kdsl.default_threads() {
entry:
  %s = call ptr @getenv(ptr @kdsl.name)
  %set = icmp ne ptr %s, null
  br i1 %set, label %parse, label %count
parse:
  %v = call i64 @strtol(ptr %s, ptr null, i32 10)
  %pos = icmp sgt i64 %v, 0
  br i1 %pos, label %clamp, label %count
count:
  %mask = alloca [16 x i64], align 8
  call void @llvm.memset.p0.i64(ptr %mask, i8 0, i64 128, i1 false)
  %rc = call i32 @sched_getaffinity(i32 0, i64 128, ptr %mask)
  br label %loop
loop:
  %i = phi i64 [ 0, %count ], [ %i1, %loop ]
  %sum = phi i64 [ 0, %count ], [ %sum1, %loop ]
  %p = getelementptr i64, ptr %mask, i64 %i
  %w = load i64, ptr %p
  %c = call i64 @llvm.ctpop.i64(i64 %w)
  %sum1 = add i64 %sum, %c
  %i1 = add i64 %i, 1
  %more = icmp ult i64 %i1, 16
  br i1 %more, label %loop, label %clamp
clamp:
  %got = phi i64 [ %v, %parse ], [ %sum1, %loop ]
  %low = call i64 @llvm.umax.i64(i64 %got, i64 1)
  %r64 = call i64 @llvm.smin.i64(i64 %low, i64 {MAX_THREADS})
  %r = trunc i64 %r64 to i32
  ret i32 %r
}

define i32 @kdsl_get_num_threads() {
entry:
  %l = load atomic i32, ptr @kdsl.limit monotonic, align 4
  %known = icmp sgt i32 %l, 0
  br i1 %known, label %yes, label %ask
yes:
  ret i32 %l
ask:
  %d = call i32 @kdsl.default_threads()
  %x = cmpxchg ptr @kdsl.limit, i32 0, i32 %d monotonic monotonic
  ret i32 %d
}

; n <= 0 goes back to KDSL_NUM_THREADS or the affinity mask
define void @kdsl_set_num_threads(i32 %n) {
  %neg = icmp slt i32 %n, 0
  %n0 = select i1 %neg, i32 0, i32 %n
  %big = icmp ugt i32 %n0, {MAX_THREADS}
  %v = select i1 %big, i32 {MAX_THREADS}, i32 %n0
  store atomic i32 %v, ptr @kdsl.limit monotonic, align 4
  ret void
}

; take the pool; false when somebody else has it
define internal i1 @kdsl.take() {
entry:
  %pid = call i32 @getpid()
  %own = load atomic i32, ptr @kdsl.pid acquire, align 4
  %mine = icmp eq i32 %own, %pid
  br i1 %mine, label %lock, label %foreign
foreign:                                              ; a new process: its workers did not come along
  %taking = sub i32 0, %pid
  %busy = icmp eq i32 %own, %taking
  br i1 %busy, label %no, label %claim
claim:
  %c = cmpxchg ptr @kdsl.pid, i32 %own, i32 %taking acq_rel monotonic
  %won = extractvalue { i32, i1 } %c, 1
  br i1 %won, label %fresh, label %no
fresh:
  store atomic i32 1, ptr @kdsl.lock monotonic, align 4
  store i32 0, ptr @kdsl.workers
  store atomic i64 0, ptr @kdsl.job monotonic, align 8
  store atomic i32 0, ptr @kdsl.sleepers monotonic, align 4
  store atomic i32 %pid, ptr @kdsl.pid release, align 4
  ret i1 true
lock:
  %l = cmpxchg ptr @kdsl.lock, i32 0, i32 1 acquire monotonic
  %got = extractvalue { i32, i1 } %l, 1
  ret i1 %got
no:
  ret i1 false
}

; start workers until there are %want; the caller owns the pool
define internal void @kdsl.grow(i32 %want) noinline {
entry:
  %have0 = load i32, ptr @kdsl.workers
  %enough = icmp sge i32 %have0, %want
  br i1 %enough, label %out, label %start
start:
  %thread = alloca i64
  %all = alloca [16 x i64], align 8
  %before = alloca [16 x i64], align 8
  call void @llvm.memset.p0.i64(ptr %all, i8 -1, i64 128, i1 false)
  %m0 = call i32 @pthread_sigmask(i32 2, ptr %all, ptr %before)  ; signals stay with the user's threads
  br label %loop
loop:
  %have = phi i32 [ %have0, %start ], [ %have1, %made ]
  %rc = call i32 @pthread_create(ptr %thread, ptr null, ptr @kdsl.worker, ptr null)
  %ok = icmp eq i32 %rc, 0
  br i1 %ok, label %made, label %restore
made:
  %id = load i64, ptr %thread
  %d = call i32 @pthread_detach(i64 %id)
  %have1 = add i32 %have, 1
  store i32 %have1, ptr @kdsl.workers
  %more = icmp slt i32 %have1, %want
  br i1 %more, label %loop, label %restore
restore:
  %m1 = call i32 @pthread_sigmask(i32 2, ptr %before, ptr null)
  br label %out
out:
  ret void
}

define hidden i32 @kdsl_parallel_for(ptr %fn, ptr %ctx, i64 %n) {
entry:
  %some = icmp sgt i64 %n, 0
  br i1 %some, label %decide, label %nothing
nothing:
  ret i32 0
decide:
  %limit0 = call i32 @kdsl_get_num_threads()
  %limit = sext i32 %limit0 to i64
  %threads = call i64 @llvm.smin.i64(i64 %limit, i64 %n)
  %parallel = icmp sgt i64 %threads, 1
  br i1 %parallel, label %take, label %inline
take:
  %mine = call i1 @kdsl.take()
  br i1 %mine, label %launch, label %inline
inline:
  %r = call i32 %fn(ptr %ctx, i64 0, i64 %n)
  ret i32 %r
launch:
  %want64 = sub i64 %threads, 1
  %want = trunc i64 %want64 to i32
  call void @kdsl.grow(i32 %want)
  %parts = mul i64 %threads, {CHUNKS}
  %share = udiv i64 %n, %parts
  %chunk = call i64 @llvm.umax.i64(i64 %share, i64 1)
  store ptr %fn, ptr @kdsl.fn
  store ptr %ctx, ptr @kdsl.ctx
  store i64 %n, ptr @kdsl.n
  store i64 %chunk, ptr @kdsl.chunk
  store atomic i64 0, ptr @kdsl.next monotonic, align 8
  store atomic i32 0, ptr @kdsl.status monotonic, align 4
  store atomic i32 %want, ptr @kdsl.cap monotonic, align 4
  %j0 = load atomic i64, ptr @kdsl.job monotonic, align 8
  %g0 = lshr i64 %j0, 32
  %g1 = add i64 %g0, 1
  %g2 = shl i64 %g1, 32
  %j1 = or i64 %g2, {OPEN}
  %jold = atomicrmw xchg ptr @kdsl.job, i64 %j1 seq_cst
  %sl = load atomic i32, ptr @kdsl.sleepers seq_cst, align 4
  %asleep = icmp sgt i32 %sl, 0
  br i1 %asleep, label %wake, label %work
wake:
  %word = getelementptr i8, ptr @kdsl.job, i64 4
  call void @kdsl.futex_wake(ptr %word, i32 %want)
  br label %work
work:
  call void @kdsl.drain()
  %jc = atomicrmw and ptr @kdsl.job, i64 {NOT_OPEN} acq_rel
  br label %wait
wait:                                                 ; for those inside
  %turn = phi i32 [ 0, %work ], [ %turn1, %pause ], [ 0, %sleep ]
  %jw = load atomic i64, ptr @kdsl.job acquire, align 8
  %inside = and i64 %jw, {COUNT_MASK}
  %none = icmp eq i64 %inside, 0
  br i1 %none, label %done, label %held
held:
  %patient = icmp ult i32 %turn, 1000
  br i1 %patient, label %pause, label %mark
pause:
  {PAUSE}
  %turn1 = add i32 %turn, 1
  br label %wait
mark:
  %jm = atomicrmw or ptr @kdsl.job, i64 {WAITING} acq_rel
  %im = and i64 %jm, {COUNT_MASK}
  %gone = icmp eq i64 %im, 0
  br i1 %gone, label %done, label %sleep
sleep:
  %jm2 = or i64 %jm, {WAITING}
  %low = trunc i64 %jm2 to i32
  call void @kdsl.futex_wait(ptr @kdsl.job, i32 %low)
  br label %wait
done:
  %status = load atomic i32, ptr @kdsl.status monotonic, align 4
  store atomic i32 0, ptr @kdsl.lock release, align 4
  ret i32 %status
}

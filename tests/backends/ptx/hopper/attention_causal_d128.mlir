"builtin.module"() ({
  "func.func"() ({
  ^bb0(%q: memref<?x?x?x128xbf16, strided<[?, ?, ?, 1]>>, %k: memref<?x?x?x128xbf16, strided<[?, ?, ?, 1]>>, %v: memref<?x?x?x128xbf16, strided<[?, ?, ?, 1]>>, %out: memref<?x?x?x128xbf16, strided<[?, ?, ?, 1]>>, %lse: memref<?x?x?xf32, strided<[?, ?, 1]>>, %scale: f32, %q_map: i64, %k_map: i64, %v_map: i64, %out_map: i64, %counter: i64, %gx: index, %gy: index, %gz: index, %group: index):
    %c0 = "arith.constant"() {value = 0 : index} : () -> index
    %c1 = "arith.constant"() {value = 1 : index} : () -> index
    %c2 = "arith.constant"() {value = 2 : index} : () -> index
    %c128 = "arith.constant"() {value = 128 : index} : () -> index
    %cm129 = "arith.constant"() {value = -129 : index} : () -> index
    %i0 = "arith.constant"() {value = 0 : i32} : () -> i32
    %M = "memref.dim"(%q, %c2) : (memref<?x?x?x128xbf16, strided<[?, ?, ?, 1]>>, index) -> index
    %N = "memref.dim"(%k, %c2) : (memref<?x?x?x128xbf16, strided<[?, ?, ?, 1]>>, index) -> index
    "ptx.roles"() ({
      %0, %1, %2 = "scf.while"() ({
        %3, %4, %5, %6, %7, %8 = "ptx.tile_record"() {ready = "known", uniform = array<i64: 4, 5>} : () -> (i32, i32, i32, i32, i32, i32)
        %live = "arith.cmpi"(%8, %i0) {predicate = 1 : i64} : (i32, i32) -> i1
        %hk = "arith.index_cast"(%6) : (i32) -> index
        %b = "arith.index_cast"(%5) : (i32) -> index
        %n = "arith.index_cast"(%7) : (i32) -> index
        "scf.condition"(%live, %hk, %b, %n) : (i1, index, index, index) -> ()
      }, {
      ^bb1(%hk_1: index, %b_1: index, %n_1: index):
        %last = "arith.subi"(%n_1, %c1) : (index, index) -> index
        %krow0 = "arith.muli"(%last, %c128) : (index, index) -> index
        "ptx.ring_load"(%k_map, %c0, %krow0, %c0, %hk_1, %b_1) {operandSegmentSizes = array<i32: 1, 5>, ranks = array<i64: 5>, shapes = array<i64: 128, 128>, slabs = array<i64: 128>, split = array<i64: 1>} : (i64, index, index, index, index, index) -> ()
        "scf.for"(%c1, %n_1, %c1) ({
        ^bb2(%j: index):
          %kb = "arith.subi"(%last, %j) : (index, index) -> index
          %krow = "arith.muli"(%kb, %c128) : (index, index) -> index
          "ptx.ring_load"(%k_map, %c0, %krow, %c0, %hk_1, %b_1) {operandSegmentSizes = array<i32: 1, 5>, ranks = array<i64: 5>, shapes = array<i64: 128, 128>, slabs = array<i64: 128>, split = array<i64: 1>} : (i64, index, index, index, index, index) -> ()
          %vrow = "arith.addi"(%krow, %c128) : (index, index) -> index
          "ptx.ring_load"(%v_map, %c0, %vrow, %c0, %hk_1, %b_1) {operandSegmentSizes = array<i32: 1, 5>, ranks = array<i64: 5>, shapes = array<i64: 128, 128>, slabs = array<i64: 128>, split = array<i64: 1>} : (i64, index, index, index, index, index) -> ()
          "scf.yield"() : () -> ()
        }) : (index, index, index) -> ()
        "ptx.ring_load"(%v_map, %c0, %c0, %c0, %hk_1, %b_1) {operandSegmentSizes = array<i32: 1, 5>, ranks = array<i64: 5>, shapes = array<i64: 128, 128>, slabs = array<i64: 128>, split = array<i64: 1>} : (i64, index, index, index, index, index) -> ()
        "scf.yield"() : () -> ()
      }) : () -> (index, index, index)
      "ptx.end"() : () -> ()
    }, {
      %Hq = "memref.dim"(%q, %c1) : (memref<?x?x?x128xbf16, strided<[?, ?, ?, 1]>>, index) -> index
      %Hkv = "memref.dim"(%k, %c1) : (memref<?x?x?x128xbf16, strided<[?, ?, ?, 1]>>, index) -> index
      %yz = "arith.muli"(%gy, %gz) : (index, index) -> index
      %total = "arith.muli"(%gx, %yz) : (index, index) -> index
      %9, %10, %11 = "scf.while"() ({
        %t = "ptx.draw"(%counter, %total) {persistent = true} : (i64, index) -> index
        %gt = "arith.muli"(%group, %gx) : (index, index) -> index
        %g = "arith.floordivsi"(%t, %gt) : (index, index) -> index
        %g0 = "arith.muli"(%g, %group) : (index, index) -> index
        %left = "arith.subi"(%yz, %g0) : (index, index) -> index
        %wide = "arith.minsi"(%left, %group) : (index, index) -> index
        %width = "arith.maxsi"(%wide, %c1) : (index, index) -> index
        %gbase = "arith.muli"(%g, %gt) : (index, index) -> index
        %rest = "arith.subi"(%t, %gbase) : (index, index) -> index
        %px = "arith.floordivsi"(%rest, %width) : (index, index) -> index
        %pxw = "arith.muli"(%px, %width) : (index, index) -> index
        %in = "arith.subi"(%rest, %pxw) : (index, index) -> index
        %bh = "arith.addi"(%g0, %in) : (index, index) -> index
        %b_2 = "arith.floordivsi"(%bh, %gy) : (index, index) -> index
        %bg = "arith.muli"(%b_2, %gy) : (index, index) -> index
        %h = "arith.subi"(%bh, %bg) : (index, index) -> index
        %gx1 = "arith.subi"(%gx, %c1) : (index, index) -> index
        %blk = "arith.subi"(%gx1, %px) : (index, index) -> index
        %ratio = "arith.floordivsi"(%Hq, %Hkv) : (index, index) -> index
        %hk_2 = "arith.floordivsi"(%h, %ratio) : (index, index) -> index
        %q0 = "arith.muli"(%blk, %c128) : (index, index) -> index
        %stop0 = "arith.addi"(%q0, %c128) : (index, index) -> index
        %stop = "arith.minsi"(%stop0, %M) : (index, index) -> index
        %keys = "arith.minsi"(%stop, %N) : (index, index) -> index
        %n_2 = "arith.ceildivsi"(%keys, %c128) : (index, index) -> index
        %alive = "arith.cmpi"(%t, %total) {predicate = 2 : i64} : (index, index) -> i1
        %w0 = "arith.index_cast"(%q0) : (index) -> i32
        %w1 = "arith.index_cast"(%h) : (index) -> i32
        %w2 = "arith.index_cast"(%b_2) : (index) -> i32
        %w3 = "arith.index_cast"(%hk_2) : (index) -> i32
        %w4 = "arith.index_cast"(%n_2) : (index) -> i32
        %w5 = "arith.extui"(%alive) : (i1) -> i32
        "ptx.publish"(%w0, %w1, %w2, %w3, %w4, %w5) : (i32, i32, i32, i32, i32, i32) -> ()
        "scf.condition"(%alive, %q0, %h, %b_2) : (i1, index, index, index) -> ()
      }, {
      ^bb3(%q0_1: index, %h_1: index, %b_3: index):
        "ptx.tile_load"(%q_map, %c0, %q0_1, %c0, %h_1, %b_3) {operandSegmentSizes = array<i32: 1, 5>, ranks = array<i64: 5>, shapes = array<i64: 128, 128>, slabs = array<i64: 64>, split = array<i64: 1>} : (i64, index, index, index, index, index) -> ()
        "scf.yield"() : () -> ()
      }) : () -> (index, index, index)
      "ptx.tile_load"() {operandSegmentSizes = array<i32: 0, 0>, ranks = array<i64>, shapes = array<i64>, slabs = array<i64>, split = array<i64>} : () -> ()
      "ptx.end"() : () -> ()
    }, {
      %ninf = "arith.constant"() {value = dense<0xFF800000> : tensor<128xf32>} : () -> tensor<128xf32>
      %ninf2 = "arith.constant"() {value = dense<0xFF800000> : tensor<128x128xf32>} : () -> tensor<128x128xf32>
      %zero1 = "arith.constant"() {value = dense<0.0> : tensor<128xf32>} : () -> tensor<128xf32>
      %one1 = "arith.constant"() {value = dense<1.0> : tensor<128xf32>} : () -> tensor<128xf32>
      %ln2 = "arith.constant"() {value = dense<0.6931472> : tensor<128xf32>} : () -> tensor<128xf32>
      %zero2 = "arith.constant"() {value = dense<0.0> : tensor<128x128xf32>} : () -> tensor<128x128xf32>
      %log2e = "arith.constant"() {value = 1.442695 : f32} : () -> f32
      %slog = "arith.mulf"(%scale, %log2e) {fastmath = #arith.fastmath<contract>} : (f32, f32) -> f32
      %sl1 = "kdsl.broadcast"(%slog) {dims = array<i64>} : (f32) -> tensor<128xf32>
      %sl2 = "kdsl.broadcast"(%slog) {dims = array<i64>} : (f32) -> tensor<128x128xf32>
      %12, %13, %14, %15 = "scf.while"() ({
        %16, %17, %18, %19, %20, %21 = "ptx.tile_record"() {ready = "full", uniform = array<i64: 4, 5>} : () -> (i32, i32, i32, i32, i32, i32)
        %live_1 = "arith.cmpi"(%21, %i0) {predicate = 1 : i64} : (i32, i32) -> i1
        %q0_2 = "arith.index_cast"(%16) : (i32) -> index
        %h_2 = "arith.index_cast"(%17) : (i32) -> index
        %b_4 = "arith.index_cast"(%18) : (i32) -> index
        %n_3 = "arith.index_cast"(%20) : (i32) -> index
        "scf.condition"(%live_1, %q0_2, %h_2, %b_4, %n_3) : (i1, index, index, index, index) -> ()
      }, {
      ^bb4(%q0_3: index, %h_3: index, %b_5: index, %n_4: index):
        %qs = "ptx.tile_operand"() {index = 0 : i64} : () -> tensor<128x128xbf16>
        %qt = "ptx.load_fragment"(%qs) : (tensor<128x128xbf16>) -> tensor<128x128xbf16>
        %last_1 = "arith.subi"(%n_4, %c1) : (index, index) -> index
        %k0, %k0h = "ptx.ring_wait"() : () -> (tensor<128x128xbf16>, i32)
        %s0a = "ptx.dot_async"(%qt, %k0, %zero2) {transpose_b = true} : (tensor<128x128xbf16>, tensor<128x128xbf16>, tensor<128x128xf32>) -> tensor<128x128xf32>
        %s0 = "ptx.dot_wait"(%s0a) {pending = 0 : i64} : (tensor<128x128xf32>) -> tensor<128x128xf32>
        "ptx.ring_release"(%k0h) : (i32) -> ()
        %acol0 = "arith.muli"(%last_1, %c128) : (index, index) -> index
        %alim = "arith.subi"(%q0_3, %acol0) : (index, index) -> index
        %alo = "arith.maxsi"(%alim, %cm129) : (index, index) -> index
        %ahi = "arith.minsi"(%alo, %c128) : (index, index) -> index
        %al32 = "arith.index_cast"(%ahi) : (index) -> i32
        %atail = "arith.subi"(%N, %acol0) : (index, index) -> index
        %atlo = "arith.maxsi"(%atail, %c0) : (index, index) -> index
        %athi = "arith.minsi"(%atlo, %c128) : (index, index) -> index
        %atl1 = "arith.subi"(%athi, %c1) : (index, index) -> index
        %at32 = "arith.index_cast"(%atl1) : (index) -> i32
        %aiota = "kdsl.iota"() : () -> tensor<128xi32>
        %alb = "kdsl.broadcast"(%al32) {dims = array<i64>} : (i32) -> tensor<128xi32>
        %atb = "kdsl.broadcast"(%at32) {dims = array<i64>} : (i32) -> tensor<128xi32>
        %arows = "arith.addi"(%aiota, %alb) : (tensor<128xi32>, tensor<128xi32>) -> tensor<128xi32>
        %arowl = "arith.minsi"(%arows, %atb) : (tensor<128xi32>, tensor<128xi32>) -> tensor<128xi32>
        %arr = "kdsl.reshape"(%arowl) : (tensor<128xi32>) -> tensor<128x1xi32>
        %arb = "kdsl.broadcast"(%arr) {dims = array<i64: 0, 1>} : (tensor<128x1xi32>) -> tensor<128x128xi32>
        %acr = "kdsl.reshape"(%aiota) : (tensor<128xi32>) -> tensor<1x128xi32>
        %acb = "kdsl.broadcast"(%acr) {dims = array<i64: 0, 1>} : (tensor<1x128xi32>) -> tensor<128x128xi32>
        %akeep = "arith.cmpi"(%acb, %arb) {predicate = 3 : i64} : (tensor<128x128xi32>, tensor<128x128xi32>) -> tensor<128x128xi1>
        %asm = "arith.select"(%akeep, %s0, %ninf2) : (tensor<128x128xi1>, tensor<128x128xf32>, tensor<128x128xf32>) -> tensor<128x128xf32>
        %amx = "kdsl.reduce"(%asm) {axis = 1 : i64, kind = "maximumf"} : (tensor<128x128xf32>) -> tensor<128xf32>
        %atop = "arith.maximumf"(%ninf, %amx) : (tensor<128xf32>, tensor<128xf32>) -> tensor<128xf32>
        %aisinf = "arith.cmpf"(%atop, %ninf) {predicate = 1 : i64} : (tensor<128xf32>, tensor<128xf32>) -> tensor<128xi1>
        %abase = "arith.select"(%aisinf, %zero1, %atop) : (tensor<128xi1>, tensor<128xf32>, tensor<128xf32>) -> tensor<128xf32>
        %abs = "arith.mulf"(%abase, %sl1) {fastmath = #arith.fastmath<contract>} : (tensor<128xf32>, tensor<128xf32>) -> tensor<128xf32>
        %ass = "arith.mulf"(%asm, %sl2) {fastmath = #arith.fastmath<contract>} : (tensor<128x128xf32>, tensor<128x128xf32>) -> tensor<128x128xf32>
        %abr = "kdsl.reshape"(%abs) : (tensor<128xf32>) -> tensor<128x1xf32>
        %abb = "kdsl.broadcast"(%abr) {dims = array<i64: 0, 1>} : (tensor<128x1xf32>) -> tensor<128x128xf32>
        %ad = "arith.subf"(%ass, %abb) {fastmath = #arith.fastmath<contract>} : (tensor<128x128xf32>, tensor<128x128xf32>) -> tensor<128x128xf32>
        %ap = "math.exp2"(%ad) : (tensor<128x128xf32>) -> tensor<128x128xf32>
        %ats = "arith.mulf"(%ninf, %sl1) {fastmath = #arith.fastmath<contract>} : (tensor<128xf32>, tensor<128xf32>) -> tensor<128xf32>
        %atd = "arith.subf"(%ats, %abs) {fastmath = #arith.fastmath<contract>} : (tensor<128xf32>, tensor<128xf32>) -> tensor<128xf32>
        %ashrink = "math.exp2"(%atd) : (tensor<128xf32>) -> tensor<128xf32>
        %atot0 = "arith.mulf"(%zero1, %ashrink) {fastmath = #arith.fastmath<contract>} : (tensor<128xf32>, tensor<128xf32>) -> tensor<128xf32>
        %asum = "kdsl.reduce"(%ap) {axis = 1 : i64, kind = "addf"} : (tensor<128x128xf32>) -> tensor<128xf32>
        %atotal = "arith.addf"(%atot0, %asum) {fastmath = #arith.fastmath<contract>} : (tensor<128xf32>, tensor<128xf32>) -> tensor<128xf32>
        %apb = "arith.truncf"(%ap) : (tensor<128x128xf32>) -> tensor<128x128xbf16>
        "ptx.tile_release"() {lag = 1 : i64} : () -> ()
        %acc1, %top1, %total1, %p1 = "scf.for"(%c1, %n_4, %c1, %zero2, %atop, %atotal, %apb) ({
        ^bb5(%j_1: index, %acc: tensor<128x128xf32>, %top: tensor<128xf32>, %total_1: tensor<128xf32>, %p: tensor<128x128xbf16>):
          %kt, %kh = "ptx.ring_wait"() : () -> (tensor<128x128xbf16>, i32)
          "ptx.turn_wait"() : () -> ()
          %sa = "ptx.dot_async"(%qt, %kt, %zero2) {transpose_b = true} : (tensor<128x128xbf16>, tensor<128x128xbf16>, tensor<128x128xf32>) -> tensor<128x128xf32>
          %vt, %vh = "ptx.ring_wait"() : () -> (tensor<128x128xbf16>, i32)
          %oa = "ptx.dot_async"(%p, %vt, %acc) : (tensor<128x128xbf16>, tensor<128x128xbf16>, tensor<128x128xf32>) -> tensor<128x128xf32>
          "ptx.turn_pass"() : () -> ()
          %s = "ptx.dot_wait"(%sa) {pending = 1 : i64} : (tensor<128x128xf32>) -> tensor<128x128xf32>
          "ptx.ring_release"(%kh) : (i32) -> ()
          %bmx = "kdsl.reduce"(%s) {axis = 1 : i64, kind = "maximumf"} : (tensor<128x128xf32>) -> tensor<128xf32>
          %btop = "arith.maximumf"(%top, %bmx) : (tensor<128xf32>, tensor<128xf32>) -> tensor<128xf32>
          %bbs = "arith.mulf"(%btop, %sl1) {fastmath = #arith.fastmath<contract>} : (tensor<128xf32>, tensor<128xf32>) -> tensor<128xf32>
          %bss = "arith.mulf"(%s, %sl2) {fastmath = #arith.fastmath<contract>} : (tensor<128x128xf32>, tensor<128x128xf32>) -> tensor<128x128xf32>
          %bbr = "kdsl.reshape"(%bbs) : (tensor<128xf32>) -> tensor<128x1xf32>
          %bbb = "kdsl.broadcast"(%bbr) {dims = array<i64: 0, 1>} : (tensor<128x1xf32>) -> tensor<128x128xf32>
          %bd = "arith.subf"(%bss, %bbb) {fastmath = #arith.fastmath<contract>} : (tensor<128x128xf32>, tensor<128x128xf32>) -> tensor<128x128xf32>
          %bp = "math.exp2"(%bd) : (tensor<128x128xf32>) -> tensor<128x128xf32>
          %bts = "arith.mulf"(%top, %sl1) {fastmath = #arith.fastmath<contract>} : (tensor<128xf32>, tensor<128xf32>) -> tensor<128xf32>
          %btd = "arith.subf"(%bts, %bbs) {fastmath = #arith.fastmath<contract>} : (tensor<128xf32>, tensor<128xf32>) -> tensor<128xf32>
          %bshrink = "math.exp2"(%btd) : (tensor<128xf32>) -> tensor<128xf32>
          %btot0 = "arith.mulf"(%total_1, %bshrink) {fastmath = #arith.fastmath<contract>} : (tensor<128xf32>, tensor<128xf32>) -> tensor<128xf32>
          %bsum = "kdsl.reduce"(%bp) {axis = 1 : i64, kind = "addf"} : (tensor<128x128xf32>) -> tensor<128xf32>
          %btotal = "arith.addf"(%btot0, %bsum) {fastmath = #arith.fastmath<contract>} : (tensor<128xf32>, tensor<128xf32>) -> tensor<128xf32>
          %o = "ptx.dot_wait"(%oa) {pending = 0 : i64} : (tensor<128x128xf32>) -> tensor<128x128xf32>
          "ptx.ring_release"(%vh) : (i32) -> ()
          %shr = "kdsl.reshape"(%bshrink) : (tensor<128xf32>) -> tensor<128x1xf32>
          %shb = "kdsl.broadcast"(%shr) {dims = array<i64: 0, 1>} : (tensor<128x1xf32>) -> tensor<128x128xf32>
          %acc2 = "arith.mulf"(%o, %shb) {fastmath = #arith.fastmath<contract>} : (tensor<128x128xf32>, tensor<128x128xf32>) -> tensor<128x128xf32>
          %bpb = "arith.truncf"(%bp) : (tensor<128x128xf32>) -> tensor<128x128xbf16>
          "scf.yield"(%acc2, %btop, %btotal, %bpb) : (tensor<128x128xf32>, tensor<128xf32>, tensor<128xf32>, tensor<128x128xbf16>) -> ()
        }) : (index, index, index, tensor<128x128xf32>, tensor<128xf32>, tensor<128xf32>, tensor<128x128xbf16>) -> (tensor<128x128xf32>, tensor<128xf32>, tensor<128xf32>, tensor<128x128xbf16>)
        %vl, %vlh = "ptx.ring_wait"() : () -> (tensor<128x128xbf16>, i32)
        %ola = "ptx.dot_async"(%p1, %vl, %acc1) : (tensor<128x128xbf16>, tensor<128x128xbf16>, tensor<128x128xf32>) -> tensor<128x128xf32>
        %pos = "arith.cmpf"(%total1, %zero1) {predicate = 2 : i64} : (tensor<128xf32>, tensor<128xf32>) -> tensor<128xi1>
        %inv0 = "arith.divf"(%one1, %total1) {fastmath = #arith.fastmath<contract>} : (tensor<128xf32>, tensor<128xf32>) -> tensor<128xf32>
        %inv = "arith.select"(%pos, %inv0, %zero1) : (tensor<128xi1>, tensor<128xf32>, tensor<128xf32>) -> tensor<128xf32>
        %lg = "math.log2"(%total1) : (tensor<128xf32>) -> tensor<128xf32>
        %tsc = "arith.mulf"(%top1, %sl1) {fastmath = #arith.fastmath<contract>} : (tensor<128xf32>, tensor<128xf32>) -> tensor<128xf32>
        %lse2 = "arith.addf"(%tsc, %lg) {fastmath = #arith.fastmath<contract>} : (tensor<128xf32>, tensor<128xf32>) -> tensor<128xf32>
        %lsev = "arith.mulf"(%lse2, %ln2) {fastmath = #arith.fastmath<contract>} : (tensor<128xf32>, tensor<128xf32>) -> tensor<128xf32>
        %ol = "ptx.dot_wait"(%ola) {pending = 0 : i64} : (tensor<128x128xf32>) -> tensor<128x128xf32>
        "ptx.ring_release"(%vlh) : (i32) -> ()
        %invr = "kdsl.reshape"(%inv) : (tensor<128xf32>) -> tensor<128x1xf32>
        %invb = "kdsl.broadcast"(%invr) {dims = array<i64: 0, 1>} : (tensor<128x1xf32>) -> tensor<128x128xf32>
        %of = "arith.mulf"(%ol, %invb) {fastmath = #arith.fastmath<contract>} : (tensor<128x128xf32>, tensor<128x128xf32>) -> tensor<128x128xf32>
        %ob = "arith.truncf"(%of) : (tensor<128x128xf32>) -> tensor<128x128xbf16>
        "ptx.tile_store"(%ob, %out_map, %c0, %q0_3, %c0, %h_3, %b_5) {place = 0 : i64, split = true} : (tensor<128x128xbf16>, i64, index, index, index, index, index) -> ()
        "kdsl.store_tile"(%lsev, %lse, %b_5, %h_3, %q0_3, %M) {dims = array<i64: 2>, steps = array<i64: 1>} : (tensor<128xf32>, memref<?x?x?xf32, strided<[?, ?, 1]>>, index, index, index, index) -> ()
        "scf.yield"() : () -> ()
      }) : () -> (index, index, index, index)
      "ptx.end"() : () -> ()
    }) {consumers = 2 : i64, registers = array<i64: 24, 240>} : () -> ()
    "func.return"() : () -> ()
  }) {function_type = (memref<?x?x?x128xbf16, strided<[?, ?, ?, 1]>>, memref<?x?x?x128xbf16, strided<[?, ?, ?, 1]>>, memref<?x?x?x128xbf16, strided<[?, ?, ?, 1]>>, memref<?x?x?x128xbf16, strided<[?, ?, ?, 1]>>, memref<?x?x?xf32, strided<[?, ?, 1]>>, f32, i64, i64, i64, i64, i64, index, index, index, index) -> (), kdsl.kernel, ptx.operands = array<i64: 128, 128>, ptx.persistent, ptx.record = 6 : i64, ptx.ring = array<i64: 4, 32768>, ptx.slots = 2 : i64, ptx.tensor_maps = array<i64: 6, 7, 8, 9>, sym_name = "attention.kernel"} : () -> ()
  "func.func"() ({
  ^bb0(%q: memref<?x?x?x128xbf16, strided<[?, ?, ?, 1]>>, %k: memref<?x?x?x128xbf16, strided<[?, ?, ?, 1]>>, %v: memref<?x?x?x128xbf16, strided<[?, ?, ?, 1]>>, %out: memref<?x?x?x128xbf16, strided<[?, ?, ?, 1]>>, %scale: f32, %lse: memref<?x?x?xf32, strided<[?, ?, 1]>>):
    %c0 = "arith.constant"() {value = 0 : index} : () -> index
    %c1 = "arith.constant"() {value = 1 : index} : () -> index
    %c2 = "arith.constant"() {value = 2 : index} : () -> index
    %c128 = "arith.constant"() {value = 128 : index} : () -> index
    %B = "memref.dim"(%q, %c0) : (memref<?x?x?x128xbf16, strided<[?, ?, ?, 1]>>, index) -> index
    %H = "memref.dim"(%q, %c1) : (memref<?x?x?x128xbf16, strided<[?, ?, ?, 1]>>, index) -> index
    %M = "memref.dim"(%q, %c2) : (memref<?x?x?x128xbf16, strided<[?, ?, ?, 1]>>, index) -> index
    %N = "memref.dim"(%k, %c2) : (memref<?x?x?x128xbf16, strided<[?, ?, ?, 1]>>, index) -> index
    %gx = "arith.ceildivsi"(%M, %c128) : (index, index) -> index
    %q_map = "ptx.tensor_map"(%q, %M) {box = array<i64: 64, 128>, dims = array<i64: 2, 3>, split = true} : (memref<?x?x?x128xbf16, strided<[?, ?, ?, 1]>>, index) -> i64
    %k_map = "ptx.tensor_map"(%k, %N) {box = array<i64: 128, 128>, dims = array<i64: 2, 3>, split = true} : (memref<?x?x?x128xbf16, strided<[?, ?, ?, 1]>>, index) -> i64
    %v_map = "ptx.tensor_map"(%v, %N) {box = array<i64: 128, 128>, dims = array<i64: 2, 3>, split = true} : (memref<?x?x?x128xbf16, strided<[?, ?, ?, 1]>>, index) -> i64
    %out_map = "ptx.tensor_map"(%out, %M) {box = array<i64: 64, 128>, dims = array<i64: 2, 3>, split = true} : (memref<?x?x?x128xbf16, strided<[?, ?, ?, 1]>>, index) -> i64
    %counter = "ptx.counter"() : () -> i64
    %sms = "ptx.sm_count"() : () -> index
    %yz = "arith.muli"(%H, %B) : (index, index) -> index
    %total = "arith.muli"(%gx, %yz) : (index, index) -> index
    %grid = "arith.minsi"(%sms, %total) : (index, index) -> index
    %group = "arith.minsi"(%yz, %c128) : (index, index) -> index
    "kdsl.launch"(%grid, %c1, %c1, %q, %k, %v, %out, %lse, %scale, %q_map, %k_map, %v_map, %out_map, %counter, %gx, %H, %B, %group) {kernel = @attention.kernel} : (index, index, index, memref<?x?x?x128xbf16, strided<[?, ?, ?, 1]>>, memref<?x?x?x128xbf16, strided<[?, ?, ?, 1]>>, memref<?x?x?x128xbf16, strided<[?, ?, ?, 1]>>, memref<?x?x?x128xbf16, strided<[?, ?, ?, 1]>>, memref<?x?x?xf32, strided<[?, ?, 1]>>, f32, i64, i64, i64, i64, i64, index, index, index, index) -> ()
    "func.return"() : () -> ()
  }) {function_type = (memref<?x?x?x128xbf16, strided<[?, ?, ?, 1]>>, memref<?x?x?x128xbf16, strided<[?, ?, ?, 1]>>, memref<?x?x?x128xbf16, strided<[?, ?, ?, 1]>>, memref<?x?x?x128xbf16, strided<[?, ?, ?, 1]>>, f32, memref<?x?x?xf32, strided<[?, ?, 1]>>) -> (), kdsl.entry, sym_name = "attention"} : () -> ()
}) : () -> ()

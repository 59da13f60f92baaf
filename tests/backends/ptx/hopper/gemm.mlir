"builtin.module"() ({
  "func.func"() ({
  ^bb0(%x: memref<?x?xbf16, strided<[?, 1]>>, %w: memref<?x?xbf16, strided<[?, 1]>>, %out: memref<?x?xbf16, strided<[?, 1]>>, %x_map: i64, %w_map: i64, %out_map: i64, %counter: i64, %gx: index, %gy: index, %group: index):
    %c0 = "arith.constant"() {value = 0 : index} : () -> index
    %c1 = "arith.constant"() {value = 1 : index} : () -> index
    %c64 = "arith.constant"() {value = 64 : index} : () -> index
    %c128 = "arith.constant"() {value = 128 : index} : () -> index
    %c256 = "arith.constant"() {value = 256 : index} : () -> index
    %i0 = "arith.constant"() {value = 0 : i32} : () -> i32
    %K = "memref.dim"(%x, %c1) : (memref<?x?xbf16, strided<[?, 1]>>, index) -> index
    %n = "arith.ceildivsi"(%K, %c64) : (index, index) -> index
    "ptx.roles"() ({
      %0, %1 = "scf.while"() ({
        %2, %3, %4 = "ptx.tile_record"() {ready = "known", uniform = array<i64: 2>} : () -> (i32, i32, i32)
        %live = "arith.cmpi"(%4, %i0) {predicate = 1 : i64} : (i32, i32) -> i1
        %row = "arith.index_cast"(%2) : (i32) -> index
        %col = "arith.index_cast"(%3) : (i32) -> index
        "scf.condition"(%live, %row, %col) : (i1, index, index) -> ()
      }, {
      ^bb1(%row_1: index, %col_1: index):
        "scf.for"(%c0, %n, %c1) ({
        ^bb2(%j: index):
          %depth = "arith.muli"(%j, %c64) : (index, index) -> index
          "ptx.ring_load"(%x_map, %w_map, %depth, %row_1, %depth, %col_1) {operandSegmentSizes = array<i32: 2, 4>, ranks = array<i64: 2, 2>, shapes = array<i64: 128, 64, 256, 64>, slabs = array<i64: 128, 256>, split = array<i64: 0, 0>} : (i64, i64, index, index, index, index) -> ()
          "scf.yield"() : () -> ()
        }) : (index, index, index) -> ()
        "scf.yield"() : () -> ()
      }) : () -> (index, index)
      "ptx.end"() : () -> ()
    }, {
      %total = "arith.muli"(%gx, %gy) : (index, index) -> index
      "scf.while"() ({
        %t = "ptx.draw"(%counter, %total) {persistent = true} : (i64, index) -> index
        %gt = "arith.muli"(%group, %gy) : (index, index) -> index
        %g = "arith.floordivsi"(%t, %gt) : (index, index) -> index
        %g0 = "arith.muli"(%g, %group) : (index, index) -> index
        %left = "arith.subi"(%gx, %g0) : (index, index) -> index
        %wide = "arith.minsi"(%left, %group) : (index, index) -> index
        %width = "arith.maxsi"(%wide, %c1) : (index, index) -> index
        %gbase = "arith.muli"(%g, %gt) : (index, index) -> index
        %rest = "arith.subi"(%t, %gbase) : (index, index) -> index
        %py = "arith.floordivsi"(%rest, %width) : (index, index) -> index
        %pyw = "arith.muli"(%py, %width) : (index, index) -> index
        %in = "arith.subi"(%rest, %pyw) : (index, index) -> index
        %px = "arith.addi"(%g0, %in) : (index, index) -> index
        %row_2 = "arith.muli"(%px, %c128) : (index, index) -> index
        %col_2 = "arith.muli"(%py, %c256) : (index, index) -> index
        %alive = "arith.cmpi"(%t, %total) {predicate = 2 : i64} : (index, index) -> i1
        %w0 = "arith.index_cast"(%row_2) : (index) -> i32
        %w1 = "arith.index_cast"(%col_2) : (index) -> i32
        %w2 = "arith.extui"(%alive) : (i1) -> i32
        "ptx.publish"(%w0, %w1, %w2) : (i32, i32, i32) -> ()
        "scf.condition"(%alive) : (i1) -> ()
      }, {
        "ptx.tile_load"() {operandSegmentSizes = array<i32: 0, 0>, ranks = array<i64>, shapes = array<i64>, slabs = array<i64>, split = array<i64>} : () -> ()
        "scf.yield"() : () -> ()
      }) : () -> ()
      "ptx.tile_load"() {operandSegmentSizes = array<i32: 0, 0>, ranks = array<i64>, shapes = array<i64>, slabs = array<i64>, split = array<i64>} : () -> ()
      "ptx.end"() : () -> ()
    }, {
      %zero = "arith.constant"() {value = dense<0.0> : tensor<128x256xf32>} : () -> tensor<128x256xf32>
      %5, %6 = "scf.while"() ({
        %7, %8, %9 = "ptx.tile_record"() {ready = "full", uniform = array<i64: 2>} : () -> (i32, i32, i32)
        %live_1 = "arith.cmpi"(%9, %i0) {predicate = 1 : i64} : (i32, i32) -> i1
        %row_3 = "arith.index_cast"(%7) : (i32) -> index
        %col_3 = "arith.index_cast"(%8) : (i32) -> index
        "scf.condition"(%live_1, %row_3, %col_3) : (i1, index, index) -> ()
      }, {
      ^bb3(%row_4: index, %col_4: index):
        "ptx.tile_release"() {lag = 0 : i64} : () -> ()
        %some = "arith.cmpi"(%c0, %n) {predicate = 2 : i64} : (index, index) -> i1
        %acc = "scf.if"(%some) ({
          %a0, %b0, %h0 = "ptx.ring_wait"() : () -> (tensor<128x64xbf16>, tensor<256x64xbf16>, i32)
          %d0 = "ptx.dot_async"(%a0, %b0, %zero) {transpose_b = true} : (tensor<128x64xbf16>, tensor<256x64xbf16>, tensor<128x256xf32>) -> tensor<128x256xf32>
          %d, %h = "scf.for"(%c1, %n, %c1, %d0, %h0) ({
          ^bb4(%j_1: index, %d1: tensor<128x256xf32>, %hp: i32):
            %a, %b, %hn = "ptx.ring_wait"() : () -> (tensor<128x64xbf16>, tensor<256x64xbf16>, i32)
            %d2 = "ptx.dot_async"(%a, %b, %d1) {transpose_b = true} : (tensor<128x64xbf16>, tensor<256x64xbf16>, tensor<128x256xf32>) -> tensor<128x256xf32>
            "ptx.dot_wait"() {pending = 1 : i64} : () -> ()
            "ptx.ring_release"(%hp) : (i32) -> ()
            "scf.yield"(%d2, %hn) : (tensor<128x256xf32>, i32) -> ()
          }) : (index, index, index, tensor<128x256xf32>, i32) -> (tensor<128x256xf32>, i32)
          %dr = "ptx.dot_wait"(%d) {pending = 0 : i64} : (tensor<128x256xf32>) -> tensor<128x256xf32>
          "ptx.ring_release"(%h) : (i32) -> ()
          "scf.yield"(%dr) : (tensor<128x256xf32>) -> ()
        }, {
          "scf.yield"(%zero) : (tensor<128x256xf32>) -> ()
        }) : (i1) -> tensor<128x256xf32>
        %l = "kdsl.slice"(%acc) {offsets = array<i64: 0, 0>, sizes = array<i64: 128, 128>, steps = array<i64: 1, 1>} : (tensor<128x256xf32>) -> tensor<128x128xf32>
        %lb = "arith.truncf"(%l) : (tensor<128x128xf32>) -> tensor<128x128xbf16>
        "ptx.store_wait"() : () -> ()
        "ptx.tile_store"(%lb, %out_map, %col_4, %row_4) {place = -1 : i64, split = false} : (tensor<128x128xbf16>, i64, index, index) -> ()
        %u = "kdsl.slice"(%acc) {offsets = array<i64: 0, 128>, sizes = array<i64: 128, 128>, steps = array<i64: 1, 1>} : (tensor<128x256xf32>) -> tensor<128x128xf32>
        %ub = "arith.truncf"(%u) : (tensor<128x128xf32>) -> tensor<128x128xbf16>
        %col2 = "arith.addi"(%col_4, %c128) : (index, index) -> index
        "ptx.store_wait"() : () -> ()
        "ptx.tile_store"(%ub, %out_map, %col2, %row_4) {place = -1 : i64, split = false} : (tensor<128x128xbf16>, i64, index, index) -> ()
        "scf.yield"() : () -> ()
      }) : () -> (index, index)
      "ptx.end"() : () -> ()
    }) {consumers = 2 : i64, registers = array<i64: 40, 232>} : () -> ()
    "func.return"() : () -> ()
  }) {function_type = (memref<?x?xbf16, strided<[?, 1]>>, memref<?x?xbf16, strided<[?, 1]>>, memref<?x?xbf16, strided<[?, 1]>>, i64, i64, i64, i64, index, index, index) -> (), kdsl.kernel, ptx.operands = array<i64>, ptx.persistent, ptx.record = 3 : i64, ptx.ring = array<i64: 4, 49152>, ptx.slots = 2 : i64, ptx.staging = 32768 : i64, ptx.tensor_maps = array<i64: 3, 4, 5>, sym_name = "matmul.kernel"} : () -> ()
  "func.func"() ({
  ^bb0(%x: memref<?x?xbf16, strided<[?, 1]>>, %w: memref<?x?xbf16, strided<[?, 1]>>, %out: memref<?x?xbf16, strided<[?, 1]>>):
    %c0 = "arith.constant"() {value = 0 : index} : () -> index
    %c1 = "arith.constant"() {value = 1 : index} : () -> index
    %c8 = "arith.constant"() {value = 8 : index} : () -> index
    %c128 = "arith.constant"() {value = 128 : index} : () -> index
    %c256 = "arith.constant"() {value = 256 : index} : () -> index
    %M = "memref.dim"(%x, %c0) : (memref<?x?xbf16, strided<[?, 1]>>, index) -> index
    %O = "memref.dim"(%w, %c0) : (memref<?x?xbf16, strided<[?, 1]>>, index) -> index
    %gx = "arith.ceildivsi"(%M, %c128) : (index, index) -> index
    %gy = "arith.ceildivsi"(%O, %c256) : (index, index) -> index
    %x_map = "ptx.tensor_map"(%x) {box = array<i64: 128, 64>, dims = array<i64: 0, 1>, split = false} : (memref<?x?xbf16, strided<[?, 1]>>) -> i64
    %w_map = "ptx.tensor_map"(%w) {box = array<i64: 256, 64>, dims = array<i64: 0, 1>, split = false} : (memref<?x?xbf16, strided<[?, 1]>>) -> i64
    %out_map = "ptx.tensor_map"(%out) {box = array<i64: 64, 64>, dims = array<i64: 0, 1>, split = false} : (memref<?x?xbf16, strided<[?, 1]>>) -> i64
    %counter = "ptx.counter"() : () -> i64
    %sms = "ptx.sm_count"() : () -> index
    %total = "arith.muli"(%gx, %gy) : (index, index) -> index
    %grid = "arith.minsi"(%sms, %total) : (index, index) -> index
    "kdsl.launch"(%grid, %c1, %c1, %x, %w, %out, %x_map, %w_map, %out_map, %counter, %gx, %gy, %c8) {kernel = @matmul.kernel} : (index, index, index, memref<?x?xbf16, strided<[?, 1]>>, memref<?x?xbf16, strided<[?, 1]>>, memref<?x?xbf16, strided<[?, 1]>>, i64, i64, i64, i64, index, index, index) -> ()
    "func.return"() : () -> ()
  }) {function_type = (memref<?x?xbf16, strided<[?, 1]>>, memref<?x?xbf16, strided<[?, 1]>>, memref<?x?xbf16, strided<[?, 1]>>) -> (), kdsl.entry, sym_name = "matmul"} : () -> ()
}) : () -> ()

"builtin.module"() ({
  "func.func"() ({
  ^bb0(%0: memref<?x?xf32, strided<[?, 1]>>, %1: memref<?x?xf32, strided<[?, 1]>>):
    %2 = "gpu.thread_id"() {dimension = #gpu<dim x>} : () -> index
    %3 = "arith.constant"() {value = 1073741824 : index} : () -> index
    %4 = "arith.constant"() {value = -1073741824 : index} : () -> index
    %5 = "arith.constant"() {value = 0 : index} : () -> index
    %6 = "kdsl.address"(%0, %5, %5) : (memref<?x?xf32, strided<[?, 1]>>, index, index) -> index
    %7 = "arith.constant"() {value = 1 : index} : () -> index
    %8 = "kdsl.address"(%0, %7, %5) : (memref<?x?xf32, strided<[?, 1]>>, index, index) -> index
    %9 = "arith.ori"(%6, %8) : (index, index) -> index
    %10 = "arith.constant"() {value = 15 : index} : () -> index
    %11 = "arith.andi"(%9, %10) : (index, index) -> index
    %12 = "arith.cmpi"(%11, %5) {predicate = 0 : i64} : (index, index) -> i1
    %13 = "arith.constant"() {value = 3 : i32} : () -> i32
    %14 = "arith.constant"() {value = 0 : i32} : () -> i32
    %15 = "arith.index_cast"(%2) : (index) -> i32
    %16 = "arith.constant"() {value = 4 : i32} : () -> i32
    %17 = "arith.shrui"(%15, %16) : (i32, i32) -> i32
    %18 = "arith.constant"() {value = 1 : i32} : () -> i32
    %19 = "arith.andi"(%17, %18) : (i32, i32) -> i32
    %20 = "arith.constant"() {value = 5 : i32} : () -> i32
    %21 = "arith.shrui"(%15, %20) : (i32, i32) -> i32
    %22 = "arith.shli"(%21, %18) : (i32, i32) -> i32
    %23 = "arith.addi"(%19, %22) : (i32, i32) -> i32
    %24 = "arith.index_cast"(%23) : (i32) -> index
    %25 = "arith.constant"() {value = 15 : i32} : () -> i32
    %26 = "arith.andi"(%15, %25) : (i32, i32) -> i32
    %27 = "arith.constant"() {value = 2 : i32} : () -> i32
    %28 = "arith.shli"(%26, %27) : (i32, i32) -> i32
    %29 = "arith.index_cast"(%28) : (i32) -> index
    %30 = "arith.constant"() {value = dense<0.0> : vector<4xf32>} : () -> vector<4xf32>
    %31 = "arith.constant"() {value = dense<0xFF800000> : vector<4xf32>} : () -> vector<4xf32>
    %32 = "arith.constant"() {value = 32 : i32} : () -> i32
    %33 = "arith.constant"() {value = 8 : i32} : () -> i32
    %34 = "kdsl.address"(%1, %5, %5) : (memref<?x?xf32, strided<[?, 1]>>, index, index) -> index
    %35 = "kdsl.address"(%1, %7, %5) : (memref<?x?xf32, strided<[?, 1]>>, index, index) -> index
    %36 = "arith.ori"(%34, %35) : (index, index) -> index
    %37 = "arith.andi"(%36, %10) : (index, index) -> index
    %38 = "arith.cmpi"(%37, %5) {predicate = 0 : i64} : (index, index) -> i1
    %39 = "kdsl.program_id"() {axis = 0 : i64} : () -> index
    %40 = "arith.constant"() {value = 4 : index} : () -> index
    %41 = "arith.muli"(%39, %40) : (index, index) -> index
    %42 = "memref.dim"(%0, %5) : (memref<?x?xf32, strided<[?, 1]>>, index) -> index
    %43 = "memref.dim"(%0, %7) : (memref<?x?xf32, strided<[?, 1]>>, index) -> index
    %44 = "arith.subi"(%42, %41) : (index, index) -> index
    %45 = "arith.minsi"(%44, %3) : (index, index) -> index
    %46 = "arith.maxsi"(%45, %4) : (index, index) -> index
    %47 = "arith.index_cast"(%46) : (index) -> i32
    %48 = "arith.minsi"(%43, %3) : (index, index) -> index
    %49 = "arith.maxsi"(%48, %4) : (index, index) -> index
    %50 = "arith.index_cast"(%49) : (index) -> i32
    %51 = "arith.andi"(%50, %13) : (i32, i32) -> i32
    %52 = "arith.cmpi"(%51, %14) {predicate = 0 : i64} : (i32, i32) -> i1
    %53 = "arith.andi"(%12, %52) : (i1, i1) -> i1
    %54 = "scf.if"(%53) ({
      %55 = "arith.addi"(%41, %24) : (index, index) -> index
      %56 = "arith.cmpi"(%23, %47) {predicate = 2 : i64} : (i32, i32) -> i1
      %57 = "arith.cmpi"(%28, %50) {predicate = 2 : i64} : (i32, i32) -> i1
      %58 = "arith.andi"(%56, %57) : (i1, i1) -> i1
      %59 = "vector.broadcast"(%58) : (i1) -> vector<4xi1>
      %60 = "vector.maskedload"(%0, %55, %29, %59, %30) {alignment = 16 : i64} : (memref<?x?xf32, strided<[?, 1]>>, index, index, vector<4xi1>, vector<4xf32>) -> vector<4xf32>
      "scf.yield"(%60) : (vector<4xf32>) -> ()
    }, {
      %61 = "arith.addi"(%41, %24) : (index, index) -> index
      %62 = "arith.cmpi"(%23, %47) {predicate = 2 : i64} : (i32, i32) -> i1
      %63 = "vector.broadcast"(%62) : (i1) -> vector<4xi1>
      %64 = "arith.constant"() {value = dense<[0, 1, 2, 3]> : vector<4xi32>} : () -> vector<4xi32>
      %65 = "vector.broadcast"(%28) : (i32) -> vector<4xi32>
      %66 = "arith.addi"(%65, %64) : (vector<4xi32>, vector<4xi32>) -> vector<4xi32>
      %67 = "vector.broadcast"(%50) : (i32) -> vector<4xi32>
      %68 = "arith.cmpi"(%66, %67) {predicate = 2 : i64} : (vector<4xi32>, vector<4xi32>) -> vector<4xi1>
      %69 = "arith.andi"(%63, %68) : (vector<4xi1>, vector<4xi1>) -> vector<4xi1>
      %70 = "vector.maskedload"(%0, %61, %29, %69, %30) : (memref<?x?xf32, strided<[?, 1]>>, index, index, vector<4xi1>, vector<4xf32>) -> vector<4xf32>
      "scf.yield"(%70) : (vector<4xf32>) -> ()
    }) : (i1) -> vector<4xf32>
    %71 = "arith.subi"(%50, %28) : (i32, i32) -> i32
    %72 = "arith.constant"() {value = dense<[0, 1, 2, 3]> : vector<4xi32>} : () -> vector<4xi32>
    %73 = "vector.broadcast"(%71) : (i32) -> vector<4xi32>
    %74 = "arith.cmpi"(%72, %73) {predicate = 2 : i64} : (vector<4xi32>, vector<4xi32>) -> vector<4xi1>
    %75 = "arith.select"(%74, %54, %31) : (vector<4xi1>, vector<4xf32>, vector<4xf32>) -> vector<4xf32>
    %76 = "vector.shuffle"(%75, %75) {mask = [0 : i64, 1 : i64]} : (vector<4xf32>, vector<4xf32>) -> vector<2xf32>
    %77 = "vector.shuffle"(%75, %75) {mask = [2 : i64, 3 : i64]} : (vector<4xf32>, vector<4xf32>) -> vector<2xf32>
    %78 = "arith.maximumf"(%76, %77) : (vector<2xf32>, vector<2xf32>) -> vector<2xf32>
    %79 = "vector.shuffle"(%78, %78) {mask = [0 : i64]} : (vector<2xf32>, vector<2xf32>) -> vector<1xf32>
    %80 = "vector.shuffle"(%78, %78) {mask = [1 : i64]} : (vector<2xf32>, vector<2xf32>) -> vector<1xf32>
    %81 = "arith.maximumf"(%79, %80) : (vector<1xf32>, vector<1xf32>) -> vector<1xf32>
    %82 = "vector.extract"(%81) {static_position = array<i64: 0>} : (vector<1xf32>) -> f32
    %83, %84 = "gpu.shuffle"(%82, %18, %32) {mode = #gpu<shuffle_mode xor>} : (f32, i32, i32) -> (f32, i1)
    %85 = "vector.from_elements"(%83) : (f32) -> vector<1xf32>
    %86 = "arith.maximumf"(%81, %85) : (vector<1xf32>, vector<1xf32>) -> vector<1xf32>
    %87 = "vector.extract"(%86) {static_position = array<i64: 0>} : (vector<1xf32>) -> f32
    %88, %89 = "gpu.shuffle"(%87, %27, %32) {mode = #gpu<shuffle_mode xor>} : (f32, i32, i32) -> (f32, i1)
    %90 = "vector.from_elements"(%88) : (f32) -> vector<1xf32>
    %91 = "arith.maximumf"(%86, %90) : (vector<1xf32>, vector<1xf32>) -> vector<1xf32>
    %92 = "vector.extract"(%91) {static_position = array<i64: 0>} : (vector<1xf32>) -> f32
    %93, %94 = "gpu.shuffle"(%92, %16, %32) {mode = #gpu<shuffle_mode xor>} : (f32, i32, i32) -> (f32, i1)
    %95 = "vector.from_elements"(%93) : (f32) -> vector<1xf32>
    %96 = "arith.maximumf"(%91, %95) : (vector<1xf32>, vector<1xf32>) -> vector<1xf32>
    %97 = "vector.extract"(%96) {static_position = array<i64: 0>} : (vector<1xf32>) -> f32
    %98, %99 = "gpu.shuffle"(%97, %33, %32) {mode = #gpu<shuffle_mode xor>} : (f32, i32, i32) -> (f32, i1)
    %100 = "vector.from_elements"(%98) : (f32) -> vector<1xf32>
    %101 = "arith.maximumf"(%96, %100) : (vector<1xf32>, vector<1xf32>) -> vector<1xf32>
    %102 = "vector.shuffle"(%101, %101) {mask = [0 : i64, 0 : i64, 0 : i64, 0 : i64]} : (vector<1xf32>, vector<1xf32>) -> vector<4xf32>
    %103 = "arith.subf"(%75, %102) : (vector<4xf32>, vector<4xf32>) -> vector<4xf32>
    %104 = "math.exp"(%103) : (vector<4xf32>) -> vector<4xf32>
    %105 = "vector.shuffle"(%104, %104) {mask = [0 : i64, 1 : i64]} : (vector<4xf32>, vector<4xf32>) -> vector<2xf32>
    %106 = "vector.shuffle"(%104, %104) {mask = [2 : i64, 3 : i64]} : (vector<4xf32>, vector<4xf32>) -> vector<2xf32>
    %107 = "arith.addf"(%105, %106) {fastmath = #arith.fastmath<contract>} : (vector<2xf32>, vector<2xf32>) -> vector<2xf32>
    %108 = "vector.shuffle"(%107, %107) {mask = [0 : i64]} : (vector<2xf32>, vector<2xf32>) -> vector<1xf32>
    %109 = "vector.shuffle"(%107, %107) {mask = [1 : i64]} : (vector<2xf32>, vector<2xf32>) -> vector<1xf32>
    %110 = "arith.addf"(%108, %109) {fastmath = #arith.fastmath<contract>} : (vector<1xf32>, vector<1xf32>) -> vector<1xf32>
    %111 = "vector.extract"(%110) {static_position = array<i64: 0>} : (vector<1xf32>) -> f32
    %112, %113 = "gpu.shuffle"(%111, %18, %32) {mode = #gpu<shuffle_mode xor>} : (f32, i32, i32) -> (f32, i1)
    %114 = "vector.from_elements"(%112) : (f32) -> vector<1xf32>
    %115 = "arith.addf"(%110, %114) {fastmath = #arith.fastmath<contract>} : (vector<1xf32>, vector<1xf32>) -> vector<1xf32>
    %116 = "vector.extract"(%115) {static_position = array<i64: 0>} : (vector<1xf32>) -> f32
    %117, %118 = "gpu.shuffle"(%116, %27, %32) {mode = #gpu<shuffle_mode xor>} : (f32, i32, i32) -> (f32, i1)
    %119 = "vector.from_elements"(%117) : (f32) -> vector<1xf32>
    %120 = "arith.addf"(%115, %119) {fastmath = #arith.fastmath<contract>} : (vector<1xf32>, vector<1xf32>) -> vector<1xf32>
    %121 = "vector.extract"(%120) {static_position = array<i64: 0>} : (vector<1xf32>) -> f32
    %122, %123 = "gpu.shuffle"(%121, %16, %32) {mode = #gpu<shuffle_mode xor>} : (f32, i32, i32) -> (f32, i1)
    %124 = "vector.from_elements"(%122) : (f32) -> vector<1xf32>
    %125 = "arith.addf"(%120, %124) {fastmath = #arith.fastmath<contract>} : (vector<1xf32>, vector<1xf32>) -> vector<1xf32>
    %126 = "vector.extract"(%125) {static_position = array<i64: 0>} : (vector<1xf32>) -> f32
    %127, %128 = "gpu.shuffle"(%126, %33, %32) {mode = #gpu<shuffle_mode xor>} : (f32, i32, i32) -> (f32, i1)
    %129 = "vector.from_elements"(%127) : (f32) -> vector<1xf32>
    %130 = "arith.addf"(%125, %129) {fastmath = #arith.fastmath<contract>} : (vector<1xf32>, vector<1xf32>) -> vector<1xf32>
    %131 = "vector.shuffle"(%130, %130) {mask = [0 : i64, 0 : i64, 0 : i64, 0 : i64]} : (vector<1xf32>, vector<1xf32>) -> vector<4xf32>
    %132 = "arith.divf"(%104, %131) : (vector<4xf32>, vector<4xf32>) -> vector<4xf32>
    %133 = "memref.dim"(%1, %5) : (memref<?x?xf32, strided<[?, 1]>>, index) -> index
    %134 = "memref.dim"(%1, %7) : (memref<?x?xf32, strided<[?, 1]>>, index) -> index
    %135 = "arith.subi"(%133, %41) : (index, index) -> index
    %136 = "arith.minsi"(%135, %3) : (index, index) -> index
    %137 = "arith.maxsi"(%136, %4) : (index, index) -> index
    %138 = "arith.index_cast"(%137) : (index) -> i32
    %139 = "arith.minsi"(%134, %3) : (index, index) -> index
    %140 = "arith.maxsi"(%139, %4) : (index, index) -> index
    %141 = "arith.index_cast"(%140) : (index) -> i32
    "gpu.barrier"() : () -> ()
    %142 = "arith.andi"(%141, %13) : (i32, i32) -> i32
    %143 = "arith.cmpi"(%142, %14) {predicate = 0 : i64} : (i32, i32) -> i1
    %144 = "arith.andi"(%38, %143) : (i1, i1) -> i1
    "scf.if"(%144) ({
      %145 = "arith.cmpi"(%23, %138) {predicate = 2 : i64} : (i32, i32) -> i1
      %146 = "arith.cmpi"(%28, %141) {predicate = 2 : i64} : (i32, i32) -> i1
      %147 = "arith.andi"(%145, %146) : (i1, i1) -> i1
      %148 = "arith.addi"(%41, %24) : (index, index) -> index
      %149 = "vector.broadcast"(%147) : (i1) -> vector<4xi1>
      "vector.maskedstore"(%1, %148, %29, %149, %132) {alignment = 16 : i64} : (memref<?x?xf32, strided<[?, 1]>>, index, index, vector<4xi1>, vector<4xf32>) -> ()
      "scf.yield"() : () -> ()
    }, {
      %150 = "arith.cmpi"(%23, %138) {predicate = 2 : i64} : (i32, i32) -> i1
      %151 = "arith.addi"(%41, %24) : (index, index) -> index
      %152 = "vector.broadcast"(%150) : (i1) -> vector<4xi1>
      %153 = "vector.broadcast"(%28) : (i32) -> vector<4xi32>
      %154 = "arith.addi"(%153, %72) : (vector<4xi32>, vector<4xi32>) -> vector<4xi32>
      %155 = "vector.broadcast"(%141) : (i32) -> vector<4xi32>
      %156 = "arith.cmpi"(%154, %155) {predicate = 2 : i64} : (vector<4xi32>, vector<4xi32>) -> vector<4xi1>
      %157 = "arith.andi"(%152, %156) : (vector<4xi1>, vector<4xi1>) -> vector<4xi1>
      "vector.maskedstore"(%1, %151, %29, %157, %132) : (memref<?x?xf32, strided<[?, 1]>>, index, index, vector<4xi1>, vector<4xf32>) -> ()
      "scf.yield"() : () -> ()
    }) : (i1) -> ()
    "func.return"() : () -> ()
  }) {function_type = (memref<?x?xf32, strided<[?, 1]>>, memref<?x?xf32, strided<[?, 1]>>) -> (), kdsl.explain = ["64 lanes: 2 subgroups of 32"], kdsl.kernel, kdsl.lanes = 64 : i64, kdsl.warps = 2 : i64, sym_name = "f"} : () -> ()
}) : () -> ()

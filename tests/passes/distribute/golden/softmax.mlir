"builtin.module"() ({
  "func.func"() ({
  ^bb0(%0: memref<?x?xf32, strided<[?, 1]>>, %1: memref<?x?xf32, strided<[?, 1]>>):
    %2 = "gpu.thread_id"() {dimension = #gpu<dim x>} : () -> index
    %3 = "arith.constant"() {value = 0 : index} : () -> index
    %4 = "arith.constant"() {value = 1073741824 : index} : () -> index
    %5 = "arith.constant"() {value = -1073741824 : index} : () -> index
    %6 = "arith.constant"() {value = 1 : index} : () -> index
    %7 = "kdsl.address"(%0, %3, %3) : (memref<?x?xf32, strided<[?, 1]>>, index, index) -> index
    %8 = "kdsl.address"(%0, %6, %3) : (memref<?x?xf32, strided<[?, 1]>>, index, index) -> index
    %9 = "arith.ori"(%7, %8) : (index, index) -> index
    %10 = "arith.constant"() {value = 15 : index} : () -> index
    %11 = "arith.andi"(%9, %10) : (index, index) -> index
    %12 = "arith.cmpi"(%11, %3) {predicate = 0 : i64} : (index, index) -> i1
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
    %34 = "kdsl.address"(%1, %3, %3) : (memref<?x?xf32, strided<[?, 1]>>, index, index) -> index
    %35 = "kdsl.address"(%1, %6, %3) : (memref<?x?xf32, strided<[?, 1]>>, index, index) -> index
    %36 = "arith.ori"(%34, %35) : (index, index) -> index
    %37 = "arith.andi"(%36, %10) : (index, index) -> index
    %38 = "arith.cmpi"(%37, %3) {predicate = 0 : i64} : (index, index) -> i1
    %39 = "kdsl.program_id"() {axis = 0 : i64} : () -> index
    %40 = "arith.constant"() {value = 4 : index} : () -> index
    %41 = "arith.muli"(%39, %40) : (index, index) -> index
    %42 = "memref.dim"(%0, %3) : (memref<?x?xf32, strided<[?, 1]>>, index) -> index
    %43 = "memref.dim"(%0, %6) : (memref<?x?xf32, strided<[?, 1]>>, index) -> index
    %44 = "arith.minsi"(%42, %42) : (index, index) -> index
    %45 = "arith.subi"(%44, %41) : (index, index) -> index
    %46 = "arith.minsi"(%45, %4) : (index, index) -> index
    %47 = "arith.maxsi"(%46, %5) : (index, index) -> index
    %48 = "arith.index_cast"(%47) : (index) -> i32
    %49 = "arith.minsi"(%43, %43) : (index, index) -> index
    %50 = "arith.minsi"(%49, %4) : (index, index) -> index
    %51 = "arith.maxsi"(%50, %5) : (index, index) -> index
    %52 = "arith.index_cast"(%51) : (index) -> i32
    %53 = "arith.andi"(%52, %13) : (i32, i32) -> i32
    %54 = "arith.cmpi"(%53, %14) {predicate = 0 : i64} : (i32, i32) -> i1
    %55 = "arith.andi"(%12, %54) : (i1, i1) -> i1
    %56 = "scf.if"(%55) ({
      %57 = "arith.addi"(%41, %24) : (index, index) -> index
      %58 = "arith.cmpi"(%23, %48) {predicate = 2 : i64} : (i32, i32) -> i1
      %59 = "arith.cmpi"(%28, %52) {predicate = 2 : i64} : (i32, i32) -> i1
      %60 = "arith.andi"(%58, %59) : (i1, i1) -> i1
      %61 = "vector.broadcast"(%60) : (i1) -> vector<4xi1>
      %62 = "vector.maskedload"(%0, %57, %29, %61, %30) {alignment = 16 : i64} : (memref<?x?xf32, strided<[?, 1]>>, index, index, vector<4xi1>, vector<4xf32>) -> vector<4xf32>
      "scf.yield"(%62) : (vector<4xf32>) -> ()
    }, {
      %63 = "arith.addi"(%41, %24) : (index, index) -> index
      %64 = "arith.cmpi"(%23, %48) {predicate = 2 : i64} : (i32, i32) -> i1
      %65 = "vector.broadcast"(%64) : (i1) -> vector<4xi1>
      %66 = "arith.constant"() {value = dense<[0, 1, 2, 3]> : vector<4xi32>} : () -> vector<4xi32>
      %67 = "vector.broadcast"(%28) : (i32) -> vector<4xi32>
      %68 = "arith.addi"(%67, %66) : (vector<4xi32>, vector<4xi32>) -> vector<4xi32>
      %69 = "vector.broadcast"(%52) : (i32) -> vector<4xi32>
      %70 = "arith.cmpi"(%68, %69) {predicate = 2 : i64} : (vector<4xi32>, vector<4xi32>) -> vector<4xi1>
      %71 = "arith.andi"(%65, %70) : (vector<4xi1>, vector<4xi1>) -> vector<4xi1>
      %72 = "vector.maskedload"(%0, %63, %29, %71, %30) : (memref<?x?xf32, strided<[?, 1]>>, index, index, vector<4xi1>, vector<4xf32>) -> vector<4xf32>
      "scf.yield"(%72) : (vector<4xf32>) -> ()
    }) : (i1) -> vector<4xf32>
    %73 = "arith.minsi"(%43, %4) : (index, index) -> index
    %74 = "arith.maxsi"(%73, %5) : (index, index) -> index
    %75 = "arith.index_cast"(%74) : (index) -> i32
    %76 = "arith.subi"(%75, %28) : (i32, i32) -> i32
    %77 = "arith.constant"() {value = dense<[0, 1, 2, 3]> : vector<4xi32>} : () -> vector<4xi32>
    %78 = "vector.broadcast"(%76) : (i32) -> vector<4xi32>
    %79 = "arith.cmpi"(%77, %78) {predicate = 2 : i64} : (vector<4xi32>, vector<4xi32>) -> vector<4xi1>
    %80 = "arith.select"(%79, %56, %31) : (vector<4xi1>, vector<4xf32>, vector<4xf32>) -> vector<4xf32>
    %81 = "vector.shuffle"(%80, %80) {mask = [0 : i64, 1 : i64]} : (vector<4xf32>, vector<4xf32>) -> vector<2xf32>
    %82 = "vector.shuffle"(%80, %80) {mask = [2 : i64, 3 : i64]} : (vector<4xf32>, vector<4xf32>) -> vector<2xf32>
    %83 = "arith.maximumf"(%81, %82) : (vector<2xf32>, vector<2xf32>) -> vector<2xf32>
    %84 = "vector.shuffle"(%83, %83) {mask = [0 : i64]} : (vector<2xf32>, vector<2xf32>) -> vector<1xf32>
    %85 = "vector.shuffle"(%83, %83) {mask = [1 : i64]} : (vector<2xf32>, vector<2xf32>) -> vector<1xf32>
    %86 = "arith.maximumf"(%84, %85) : (vector<1xf32>, vector<1xf32>) -> vector<1xf32>
    %87 = "vector.extract"(%86) {static_position = array<i64: 0>} : (vector<1xf32>) -> f32
    %88, %89 = "gpu.shuffle"(%87, %18, %32) {mode = #gpu<shuffle_mode xor>} : (f32, i32, i32) -> (f32, i1)
    %90 = "vector.from_elements"(%88) : (f32) -> vector<1xf32>
    %91 = "arith.maximumf"(%86, %90) : (vector<1xf32>, vector<1xf32>) -> vector<1xf32>
    %92 = "vector.extract"(%91) {static_position = array<i64: 0>} : (vector<1xf32>) -> f32
    %93, %94 = "gpu.shuffle"(%92, %27, %32) {mode = #gpu<shuffle_mode xor>} : (f32, i32, i32) -> (f32, i1)
    %95 = "vector.from_elements"(%93) : (f32) -> vector<1xf32>
    %96 = "arith.maximumf"(%91, %95) : (vector<1xf32>, vector<1xf32>) -> vector<1xf32>
    %97 = "vector.extract"(%96) {static_position = array<i64: 0>} : (vector<1xf32>) -> f32
    %98, %99 = "gpu.shuffle"(%97, %16, %32) {mode = #gpu<shuffle_mode xor>} : (f32, i32, i32) -> (f32, i1)
    %100 = "vector.from_elements"(%98) : (f32) -> vector<1xf32>
    %101 = "arith.maximumf"(%96, %100) : (vector<1xf32>, vector<1xf32>) -> vector<1xf32>
    %102 = "vector.extract"(%101) {static_position = array<i64: 0>} : (vector<1xf32>) -> f32
    %103, %104 = "gpu.shuffle"(%102, %33, %32) {mode = #gpu<shuffle_mode xor>} : (f32, i32, i32) -> (f32, i1)
    %105 = "vector.from_elements"(%103) : (f32) -> vector<1xf32>
    %106 = "arith.maximumf"(%101, %105) : (vector<1xf32>, vector<1xf32>) -> vector<1xf32>
    %107 = "vector.shuffle"(%106, %106) {mask = [0 : i64, 0 : i64, 0 : i64, 0 : i64]} : (vector<1xf32>, vector<1xf32>) -> vector<4xf32>
    %108 = "arith.subf"(%80, %107) : (vector<4xf32>, vector<4xf32>) -> vector<4xf32>
    %109 = "math.exp"(%108) : (vector<4xf32>) -> vector<4xf32>
    %110 = "vector.shuffle"(%109, %109) {mask = [0 : i64, 1 : i64]} : (vector<4xf32>, vector<4xf32>) -> vector<2xf32>
    %111 = "vector.shuffle"(%109, %109) {mask = [2 : i64, 3 : i64]} : (vector<4xf32>, vector<4xf32>) -> vector<2xf32>
    %112 = "arith.addf"(%110, %111) {fastmath = #arith.fastmath<contract>} : (vector<2xf32>, vector<2xf32>) -> vector<2xf32>
    %113 = "vector.shuffle"(%112, %112) {mask = [0 : i64]} : (vector<2xf32>, vector<2xf32>) -> vector<1xf32>
    %114 = "vector.shuffle"(%112, %112) {mask = [1 : i64]} : (vector<2xf32>, vector<2xf32>) -> vector<1xf32>
    %115 = "arith.addf"(%113, %114) {fastmath = #arith.fastmath<contract>} : (vector<1xf32>, vector<1xf32>) -> vector<1xf32>
    %116 = "vector.extract"(%115) {static_position = array<i64: 0>} : (vector<1xf32>) -> f32
    %117, %118 = "gpu.shuffle"(%116, %18, %32) {mode = #gpu<shuffle_mode xor>} : (f32, i32, i32) -> (f32, i1)
    %119 = "vector.from_elements"(%117) : (f32) -> vector<1xf32>
    %120 = "arith.addf"(%115, %119) {fastmath = #arith.fastmath<contract>} : (vector<1xf32>, vector<1xf32>) -> vector<1xf32>
    %121 = "vector.extract"(%120) {static_position = array<i64: 0>} : (vector<1xf32>) -> f32
    %122, %123 = "gpu.shuffle"(%121, %27, %32) {mode = #gpu<shuffle_mode xor>} : (f32, i32, i32) -> (f32, i1)
    %124 = "vector.from_elements"(%122) : (f32) -> vector<1xf32>
    %125 = "arith.addf"(%120, %124) {fastmath = #arith.fastmath<contract>} : (vector<1xf32>, vector<1xf32>) -> vector<1xf32>
    %126 = "vector.extract"(%125) {static_position = array<i64: 0>} : (vector<1xf32>) -> f32
    %127, %128 = "gpu.shuffle"(%126, %16, %32) {mode = #gpu<shuffle_mode xor>} : (f32, i32, i32) -> (f32, i1)
    %129 = "vector.from_elements"(%127) : (f32) -> vector<1xf32>
    %130 = "arith.addf"(%125, %129) {fastmath = #arith.fastmath<contract>} : (vector<1xf32>, vector<1xf32>) -> vector<1xf32>
    %131 = "vector.extract"(%130) {static_position = array<i64: 0>} : (vector<1xf32>) -> f32
    %132, %133 = "gpu.shuffle"(%131, %33, %32) {mode = #gpu<shuffle_mode xor>} : (f32, i32, i32) -> (f32, i1)
    %134 = "vector.from_elements"(%132) : (f32) -> vector<1xf32>
    %135 = "arith.addf"(%130, %134) {fastmath = #arith.fastmath<contract>} : (vector<1xf32>, vector<1xf32>) -> vector<1xf32>
    %136 = "vector.shuffle"(%135, %135) {mask = [0 : i64, 0 : i64, 0 : i64, 0 : i64]} : (vector<1xf32>, vector<1xf32>) -> vector<4xf32>
    %137 = "arith.divf"(%109, %136) : (vector<4xf32>, vector<4xf32>) -> vector<4xf32>
    %138 = "memref.dim"(%1, %3) : (memref<?x?xf32, strided<[?, 1]>>, index) -> index
    %139 = "memref.dim"(%1, %6) : (memref<?x?xf32, strided<[?, 1]>>, index) -> index
    %140 = "arith.minsi"(%138, %138) : (index, index) -> index
    %141 = "arith.subi"(%140, %41) : (index, index) -> index
    %142 = "arith.minsi"(%141, %4) : (index, index) -> index
    %143 = "arith.maxsi"(%142, %5) : (index, index) -> index
    %144 = "arith.index_cast"(%143) : (index) -> i32
    %145 = "arith.minsi"(%139, %139) : (index, index) -> index
    %146 = "arith.minsi"(%145, %4) : (index, index) -> index
    %147 = "arith.maxsi"(%146, %5) : (index, index) -> index
    %148 = "arith.index_cast"(%147) : (index) -> i32
    "gpu.barrier"() : () -> ()
    %149 = "arith.andi"(%148, %13) : (i32, i32) -> i32
    %150 = "arith.cmpi"(%149, %14) {predicate = 0 : i64} : (i32, i32) -> i1
    %151 = "arith.andi"(%38, %150) : (i1, i1) -> i1
    "scf.if"(%151) ({
      %152 = "arith.cmpi"(%23, %144) {predicate = 2 : i64} : (i32, i32) -> i1
      %153 = "arith.cmpi"(%28, %148) {predicate = 2 : i64} : (i32, i32) -> i1
      %154 = "arith.andi"(%152, %153) : (i1, i1) -> i1
      %155 = "arith.addi"(%41, %24) : (index, index) -> index
      %156 = "vector.broadcast"(%154) : (i1) -> vector<4xi1>
      "vector.maskedstore"(%1, %155, %29, %156, %137) {alignment = 16 : i64} : (memref<?x?xf32, strided<[?, 1]>>, index, index, vector<4xi1>, vector<4xf32>) -> ()
      "scf.yield"() : () -> ()
    }, {
      %157 = "arith.cmpi"(%23, %144) {predicate = 2 : i64} : (i32, i32) -> i1
      %158 = "arith.addi"(%41, %24) : (index, index) -> index
      %159 = "vector.broadcast"(%157) : (i1) -> vector<4xi1>
      %160 = "vector.broadcast"(%28) : (i32) -> vector<4xi32>
      %161 = "arith.addi"(%160, %77) : (vector<4xi32>, vector<4xi32>) -> vector<4xi32>
      %162 = "vector.broadcast"(%148) : (i32) -> vector<4xi32>
      %163 = "arith.cmpi"(%161, %162) {predicate = 2 : i64} : (vector<4xi32>, vector<4xi32>) -> vector<4xi1>
      %164 = "arith.andi"(%159, %163) : (vector<4xi1>, vector<4xi1>) -> vector<4xi1>
      "vector.maskedstore"(%1, %158, %29, %164, %137) : (memref<?x?xf32, strided<[?, 1]>>, index, index, vector<4xi1>, vector<4xf32>) -> ()
      "scf.yield"() : () -> ()
    }) : (i1) -> ()
    "func.return"() : () -> ()
  }) {function_type = (memref<?x?xf32, strided<[?, 1]>>, memref<?x?xf32, strided<[?, 1]>>) -> (), kdsl.explain = ["64 lanes: 2 subgroups of 32"], kdsl.kernel, kdsl.lanes = 64 : i64, kdsl.warps = 2 : i64, sym_name = "f"} : () -> ()
}) : () -> ()

"builtin.module"() ({
  "func.func"() ({
  ^bb0(%0: memref<?x?xbf16, strided<[?, 1]>>, %1: memref<?x?xbf16, strided<[?, 1]>>, %2: memref<?x?xbf16, strided<[?, 1]>>):
    %3 = "gpu.thread_id"() {dimension = #gpu<dim x>} : () -> index
    %4 = "kdsl.workgroup_alloc"() {align = 16 : i64} : () -> memref<2560xbf16, 3>
    %5 = "kdsl.workgroup_alloc"() {align = 16 : i64} : () -> memref<1536xbf16, 3>
    %6 = "arith.constant"() {value = 0 : index} : () -> index
    %7 = "arith.constant"() {value = 1280 : index} : () -> index
    %8 = "arith.constant"() {value = 1073741824 : index} : () -> index
    %9 = "arith.constant"() {value = -1073741824 : index} : () -> index
    %10 = "kdsl.address"(%0, %6, %6) : (memref<?x?xbf16, strided<[?, 1]>>, index, index) -> index
    %11 = "arith.constant"() {value = 1 : index} : () -> index
    %12 = "kdsl.address"(%0, %11, %6) : (memref<?x?xbf16, strided<[?, 1]>>, index, index) -> index
    %13 = "arith.ori"(%10, %12) : (index, index) -> index
    %14 = "arith.constant"() {value = 15 : index} : () -> index
    %15 = "arith.andi"(%13, %14) : (index, index) -> index
    %16 = "arith.cmpi"(%15, %6) {predicate = 0 : i64} : (index, index) -> i1
    %17 = "arith.constant"() {value = 7 : i32} : () -> i32
    %18 = "arith.constant"() {value = 0 : i32} : () -> i32
    %19 = "arith.index_cast"(%3) : (index) -> i32
    %20 = "arith.constant"() {value = 3 : i32} : () -> i32
    %21 = "arith.andi"(%19, %20) : (i32, i32) -> i32
    %22 = "arith.constant"() {value = 2 : i32} : () -> i32
    %23 = "arith.shrui"(%19, %22) : (i32, i32) -> i32
    %24 = "arith.andi"(%23, %17) : (i32, i32) -> i32
    %25 = "arith.constant"() {value = 5 : i32} : () -> i32
    %26 = "arith.shrui"(%19, %25) : (i32, i32) -> i32
    %27 = "arith.shli"(%21, %20) : (i32, i32) -> i32
    %28 = "arith.constant"() {value = 40 : i32} : () -> i32
    %29 = "arith.muli"(%24, %28) : (i32, i32) -> i32
    %30 = "arith.addi"(%27, %29) : (i32, i32) -> i32
    %31 = "arith.constant"() {value = 320 : i32} : () -> i32
    %32 = "arith.muli"(%26, %31) : (i32, i32) -> i32
    %33 = "arith.addi"(%30, %32) : (i32, i32) -> i32
    %34 = "arith.index_cast"(%33) : (i32) -> index
    %35 = "arith.shli"(%26, %20) : (i32, i32) -> i32
    %36 = "arith.addi"(%24, %35) : (i32, i32) -> i32
    %37 = "arith.index_cast"(%36) : (i32) -> index
    %38 = "arith.index_cast"(%27) : (i32) -> index
    %39 = "arith.constant"() {value = 16 : i32} : () -> i32
    %40 = "arith.constant"() {value = 16 : index} : () -> index
    %41 = "arith.constant"() {value = 640 : index} : () -> index
    %42 = "arith.constant"() {value = dense<0.0> : vector<8xbf16>} : () -> vector<8xbf16>
    %43 = "arith.constant"() {value = 768 : index} : () -> index
    %44 = "kdsl.address"(%1, %6, %6) : (memref<?x?xbf16, strided<[?, 1]>>, index, index) -> index
    %45 = "kdsl.address"(%1, %11, %6) : (memref<?x?xbf16, strided<[?, 1]>>, index, index) -> index
    %46 = "arith.ori"(%44, %45) : (index, index) -> index
    %47 = "arith.andi"(%46, %14) : (index, index) -> index
    %48 = "arith.cmpi"(%47, %6) {predicate = 0 : i64} : (index, index) -> i1
    %49 = "arith.constant"() {value = 1 : i32} : () -> i32
    %50 = "arith.andi"(%19, %49) : (i32, i32) -> i32
    %51 = "arith.shrui"(%19, %49) : (i32, i32) -> i32
    %52 = "arith.constant"() {value = 15 : i32} : () -> i32
    %53 = "arith.andi"(%51, %52) : (i32, i32) -> i32
    %54 = "arith.shli"(%50, %20) : (i32, i32) -> i32
    %55 = "arith.constant"() {value = 24 : i32} : () -> i32
    %56 = "arith.muli"(%53, %55) : (i32, i32) -> i32
    %57 = "arith.addi"(%54, %56) : (i32, i32) -> i32
    %58 = "arith.constant"() {value = 384 : i32} : () -> i32
    %59 = "arith.muli"(%26, %58) : (i32, i32) -> i32
    %60 = "arith.addi"(%57, %59) : (i32, i32) -> i32
    %61 = "arith.index_cast"(%60) : (i32) -> index
    %62 = "arith.constant"() {value = 4 : i32} : () -> i32
    %63 = "arith.shli"(%26, %62) : (i32, i32) -> i32
    %64 = "arith.addi"(%53, %63) : (i32, i32) -> i32
    %65 = "arith.index_cast"(%64) : (i32) -> index
    %66 = "arith.index_cast"(%54) : (i32) -> index
    %67 = "arith.constant"() {value = dense<0.0> : vector<8xf32>} : () -> vector<8xf32>
    %68 = "arith.constant"() {value = -1 : index} : () -> index
    %69 = "arith.constant"() {value = 31 : i32} : () -> i32
    %70 = "arith.andi"(%19, %69) : (i32, i32) -> i32
    %71 = "arith.andi"(%70, %17) : (i32, i32) -> i32
    %72 = "arith.muli"(%71, %28) : (i32, i32) -> i32
    %73 = "arith.shrui"(%70, %20) : (i32, i32) -> i32
    %74 = "arith.andi"(%73, %49) : (i32, i32) -> i32
    %75 = "arith.muli"(%74, %31) : (i32, i32) -> i32
    %76 = "arith.addi"(%72, %75) : (i32, i32) -> i32
    %77 = "arith.shrui"(%70, %62) : (i32, i32) -> i32
    %78 = "arith.andi"(%77, %49) : (i32, i32) -> i32
    %79 = "arith.constant"() {value = 8 : i32} : () -> i32
    %80 = "arith.muli"(%78, %79) : (i32, i32) -> i32
    %81 = "arith.addi"(%76, %80) : (i32, i32) -> i32
    %82 = "arith.index_cast"(%81) : (i32) -> index
    %83 = "arith.muli"(%71, %55) : (i32, i32) -> i32
    %84 = "arith.constant"() {value = 192 : i32} : () -> i32
    %85 = "arith.muli"(%74, %84) : (i32, i32) -> i32
    %86 = "arith.addi"(%83, %85) : (i32, i32) -> i32
    %87 = "arith.addi"(%86, %35) : (i32, i32) -> i32
    %88 = "arith.index_cast"(%87) : (i32) -> index
    %89 = "arith.constant"() {value = 656 : index} : () -> index
    %90 = "arith.constant"() {value = 384 : index} : () -> index
    %91 = "kdsl.address"(%2, %6, %6) : (memref<?x?xbf16, strided<[?, 1]>>, index, index) -> index
    %92 = "kdsl.address"(%2, %11, %6) : (memref<?x?xbf16, strided<[?, 1]>>, index, index) -> index
    %93 = "arith.ori"(%91, %92) : (index, index) -> index
    %94 = "arith.constant"() {value = 3 : index} : () -> index
    %95 = "arith.andi"(%93, %94) : (index, index) -> index
    %96 = "arith.cmpi"(%95, %6) {predicate = 0 : i64} : (index, index) -> i1
    %97 = "arith.shli"(%21, %49) : (i32, i32) -> i32
    %98 = "arith.addi"(%97, %35) : (i32, i32) -> i32
    %99 = "arith.index_cast"(%24) : (i32) -> index
    %100 = "arith.index_cast"(%98) : (i32) -> index
    %101 = "arith.constant"() {value = 8 : index} : () -> index
    %102 = "arith.constant"() {value = 24 : index} : () -> index
    %103 = "kdsl.program_id"() {axis = 0 : i64} : () -> index
    %104 = "arith.constant"() {value = 32 : index} : () -> index
    %105 = "arith.muli"(%103, %104) : (index, index) -> index
    %106 = "kdsl.program_id"() {axis = 1 : i64} : () -> index
    %107 = "arith.muli"(%106, %40) : (index, index) -> index
    %108 = "memref.dim"(%0, %11) : (memref<?x?xbf16, strided<[?, 1]>>, index) -> index
    %109 = "arith.ceildivsi"(%108, %104) : (index, index) -> index
    %110 = "arith.cmpi"(%6, %109) {predicate = 2 : i64} : (index, index) -> i1
    "scf.if"(%110) ({
      %111 = "memref.dim"(%0, %6) : (memref<?x?xbf16, strided<[?, 1]>>, index) -> index
      %112 = "arith.subi"(%111, %105) : (index, index) -> index
      %113 = "arith.minsi"(%112, %8) : (index, index) -> index
      %114 = "arith.maxsi"(%113, %9) : (index, index) -> index
      %115 = "arith.index_cast"(%114) : (index) -> i32
      %116 = "arith.minsi"(%108, %8) : (index, index) -> index
      %117 = "arith.maxsi"(%116, %9) : (index, index) -> index
      %118 = "arith.index_cast"(%117) : (index) -> i32
      %119 = "arith.andi"(%118, %17) : (i32, i32) -> i32
      %120 = "arith.cmpi"(%119, %18) {predicate = 0 : i64} : (i32, i32) -> i1
      %121 = "arith.andi"(%16, %120) : (i1, i1) -> i1
      "scf.if"(%121) ({
        %122 = "arith.cmpi"(%36, %115) {predicate = 2 : i64} : (i32, i32) -> i1
        %123 = "arith.cmpi"(%27, %118) {predicate = 2 : i64} : (i32, i32) -> i1
        %124 = "arith.andi"(%122, %123) : (i1, i1) -> i1
        %125 = "arith.addi"(%105, %37) : (index, index) -> index
        "kdsl.copy_async"(%0, %4, %124, %125, %38, %34) {bytes = 16 : i64} : (memref<?x?xbf16, strided<[?, 1]>>, memref<2560xbf16, 3>, i1, index, index, index) -> ()
        %126 = "arith.addi"(%36, %39) : (i32, i32) -> i32
        %127 = "arith.cmpi"(%126, %115) {predicate = 2 : i64} : (i32, i32) -> i1
        %128 = "arith.andi"(%127, %123) : (i1, i1) -> i1
        %129 = "arith.addi"(%125, %40) : (index, index) -> index
        %130 = "arith.addi"(%34, %41) : (index, index) -> index
        "kdsl.copy_async"(%0, %4, %128, %129, %38, %130) {bytes = 16 : i64} : (memref<?x?xbf16, strided<[?, 1]>>, memref<2560xbf16, 3>, i1, index, index, index) -> ()
        "scf.yield"() : () -> ()
      }, {
        %131 = "arith.addi"(%105, %37) : (index, index) -> index
        %132 = "arith.cmpi"(%36, %115) {predicate = 2 : i64} : (i32, i32) -> i1
        %133 = "vector.broadcast"(%132) : (i1) -> vector<8xi1>
        %134 = "arith.constant"() {value = dense<[0, 1, 2, 3, 4, 5, 6, 7]> : vector<8xi32>} : () -> vector<8xi32>
        %135 = "vector.broadcast"(%27) : (i32) -> vector<8xi32>
        %136 = "arith.addi"(%135, %134) : (vector<8xi32>, vector<8xi32>) -> vector<8xi32>
        %137 = "vector.broadcast"(%118) : (i32) -> vector<8xi32>
        %138 = "arith.cmpi"(%136, %137) {predicate = 2 : i64} : (vector<8xi32>, vector<8xi32>) -> vector<8xi1>
        %139 = "arith.andi"(%133, %138) : (vector<8xi1>, vector<8xi1>) -> vector<8xi1>
        %140 = "vector.maskedload"(%0, %131, %38, %139, %42) : (memref<?x?xbf16, strided<[?, 1]>>, index, index, vector<8xi1>, vector<8xbf16>) -> vector<8xbf16>
        %141 = "arith.addi"(%131, %40) : (index, index) -> index
        %142 = "arith.addi"(%36, %39) : (i32, i32) -> i32
        %143 = "arith.cmpi"(%142, %115) {predicate = 2 : i64} : (i32, i32) -> i1
        %144 = "vector.broadcast"(%143) : (i1) -> vector<8xi1>
        %145 = "arith.andi"(%144, %138) : (vector<8xi1>, vector<8xi1>) -> vector<8xi1>
        %146 = "vector.maskedload"(%0, %141, %38, %145, %42) : (memref<?x?xbf16, strided<[?, 1]>>, index, index, vector<8xi1>, vector<8xbf16>) -> vector<8xbf16>
        %147 = "vector.shuffle"(%140, %146) {mask = [0 : i64, 1 : i64, 2 : i64, 3 : i64, 4 : i64, 5 : i64, 6 : i64, 7 : i64, 8 : i64, 9 : i64, 10 : i64, 11 : i64, 12 : i64, 13 : i64, 14 : i64, 15 : i64]} : (vector<8xbf16>, vector<8xbf16>) -> vector<16xbf16>
        %148 = "vector.shuffle"(%147, %147) {mask = [0 : i64, 1 : i64, 2 : i64, 3 : i64, 4 : i64, 5 : i64, 6 : i64, 7 : i64]} : (vector<16xbf16>, vector<16xbf16>) -> vector<8xbf16>
        "vector.store"(%148, %4, %34) {alignment = 16 : i64} : (vector<8xbf16>, memref<2560xbf16, 3>, index) -> ()
        %149 = "vector.shuffle"(%147, %147) {mask = [8 : i64, 9 : i64, 10 : i64, 11 : i64, 12 : i64, 13 : i64, 14 : i64, 15 : i64]} : (vector<16xbf16>, vector<16xbf16>) -> vector<8xbf16>
        %150 = "arith.addi"(%34, %41) : (index, index) -> index
        "vector.store"(%149, %4, %150) {alignment = 16 : i64} : (vector<8xbf16>, memref<2560xbf16, 3>, index) -> ()
        "scf.yield"() : () -> ()
      }) : (i1) -> ()
      %151 = "memref.dim"(%1, %6) : (memref<?x?xbf16, strided<[?, 1]>>, index) -> index
      %152 = "memref.dim"(%1, %11) : (memref<?x?xbf16, strided<[?, 1]>>, index) -> index
      %153 = "arith.minsi"(%151, %8) : (index, index) -> index
      %154 = "arith.maxsi"(%153, %9) : (index, index) -> index
      %155 = "arith.index_cast"(%154) : (index) -> i32
      %156 = "arith.subi"(%152, %107) : (index, index) -> index
      %157 = "arith.minsi"(%156, %8) : (index, index) -> index
      %158 = "arith.maxsi"(%157, %9) : (index, index) -> index
      %159 = "arith.index_cast"(%158) : (index) -> i32
      %160 = "arith.andi"(%159, %17) : (i32, i32) -> i32
      %161 = "arith.cmpi"(%160, %18) {predicate = 0 : i64} : (i32, i32) -> i1
      %162 = "arith.andi"(%48, %161) : (i1, i1) -> i1
      "scf.if"(%162) ({
        %163 = "arith.cmpi"(%64, %155) {predicate = 2 : i64} : (i32, i32) -> i1
        %164 = "arith.cmpi"(%54, %159) {predicate = 2 : i64} : (i32, i32) -> i1
        %165 = "arith.andi"(%163, %164) : (i1, i1) -> i1
        %166 = "arith.addi"(%107, %66) : (index, index) -> index
        "kdsl.copy_async"(%1, %5, %165, %65, %166, %61) {bytes = 16 : i64} : (memref<?x?xbf16, strided<[?, 1]>>, memref<1536xbf16, 3>, i1, index, index, index) -> ()
        "scf.yield"() : () -> ()
      }, {
        %167 = "arith.addi"(%107, %66) : (index, index) -> index
        %168 = "arith.cmpi"(%64, %155) {predicate = 2 : i64} : (i32, i32) -> i1
        %169 = "vector.broadcast"(%168) : (i1) -> vector<8xi1>
        %170 = "arith.constant"() {value = dense<[0, 1, 2, 3, 4, 5, 6, 7]> : vector<8xi32>} : () -> vector<8xi32>
        %171 = "vector.broadcast"(%54) : (i32) -> vector<8xi32>
        %172 = "arith.addi"(%171, %170) : (vector<8xi32>, vector<8xi32>) -> vector<8xi32>
        %173 = "vector.broadcast"(%159) : (i32) -> vector<8xi32>
        %174 = "arith.cmpi"(%172, %173) {predicate = 2 : i64} : (vector<8xi32>, vector<8xi32>) -> vector<8xi1>
        %175 = "arith.andi"(%169, %174) : (vector<8xi1>, vector<8xi1>) -> vector<8xi1>
        %176 = "vector.maskedload"(%1, %65, %167, %175, %42) : (memref<?x?xbf16, strided<[?, 1]>>, index, index, vector<8xi1>, vector<8xbf16>) -> vector<8xbf16>
        "vector.store"(%176, %5, %61) {alignment = 16 : i64} : (vector<8xbf16>, memref<1536xbf16, 3>, index) -> ()
        "scf.yield"() : () -> ()
      }) : (i1) -> ()
      "scf.yield"() : () -> ()
    }, {
    }) : (i1) -> ()
    "kdsl.copy_commit"() : () -> ()
    %177, %178 = "scf.for"(%6, %109, %11, %67, %6) ({
    ^bb1(%179: index, %180: vector<8xf32>, %181: index):
      "kdsl.copy_wait"() {pending = 0 : i64} : () -> ()
      "gpu.barrier"() : () -> ()
      %182 = "arith.addi"(%179, %11) : (index, index) -> index
      %183 = "arith.cmpi"(%181, %6) {predicate = 0 : i64} : (index, index) -> i1
      %184 = "arith.addi"(%181, %68) : (index, index) -> index
      %185 = "arith.select"(%183, %11, %184) : (i1, index, index) -> index
      %186 = "arith.cmpi"(%182, %109) {predicate = 2 : i64} : (index, index) -> i1
      "scf.if"(%186) ({
        %187 = "arith.muli"(%185, %7) : (index, index) -> index
        %188 = "arith.muli"(%182, %104) : (index, index) -> index
        %189 = "memref.dim"(%0, %6) : (memref<?x?xbf16, strided<[?, 1]>>, index) -> index
        %190 = "arith.subi"(%189, %105) : (index, index) -> index
        %191 = "arith.minsi"(%190, %8) : (index, index) -> index
        %192 = "arith.maxsi"(%191, %9) : (index, index) -> index
        %193 = "arith.index_cast"(%192) : (index) -> i32
        %194 = "arith.subi"(%108, %188) : (index, index) -> index
        %195 = "arith.minsi"(%194, %8) : (index, index) -> index
        %196 = "arith.maxsi"(%195, %9) : (index, index) -> index
        %197 = "arith.index_cast"(%196) : (index) -> i32
        %198 = "arith.andi"(%197, %17) : (i32, i32) -> i32
        %199 = "arith.cmpi"(%198, %18) {predicate = 0 : i64} : (i32, i32) -> i1
        %200 = "arith.andi"(%16, %199) : (i1, i1) -> i1
        "scf.if"(%200) ({
          %201 = "arith.addi"(%187, %34) : (index, index) -> index
          %202 = "arith.cmpi"(%36, %193) {predicate = 2 : i64} : (i32, i32) -> i1
          %203 = "arith.cmpi"(%27, %197) {predicate = 2 : i64} : (i32, i32) -> i1
          %204 = "arith.andi"(%202, %203) : (i1, i1) -> i1
          %205 = "arith.addi"(%105, %37) : (index, index) -> index
          %206 = "arith.addi"(%188, %38) : (index, index) -> index
          "kdsl.copy_async"(%0, %4, %204, %205, %206, %201) {bytes = 16 : i64} : (memref<?x?xbf16, strided<[?, 1]>>, memref<2560xbf16, 3>, i1, index, index, index) -> ()
          %207 = "arith.addi"(%36, %39) : (i32, i32) -> i32
          %208 = "arith.cmpi"(%207, %193) {predicate = 2 : i64} : (i32, i32) -> i1
          %209 = "arith.andi"(%208, %203) : (i1, i1) -> i1
          %210 = "arith.addi"(%205, %40) : (index, index) -> index
          %211 = "arith.addi"(%201, %41) : (index, index) -> index
          "kdsl.copy_async"(%0, %4, %209, %210, %206, %211) {bytes = 16 : i64} : (memref<?x?xbf16, strided<[?, 1]>>, memref<2560xbf16, 3>, i1, index, index, index) -> ()
          "scf.yield"() : () -> ()
        }, {
          %212 = "arith.addi"(%105, %37) : (index, index) -> index
          %213 = "arith.addi"(%188, %38) : (index, index) -> index
          %214 = "arith.cmpi"(%36, %193) {predicate = 2 : i64} : (i32, i32) -> i1
          %215 = "vector.broadcast"(%214) : (i1) -> vector<8xi1>
          %216 = "arith.constant"() {value = dense<[0, 1, 2, 3, 4, 5, 6, 7]> : vector<8xi32>} : () -> vector<8xi32>
          %217 = "vector.broadcast"(%27) : (i32) -> vector<8xi32>
          %218 = "arith.addi"(%217, %216) : (vector<8xi32>, vector<8xi32>) -> vector<8xi32>
          %219 = "vector.broadcast"(%197) : (i32) -> vector<8xi32>
          %220 = "arith.cmpi"(%218, %219) {predicate = 2 : i64} : (vector<8xi32>, vector<8xi32>) -> vector<8xi1>
          %221 = "arith.andi"(%215, %220) : (vector<8xi1>, vector<8xi1>) -> vector<8xi1>
          %222 = "vector.maskedload"(%0, %212, %213, %221, %42) : (memref<?x?xbf16, strided<[?, 1]>>, index, index, vector<8xi1>, vector<8xbf16>) -> vector<8xbf16>
          %223 = "arith.addi"(%212, %40) : (index, index) -> index
          %224 = "arith.addi"(%36, %39) : (i32, i32) -> i32
          %225 = "arith.cmpi"(%224, %193) {predicate = 2 : i64} : (i32, i32) -> i1
          %226 = "vector.broadcast"(%225) : (i1) -> vector<8xi1>
          %227 = "arith.andi"(%226, %220) : (vector<8xi1>, vector<8xi1>) -> vector<8xi1>
          %228 = "vector.maskedload"(%0, %223, %213, %227, %42) : (memref<?x?xbf16, strided<[?, 1]>>, index, index, vector<8xi1>, vector<8xbf16>) -> vector<8xbf16>
          %229 = "vector.shuffle"(%222, %228) {mask = [0 : i64, 1 : i64, 2 : i64, 3 : i64, 4 : i64, 5 : i64, 6 : i64, 7 : i64, 8 : i64, 9 : i64, 10 : i64, 11 : i64, 12 : i64, 13 : i64, 14 : i64, 15 : i64]} : (vector<8xbf16>, vector<8xbf16>) -> vector<16xbf16>
          %230 = "arith.addi"(%34, %187) : (index, index) -> index
          %231 = "vector.shuffle"(%229, %229) {mask = [0 : i64, 1 : i64, 2 : i64, 3 : i64, 4 : i64, 5 : i64, 6 : i64, 7 : i64]} : (vector<16xbf16>, vector<16xbf16>) -> vector<8xbf16>
          "vector.store"(%231, %4, %230) {alignment = 16 : i64} : (vector<8xbf16>, memref<2560xbf16, 3>, index) -> ()
          %232 = "vector.shuffle"(%229, %229) {mask = [8 : i64, 9 : i64, 10 : i64, 11 : i64, 12 : i64, 13 : i64, 14 : i64, 15 : i64]} : (vector<16xbf16>, vector<16xbf16>) -> vector<8xbf16>
          %233 = "arith.addi"(%230, %41) : (index, index) -> index
          "vector.store"(%232, %4, %233) {alignment = 16 : i64} : (vector<8xbf16>, memref<2560xbf16, 3>, index) -> ()
          "scf.yield"() : () -> ()
        }) : (i1) -> ()
        %234 = "arith.muli"(%185, %43) : (index, index) -> index
        %235 = "memref.dim"(%1, %6) : (memref<?x?xbf16, strided<[?, 1]>>, index) -> index
        %236 = "memref.dim"(%1, %11) : (memref<?x?xbf16, strided<[?, 1]>>, index) -> index
        %237 = "arith.subi"(%235, %188) : (index, index) -> index
        %238 = "arith.minsi"(%237, %8) : (index, index) -> index
        %239 = "arith.maxsi"(%238, %9) : (index, index) -> index
        %240 = "arith.index_cast"(%239) : (index) -> i32
        %241 = "arith.subi"(%236, %107) : (index, index) -> index
        %242 = "arith.minsi"(%241, %8) : (index, index) -> index
        %243 = "arith.maxsi"(%242, %9) : (index, index) -> index
        %244 = "arith.index_cast"(%243) : (index) -> i32
        %245 = "arith.andi"(%244, %17) : (i32, i32) -> i32
        %246 = "arith.cmpi"(%245, %18) {predicate = 0 : i64} : (i32, i32) -> i1
        %247 = "arith.andi"(%48, %246) : (i1, i1) -> i1
        "scf.if"(%247) ({
          %248 = "arith.addi"(%234, %61) : (index, index) -> index
          %249 = "arith.cmpi"(%64, %240) {predicate = 2 : i64} : (i32, i32) -> i1
          %250 = "arith.cmpi"(%54, %244) {predicate = 2 : i64} : (i32, i32) -> i1
          %251 = "arith.andi"(%249, %250) : (i1, i1) -> i1
          %252 = "arith.addi"(%188, %65) : (index, index) -> index
          %253 = "arith.addi"(%107, %66) : (index, index) -> index
          "kdsl.copy_async"(%1, %5, %251, %252, %253, %248) {bytes = 16 : i64} : (memref<?x?xbf16, strided<[?, 1]>>, memref<1536xbf16, 3>, i1, index, index, index) -> ()
          "scf.yield"() : () -> ()
        }, {
          %254 = "arith.addi"(%188, %65) : (index, index) -> index
          %255 = "arith.addi"(%107, %66) : (index, index) -> index
          %256 = "arith.cmpi"(%64, %240) {predicate = 2 : i64} : (i32, i32) -> i1
          %257 = "vector.broadcast"(%256) : (i1) -> vector<8xi1>
          %258 = "arith.constant"() {value = dense<[0, 1, 2, 3, 4, 5, 6, 7]> : vector<8xi32>} : () -> vector<8xi32>
          %259 = "vector.broadcast"(%54) : (i32) -> vector<8xi32>
          %260 = "arith.addi"(%259, %258) : (vector<8xi32>, vector<8xi32>) -> vector<8xi32>
          %261 = "vector.broadcast"(%244) : (i32) -> vector<8xi32>
          %262 = "arith.cmpi"(%260, %261) {predicate = 2 : i64} : (vector<8xi32>, vector<8xi32>) -> vector<8xi1>
          %263 = "arith.andi"(%257, %262) : (vector<8xi1>, vector<8xi1>) -> vector<8xi1>
          %264 = "vector.maskedload"(%1, %254, %255, %263, %42) : (memref<?x?xbf16, strided<[?, 1]>>, index, index, vector<8xi1>, vector<8xbf16>) -> vector<8xbf16>
          %265 = "arith.addi"(%61, %234) : (index, index) -> index
          "vector.store"(%264, %5, %265) {alignment = 16 : i64} : (vector<8xbf16>, memref<1536xbf16, 3>, index) -> ()
          "scf.yield"() : () -> ()
        }) : (i1) -> ()
        "scf.yield"() : () -> ()
      }, {
      }) : (i1) -> ()
      "kdsl.copy_commit"() : () -> ()
      %266 = "arith.muli"(%181, %7) : (index, index) -> index
      %267 = "arith.muli"(%181, %43) : (index, index) -> index
      %268 = "arith.cmpi"(%181, %11) {predicate = 0 : i64} : (index, index) -> i1
      %269 = "arith.addi"(%181, %11) : (index, index) -> index
      %270 = "arith.select"(%268, %6, %269) : (i1, index, index) -> index
      %271 = "vector.shuffle"(%180, %180) {mask = [0 : i64, 1 : i64, 2 : i64, 3 : i64]} : (vector<8xf32>, vector<8xf32>) -> vector<4xf32>
      %272 = "vector.shuffle"(%180, %180) {mask = [4 : i64, 5 : i64, 6 : i64, 7 : i64]} : (vector<8xf32>, vector<8xf32>) -> vector<4xf32>
      %273 = "arith.addi"(%82, %266) : (index, index) -> index
      %274 = "kdsl.load_matrix"(%4, %273) {count = 4 : i64, transpose = false} : (memref<2560xbf16, 3>, index) -> vector<8xbf16>
      %275 = "arith.addi"(%273, %41) : (index, index) -> index
      %276 = "kdsl.load_matrix"(%4, %275) {count = 4 : i64, transpose = false} : (memref<2560xbf16, 3>, index) -> vector<8xbf16>
      %277 = "vector.shuffle"(%274, %276) {mask = [0 : i64, 1 : i64, 2 : i64, 3 : i64, 4 : i64, 5 : i64, 6 : i64, 7 : i64, 8 : i64, 9 : i64, 10 : i64, 11 : i64, 12 : i64, 13 : i64, 14 : i64, 15 : i64]} : (vector<8xbf16>, vector<8xbf16>) -> vector<16xbf16>
      %278 = "vector.shuffle"(%277, %277) {mask = [0 : i64, 1 : i64, 2 : i64, 3 : i64, 4 : i64, 5 : i64, 6 : i64, 7 : i64]} : (vector<16xbf16>, vector<16xbf16>) -> vector<8xbf16>
      %279 = "vector.shuffle"(%277, %277) {mask = [8 : i64, 9 : i64, 10 : i64, 11 : i64, 12 : i64, 13 : i64, 14 : i64, 15 : i64]} : (vector<16xbf16>, vector<16xbf16>) -> vector<8xbf16>
      %280 = "arith.addi"(%88, %267) : (index, index) -> index
      %281 = "kdsl.load_matrix"(%5, %280) {count = 2 : i64, transpose = true} : (memref<1536xbf16, 3>, index) -> vector<4xbf16>
      %282 = "kdsl.matrix_multiply"(%278, %281, %271) {atom = "mma.m16n8k16"} : (vector<8xbf16>, vector<4xbf16>, vector<4xf32>) -> vector<4xf32>
      %283 = "kdsl.matrix_multiply"(%279, %281, %272) {atom = "mma.m16n8k16"} : (vector<8xbf16>, vector<4xbf16>, vector<4xf32>) -> vector<4xf32>
      %284 = "arith.addi"(%273, %40) : (index, index) -> index
      %285 = "kdsl.load_matrix"(%4, %284) {count = 4 : i64, transpose = false} : (memref<2560xbf16, 3>, index) -> vector<8xbf16>
      %286 = "arith.addi"(%273, %89) : (index, index) -> index
      %287 = "kdsl.load_matrix"(%4, %286) {count = 4 : i64, transpose = false} : (memref<2560xbf16, 3>, index) -> vector<8xbf16>
      %288 = "vector.shuffle"(%285, %287) {mask = [0 : i64, 1 : i64, 2 : i64, 3 : i64, 4 : i64, 5 : i64, 6 : i64, 7 : i64, 8 : i64, 9 : i64, 10 : i64, 11 : i64, 12 : i64, 13 : i64, 14 : i64, 15 : i64]} : (vector<8xbf16>, vector<8xbf16>) -> vector<16xbf16>
      %289 = "vector.shuffle"(%288, %288) {mask = [0 : i64, 1 : i64, 2 : i64, 3 : i64, 4 : i64, 5 : i64, 6 : i64, 7 : i64]} : (vector<16xbf16>, vector<16xbf16>) -> vector<8xbf16>
      %290 = "vector.shuffle"(%288, %288) {mask = [8 : i64, 9 : i64, 10 : i64, 11 : i64, 12 : i64, 13 : i64, 14 : i64, 15 : i64]} : (vector<16xbf16>, vector<16xbf16>) -> vector<8xbf16>
      %291 = "arith.addi"(%280, %90) : (index, index) -> index
      %292 = "kdsl.load_matrix"(%5, %291) {count = 2 : i64, transpose = true} : (memref<1536xbf16, 3>, index) -> vector<4xbf16>
      %293 = "kdsl.matrix_multiply"(%289, %292, %282) {atom = "mma.m16n8k16"} : (vector<8xbf16>, vector<4xbf16>, vector<4xf32>) -> vector<4xf32>
      %294 = "kdsl.matrix_multiply"(%290, %292, %283) {atom = "mma.m16n8k16"} : (vector<8xbf16>, vector<4xbf16>, vector<4xf32>) -> vector<4xf32>
      %295 = "vector.shuffle"(%293, %294) {mask = [0 : i64, 1 : i64, 2 : i64, 3 : i64, 4 : i64, 5 : i64, 6 : i64, 7 : i64]} : (vector<4xf32>, vector<4xf32>) -> vector<8xf32>
      "scf.yield"(%295, %270) : (vector<8xf32>, index) -> ()
    }) {kdsl.stages = 2 : i64} : (index, index, index, vector<8xf32>, index) -> (vector<8xf32>, index)
    %296 = "arith.truncf"(%177) : (vector<8xf32>) -> vector<8xbf16>
    %297 = "memref.dim"(%2, %6) : (memref<?x?xbf16, strided<[?, 1]>>, index) -> index
    %298 = "memref.dim"(%2, %11) : (memref<?x?xbf16, strided<[?, 1]>>, index) -> index
    %299 = "arith.subi"(%297, %105) : (index, index) -> index
    %300 = "arith.minsi"(%299, %8) : (index, index) -> index
    %301 = "arith.maxsi"(%300, %9) : (index, index) -> index
    %302 = "arith.index_cast"(%301) : (index) -> i32
    %303 = "arith.subi"(%298, %107) : (index, index) -> index
    %304 = "arith.minsi"(%303, %8) : (index, index) -> index
    %305 = "arith.maxsi"(%304, %9) : (index, index) -> index
    %306 = "arith.index_cast"(%305) : (index) -> i32
    %307 = "arith.andi"(%306, %49) : (i32, i32) -> i32
    %308 = "arith.cmpi"(%307, %18) {predicate = 0 : i64} : (i32, i32) -> i1
    %309 = "arith.andi"(%96, %308) : (i1, i1) -> i1
    "scf.if"(%309) ({
      %310 = "arith.cmpi"(%24, %302) {predicate = 2 : i64} : (i32, i32) -> i1
      %311 = "arith.cmpi"(%98, %306) {predicate = 2 : i64} : (i32, i32) -> i1
      %312 = "arith.andi"(%310, %311) : (i1, i1) -> i1
      %313 = "arith.addi"(%105, %99) : (index, index) -> index
      %314 = "arith.addi"(%107, %100) : (index, index) -> index
      %315 = "vector.shuffle"(%296, %296) {mask = [0 : i64, 1 : i64]} : (vector<8xbf16>, vector<8xbf16>) -> vector<2xbf16>
      %316 = "vector.broadcast"(%312) : (i1) -> vector<2xi1>
      "vector.maskedstore"(%2, %313, %314, %316, %315) {alignment = 4 : i64} : (memref<?x?xbf16, strided<[?, 1]>>, index, index, vector<2xi1>, vector<2xbf16>) -> ()
      %317 = "arith.addi"(%24, %79) : (i32, i32) -> i32
      %318 = "arith.cmpi"(%317, %302) {predicate = 2 : i64} : (i32, i32) -> i1
      %319 = "arith.andi"(%318, %311) : (i1, i1) -> i1
      %320 = "arith.addi"(%313, %101) : (index, index) -> index
      %321 = "vector.shuffle"(%296, %296) {mask = [2 : i64, 3 : i64]} : (vector<8xbf16>, vector<8xbf16>) -> vector<2xbf16>
      %322 = "vector.broadcast"(%319) : (i1) -> vector<2xi1>
      "vector.maskedstore"(%2, %320, %314, %322, %321) {alignment = 4 : i64} : (memref<?x?xbf16, strided<[?, 1]>>, index, index, vector<2xi1>, vector<2xbf16>) -> ()
      %323 = "arith.addi"(%24, %39) : (i32, i32) -> i32
      %324 = "arith.cmpi"(%323, %302) {predicate = 2 : i64} : (i32, i32) -> i1
      %325 = "arith.andi"(%324, %311) : (i1, i1) -> i1
      %326 = "arith.addi"(%313, %40) : (index, index) -> index
      %327 = "vector.shuffle"(%296, %296) {mask = [4 : i64, 5 : i64]} : (vector<8xbf16>, vector<8xbf16>) -> vector<2xbf16>
      %328 = "vector.broadcast"(%325) : (i1) -> vector<2xi1>
      "vector.maskedstore"(%2, %326, %314, %328, %327) {alignment = 4 : i64} : (memref<?x?xbf16, strided<[?, 1]>>, index, index, vector<2xi1>, vector<2xbf16>) -> ()
      %329 = "arith.addi"(%24, %55) : (i32, i32) -> i32
      %330 = "arith.cmpi"(%329, %302) {predicate = 2 : i64} : (i32, i32) -> i1
      %331 = "arith.andi"(%330, %311) : (i1, i1) -> i1
      %332 = "arith.addi"(%313, %102) : (index, index) -> index
      %333 = "vector.shuffle"(%296, %296) {mask = [6 : i64, 7 : i64]} : (vector<8xbf16>, vector<8xbf16>) -> vector<2xbf16>
      %334 = "vector.broadcast"(%331) : (i1) -> vector<2xi1>
      "vector.maskedstore"(%2, %332, %314, %334, %333) {alignment = 4 : i64} : (memref<?x?xbf16, strided<[?, 1]>>, index, index, vector<2xi1>, vector<2xbf16>) -> ()
      "scf.yield"() : () -> ()
    }, {
      %335 = "arith.cmpi"(%24, %302) {predicate = 2 : i64} : (i32, i32) -> i1
      %336 = "arith.addi"(%105, %99) : (index, index) -> index
      %337 = "arith.addi"(%107, %100) : (index, index) -> index
      %338 = "vector.shuffle"(%296, %296) {mask = [0 : i64, 1 : i64]} : (vector<8xbf16>, vector<8xbf16>) -> vector<2xbf16>
      %339 = "vector.broadcast"(%335) : (i1) -> vector<2xi1>
      %340 = "arith.constant"() {value = dense<[0, 1]> : vector<2xi32>} : () -> vector<2xi32>
      %341 = "vector.broadcast"(%98) : (i32) -> vector<2xi32>
      %342 = "arith.addi"(%341, %340) : (vector<2xi32>, vector<2xi32>) -> vector<2xi32>
      %343 = "vector.broadcast"(%306) : (i32) -> vector<2xi32>
      %344 = "arith.cmpi"(%342, %343) {predicate = 2 : i64} : (vector<2xi32>, vector<2xi32>) -> vector<2xi1>
      %345 = "arith.andi"(%339, %344) : (vector<2xi1>, vector<2xi1>) -> vector<2xi1>
      "vector.maskedstore"(%2, %336, %337, %345, %338) : (memref<?x?xbf16, strided<[?, 1]>>, index, index, vector<2xi1>, vector<2xbf16>) -> ()
      %346 = "arith.addi"(%24, %79) : (i32, i32) -> i32
      %347 = "arith.cmpi"(%346, %302) {predicate = 2 : i64} : (i32, i32) -> i1
      %348 = "arith.addi"(%336, %101) : (index, index) -> index
      %349 = "vector.shuffle"(%296, %296) {mask = [2 : i64, 3 : i64]} : (vector<8xbf16>, vector<8xbf16>) -> vector<2xbf16>
      %350 = "vector.broadcast"(%347) : (i1) -> vector<2xi1>
      %351 = "arith.andi"(%350, %344) : (vector<2xi1>, vector<2xi1>) -> vector<2xi1>
      "vector.maskedstore"(%2, %348, %337, %351, %349) : (memref<?x?xbf16, strided<[?, 1]>>, index, index, vector<2xi1>, vector<2xbf16>) -> ()
      %352 = "arith.addi"(%24, %39) : (i32, i32) -> i32
      %353 = "arith.cmpi"(%352, %302) {predicate = 2 : i64} : (i32, i32) -> i1
      %354 = "arith.addi"(%336, %40) : (index, index) -> index
      %355 = "vector.shuffle"(%296, %296) {mask = [4 : i64, 5 : i64]} : (vector<8xbf16>, vector<8xbf16>) -> vector<2xbf16>
      %356 = "vector.broadcast"(%353) : (i1) -> vector<2xi1>
      %357 = "arith.andi"(%356, %344) : (vector<2xi1>, vector<2xi1>) -> vector<2xi1>
      "vector.maskedstore"(%2, %354, %337, %357, %355) : (memref<?x?xbf16, strided<[?, 1]>>, index, index, vector<2xi1>, vector<2xbf16>) -> ()
      %358 = "arith.addi"(%24, %55) : (i32, i32) -> i32
      %359 = "arith.cmpi"(%358, %302) {predicate = 2 : i64} : (i32, i32) -> i1
      %360 = "arith.addi"(%336, %102) : (index, index) -> index
      %361 = "vector.shuffle"(%296, %296) {mask = [6 : i64, 7 : i64]} : (vector<8xbf16>, vector<8xbf16>) -> vector<2xbf16>
      %362 = "vector.broadcast"(%359) : (i1) -> vector<2xi1>
      %363 = "arith.andi"(%362, %344) : (vector<2xi1>, vector<2xi1>) -> vector<2xi1>
      "vector.maskedstore"(%2, %360, %337, %363, %361) : (memref<?x?xbf16, strided<[?, 1]>>, index, index, vector<2xi1>, vector<2xbf16>) -> ()
      "scf.yield"() : () -> ()
    }) : (i1) -> ()
    "func.return"() : () -> ()
  }) {function_type = (memref<?x?xbf16, strided<[?, 1]>>, memref<?x?xbf16, strided<[?, 1]>>, memref<?x?xbf16, strided<[?, 1]>>) -> (), kdsl.explain = ["64 lanes: 2 subgroups of 32", "dot 32x32x16 (MxKxN) of bf16: mma.m16n8k16"], kdsl.kernel, kdsl.lanes = 64 : i64, kdsl.warps = 2 : i64, sym_name = "f"} : () -> ()
}) : () -> ()

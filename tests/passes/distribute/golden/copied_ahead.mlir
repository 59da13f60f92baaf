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
    %10 = "arith.constant"() {value = 1 : index} : () -> index
    %11 = "kdsl.address"(%0, %6, %6) : (memref<?x?xbf16, strided<[?, 1]>>, index, index) -> index
    %12 = "kdsl.address"(%0, %10, %6) : (memref<?x?xbf16, strided<[?, 1]>>, index, index) -> index
    %13 = "arith.ori"(%11, %12) : (index, index) -> index
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
    %45 = "kdsl.address"(%1, %10, %6) : (memref<?x?xbf16, strided<[?, 1]>>, index, index) -> index
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
    %92 = "kdsl.address"(%2, %10, %6) : (memref<?x?xbf16, strided<[?, 1]>>, index, index) -> index
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
    %108 = "memref.dim"(%0, %10) : (memref<?x?xbf16, strided<[?, 1]>>, index) -> index
    %109 = "arith.ceildivsi"(%108, %104) : (index, index) -> index
    %110 = "arith.cmpi"(%6, %109) {predicate = 2 : i64} : (index, index) -> i1
    "scf.if"(%110) ({
      %111 = "memref.dim"(%0, %6) : (memref<?x?xbf16, strided<[?, 1]>>, index) -> index
      %112 = "arith.minsi"(%111, %111) : (index, index) -> index
      %113 = "arith.subi"(%112, %105) : (index, index) -> index
      %114 = "arith.minsi"(%113, %8) : (index, index) -> index
      %115 = "arith.maxsi"(%114, %9) : (index, index) -> index
      %116 = "arith.index_cast"(%115) : (index) -> i32
      %117 = "arith.minsi"(%108, %108) : (index, index) -> index
      %118 = "arith.minsi"(%117, %8) : (index, index) -> index
      %119 = "arith.maxsi"(%118, %9) : (index, index) -> index
      %120 = "arith.index_cast"(%119) : (index) -> i32
      %121 = "arith.andi"(%120, %17) : (i32, i32) -> i32
      %122 = "arith.cmpi"(%121, %18) {predicate = 0 : i64} : (i32, i32) -> i1
      %123 = "arith.andi"(%16, %122) : (i1, i1) -> i1
      "scf.if"(%123) ({
        %124 = "arith.cmpi"(%36, %116) {predicate = 2 : i64} : (i32, i32) -> i1
        %125 = "arith.cmpi"(%27, %120) {predicate = 2 : i64} : (i32, i32) -> i1
        %126 = "arith.andi"(%124, %125) : (i1, i1) -> i1
        %127 = "arith.addi"(%105, %37) : (index, index) -> index
        "kdsl.copy_async"(%0, %4, %126, %127, %38, %34) {bytes = 16 : i64} : (memref<?x?xbf16, strided<[?, 1]>>, memref<2560xbf16, 3>, i1, index, index, index) -> ()
        %128 = "arith.addi"(%36, %39) : (i32, i32) -> i32
        %129 = "arith.cmpi"(%128, %116) {predicate = 2 : i64} : (i32, i32) -> i1
        %130 = "arith.andi"(%129, %125) : (i1, i1) -> i1
        %131 = "arith.addi"(%127, %40) : (index, index) -> index
        %132 = "arith.addi"(%34, %41) : (index, index) -> index
        "kdsl.copy_async"(%0, %4, %130, %131, %38, %132) {bytes = 16 : i64} : (memref<?x?xbf16, strided<[?, 1]>>, memref<2560xbf16, 3>, i1, index, index, index) -> ()
        "scf.yield"() : () -> ()
      }, {
        %133 = "arith.addi"(%105, %37) : (index, index) -> index
        %134 = "arith.cmpi"(%36, %116) {predicate = 2 : i64} : (i32, i32) -> i1
        %135 = "vector.broadcast"(%134) : (i1) -> vector<8xi1>
        %136 = "arith.constant"() {value = dense<[0, 1, 2, 3, 4, 5, 6, 7]> : vector<8xi32>} : () -> vector<8xi32>
        %137 = "vector.broadcast"(%27) : (i32) -> vector<8xi32>
        %138 = "arith.addi"(%137, %136) : (vector<8xi32>, vector<8xi32>) -> vector<8xi32>
        %139 = "vector.broadcast"(%120) : (i32) -> vector<8xi32>
        %140 = "arith.cmpi"(%138, %139) {predicate = 2 : i64} : (vector<8xi32>, vector<8xi32>) -> vector<8xi1>
        %141 = "arith.andi"(%135, %140) : (vector<8xi1>, vector<8xi1>) -> vector<8xi1>
        %142 = "vector.maskedload"(%0, %133, %38, %141, %42) : (memref<?x?xbf16, strided<[?, 1]>>, index, index, vector<8xi1>, vector<8xbf16>) -> vector<8xbf16>
        %143 = "arith.addi"(%133, %40) : (index, index) -> index
        %144 = "arith.addi"(%36, %39) : (i32, i32) -> i32
        %145 = "arith.cmpi"(%144, %116) {predicate = 2 : i64} : (i32, i32) -> i1
        %146 = "vector.broadcast"(%145) : (i1) -> vector<8xi1>
        %147 = "arith.andi"(%146, %140) : (vector<8xi1>, vector<8xi1>) -> vector<8xi1>
        %148 = "vector.maskedload"(%0, %143, %38, %147, %42) : (memref<?x?xbf16, strided<[?, 1]>>, index, index, vector<8xi1>, vector<8xbf16>) -> vector<8xbf16>
        %149 = "vector.shuffle"(%142, %148) {mask = [0 : i64, 1 : i64, 2 : i64, 3 : i64, 4 : i64, 5 : i64, 6 : i64, 7 : i64, 8 : i64, 9 : i64, 10 : i64, 11 : i64, 12 : i64, 13 : i64, 14 : i64, 15 : i64]} : (vector<8xbf16>, vector<8xbf16>) -> vector<16xbf16>
        %150 = "vector.shuffle"(%149, %149) {mask = [0 : i64, 1 : i64, 2 : i64, 3 : i64, 4 : i64, 5 : i64, 6 : i64, 7 : i64]} : (vector<16xbf16>, vector<16xbf16>) -> vector<8xbf16>
        "vector.store"(%150, %4, %34) {alignment = 16 : i64} : (vector<8xbf16>, memref<2560xbf16, 3>, index) -> ()
        %151 = "vector.shuffle"(%149, %149) {mask = [8 : i64, 9 : i64, 10 : i64, 11 : i64, 12 : i64, 13 : i64, 14 : i64, 15 : i64]} : (vector<16xbf16>, vector<16xbf16>) -> vector<8xbf16>
        %152 = "arith.addi"(%34, %41) : (index, index) -> index
        "vector.store"(%151, %4, %152) {alignment = 16 : i64} : (vector<8xbf16>, memref<2560xbf16, 3>, index) -> ()
        "scf.yield"() : () -> ()
      }) : (i1) -> ()
      %153 = "memref.dim"(%1, %6) : (memref<?x?xbf16, strided<[?, 1]>>, index) -> index
      %154 = "memref.dim"(%1, %10) : (memref<?x?xbf16, strided<[?, 1]>>, index) -> index
      %155 = "arith.minsi"(%153, %153) : (index, index) -> index
      %156 = "arith.minsi"(%155, %8) : (index, index) -> index
      %157 = "arith.maxsi"(%156, %9) : (index, index) -> index
      %158 = "arith.index_cast"(%157) : (index) -> i32
      %159 = "arith.minsi"(%154, %154) : (index, index) -> index
      %160 = "arith.subi"(%159, %107) : (index, index) -> index
      %161 = "arith.minsi"(%160, %8) : (index, index) -> index
      %162 = "arith.maxsi"(%161, %9) : (index, index) -> index
      %163 = "arith.index_cast"(%162) : (index) -> i32
      %164 = "arith.andi"(%163, %17) : (i32, i32) -> i32
      %165 = "arith.cmpi"(%164, %18) {predicate = 0 : i64} : (i32, i32) -> i1
      %166 = "arith.andi"(%48, %165) : (i1, i1) -> i1
      "scf.if"(%166) ({
        %167 = "arith.cmpi"(%64, %158) {predicate = 2 : i64} : (i32, i32) -> i1
        %168 = "arith.cmpi"(%54, %163) {predicate = 2 : i64} : (i32, i32) -> i1
        %169 = "arith.andi"(%167, %168) : (i1, i1) -> i1
        %170 = "arith.addi"(%107, %66) : (index, index) -> index
        "kdsl.copy_async"(%1, %5, %169, %65, %170, %61) {bytes = 16 : i64} : (memref<?x?xbf16, strided<[?, 1]>>, memref<1536xbf16, 3>, i1, index, index, index) -> ()
        "scf.yield"() : () -> ()
      }, {
        %171 = "arith.addi"(%107, %66) : (index, index) -> index
        %172 = "arith.cmpi"(%64, %158) {predicate = 2 : i64} : (i32, i32) -> i1
        %173 = "vector.broadcast"(%172) : (i1) -> vector<8xi1>
        %174 = "arith.constant"() {value = dense<[0, 1, 2, 3, 4, 5, 6, 7]> : vector<8xi32>} : () -> vector<8xi32>
        %175 = "vector.broadcast"(%54) : (i32) -> vector<8xi32>
        %176 = "arith.addi"(%175, %174) : (vector<8xi32>, vector<8xi32>) -> vector<8xi32>
        %177 = "vector.broadcast"(%163) : (i32) -> vector<8xi32>
        %178 = "arith.cmpi"(%176, %177) {predicate = 2 : i64} : (vector<8xi32>, vector<8xi32>) -> vector<8xi1>
        %179 = "arith.andi"(%173, %178) : (vector<8xi1>, vector<8xi1>) -> vector<8xi1>
        %180 = "vector.maskedload"(%1, %65, %171, %179, %42) : (memref<?x?xbf16, strided<[?, 1]>>, index, index, vector<8xi1>, vector<8xbf16>) -> vector<8xbf16>
        "vector.store"(%180, %5, %61) {alignment = 16 : i64} : (vector<8xbf16>, memref<1536xbf16, 3>, index) -> ()
        "scf.yield"() : () -> ()
      }) : (i1) -> ()
      "scf.yield"() : () -> ()
    }, {
    }) : (i1) -> ()
    "kdsl.copy_commit"() : () -> ()
    %181, %182 = "scf.for"(%6, %109, %10, %67, %6) ({
    ^bb1(%183: index, %184: vector<8xf32>, %185: index):
      "kdsl.copy_wait"() {pending = 0 : i64} : () -> ()
      "gpu.barrier"() : () -> ()
      %186 = "arith.addi"(%183, %10) : (index, index) -> index
      %187 = "arith.cmpi"(%185, %6) {predicate = 0 : i64} : (index, index) -> i1
      %188 = "arith.addi"(%185, %68) : (index, index) -> index
      %189 = "arith.select"(%187, %10, %188) : (i1, index, index) -> index
      %190 = "arith.cmpi"(%186, %109) {predicate = 2 : i64} : (index, index) -> i1
      "scf.if"(%190) ({
        %191 = "arith.muli"(%189, %7) : (index, index) -> index
        %192 = "arith.muli"(%186, %104) : (index, index) -> index
        %193 = "memref.dim"(%0, %6) : (memref<?x?xbf16, strided<[?, 1]>>, index) -> index
        %194 = "arith.minsi"(%193, %193) : (index, index) -> index
        %195 = "arith.subi"(%194, %105) : (index, index) -> index
        %196 = "arith.minsi"(%195, %8) : (index, index) -> index
        %197 = "arith.maxsi"(%196, %9) : (index, index) -> index
        %198 = "arith.index_cast"(%197) : (index) -> i32
        %199 = "arith.minsi"(%108, %108) : (index, index) -> index
        %200 = "arith.subi"(%199, %192) : (index, index) -> index
        %201 = "arith.minsi"(%200, %8) : (index, index) -> index
        %202 = "arith.maxsi"(%201, %9) : (index, index) -> index
        %203 = "arith.index_cast"(%202) : (index) -> i32
        %204 = "arith.andi"(%203, %17) : (i32, i32) -> i32
        %205 = "arith.cmpi"(%204, %18) {predicate = 0 : i64} : (i32, i32) -> i1
        %206 = "arith.andi"(%16, %205) : (i1, i1) -> i1
        "scf.if"(%206) ({
          %207 = "arith.addi"(%191, %34) : (index, index) -> index
          %208 = "arith.cmpi"(%36, %198) {predicate = 2 : i64} : (i32, i32) -> i1
          %209 = "arith.cmpi"(%27, %203) {predicate = 2 : i64} : (i32, i32) -> i1
          %210 = "arith.andi"(%208, %209) : (i1, i1) -> i1
          %211 = "arith.addi"(%105, %37) : (index, index) -> index
          %212 = "arith.addi"(%192, %38) : (index, index) -> index
          "kdsl.copy_async"(%0, %4, %210, %211, %212, %207) {bytes = 16 : i64} : (memref<?x?xbf16, strided<[?, 1]>>, memref<2560xbf16, 3>, i1, index, index, index) -> ()
          %213 = "arith.addi"(%36, %39) : (i32, i32) -> i32
          %214 = "arith.cmpi"(%213, %198) {predicate = 2 : i64} : (i32, i32) -> i1
          %215 = "arith.andi"(%214, %209) : (i1, i1) -> i1
          %216 = "arith.addi"(%211, %40) : (index, index) -> index
          %217 = "arith.addi"(%207, %41) : (index, index) -> index
          "kdsl.copy_async"(%0, %4, %215, %216, %212, %217) {bytes = 16 : i64} : (memref<?x?xbf16, strided<[?, 1]>>, memref<2560xbf16, 3>, i1, index, index, index) -> ()
          "scf.yield"() : () -> ()
        }, {
          %218 = "arith.addi"(%105, %37) : (index, index) -> index
          %219 = "arith.addi"(%192, %38) : (index, index) -> index
          %220 = "arith.cmpi"(%36, %198) {predicate = 2 : i64} : (i32, i32) -> i1
          %221 = "vector.broadcast"(%220) : (i1) -> vector<8xi1>
          %222 = "arith.constant"() {value = dense<[0, 1, 2, 3, 4, 5, 6, 7]> : vector<8xi32>} : () -> vector<8xi32>
          %223 = "vector.broadcast"(%27) : (i32) -> vector<8xi32>
          %224 = "arith.addi"(%223, %222) : (vector<8xi32>, vector<8xi32>) -> vector<8xi32>
          %225 = "vector.broadcast"(%203) : (i32) -> vector<8xi32>
          %226 = "arith.cmpi"(%224, %225) {predicate = 2 : i64} : (vector<8xi32>, vector<8xi32>) -> vector<8xi1>
          %227 = "arith.andi"(%221, %226) : (vector<8xi1>, vector<8xi1>) -> vector<8xi1>
          %228 = "vector.maskedload"(%0, %218, %219, %227, %42) : (memref<?x?xbf16, strided<[?, 1]>>, index, index, vector<8xi1>, vector<8xbf16>) -> vector<8xbf16>
          %229 = "arith.addi"(%218, %40) : (index, index) -> index
          %230 = "arith.addi"(%36, %39) : (i32, i32) -> i32
          %231 = "arith.cmpi"(%230, %198) {predicate = 2 : i64} : (i32, i32) -> i1
          %232 = "vector.broadcast"(%231) : (i1) -> vector<8xi1>
          %233 = "arith.andi"(%232, %226) : (vector<8xi1>, vector<8xi1>) -> vector<8xi1>
          %234 = "vector.maskedload"(%0, %229, %219, %233, %42) : (memref<?x?xbf16, strided<[?, 1]>>, index, index, vector<8xi1>, vector<8xbf16>) -> vector<8xbf16>
          %235 = "vector.shuffle"(%228, %234) {mask = [0 : i64, 1 : i64, 2 : i64, 3 : i64, 4 : i64, 5 : i64, 6 : i64, 7 : i64, 8 : i64, 9 : i64, 10 : i64, 11 : i64, 12 : i64, 13 : i64, 14 : i64, 15 : i64]} : (vector<8xbf16>, vector<8xbf16>) -> vector<16xbf16>
          %236 = "arith.addi"(%34, %191) : (index, index) -> index
          %237 = "vector.shuffle"(%235, %235) {mask = [0 : i64, 1 : i64, 2 : i64, 3 : i64, 4 : i64, 5 : i64, 6 : i64, 7 : i64]} : (vector<16xbf16>, vector<16xbf16>) -> vector<8xbf16>
          "vector.store"(%237, %4, %236) {alignment = 16 : i64} : (vector<8xbf16>, memref<2560xbf16, 3>, index) -> ()
          %238 = "vector.shuffle"(%235, %235) {mask = [8 : i64, 9 : i64, 10 : i64, 11 : i64, 12 : i64, 13 : i64, 14 : i64, 15 : i64]} : (vector<16xbf16>, vector<16xbf16>) -> vector<8xbf16>
          %239 = "arith.addi"(%236, %41) : (index, index) -> index
          "vector.store"(%238, %4, %239) {alignment = 16 : i64} : (vector<8xbf16>, memref<2560xbf16, 3>, index) -> ()
          "scf.yield"() : () -> ()
        }) : (i1) -> ()
        %240 = "arith.muli"(%189, %43) : (index, index) -> index
        %241 = "memref.dim"(%1, %6) : (memref<?x?xbf16, strided<[?, 1]>>, index) -> index
        %242 = "memref.dim"(%1, %10) : (memref<?x?xbf16, strided<[?, 1]>>, index) -> index
        %243 = "arith.minsi"(%241, %241) : (index, index) -> index
        %244 = "arith.subi"(%243, %192) : (index, index) -> index
        %245 = "arith.minsi"(%244, %8) : (index, index) -> index
        %246 = "arith.maxsi"(%245, %9) : (index, index) -> index
        %247 = "arith.index_cast"(%246) : (index) -> i32
        %248 = "arith.minsi"(%242, %242) : (index, index) -> index
        %249 = "arith.subi"(%248, %107) : (index, index) -> index
        %250 = "arith.minsi"(%249, %8) : (index, index) -> index
        %251 = "arith.maxsi"(%250, %9) : (index, index) -> index
        %252 = "arith.index_cast"(%251) : (index) -> i32
        %253 = "arith.andi"(%252, %17) : (i32, i32) -> i32
        %254 = "arith.cmpi"(%253, %18) {predicate = 0 : i64} : (i32, i32) -> i1
        %255 = "arith.andi"(%48, %254) : (i1, i1) -> i1
        "scf.if"(%255) ({
          %256 = "arith.addi"(%240, %61) : (index, index) -> index
          %257 = "arith.cmpi"(%64, %247) {predicate = 2 : i64} : (i32, i32) -> i1
          %258 = "arith.cmpi"(%54, %252) {predicate = 2 : i64} : (i32, i32) -> i1
          %259 = "arith.andi"(%257, %258) : (i1, i1) -> i1
          %260 = "arith.addi"(%192, %65) : (index, index) -> index
          %261 = "arith.addi"(%107, %66) : (index, index) -> index
          "kdsl.copy_async"(%1, %5, %259, %260, %261, %256) {bytes = 16 : i64} : (memref<?x?xbf16, strided<[?, 1]>>, memref<1536xbf16, 3>, i1, index, index, index) -> ()
          "scf.yield"() : () -> ()
        }, {
          %262 = "arith.addi"(%192, %65) : (index, index) -> index
          %263 = "arith.addi"(%107, %66) : (index, index) -> index
          %264 = "arith.cmpi"(%64, %247) {predicate = 2 : i64} : (i32, i32) -> i1
          %265 = "vector.broadcast"(%264) : (i1) -> vector<8xi1>
          %266 = "arith.constant"() {value = dense<[0, 1, 2, 3, 4, 5, 6, 7]> : vector<8xi32>} : () -> vector<8xi32>
          %267 = "vector.broadcast"(%54) : (i32) -> vector<8xi32>
          %268 = "arith.addi"(%267, %266) : (vector<8xi32>, vector<8xi32>) -> vector<8xi32>
          %269 = "vector.broadcast"(%252) : (i32) -> vector<8xi32>
          %270 = "arith.cmpi"(%268, %269) {predicate = 2 : i64} : (vector<8xi32>, vector<8xi32>) -> vector<8xi1>
          %271 = "arith.andi"(%265, %270) : (vector<8xi1>, vector<8xi1>) -> vector<8xi1>
          %272 = "vector.maskedload"(%1, %262, %263, %271, %42) : (memref<?x?xbf16, strided<[?, 1]>>, index, index, vector<8xi1>, vector<8xbf16>) -> vector<8xbf16>
          %273 = "arith.addi"(%61, %240) : (index, index) -> index
          "vector.store"(%272, %5, %273) {alignment = 16 : i64} : (vector<8xbf16>, memref<1536xbf16, 3>, index) -> ()
          "scf.yield"() : () -> ()
        }) : (i1) -> ()
        "scf.yield"() : () -> ()
      }, {
      }) : (i1) -> ()
      "kdsl.copy_commit"() : () -> ()
      %274 = "arith.muli"(%185, %7) : (index, index) -> index
      %275 = "arith.muli"(%185, %43) : (index, index) -> index
      %276 = "arith.cmpi"(%185, %10) {predicate = 0 : i64} : (index, index) -> i1
      %277 = "arith.addi"(%185, %10) : (index, index) -> index
      %278 = "arith.select"(%276, %6, %277) : (i1, index, index) -> index
      %279 = "vector.shuffle"(%184, %184) {mask = [0 : i64, 1 : i64, 2 : i64, 3 : i64]} : (vector<8xf32>, vector<8xf32>) -> vector<4xf32>
      %280 = "vector.shuffle"(%184, %184) {mask = [4 : i64, 5 : i64, 6 : i64, 7 : i64]} : (vector<8xf32>, vector<8xf32>) -> vector<4xf32>
      %281 = "arith.addi"(%82, %274) : (index, index) -> index
      %282 = "kdsl.load_matrix"(%4, %281) {count = 4 : i64, transpose = false} : (memref<2560xbf16, 3>, index) -> vector<8xbf16>
      %283 = "arith.addi"(%281, %41) : (index, index) -> index
      %284 = "kdsl.load_matrix"(%4, %283) {count = 4 : i64, transpose = false} : (memref<2560xbf16, 3>, index) -> vector<8xbf16>
      %285 = "vector.shuffle"(%282, %284) {mask = [0 : i64, 1 : i64, 2 : i64, 3 : i64, 4 : i64, 5 : i64, 6 : i64, 7 : i64, 8 : i64, 9 : i64, 10 : i64, 11 : i64, 12 : i64, 13 : i64, 14 : i64, 15 : i64]} : (vector<8xbf16>, vector<8xbf16>) -> vector<16xbf16>
      %286 = "vector.shuffle"(%285, %285) {mask = [0 : i64, 1 : i64, 2 : i64, 3 : i64, 4 : i64, 5 : i64, 6 : i64, 7 : i64]} : (vector<16xbf16>, vector<16xbf16>) -> vector<8xbf16>
      %287 = "vector.shuffle"(%285, %285) {mask = [8 : i64, 9 : i64, 10 : i64, 11 : i64, 12 : i64, 13 : i64, 14 : i64, 15 : i64]} : (vector<16xbf16>, vector<16xbf16>) -> vector<8xbf16>
      %288 = "arith.addi"(%88, %275) : (index, index) -> index
      %289 = "kdsl.load_matrix"(%5, %288) {count = 2 : i64, transpose = true} : (memref<1536xbf16, 3>, index) -> vector<4xbf16>
      %290 = "kdsl.matrix_multiply"(%286, %289, %279) {atom = "mma.m16n8k16"} : (vector<8xbf16>, vector<4xbf16>, vector<4xf32>) -> vector<4xf32>
      %291 = "kdsl.matrix_multiply"(%287, %289, %280) {atom = "mma.m16n8k16"} : (vector<8xbf16>, vector<4xbf16>, vector<4xf32>) -> vector<4xf32>
      %292 = "arith.addi"(%281, %40) : (index, index) -> index
      %293 = "kdsl.load_matrix"(%4, %292) {count = 4 : i64, transpose = false} : (memref<2560xbf16, 3>, index) -> vector<8xbf16>
      %294 = "arith.addi"(%281, %89) : (index, index) -> index
      %295 = "kdsl.load_matrix"(%4, %294) {count = 4 : i64, transpose = false} : (memref<2560xbf16, 3>, index) -> vector<8xbf16>
      %296 = "vector.shuffle"(%293, %295) {mask = [0 : i64, 1 : i64, 2 : i64, 3 : i64, 4 : i64, 5 : i64, 6 : i64, 7 : i64, 8 : i64, 9 : i64, 10 : i64, 11 : i64, 12 : i64, 13 : i64, 14 : i64, 15 : i64]} : (vector<8xbf16>, vector<8xbf16>) -> vector<16xbf16>
      %297 = "vector.shuffle"(%296, %296) {mask = [0 : i64, 1 : i64, 2 : i64, 3 : i64, 4 : i64, 5 : i64, 6 : i64, 7 : i64]} : (vector<16xbf16>, vector<16xbf16>) -> vector<8xbf16>
      %298 = "vector.shuffle"(%296, %296) {mask = [8 : i64, 9 : i64, 10 : i64, 11 : i64, 12 : i64, 13 : i64, 14 : i64, 15 : i64]} : (vector<16xbf16>, vector<16xbf16>) -> vector<8xbf16>
      %299 = "arith.addi"(%288, %90) : (index, index) -> index
      %300 = "kdsl.load_matrix"(%5, %299) {count = 2 : i64, transpose = true} : (memref<1536xbf16, 3>, index) -> vector<4xbf16>
      %301 = "kdsl.matrix_multiply"(%297, %300, %290) {atom = "mma.m16n8k16"} : (vector<8xbf16>, vector<4xbf16>, vector<4xf32>) -> vector<4xf32>
      %302 = "kdsl.matrix_multiply"(%298, %300, %291) {atom = "mma.m16n8k16"} : (vector<8xbf16>, vector<4xbf16>, vector<4xf32>) -> vector<4xf32>
      %303 = "vector.shuffle"(%301, %302) {mask = [0 : i64, 1 : i64, 2 : i64, 3 : i64, 4 : i64, 5 : i64, 6 : i64, 7 : i64]} : (vector<4xf32>, vector<4xf32>) -> vector<8xf32>
      "scf.yield"(%303, %278) : (vector<8xf32>, index) -> ()
    }) {kdsl.stages = 2 : i64} : (index, index, index, vector<8xf32>, index) -> (vector<8xf32>, index)
    %304 = "arith.truncf"(%181) : (vector<8xf32>) -> vector<8xbf16>
    %305 = "memref.dim"(%2, %6) : (memref<?x?xbf16, strided<[?, 1]>>, index) -> index
    %306 = "memref.dim"(%2, %10) : (memref<?x?xbf16, strided<[?, 1]>>, index) -> index
    %307 = "arith.minsi"(%305, %305) : (index, index) -> index
    %308 = "arith.subi"(%307, %105) : (index, index) -> index
    %309 = "arith.minsi"(%308, %8) : (index, index) -> index
    %310 = "arith.maxsi"(%309, %9) : (index, index) -> index
    %311 = "arith.index_cast"(%310) : (index) -> i32
    %312 = "arith.minsi"(%306, %306) : (index, index) -> index
    %313 = "arith.subi"(%312, %107) : (index, index) -> index
    %314 = "arith.minsi"(%313, %8) : (index, index) -> index
    %315 = "arith.maxsi"(%314, %9) : (index, index) -> index
    %316 = "arith.index_cast"(%315) : (index) -> i32
    %317 = "arith.andi"(%316, %49) : (i32, i32) -> i32
    %318 = "arith.cmpi"(%317, %18) {predicate = 0 : i64} : (i32, i32) -> i1
    %319 = "arith.andi"(%96, %318) : (i1, i1) -> i1
    "scf.if"(%319) ({
      %320 = "arith.cmpi"(%24, %311) {predicate = 2 : i64} : (i32, i32) -> i1
      %321 = "arith.cmpi"(%98, %316) {predicate = 2 : i64} : (i32, i32) -> i1
      %322 = "arith.andi"(%320, %321) : (i1, i1) -> i1
      %323 = "arith.addi"(%105, %99) : (index, index) -> index
      %324 = "arith.addi"(%107, %100) : (index, index) -> index
      %325 = "vector.shuffle"(%304, %304) {mask = [0 : i64, 1 : i64]} : (vector<8xbf16>, vector<8xbf16>) -> vector<2xbf16>
      %326 = "vector.broadcast"(%322) : (i1) -> vector<2xi1>
      "vector.maskedstore"(%2, %323, %324, %326, %325) {alignment = 4 : i64} : (memref<?x?xbf16, strided<[?, 1]>>, index, index, vector<2xi1>, vector<2xbf16>) -> ()
      %327 = "arith.addi"(%24, %79) : (i32, i32) -> i32
      %328 = "arith.cmpi"(%327, %311) {predicate = 2 : i64} : (i32, i32) -> i1
      %329 = "arith.andi"(%328, %321) : (i1, i1) -> i1
      %330 = "arith.addi"(%323, %101) : (index, index) -> index
      %331 = "vector.shuffle"(%304, %304) {mask = [2 : i64, 3 : i64]} : (vector<8xbf16>, vector<8xbf16>) -> vector<2xbf16>
      %332 = "vector.broadcast"(%329) : (i1) -> vector<2xi1>
      "vector.maskedstore"(%2, %330, %324, %332, %331) {alignment = 4 : i64} : (memref<?x?xbf16, strided<[?, 1]>>, index, index, vector<2xi1>, vector<2xbf16>) -> ()
      %333 = "arith.addi"(%24, %39) : (i32, i32) -> i32
      %334 = "arith.cmpi"(%333, %311) {predicate = 2 : i64} : (i32, i32) -> i1
      %335 = "arith.andi"(%334, %321) : (i1, i1) -> i1
      %336 = "arith.addi"(%323, %40) : (index, index) -> index
      %337 = "vector.shuffle"(%304, %304) {mask = [4 : i64, 5 : i64]} : (vector<8xbf16>, vector<8xbf16>) -> vector<2xbf16>
      %338 = "vector.broadcast"(%335) : (i1) -> vector<2xi1>
      "vector.maskedstore"(%2, %336, %324, %338, %337) {alignment = 4 : i64} : (memref<?x?xbf16, strided<[?, 1]>>, index, index, vector<2xi1>, vector<2xbf16>) -> ()
      %339 = "arith.addi"(%24, %55) : (i32, i32) -> i32
      %340 = "arith.cmpi"(%339, %311) {predicate = 2 : i64} : (i32, i32) -> i1
      %341 = "arith.andi"(%340, %321) : (i1, i1) -> i1
      %342 = "arith.addi"(%323, %102) : (index, index) -> index
      %343 = "vector.shuffle"(%304, %304) {mask = [6 : i64, 7 : i64]} : (vector<8xbf16>, vector<8xbf16>) -> vector<2xbf16>
      %344 = "vector.broadcast"(%341) : (i1) -> vector<2xi1>
      "vector.maskedstore"(%2, %342, %324, %344, %343) {alignment = 4 : i64} : (memref<?x?xbf16, strided<[?, 1]>>, index, index, vector<2xi1>, vector<2xbf16>) -> ()
      "scf.yield"() : () -> ()
    }, {
      %345 = "arith.cmpi"(%24, %311) {predicate = 2 : i64} : (i32, i32) -> i1
      %346 = "arith.addi"(%105, %99) : (index, index) -> index
      %347 = "arith.addi"(%107, %100) : (index, index) -> index
      %348 = "vector.shuffle"(%304, %304) {mask = [0 : i64, 1 : i64]} : (vector<8xbf16>, vector<8xbf16>) -> vector<2xbf16>
      %349 = "vector.broadcast"(%345) : (i1) -> vector<2xi1>
      %350 = "arith.constant"() {value = dense<[0, 1]> : vector<2xi32>} : () -> vector<2xi32>
      %351 = "vector.broadcast"(%98) : (i32) -> vector<2xi32>
      %352 = "arith.addi"(%351, %350) : (vector<2xi32>, vector<2xi32>) -> vector<2xi32>
      %353 = "vector.broadcast"(%316) : (i32) -> vector<2xi32>
      %354 = "arith.cmpi"(%352, %353) {predicate = 2 : i64} : (vector<2xi32>, vector<2xi32>) -> vector<2xi1>
      %355 = "arith.andi"(%349, %354) : (vector<2xi1>, vector<2xi1>) -> vector<2xi1>
      "vector.maskedstore"(%2, %346, %347, %355, %348) : (memref<?x?xbf16, strided<[?, 1]>>, index, index, vector<2xi1>, vector<2xbf16>) -> ()
      %356 = "arith.addi"(%24, %79) : (i32, i32) -> i32
      %357 = "arith.cmpi"(%356, %311) {predicate = 2 : i64} : (i32, i32) -> i1
      %358 = "arith.addi"(%346, %101) : (index, index) -> index
      %359 = "vector.shuffle"(%304, %304) {mask = [2 : i64, 3 : i64]} : (vector<8xbf16>, vector<8xbf16>) -> vector<2xbf16>
      %360 = "vector.broadcast"(%357) : (i1) -> vector<2xi1>
      %361 = "arith.andi"(%360, %354) : (vector<2xi1>, vector<2xi1>) -> vector<2xi1>
      "vector.maskedstore"(%2, %358, %347, %361, %359) : (memref<?x?xbf16, strided<[?, 1]>>, index, index, vector<2xi1>, vector<2xbf16>) -> ()
      %362 = "arith.addi"(%24, %39) : (i32, i32) -> i32
      %363 = "arith.cmpi"(%362, %311) {predicate = 2 : i64} : (i32, i32) -> i1
      %364 = "arith.addi"(%346, %40) : (index, index) -> index
      %365 = "vector.shuffle"(%304, %304) {mask = [4 : i64, 5 : i64]} : (vector<8xbf16>, vector<8xbf16>) -> vector<2xbf16>
      %366 = "vector.broadcast"(%363) : (i1) -> vector<2xi1>
      %367 = "arith.andi"(%366, %354) : (vector<2xi1>, vector<2xi1>) -> vector<2xi1>
      "vector.maskedstore"(%2, %364, %347, %367, %365) : (memref<?x?xbf16, strided<[?, 1]>>, index, index, vector<2xi1>, vector<2xbf16>) -> ()
      %368 = "arith.addi"(%24, %55) : (i32, i32) -> i32
      %369 = "arith.cmpi"(%368, %311) {predicate = 2 : i64} : (i32, i32) -> i1
      %370 = "arith.addi"(%346, %102) : (index, index) -> index
      %371 = "vector.shuffle"(%304, %304) {mask = [6 : i64, 7 : i64]} : (vector<8xbf16>, vector<8xbf16>) -> vector<2xbf16>
      %372 = "vector.broadcast"(%369) : (i1) -> vector<2xi1>
      %373 = "arith.andi"(%372, %354) : (vector<2xi1>, vector<2xi1>) -> vector<2xi1>
      "vector.maskedstore"(%2, %370, %347, %373, %371) : (memref<?x?xbf16, strided<[?, 1]>>, index, index, vector<2xi1>, vector<2xbf16>) -> ()
      "scf.yield"() : () -> ()
    }) : (i1) -> ()
    "func.return"() : () -> ()
  }) {function_type = (memref<?x?xbf16, strided<[?, 1]>>, memref<?x?xbf16, strided<[?, 1]>>, memref<?x?xbf16, strided<[?, 1]>>) -> (), kdsl.explain = ["64 lanes: 2 subgroups of 32", "dot 32x32x16 (MxKxN) of bf16: mma.m16n8k16"], kdsl.kernel, kdsl.lanes = 64 : i64, kdsl.warps = 2 : i64, sym_name = "f"} : () -> ()
}) : () -> ()

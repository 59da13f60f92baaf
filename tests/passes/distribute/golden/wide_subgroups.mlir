"builtin.module"() ({
  "func.func"() ({
  ^bb0(%0: memref<?x?xbf16, strided<[?, 1]>>, %1: memref<?x?xbf16, strided<[?, 1]>>, %2: memref<?x?xbf16, strided<[?, 1]>>):
    %3 = "gpu.thread_id"() {dimension = #gpu<dim x>} : () -> index
    %4 = "arith.constant"() {value = dense<0.0> : vector<16xf32>} : () -> vector<16xf32>
    %5 = "kdsl.workgroup_alloc"() {align = 16 : i64} : () -> memref<1280xbf16, 3>
    %6 = "arith.constant"() {value = 0 : index} : () -> index
    %7 = "arith.constant"() {value = 1073741824 : index} : () -> index
    %8 = "arith.constant"() {value = -1073741824 : index} : () -> index
    %9 = "arith.constant"() {value = 1 : index} : () -> index
    %10 = "kdsl.address"(%0, %6, %6) : (memref<?x?xbf16, strided<[?, 1]>>, index, index) -> index
    %11 = "kdsl.address"(%0, %9, %6) : (memref<?x?xbf16, strided<[?, 1]>>, index, index) -> index
    %12 = "arith.ori"(%10, %11) : (index, index) -> index
    %13 = "arith.constant"() {value = 15 : index} : () -> index
    %14 = "arith.andi"(%12, %13) : (index, index) -> index
    %15 = "arith.cmpi"(%14, %6) {predicate = 0 : i64} : (index, index) -> i1
    %16 = "arith.constant"() {value = 7 : i32} : () -> i32
    %17 = "arith.constant"() {value = 0 : i32} : () -> i32
    %18 = "arith.index_cast"(%3) : (index) -> i32
    %19 = "arith.constant"() {value = 2 : i32} : () -> i32
    %20 = "arith.shrui"(%18, %19) : (i32, i32) -> i32
    %21 = "arith.constant"() {value = 15 : i32} : () -> i32
    %22 = "arith.andi"(%20, %21) : (i32, i32) -> i32
    %23 = "arith.index_cast"(%22) : (i32) -> index
    %24 = "arith.constant"() {value = 3 : i32} : () -> i32
    %25 = "arith.andi"(%18, %24) : (i32, i32) -> i32
    %26 = "arith.shli"(%25, %24) : (i32, i32) -> i32
    %27 = "arith.index_cast"(%26) : (i32) -> index
    %28 = "arith.constant"() {value = dense<0.0> : vector<8xbf16>} : () -> vector<8xbf16>
    %29 = "arith.constant"() {value = 16 : index} : () -> index
    %30 = "arith.constant"() {value = 16 : i32} : () -> i32
    %31 = "arith.constant"() {value = 40 : i32} : () -> i32
    %32 = "arith.muli"(%22, %31) : (i32, i32) -> i32
    %33 = "arith.addi"(%26, %32) : (i32, i32) -> i32
    %34 = "arith.index_cast"(%33) : (i32) -> index
    %35 = "arith.constant"() {value = 640 : index} : () -> index
    %36 = "kdsl.workgroup_alloc"() {align = 16 : i64} : () -> memref<1280xbf16, 3>
    %37 = "kdsl.address"(%1, %6, %6) : (memref<?x?xbf16, strided<[?, 1]>>, index, index) -> index
    %38 = "kdsl.address"(%1, %9, %6) : (memref<?x?xbf16, strided<[?, 1]>>, index, index) -> index
    %39 = "arith.ori"(%37, %38) : (index, index) -> index
    %40 = "arith.constant"() {value = 7 : index} : () -> index
    %41 = "arith.andi"(%39, %40) : (index, index) -> index
    %42 = "arith.cmpi"(%41, %6) {predicate = 0 : i64} : (index, index) -> i1
    %43 = "arith.shrui"(%18, %24) : (i32, i32) -> i32
    %44 = "arith.andi"(%43, %16) : (i32, i32) -> i32
    %45 = "arith.shli"(%44, %19) : (i32, i32) -> i32
    %46 = "arith.index_cast"(%45) : (i32) -> index
    %47 = "arith.andi"(%18, %16) : (i32, i32) -> i32
    %48 = "arith.shli"(%47, %19) : (i32, i32) -> i32
    %49 = "arith.index_cast"(%48) : (i32) -> index
    %50 = "arith.constant"() {value = dense<0.0> : vector<4xbf16>} : () -> vector<4xbf16>
    %51 = "arith.constant"() {value = 1 : i32} : () -> i32
    %52 = "arith.constant"() {value = 2 : index} : () -> index
    %53 = "arith.constant"() {value = 3 : index} : () -> index
    %54 = "arith.constant"() {value = 160 : i32} : () -> i32
    %55 = "arith.muli"(%47, %54) : (i32, i32) -> i32
    %56 = "arith.addi"(%55, %45) : (i32, i32) -> i32
    %57 = "arith.index_cast"(%56) : (i32) -> index
    %58 = "arith.constant"() {value = 40 : index} : () -> index
    %59 = "arith.constant"() {value = 80 : index} : () -> index
    %60 = "arith.constant"() {value = 120 : index} : () -> index
    %61 = "arith.andi"(%18, %21) : (i32, i32) -> i32
    %62 = "arith.constant"() {value = 4 : i32} : () -> i32
    %63 = "arith.shrui"(%18, %62) : (i32, i32) -> i32
    %64 = "arith.andi"(%63, %24) : (i32, i32) -> i32
    %65 = "arith.muli"(%61, %31) : (i32, i32) -> i32
    %66 = "arith.shli"(%64, %19) : (i32, i32) -> i32
    %67 = "arith.addi"(%65, %66) : (i32, i32) -> i32
    %68 = "arith.index_cast"(%67) : (i32) -> index
    %69 = "arith.constant"() {value = 656 : index} : () -> index
    %70 = "kdsl.workgroup_alloc"() {align = 16 : i64} : () -> memref<1272xbf16, 3>
    %71 = "arith.muli"(%64, %54) : (i32, i32) -> i32
    %72 = "arith.addi"(%61, %71) : (i32, i32) -> i32
    %73 = "arith.index_cast"(%72) : (i32) -> index
    %74 = "arith.constant"() {value = 56 : index} : () -> index
    %75 = "arith.constant"() {value = 96 : index} : () -> index
    %76 = "arith.constant"() {value = 136 : index} : () -> index
    %77 = "arith.constant"() {value = 680 : index} : () -> index
    %78 = "arith.constant"() {value = 720 : index} : () -> index
    %79 = "arith.constant"() {value = 760 : index} : () -> index
    %80 = "arith.constant"() {value = 696 : index} : () -> index
    %81 = "arith.constant"() {value = 736 : index} : () -> index
    %82 = "arith.constant"() {value = 776 : index} : () -> index
    %83 = "kdsl.address"(%2, %6, %6) : (memref<?x?xbf16, strided<[?, 1]>>, index, index) -> index
    %84 = "kdsl.address"(%2, %9, %6) : (memref<?x?xbf16, strided<[?, 1]>>, index, index) -> index
    %85 = "arith.ori"(%83, %84) : (index, index) -> index
    %86 = "arith.andi"(%85, %13) : (index, index) -> index
    %87 = "arith.cmpi"(%86, %6) {predicate = 0 : i64} : (index, index) -> i1
    %88 = "kdsl.program_id"() {axis = 0 : i64} : () -> index
    %89 = "arith.constant"() {value = 32 : index} : () -> index
    %90 = "arith.muli"(%88, %89) : (index, index) -> index
    %91 = "kdsl.program_id"() {axis = 1 : i64} : () -> index
    %92 = "arith.muli"(%91, %89) : (index, index) -> index
    %93 = "memref.dim"(%0, %9) : (memref<?x?xbf16, strided<[?, 1]>>, index) -> index
    %94 = "arith.ceildivsi"(%93, %89) : (index, index) -> index
    %95 = "memref.dim"(%0, %6) : (memref<?x?xbf16, strided<[?, 1]>>, index) -> index
    %96 = "arith.minsi"(%95, %95) : (index, index) -> index
    %97 = "arith.subi"(%96, %90) : (index, index) -> index
    %98 = "arith.minsi"(%97, %7) : (index, index) -> index
    %99 = "arith.maxsi"(%98, %8) : (index, index) -> index
    %100 = "arith.index_cast"(%99) : (index) -> i32
    %101 = "arith.minsi"(%93, %93) : (index, index) -> index
    %102 = "arith.addi"(%34, %35) : (index, index) -> index
    %103 = "memref.dim"(%1, %6) : (memref<?x?xbf16, strided<[?, 1]>>, index) -> index
    %104 = "memref.dim"(%1, %9) : (memref<?x?xbf16, strided<[?, 1]>>, index) -> index
    %105 = "arith.minsi"(%103, %103) : (index, index) -> index
    %106 = "arith.minsi"(%104, %104) : (index, index) -> index
    %107 = "arith.subi"(%106, %92) : (index, index) -> index
    %108 = "arith.minsi"(%107, %7) : (index, index) -> index
    %109 = "arith.maxsi"(%108, %8) : (index, index) -> index
    %110 = "arith.index_cast"(%109) : (index) -> i32
    %111 = "arith.andi"(%110, %24) : (i32, i32) -> i32
    %112 = "arith.cmpi"(%111, %17) {predicate = 0 : i64} : (i32, i32) -> i1
    %113 = "arith.andi"(%42, %112) : (i1, i1) -> i1
    %114 = "arith.addi"(%57, %58) : (index, index) -> index
    %115 = "arith.addi"(%57, %59) : (index, index) -> index
    %116 = "arith.addi"(%57, %60) : (index, index) -> index
    %117 = "arith.addi"(%68, %35) : (index, index) -> index
    %118 = "arith.addi"(%68, %29) : (index, index) -> index
    %119 = "arith.addi"(%68, %69) : (index, index) -> index
    %120 = "scf.for"(%6, %94, %9, %4) ({
    ^bb1(%121: index, %122: vector<16xf32>):
      %123 = "arith.muli"(%121, %89) : (index, index) -> index
      "gpu.barrier"() : () -> ()
      %124 = "arith.subi"(%101, %123) : (index, index) -> index
      %125 = "arith.minsi"(%124, %7) : (index, index) -> index
      %126 = "arith.maxsi"(%125, %8) : (index, index) -> index
      %127 = "arith.index_cast"(%126) : (index) -> i32
      %128 = "arith.andi"(%127, %16) : (i32, i32) -> i32
      %129 = "arith.cmpi"(%128, %17) {predicate = 0 : i64} : (i32, i32) -> i1
      %130 = "arith.andi"(%15, %129) : (i1, i1) -> i1
      %131 = "scf.if"(%130) ({
        %132 = "arith.addi"(%90, %23) : (index, index) -> index
        %133 = "arith.addi"(%123, %27) : (index, index) -> index
        %134 = "arith.cmpi"(%22, %100) {predicate = 2 : i64} : (i32, i32) -> i1
        %135 = "arith.cmpi"(%26, %127) {predicate = 2 : i64} : (i32, i32) -> i1
        %136 = "arith.andi"(%134, %135) : (i1, i1) -> i1
        %137 = "vector.broadcast"(%136) : (i1) -> vector<8xi1>
        %138 = "vector.maskedload"(%0, %132, %133, %137, %28) {alignment = 16 : i64} : (memref<?x?xbf16, strided<[?, 1]>>, index, index, vector<8xi1>, vector<8xbf16>) -> vector<8xbf16>
        %139 = "arith.addi"(%132, %29) : (index, index) -> index
        %140 = "arith.addi"(%22, %30) : (i32, i32) -> i32
        %141 = "arith.cmpi"(%140, %100) {predicate = 2 : i64} : (i32, i32) -> i1
        %142 = "arith.andi"(%141, %135) : (i1, i1) -> i1
        %143 = "vector.broadcast"(%142) : (i1) -> vector<8xi1>
        %144 = "vector.maskedload"(%0, %139, %133, %143, %28) {alignment = 16 : i64} : (memref<?x?xbf16, strided<[?, 1]>>, index, index, vector<8xi1>, vector<8xbf16>) -> vector<8xbf16>
        %145 = "vector.shuffle"(%138, %144) {mask = [0 : i64, 1 : i64, 2 : i64, 3 : i64, 4 : i64, 5 : i64, 6 : i64, 7 : i64, 8 : i64, 9 : i64, 10 : i64, 11 : i64, 12 : i64, 13 : i64, 14 : i64, 15 : i64]} : (vector<8xbf16>, vector<8xbf16>) -> vector<16xbf16>
        "scf.yield"(%145) : (vector<16xbf16>) -> ()
      }, {
        %146 = "arith.addi"(%90, %23) : (index, index) -> index
        %147 = "arith.addi"(%123, %27) : (index, index) -> index
        %148 = "arith.cmpi"(%22, %100) {predicate = 2 : i64} : (i32, i32) -> i1
        %149 = "vector.broadcast"(%148) : (i1) -> vector<8xi1>
        %150 = "arith.constant"() {value = dense<[0, 1, 2, 3, 4, 5, 6, 7]> : vector<8xi32>} : () -> vector<8xi32>
        %151 = "vector.broadcast"(%26) : (i32) -> vector<8xi32>
        %152 = "arith.addi"(%151, %150) : (vector<8xi32>, vector<8xi32>) -> vector<8xi32>
        %153 = "vector.broadcast"(%127) : (i32) -> vector<8xi32>
        %154 = "arith.cmpi"(%152, %153) {predicate = 2 : i64} : (vector<8xi32>, vector<8xi32>) -> vector<8xi1>
        %155 = "arith.andi"(%149, %154) : (vector<8xi1>, vector<8xi1>) -> vector<8xi1>
        %156 = "vector.maskedload"(%0, %146, %147, %155, %28) : (memref<?x?xbf16, strided<[?, 1]>>, index, index, vector<8xi1>, vector<8xbf16>) -> vector<8xbf16>
        %157 = "arith.addi"(%146, %29) : (index, index) -> index
        %158 = "arith.addi"(%22, %30) : (i32, i32) -> i32
        %159 = "arith.cmpi"(%158, %100) {predicate = 2 : i64} : (i32, i32) -> i1
        %160 = "vector.broadcast"(%159) : (i1) -> vector<8xi1>
        %161 = "arith.andi"(%160, %154) : (vector<8xi1>, vector<8xi1>) -> vector<8xi1>
        %162 = "vector.maskedload"(%0, %157, %147, %161, %28) : (memref<?x?xbf16, strided<[?, 1]>>, index, index, vector<8xi1>, vector<8xbf16>) -> vector<8xbf16>
        %163 = "vector.shuffle"(%156, %162) {mask = [0 : i64, 1 : i64, 2 : i64, 3 : i64, 4 : i64, 5 : i64, 6 : i64, 7 : i64, 8 : i64, 9 : i64, 10 : i64, 11 : i64, 12 : i64, 13 : i64, 14 : i64, 15 : i64]} : (vector<8xbf16>, vector<8xbf16>) -> vector<16xbf16>
        "scf.yield"(%163) : (vector<16xbf16>) -> ()
      }) : (i1) -> vector<16xbf16>
      %164 = "vector.shuffle"(%131, %131) {mask = [0 : i64, 1 : i64, 2 : i64, 3 : i64, 4 : i64, 5 : i64, 6 : i64, 7 : i64]} : (vector<16xbf16>, vector<16xbf16>) -> vector<8xbf16>
      "vector.store"(%164, %5, %34) {alignment = 16 : i64} : (vector<8xbf16>, memref<1280xbf16, 3>, index) -> ()
      %165 = "vector.shuffle"(%131, %131) {mask = [8 : i64, 9 : i64, 10 : i64, 11 : i64, 12 : i64, 13 : i64, 14 : i64, 15 : i64]} : (vector<16xbf16>, vector<16xbf16>) -> vector<8xbf16>
      "vector.store"(%165, %5, %102) {alignment = 16 : i64} : (vector<8xbf16>, memref<1280xbf16, 3>, index) -> ()
      "gpu.barrier"() : () -> ()
      %166 = "arith.subi"(%105, %123) : (index, index) -> index
      %167 = "arith.minsi"(%166, %7) : (index, index) -> index
      %168 = "arith.maxsi"(%167, %8) : (index, index) -> index
      %169 = "arith.index_cast"(%168) : (index) -> i32
      %170 = "scf.if"(%113) ({
        %171 = "arith.addi"(%123, %46) : (index, index) -> index
        %172 = "arith.addi"(%92, %49) : (index, index) -> index
        %173 = "arith.cmpi"(%45, %169) {predicate = 2 : i64} : (i32, i32) -> i1
        %174 = "arith.cmpi"(%48, %110) {predicate = 2 : i64} : (i32, i32) -> i1
        %175 = "arith.andi"(%173, %174) : (i1, i1) -> i1
        %176 = "vector.broadcast"(%175) : (i1) -> vector<4xi1>
        %177 = "vector.maskedload"(%1, %171, %172, %176, %50) {alignment = 8 : i64} : (memref<?x?xbf16, strided<[?, 1]>>, index, index, vector<4xi1>, vector<4xbf16>) -> vector<4xbf16>
        %178 = "arith.addi"(%171, %9) : (index, index) -> index
        %179 = "arith.addi"(%45, %51) : (i32, i32) -> i32
        %180 = "arith.cmpi"(%179, %169) {predicate = 2 : i64} : (i32, i32) -> i1
        %181 = "arith.andi"(%180, %174) : (i1, i1) -> i1
        %182 = "vector.broadcast"(%181) : (i1) -> vector<4xi1>
        %183 = "vector.maskedload"(%1, %178, %172, %182, %50) {alignment = 8 : i64} : (memref<?x?xbf16, strided<[?, 1]>>, index, index, vector<4xi1>, vector<4xbf16>) -> vector<4xbf16>
        %184 = "arith.addi"(%171, %52) : (index, index) -> index
        %185 = "arith.addi"(%45, %19) : (i32, i32) -> i32
        %186 = "arith.cmpi"(%185, %169) {predicate = 2 : i64} : (i32, i32) -> i1
        %187 = "arith.andi"(%186, %174) : (i1, i1) -> i1
        %188 = "vector.broadcast"(%187) : (i1) -> vector<4xi1>
        %189 = "vector.maskedload"(%1, %184, %172, %188, %50) {alignment = 8 : i64} : (memref<?x?xbf16, strided<[?, 1]>>, index, index, vector<4xi1>, vector<4xbf16>) -> vector<4xbf16>
        %190 = "arith.addi"(%171, %53) : (index, index) -> index
        %191 = "arith.addi"(%45, %24) : (i32, i32) -> i32
        %192 = "arith.cmpi"(%191, %169) {predicate = 2 : i64} : (i32, i32) -> i1
        %193 = "arith.andi"(%192, %174) : (i1, i1) -> i1
        %194 = "vector.broadcast"(%193) : (i1) -> vector<4xi1>
        %195 = "vector.maskedload"(%1, %190, %172, %194, %50) {alignment = 8 : i64} : (memref<?x?xbf16, strided<[?, 1]>>, index, index, vector<4xi1>, vector<4xbf16>) -> vector<4xbf16>
        %196 = "vector.shuffle"(%177, %183) {mask = [0 : i64, 1 : i64, 2 : i64, 3 : i64, 4 : i64, 5 : i64, 6 : i64, 7 : i64]} : (vector<4xbf16>, vector<4xbf16>) -> vector<8xbf16>
        %197 = "vector.shuffle"(%189, %195) {mask = [0 : i64, 1 : i64, 2 : i64, 3 : i64, 4 : i64, 5 : i64, 6 : i64, 7 : i64]} : (vector<4xbf16>, vector<4xbf16>) -> vector<8xbf16>
        %198 = "vector.shuffle"(%196, %197) {mask = [0 : i64, 1 : i64, 2 : i64, 3 : i64, 4 : i64, 5 : i64, 6 : i64, 7 : i64, 8 : i64, 9 : i64, 10 : i64, 11 : i64, 12 : i64, 13 : i64, 14 : i64, 15 : i64]} : (vector<8xbf16>, vector<8xbf16>) -> vector<16xbf16>
        "scf.yield"(%198) : (vector<16xbf16>) -> ()
      }, {
        %199 = "arith.addi"(%123, %46) : (index, index) -> index
        %200 = "arith.addi"(%92, %49) : (index, index) -> index
        %201 = "arith.cmpi"(%45, %169) {predicate = 2 : i64} : (i32, i32) -> i1
        %202 = "vector.broadcast"(%201) : (i1) -> vector<4xi1>
        %203 = "arith.constant"() {value = dense<[0, 1, 2, 3]> : vector<4xi32>} : () -> vector<4xi32>
        %204 = "vector.broadcast"(%48) : (i32) -> vector<4xi32>
        %205 = "arith.addi"(%204, %203) : (vector<4xi32>, vector<4xi32>) -> vector<4xi32>
        %206 = "vector.broadcast"(%110) : (i32) -> vector<4xi32>
        %207 = "arith.cmpi"(%205, %206) {predicate = 2 : i64} : (vector<4xi32>, vector<4xi32>) -> vector<4xi1>
        %208 = "arith.andi"(%202, %207) : (vector<4xi1>, vector<4xi1>) -> vector<4xi1>
        %209 = "vector.maskedload"(%1, %199, %200, %208, %50) : (memref<?x?xbf16, strided<[?, 1]>>, index, index, vector<4xi1>, vector<4xbf16>) -> vector<4xbf16>
        %210 = "arith.addi"(%199, %9) : (index, index) -> index
        %211 = "arith.addi"(%45, %51) : (i32, i32) -> i32
        %212 = "arith.cmpi"(%211, %169) {predicate = 2 : i64} : (i32, i32) -> i1
        %213 = "vector.broadcast"(%212) : (i1) -> vector<4xi1>
        %214 = "arith.andi"(%213, %207) : (vector<4xi1>, vector<4xi1>) -> vector<4xi1>
        %215 = "vector.maskedload"(%1, %210, %200, %214, %50) : (memref<?x?xbf16, strided<[?, 1]>>, index, index, vector<4xi1>, vector<4xbf16>) -> vector<4xbf16>
        %216 = "arith.addi"(%199, %52) : (index, index) -> index
        %217 = "arith.addi"(%45, %19) : (i32, i32) -> i32
        %218 = "arith.cmpi"(%217, %169) {predicate = 2 : i64} : (i32, i32) -> i1
        %219 = "vector.broadcast"(%218) : (i1) -> vector<4xi1>
        %220 = "arith.andi"(%219, %207) : (vector<4xi1>, vector<4xi1>) -> vector<4xi1>
        %221 = "vector.maskedload"(%1, %216, %200, %220, %50) : (memref<?x?xbf16, strided<[?, 1]>>, index, index, vector<4xi1>, vector<4xbf16>) -> vector<4xbf16>
        %222 = "arith.addi"(%199, %53) : (index, index) -> index
        %223 = "arith.addi"(%45, %24) : (i32, i32) -> i32
        %224 = "arith.cmpi"(%223, %169) {predicate = 2 : i64} : (i32, i32) -> i1
        %225 = "vector.broadcast"(%224) : (i1) -> vector<4xi1>
        %226 = "arith.andi"(%225, %207) : (vector<4xi1>, vector<4xi1>) -> vector<4xi1>
        %227 = "vector.maskedload"(%1, %222, %200, %226, %50) : (memref<?x?xbf16, strided<[?, 1]>>, index, index, vector<4xi1>, vector<4xbf16>) -> vector<4xbf16>
        %228 = "vector.shuffle"(%209, %215) {mask = [0 : i64, 1 : i64, 2 : i64, 3 : i64, 4 : i64, 5 : i64, 6 : i64, 7 : i64]} : (vector<4xbf16>, vector<4xbf16>) -> vector<8xbf16>
        %229 = "vector.shuffle"(%221, %227) {mask = [0 : i64, 1 : i64, 2 : i64, 3 : i64, 4 : i64, 5 : i64, 6 : i64, 7 : i64]} : (vector<4xbf16>, vector<4xbf16>) -> vector<8xbf16>
        %230 = "vector.shuffle"(%228, %229) {mask = [0 : i64, 1 : i64, 2 : i64, 3 : i64, 4 : i64, 5 : i64, 6 : i64, 7 : i64, 8 : i64, 9 : i64, 10 : i64, 11 : i64, 12 : i64, 13 : i64, 14 : i64, 15 : i64]} : (vector<8xbf16>, vector<8xbf16>) -> vector<16xbf16>
        "scf.yield"(%230) : (vector<16xbf16>) -> ()
      }) : (i1) -> vector<16xbf16>
      %231 = "vector.shuffle"(%170, %170) {mask = [0 : i64, 4 : i64, 8 : i64, 12 : i64]} : (vector<16xbf16>, vector<16xbf16>) -> vector<4xbf16>
      "vector.store"(%231, %36, %57) {alignment = 8 : i64} : (vector<4xbf16>, memref<1280xbf16, 3>, index) -> ()
      %232 = "vector.shuffle"(%170, %170) {mask = [1 : i64, 5 : i64, 9 : i64, 13 : i64]} : (vector<16xbf16>, vector<16xbf16>) -> vector<4xbf16>
      "vector.store"(%232, %36, %114) {alignment = 8 : i64} : (vector<4xbf16>, memref<1280xbf16, 3>, index) -> ()
      %233 = "vector.shuffle"(%170, %170) {mask = [2 : i64, 6 : i64, 10 : i64, 14 : i64]} : (vector<16xbf16>, vector<16xbf16>) -> vector<4xbf16>
      "vector.store"(%233, %36, %115) {alignment = 8 : i64} : (vector<4xbf16>, memref<1280xbf16, 3>, index) -> ()
      %234 = "vector.shuffle"(%170, %170) {mask = [3 : i64, 7 : i64, 11 : i64, 15 : i64]} : (vector<16xbf16>, vector<16xbf16>) -> vector<4xbf16>
      "vector.store"(%234, %36, %116) {alignment = 8 : i64} : (vector<4xbf16>, memref<1280xbf16, 3>, index) -> ()
      "gpu.barrier"() : () -> ()
      %235 = "vector.shuffle"(%122, %122) {mask = [0 : i64, 1 : i64, 2 : i64, 3 : i64]} : (vector<16xf32>, vector<16xf32>) -> vector<4xf32>
      %236 = "vector.shuffle"(%122, %122) {mask = [4 : i64, 5 : i64, 6 : i64, 7 : i64]} : (vector<16xf32>, vector<16xf32>) -> vector<4xf32>
      %237 = "vector.shuffle"(%122, %122) {mask = [8 : i64, 9 : i64, 10 : i64, 11 : i64]} : (vector<16xf32>, vector<16xf32>) -> vector<4xf32>
      %238 = "vector.shuffle"(%122, %122) {mask = [12 : i64, 13 : i64, 14 : i64, 15 : i64]} : (vector<16xf32>, vector<16xf32>) -> vector<4xf32>
      %239 = "vector.load"(%5, %68) {alignment = 8 : i64} : (memref<1280xbf16, 3>, index) -> vector<4xbf16>
      %240 = "vector.load"(%5, %117) {alignment = 8 : i64} : (memref<1280xbf16, 3>, index) -> vector<4xbf16>
      %241 = "vector.shuffle"(%239, %240) {mask = [0 : i64, 1 : i64, 2 : i64, 3 : i64, 4 : i64, 5 : i64, 6 : i64, 7 : i64]} : (vector<4xbf16>, vector<4xbf16>) -> vector<8xbf16>
      %242 = "vector.shuffle"(%241, %241) {mask = [0 : i64, 1 : i64, 2 : i64, 3 : i64]} : (vector<8xbf16>, vector<8xbf16>) -> vector<4xbf16>
      %243 = "vector.shuffle"(%241, %241) {mask = [4 : i64, 5 : i64, 6 : i64, 7 : i64]} : (vector<8xbf16>, vector<8xbf16>) -> vector<4xbf16>
      %244 = "vector.load"(%36, %68) {alignment = 8 : i64} : (memref<1280xbf16, 3>, index) -> vector<4xbf16>
      %245 = "vector.load"(%36, %117) {alignment = 8 : i64} : (memref<1280xbf16, 3>, index) -> vector<4xbf16>
      %246 = "vector.shuffle"(%244, %245) {mask = [0 : i64, 1 : i64, 2 : i64, 3 : i64, 4 : i64, 5 : i64, 6 : i64, 7 : i64]} : (vector<4xbf16>, vector<4xbf16>) -> vector<8xbf16>
      %247 = "vector.shuffle"(%246, %246) {mask = [0 : i64, 1 : i64, 2 : i64, 3 : i64]} : (vector<8xbf16>, vector<8xbf16>) -> vector<4xbf16>
      %248 = "vector.shuffle"(%246, %246) {mask = [4 : i64, 5 : i64, 6 : i64, 7 : i64]} : (vector<8xbf16>, vector<8xbf16>) -> vector<4xbf16>
      %249 = "kdsl.matrix_multiply"(%242, %247, %235) {atom = "mfma.16x16x16"} : (vector<4xbf16>, vector<4xbf16>, vector<4xf32>) -> vector<4xf32>
      %250 = "kdsl.matrix_multiply"(%242, %248, %236) {atom = "mfma.16x16x16"} : (vector<4xbf16>, vector<4xbf16>, vector<4xf32>) -> vector<4xf32>
      %251 = "kdsl.matrix_multiply"(%243, %247, %237) {atom = "mfma.16x16x16"} : (vector<4xbf16>, vector<4xbf16>, vector<4xf32>) -> vector<4xf32>
      %252 = "kdsl.matrix_multiply"(%243, %248, %238) {atom = "mfma.16x16x16"} : (vector<4xbf16>, vector<4xbf16>, vector<4xf32>) -> vector<4xf32>
      %253 = "vector.load"(%5, %118) {alignment = 8 : i64} : (memref<1280xbf16, 3>, index) -> vector<4xbf16>
      %254 = "vector.load"(%5, %119) {alignment = 8 : i64} : (memref<1280xbf16, 3>, index) -> vector<4xbf16>
      %255 = "vector.shuffle"(%253, %254) {mask = [0 : i64, 1 : i64, 2 : i64, 3 : i64, 4 : i64, 5 : i64, 6 : i64, 7 : i64]} : (vector<4xbf16>, vector<4xbf16>) -> vector<8xbf16>
      %256 = "vector.shuffle"(%255, %255) {mask = [0 : i64, 1 : i64, 2 : i64, 3 : i64]} : (vector<8xbf16>, vector<8xbf16>) -> vector<4xbf16>
      %257 = "vector.shuffle"(%255, %255) {mask = [4 : i64, 5 : i64, 6 : i64, 7 : i64]} : (vector<8xbf16>, vector<8xbf16>) -> vector<4xbf16>
      %258 = "vector.load"(%36, %118) {alignment = 8 : i64} : (memref<1280xbf16, 3>, index) -> vector<4xbf16>
      %259 = "vector.load"(%36, %119) {alignment = 8 : i64} : (memref<1280xbf16, 3>, index) -> vector<4xbf16>
      %260 = "vector.shuffle"(%258, %259) {mask = [0 : i64, 1 : i64, 2 : i64, 3 : i64, 4 : i64, 5 : i64, 6 : i64, 7 : i64]} : (vector<4xbf16>, vector<4xbf16>) -> vector<8xbf16>
      %261 = "vector.shuffle"(%260, %260) {mask = [0 : i64, 1 : i64, 2 : i64, 3 : i64]} : (vector<8xbf16>, vector<8xbf16>) -> vector<4xbf16>
      %262 = "vector.shuffle"(%260, %260) {mask = [4 : i64, 5 : i64, 6 : i64, 7 : i64]} : (vector<8xbf16>, vector<8xbf16>) -> vector<4xbf16>
      %263 = "kdsl.matrix_multiply"(%256, %261, %249) {atom = "mfma.16x16x16"} : (vector<4xbf16>, vector<4xbf16>, vector<4xf32>) -> vector<4xf32>
      %264 = "kdsl.matrix_multiply"(%256, %262, %250) {atom = "mfma.16x16x16"} : (vector<4xbf16>, vector<4xbf16>, vector<4xf32>) -> vector<4xf32>
      %265 = "kdsl.matrix_multiply"(%257, %261, %251) {atom = "mfma.16x16x16"} : (vector<4xbf16>, vector<4xbf16>, vector<4xf32>) -> vector<4xf32>
      %266 = "kdsl.matrix_multiply"(%257, %262, %252) {atom = "mfma.16x16x16"} : (vector<4xbf16>, vector<4xbf16>, vector<4xf32>) -> vector<4xf32>
      %267 = "vector.shuffle"(%263, %264) {mask = [0 : i64, 1 : i64, 2 : i64, 3 : i64, 4 : i64, 5 : i64, 6 : i64, 7 : i64]} : (vector<4xf32>, vector<4xf32>) -> vector<8xf32>
      %268 = "vector.shuffle"(%265, %266) {mask = [0 : i64, 1 : i64, 2 : i64, 3 : i64, 4 : i64, 5 : i64, 6 : i64, 7 : i64]} : (vector<4xf32>, vector<4xf32>) -> vector<8xf32>
      %269 = "vector.shuffle"(%267, %268) {mask = [0 : i64, 1 : i64, 2 : i64, 3 : i64, 4 : i64, 5 : i64, 6 : i64, 7 : i64, 8 : i64, 9 : i64, 10 : i64, 11 : i64, 12 : i64, 13 : i64, 14 : i64, 15 : i64]} : (vector<8xf32>, vector<8xf32>) -> vector<16xf32>
      "scf.yield"(%269) : (vector<16xf32>) -> ()
    }) : (index, index, index, vector<16xf32>) -> vector<16xf32>
    %270 = "arith.truncf"(%120) : (vector<16xf32>) -> vector<16xbf16>
    %271 = "memref.dim"(%2, %6) : (memref<?x?xbf16, strided<[?, 1]>>, index) -> index
    %272 = "memref.dim"(%2, %9) : (memref<?x?xbf16, strided<[?, 1]>>, index) -> index
    %273 = "vector.shuffle"(%270, %270) {mask = [0 : i64]} : (vector<16xbf16>, vector<16xbf16>) -> vector<1xbf16>
    "vector.store"(%273, %70, %73) {alignment = 2 : i64} : (vector<1xbf16>, memref<1272xbf16, 3>, index) -> ()
    %274 = "vector.shuffle"(%270, %270) {mask = [1 : i64]} : (vector<16xbf16>, vector<16xbf16>) -> vector<1xbf16>
    %275 = "arith.addi"(%73, %58) : (index, index) -> index
    "vector.store"(%274, %70, %275) {alignment = 2 : i64} : (vector<1xbf16>, memref<1272xbf16, 3>, index) -> ()
    %276 = "vector.shuffle"(%270, %270) {mask = [2 : i64]} : (vector<16xbf16>, vector<16xbf16>) -> vector<1xbf16>
    %277 = "arith.addi"(%73, %59) : (index, index) -> index
    "vector.store"(%276, %70, %277) {alignment = 2 : i64} : (vector<1xbf16>, memref<1272xbf16, 3>, index) -> ()
    %278 = "vector.shuffle"(%270, %270) {mask = [3 : i64]} : (vector<16xbf16>, vector<16xbf16>) -> vector<1xbf16>
    %279 = "arith.addi"(%73, %60) : (index, index) -> index
    "vector.store"(%278, %70, %279) {alignment = 2 : i64} : (vector<1xbf16>, memref<1272xbf16, 3>, index) -> ()
    %280 = "vector.shuffle"(%270, %270) {mask = [4 : i64]} : (vector<16xbf16>, vector<16xbf16>) -> vector<1xbf16>
    %281 = "arith.addi"(%73, %29) : (index, index) -> index
    "vector.store"(%280, %70, %281) {alignment = 2 : i64} : (vector<1xbf16>, memref<1272xbf16, 3>, index) -> ()
    %282 = "vector.shuffle"(%270, %270) {mask = [5 : i64]} : (vector<16xbf16>, vector<16xbf16>) -> vector<1xbf16>
    %283 = "arith.addi"(%73, %74) : (index, index) -> index
    "vector.store"(%282, %70, %283) {alignment = 2 : i64} : (vector<1xbf16>, memref<1272xbf16, 3>, index) -> ()
    %284 = "vector.shuffle"(%270, %270) {mask = [6 : i64]} : (vector<16xbf16>, vector<16xbf16>) -> vector<1xbf16>
    %285 = "arith.addi"(%73, %75) : (index, index) -> index
    "vector.store"(%284, %70, %285) {alignment = 2 : i64} : (vector<1xbf16>, memref<1272xbf16, 3>, index) -> ()
    %286 = "vector.shuffle"(%270, %270) {mask = [7 : i64]} : (vector<16xbf16>, vector<16xbf16>) -> vector<1xbf16>
    %287 = "arith.addi"(%73, %76) : (index, index) -> index
    "vector.store"(%286, %70, %287) {alignment = 2 : i64} : (vector<1xbf16>, memref<1272xbf16, 3>, index) -> ()
    %288 = "vector.shuffle"(%270, %270) {mask = [8 : i64]} : (vector<16xbf16>, vector<16xbf16>) -> vector<1xbf16>
    %289 = "arith.addi"(%73, %35) : (index, index) -> index
    "vector.store"(%288, %70, %289) {alignment = 2 : i64} : (vector<1xbf16>, memref<1272xbf16, 3>, index) -> ()
    %290 = "vector.shuffle"(%270, %270) {mask = [9 : i64]} : (vector<16xbf16>, vector<16xbf16>) -> vector<1xbf16>
    %291 = "arith.addi"(%73, %77) : (index, index) -> index
    "vector.store"(%290, %70, %291) {alignment = 2 : i64} : (vector<1xbf16>, memref<1272xbf16, 3>, index) -> ()
    %292 = "vector.shuffle"(%270, %270) {mask = [10 : i64]} : (vector<16xbf16>, vector<16xbf16>) -> vector<1xbf16>
    %293 = "arith.addi"(%73, %78) : (index, index) -> index
    "vector.store"(%292, %70, %293) {alignment = 2 : i64} : (vector<1xbf16>, memref<1272xbf16, 3>, index) -> ()
    %294 = "vector.shuffle"(%270, %270) {mask = [11 : i64]} : (vector<16xbf16>, vector<16xbf16>) -> vector<1xbf16>
    %295 = "arith.addi"(%73, %79) : (index, index) -> index
    "vector.store"(%294, %70, %295) {alignment = 2 : i64} : (vector<1xbf16>, memref<1272xbf16, 3>, index) -> ()
    %296 = "vector.shuffle"(%270, %270) {mask = [12 : i64]} : (vector<16xbf16>, vector<16xbf16>) -> vector<1xbf16>
    %297 = "arith.addi"(%73, %69) : (index, index) -> index
    "vector.store"(%296, %70, %297) {alignment = 2 : i64} : (vector<1xbf16>, memref<1272xbf16, 3>, index) -> ()
    %298 = "vector.shuffle"(%270, %270) {mask = [13 : i64]} : (vector<16xbf16>, vector<16xbf16>) -> vector<1xbf16>
    %299 = "arith.addi"(%73, %80) : (index, index) -> index
    "vector.store"(%298, %70, %299) {alignment = 2 : i64} : (vector<1xbf16>, memref<1272xbf16, 3>, index) -> ()
    %300 = "vector.shuffle"(%270, %270) {mask = [14 : i64]} : (vector<16xbf16>, vector<16xbf16>) -> vector<1xbf16>
    %301 = "arith.addi"(%73, %81) : (index, index) -> index
    "vector.store"(%300, %70, %301) {alignment = 2 : i64} : (vector<1xbf16>, memref<1272xbf16, 3>, index) -> ()
    %302 = "vector.shuffle"(%270, %270) {mask = [15 : i64]} : (vector<16xbf16>, vector<16xbf16>) -> vector<1xbf16>
    %303 = "arith.addi"(%73, %82) : (index, index) -> index
    "vector.store"(%302, %70, %303) {alignment = 2 : i64} : (vector<1xbf16>, memref<1272xbf16, 3>, index) -> ()
    "gpu.barrier"() : () -> ()
    %304 = "vector.load"(%70, %34) {alignment = 16 : i64} : (memref<1272xbf16, 3>, index) -> vector<8xbf16>
    %305 = "arith.addi"(%34, %35) : (index, index) -> index
    %306 = "vector.load"(%70, %305) {alignment = 16 : i64} : (memref<1272xbf16, 3>, index) -> vector<8xbf16>
    %307 = "vector.shuffle"(%304, %306) {mask = [0 : i64, 1 : i64, 2 : i64, 3 : i64, 4 : i64, 5 : i64, 6 : i64, 7 : i64, 8 : i64, 9 : i64, 10 : i64, 11 : i64, 12 : i64, 13 : i64, 14 : i64, 15 : i64]} : (vector<8xbf16>, vector<8xbf16>) -> vector<16xbf16>
    "gpu.barrier"() : () -> ()
    %308 = "arith.minsi"(%271, %271) : (index, index) -> index
    %309 = "arith.subi"(%308, %90) : (index, index) -> index
    %310 = "arith.minsi"(%309, %7) : (index, index) -> index
    %311 = "arith.maxsi"(%310, %8) : (index, index) -> index
    %312 = "arith.index_cast"(%311) : (index) -> i32
    %313 = "arith.minsi"(%272, %272) : (index, index) -> index
    %314 = "arith.subi"(%313, %92) : (index, index) -> index
    %315 = "arith.minsi"(%314, %7) : (index, index) -> index
    %316 = "arith.maxsi"(%315, %8) : (index, index) -> index
    %317 = "arith.index_cast"(%316) : (index) -> i32
    %318 = "arith.andi"(%317, %16) : (i32, i32) -> i32
    %319 = "arith.cmpi"(%318, %17) {predicate = 0 : i64} : (i32, i32) -> i1
    %320 = "arith.andi"(%87, %319) : (i1, i1) -> i1
    "scf.if"(%320) ({
      %321 = "arith.cmpi"(%22, %312) {predicate = 2 : i64} : (i32, i32) -> i1
      %322 = "arith.cmpi"(%26, %317) {predicate = 2 : i64} : (i32, i32) -> i1
      %323 = "arith.andi"(%321, %322) : (i1, i1) -> i1
      %324 = "arith.addi"(%90, %23) : (index, index) -> index
      %325 = "arith.addi"(%92, %27) : (index, index) -> index
      %326 = "vector.shuffle"(%307, %307) {mask = [0 : i64, 1 : i64, 2 : i64, 3 : i64, 4 : i64, 5 : i64, 6 : i64, 7 : i64]} : (vector<16xbf16>, vector<16xbf16>) -> vector<8xbf16>
      %327 = "vector.broadcast"(%323) : (i1) -> vector<8xi1>
      "vector.maskedstore"(%2, %324, %325, %327, %326) {alignment = 16 : i64} : (memref<?x?xbf16, strided<[?, 1]>>, index, index, vector<8xi1>, vector<8xbf16>) -> ()
      %328 = "arith.addi"(%22, %30) : (i32, i32) -> i32
      %329 = "arith.cmpi"(%328, %312) {predicate = 2 : i64} : (i32, i32) -> i1
      %330 = "arith.andi"(%329, %322) : (i1, i1) -> i1
      %331 = "arith.addi"(%324, %29) : (index, index) -> index
      %332 = "vector.shuffle"(%307, %307) {mask = [8 : i64, 9 : i64, 10 : i64, 11 : i64, 12 : i64, 13 : i64, 14 : i64, 15 : i64]} : (vector<16xbf16>, vector<16xbf16>) -> vector<8xbf16>
      %333 = "vector.broadcast"(%330) : (i1) -> vector<8xi1>
      "vector.maskedstore"(%2, %331, %325, %333, %332) {alignment = 16 : i64} : (memref<?x?xbf16, strided<[?, 1]>>, index, index, vector<8xi1>, vector<8xbf16>) -> ()
      "scf.yield"() : () -> ()
    }, {
      %334 = "arith.cmpi"(%22, %312) {predicate = 2 : i64} : (i32, i32) -> i1
      %335 = "arith.addi"(%90, %23) : (index, index) -> index
      %336 = "arith.addi"(%92, %27) : (index, index) -> index
      %337 = "vector.shuffle"(%307, %307) {mask = [0 : i64, 1 : i64, 2 : i64, 3 : i64, 4 : i64, 5 : i64, 6 : i64, 7 : i64]} : (vector<16xbf16>, vector<16xbf16>) -> vector<8xbf16>
      %338 = "vector.broadcast"(%334) : (i1) -> vector<8xi1>
      %339 = "arith.constant"() {value = dense<[0, 1, 2, 3, 4, 5, 6, 7]> : vector<8xi32>} : () -> vector<8xi32>
      %340 = "vector.broadcast"(%26) : (i32) -> vector<8xi32>
      %341 = "arith.addi"(%340, %339) : (vector<8xi32>, vector<8xi32>) -> vector<8xi32>
      %342 = "vector.broadcast"(%317) : (i32) -> vector<8xi32>
      %343 = "arith.cmpi"(%341, %342) {predicate = 2 : i64} : (vector<8xi32>, vector<8xi32>) -> vector<8xi1>
      %344 = "arith.andi"(%338, %343) : (vector<8xi1>, vector<8xi1>) -> vector<8xi1>
      "vector.maskedstore"(%2, %335, %336, %344, %337) : (memref<?x?xbf16, strided<[?, 1]>>, index, index, vector<8xi1>, vector<8xbf16>) -> ()
      %345 = "arith.addi"(%22, %30) : (i32, i32) -> i32
      %346 = "arith.cmpi"(%345, %312) {predicate = 2 : i64} : (i32, i32) -> i1
      %347 = "arith.addi"(%335, %29) : (index, index) -> index
      %348 = "vector.shuffle"(%307, %307) {mask = [8 : i64, 9 : i64, 10 : i64, 11 : i64, 12 : i64, 13 : i64, 14 : i64, 15 : i64]} : (vector<16xbf16>, vector<16xbf16>) -> vector<8xbf16>
      %349 = "vector.broadcast"(%346) : (i1) -> vector<8xi1>
      %350 = "arith.andi"(%349, %343) : (vector<8xi1>, vector<8xi1>) -> vector<8xi1>
      "vector.maskedstore"(%2, %347, %336, %350, %348) : (memref<?x?xbf16, strided<[?, 1]>>, index, index, vector<8xi1>, vector<8xbf16>) -> ()
      "scf.yield"() : () -> ()
    }) : (i1) -> ()
    "func.return"() : () -> ()
  }) {function_type = (memref<?x?xbf16, strided<[?, 1]>>, memref<?x?xbf16, strided<[?, 1]>>, memref<?x?xbf16, strided<[?, 1]>>) -> (), kdsl.explain = ["64 lanes: 1 subgroups of 64", "dot 32x32x32 (MxKxN) of bf16: mfma.16x16x16"], kdsl.kernel, kdsl.lanes = 64 : i64, kdsl.warps = 1 : i64, sym_name = "f"} : () -> ()
}) : () -> ()

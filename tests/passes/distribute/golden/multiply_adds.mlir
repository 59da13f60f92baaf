"builtin.module"() ({
  "func.func"() ({
  ^bb0(%0: memref<?x?xf32, strided<[?, 1]>>, %1: memref<?x?xf32, strided<[?, 1]>>, %2: memref<?x?xf32, strided<[?, 1]>>):
    %3 = "gpu.thread_id"() {dimension = #gpu<dim x>} : () -> index
    %4 = "arith.constant"() {value = dense<0.0> : vector<8xf32>} : () -> vector<8xf32>
    %5 = "arith.constant"() {value = 0 : index} : () -> index
    %6 = "arith.constant"() {value = 1073741824 : index} : () -> index
    %7 = "arith.constant"() {value = -1073741824 : index} : () -> index
    %8 = "arith.constant"() {value = 1 : index} : () -> index
    %9 = "kdsl.address"(%0, %5, %5) : (memref<?x?xf32, strided<[?, 1]>>, index, index) -> index
    %10 = "kdsl.address"(%0, %8, %5) : (memref<?x?xf32, strided<[?, 1]>>, index, index) -> index
    %11 = "arith.ori"(%9, %10) : (index, index) -> index
    %12 = "arith.constant"() {value = 15 : index} : () -> index
    %13 = "arith.andi"(%11, %12) : (index, index) -> index
    %14 = "arith.cmpi"(%13, %5) {predicate = 0 : i64} : (index, index) -> i1
    %15 = "arith.constant"() {value = 3 : i32} : () -> i32
    %16 = "arith.constant"() {value = 0 : i32} : () -> i32
    %17 = "arith.index_cast"(%3) : (index) -> i32
    %18 = "arith.constant"() {value = 2 : i32} : () -> i32
    %19 = "arith.shrui"(%17, %18) : (i32, i32) -> i32
    %20 = "arith.constant"() {value = 7 : i32} : () -> i32
    %21 = "arith.andi"(%19, %20) : (i32, i32) -> i32
    %22 = "arith.index_cast"(%21) : (i32) -> index
    %23 = "arith.andi"(%17, %15) : (i32, i32) -> i32
    %24 = "arith.shli"(%23, %18) : (i32, i32) -> i32
    %25 = "arith.index_cast"(%24) : (i32) -> index
    %26 = "arith.constant"() {value = dense<0.0> : vector<4xf32>} : () -> vector<4xf32>
    %27 = "arith.constant"() {value = 8 : index} : () -> index
    %28 = "arith.constant"() {value = 8 : i32} : () -> i32
    %29 = "kdsl.address"(%1, %5, %5) : (memref<?x?xf32, strided<[?, 1]>>, index, index) -> index
    %30 = "kdsl.address"(%1, %8, %5) : (memref<?x?xf32, strided<[?, 1]>>, index, index) -> index
    %31 = "arith.ori"(%29, %30) : (index, index) -> index
    %32 = "arith.andi"(%31, %12) : (index, index) -> index
    %33 = "arith.cmpi"(%32, %5) {predicate = 0 : i64} : (index, index) -> i1
    %34 = "arith.constant"() {value = 20 : i32} : () -> i32
    %35 = "arith.muli"(%21, %34) : (i32, i32) -> i32
    %36 = "arith.index_cast"(%35) : (i32) -> index
    %37 = "kdsl.workgroup_alloc"() {align = 16 : i64} : () -> memref<640xf32, 3>
    %38 = "arith.addi"(%24, %35) : (i32, i32) -> i32
    %39 = "arith.index_cast"(%38) : (i32) -> index
    %40 = "arith.constant"() {value = 160 : index} : () -> index
    %41 = "arith.constant"() {value = 320 : index} : () -> index
    %42 = "arith.constant"() {value = 480 : index} : () -> index
    %43 = "arith.constant"() {value = 16 : index} : () -> index
    %44 = "arith.constant"() {value = 4 : index} : () -> index
    %45 = "arith.constant"() {value = 20 : index} : () -> index
    %46 = "arith.constant"() {value = 340 : index} : () -> index
    %47 = "arith.constant"() {value = 360 : index} : () -> index
    %48 = "arith.constant"() {value = 380 : index} : () -> index
    %49 = "kdsl.address"(%2, %5, %5) : (memref<?x?xf32, strided<[?, 1]>>, index, index) -> index
    %50 = "kdsl.address"(%2, %8, %5) : (memref<?x?xf32, strided<[?, 1]>>, index, index) -> index
    %51 = "arith.ori"(%49, %50) : (index, index) -> index
    %52 = "arith.andi"(%51, %12) : (index, index) -> index
    %53 = "arith.cmpi"(%52, %5) {predicate = 0 : i64} : (index, index) -> i1
    %54 = "kdsl.program_id"() {axis = 0 : i64} : () -> index
    %55 = "arith.muli"(%54, %43) : (index, index) -> index
    %56 = "kdsl.program_id"() {axis = 1 : i64} : () -> index
    %57 = "arith.muli"(%56, %43) : (index, index) -> index
    %58 = "memref.dim"(%0, %8) : (memref<?x?xf32, strided<[?, 1]>>, index) -> index
    %59 = "arith.ceildivsi"(%58, %43) : (index, index) -> index
    %60 = "memref.dim"(%0, %5) : (memref<?x?xf32, strided<[?, 1]>>, index) -> index
    %61 = "arith.minsi"(%60, %60) : (index, index) -> index
    %62 = "arith.subi"(%61, %55) : (index, index) -> index
    %63 = "arith.minsi"(%62, %6) : (index, index) -> index
    %64 = "arith.maxsi"(%63, %7) : (index, index) -> index
    %65 = "arith.index_cast"(%64) : (index) -> i32
    %66 = "arith.minsi"(%58, %58) : (index, index) -> index
    %67 = "memref.dim"(%1, %5) : (memref<?x?xf32, strided<[?, 1]>>, index) -> index
    %68 = "memref.dim"(%1, %8) : (memref<?x?xf32, strided<[?, 1]>>, index) -> index
    %69 = "arith.minsi"(%67, %67) : (index, index) -> index
    %70 = "arith.minsi"(%68, %68) : (index, index) -> index
    %71 = "arith.subi"(%70, %57) : (index, index) -> index
    %72 = "arith.minsi"(%71, %6) : (index, index) -> index
    %73 = "arith.maxsi"(%72, %7) : (index, index) -> index
    %74 = "arith.index_cast"(%73) : (index) -> i32
    %75 = "arith.andi"(%74, %15) : (i32, i32) -> i32
    %76 = "arith.cmpi"(%75, %16) {predicate = 0 : i64} : (i32, i32) -> i1
    %77 = "arith.andi"(%33, %76) : (i1, i1) -> i1
    %78 = "arith.addi"(%39, %40) : (index, index) -> index
    %79 = "arith.addi"(%39, %41) : (index, index) -> index
    %80 = "arith.addi"(%39, %42) : (index, index) -> index
    %81 = "arith.addi"(%36, %40) : (index, index) -> index
    %82 = "arith.addi"(%25, %41) : (index, index) -> index
    %83 = "arith.addi"(%25, %46) : (index, index) -> index
    %84 = "arith.addi"(%25, %47) : (index, index) -> index
    %85 = "arith.addi"(%25, %48) : (index, index) -> index
    %86 = "scf.for"(%5, %59, %8, %4) ({
    ^bb1(%87: index, %88: vector<8xf32>):
      %89 = "arith.muli"(%87, %43) : (index, index) -> index
      %90 = "arith.subi"(%66, %89) : (index, index) -> index
      %91 = "arith.minsi"(%90, %6) : (index, index) -> index
      %92 = "arith.maxsi"(%91, %7) : (index, index) -> index
      %93 = "arith.index_cast"(%92) : (index) -> i32
      %94 = "arith.andi"(%93, %15) : (i32, i32) -> i32
      %95 = "arith.cmpi"(%94, %16) {predicate = 0 : i64} : (i32, i32) -> i1
      %96 = "arith.andi"(%14, %95) : (i1, i1) -> i1
      %97 = "scf.if"(%96) ({
        %98 = "arith.addi"(%55, %22) : (index, index) -> index
        %99 = "arith.addi"(%89, %25) : (index, index) -> index
        %100 = "arith.cmpi"(%21, %65) {predicate = 2 : i64} : (i32, i32) -> i1
        %101 = "arith.cmpi"(%24, %93) {predicate = 2 : i64} : (i32, i32) -> i1
        %102 = "arith.andi"(%100, %101) : (i1, i1) -> i1
        %103 = "vector.broadcast"(%102) : (i1) -> vector<4xi1>
        %104 = "vector.maskedload"(%0, %98, %99, %103, %26) {alignment = 16 : i64} : (memref<?x?xf32, strided<[?, 1]>>, index, index, vector<4xi1>, vector<4xf32>) -> vector<4xf32>
        %105 = "arith.addi"(%98, %27) : (index, index) -> index
        %106 = "arith.addi"(%21, %28) : (i32, i32) -> i32
        %107 = "arith.cmpi"(%106, %65) {predicate = 2 : i64} : (i32, i32) -> i1
        %108 = "arith.andi"(%107, %101) : (i1, i1) -> i1
        %109 = "vector.broadcast"(%108) : (i1) -> vector<4xi1>
        %110 = "vector.maskedload"(%0, %105, %99, %109, %26) {alignment = 16 : i64} : (memref<?x?xf32, strided<[?, 1]>>, index, index, vector<4xi1>, vector<4xf32>) -> vector<4xf32>
        %111 = "vector.shuffle"(%104, %110) {mask = [0 : i64, 1 : i64, 2 : i64, 3 : i64, 4 : i64, 5 : i64, 6 : i64, 7 : i64]} : (vector<4xf32>, vector<4xf32>) -> vector<8xf32>
        "scf.yield"(%111) : (vector<8xf32>) -> ()
      }, {
        %112 = "arith.addi"(%55, %22) : (index, index) -> index
        %113 = "arith.addi"(%89, %25) : (index, index) -> index
        %114 = "arith.cmpi"(%21, %65) {predicate = 2 : i64} : (i32, i32) -> i1
        %115 = "vector.broadcast"(%114) : (i1) -> vector<4xi1>
        %116 = "arith.constant"() {value = dense<[0, 1, 2, 3]> : vector<4xi32>} : () -> vector<4xi32>
        %117 = "vector.broadcast"(%24) : (i32) -> vector<4xi32>
        %118 = "arith.addi"(%117, %116) : (vector<4xi32>, vector<4xi32>) -> vector<4xi32>
        %119 = "vector.broadcast"(%93) : (i32) -> vector<4xi32>
        %120 = "arith.cmpi"(%118, %119) {predicate = 2 : i64} : (vector<4xi32>, vector<4xi32>) -> vector<4xi1>
        %121 = "arith.andi"(%115, %120) : (vector<4xi1>, vector<4xi1>) -> vector<4xi1>
        %122 = "vector.maskedload"(%0, %112, %113, %121, %26) : (memref<?x?xf32, strided<[?, 1]>>, index, index, vector<4xi1>, vector<4xf32>) -> vector<4xf32>
        %123 = "arith.addi"(%112, %27) : (index, index) -> index
        %124 = "arith.addi"(%21, %28) : (i32, i32) -> i32
        %125 = "arith.cmpi"(%124, %65) {predicate = 2 : i64} : (i32, i32) -> i1
        %126 = "vector.broadcast"(%125) : (i1) -> vector<4xi1>
        %127 = "arith.andi"(%126, %120) : (vector<4xi1>, vector<4xi1>) -> vector<4xi1>
        %128 = "vector.maskedload"(%0, %123, %113, %127, %26) : (memref<?x?xf32, strided<[?, 1]>>, index, index, vector<4xi1>, vector<4xf32>) -> vector<4xf32>
        %129 = "vector.shuffle"(%122, %128) {mask = [0 : i64, 1 : i64, 2 : i64, 3 : i64, 4 : i64, 5 : i64, 6 : i64, 7 : i64]} : (vector<4xf32>, vector<4xf32>) -> vector<8xf32>
        "scf.yield"(%129) : (vector<8xf32>) -> ()
      }) : (i1) -> vector<8xf32>
      %130 = "arith.subi"(%69, %89) : (index, index) -> index
      %131 = "arith.minsi"(%130, %6) : (index, index) -> index
      %132 = "arith.maxsi"(%131, %7) : (index, index) -> index
      %133 = "arith.index_cast"(%132) : (index) -> i32
      %134 = "scf.if"(%77) ({
        %135 = "arith.addi"(%89, %22) : (index, index) -> index
        %136 = "arith.addi"(%57, %25) : (index, index) -> index
        %137 = "arith.cmpi"(%21, %133) {predicate = 2 : i64} : (i32, i32) -> i1
        %138 = "arith.cmpi"(%24, %74) {predicate = 2 : i64} : (i32, i32) -> i1
        %139 = "arith.andi"(%137, %138) : (i1, i1) -> i1
        %140 = "vector.broadcast"(%139) : (i1) -> vector<4xi1>
        %141 = "vector.maskedload"(%1, %135, %136, %140, %26) {alignment = 16 : i64} : (memref<?x?xf32, strided<[?, 1]>>, index, index, vector<4xi1>, vector<4xf32>) -> vector<4xf32>
        %142 = "arith.addi"(%135, %27) : (index, index) -> index
        %143 = "arith.addi"(%21, %28) : (i32, i32) -> i32
        %144 = "arith.cmpi"(%143, %133) {predicate = 2 : i64} : (i32, i32) -> i1
        %145 = "arith.andi"(%144, %138) : (i1, i1) -> i1
        %146 = "vector.broadcast"(%145) : (i1) -> vector<4xi1>
        %147 = "vector.maskedload"(%1, %142, %136, %146, %26) {alignment = 16 : i64} : (memref<?x?xf32, strided<[?, 1]>>, index, index, vector<4xi1>, vector<4xf32>) -> vector<4xf32>
        %148 = "vector.shuffle"(%141, %147) {mask = [0 : i64, 1 : i64, 2 : i64, 3 : i64, 4 : i64, 5 : i64, 6 : i64, 7 : i64]} : (vector<4xf32>, vector<4xf32>) -> vector<8xf32>
        "scf.yield"(%148) : (vector<8xf32>) -> ()
      }, {
        %149 = "arith.addi"(%89, %22) : (index, index) -> index
        %150 = "arith.addi"(%57, %25) : (index, index) -> index
        %151 = "arith.cmpi"(%21, %133) {predicate = 2 : i64} : (i32, i32) -> i1
        %152 = "vector.broadcast"(%151) : (i1) -> vector<4xi1>
        %153 = "arith.constant"() {value = dense<[0, 1, 2, 3]> : vector<4xi32>} : () -> vector<4xi32>
        %154 = "vector.broadcast"(%24) : (i32) -> vector<4xi32>
        %155 = "arith.addi"(%154, %153) : (vector<4xi32>, vector<4xi32>) -> vector<4xi32>
        %156 = "vector.broadcast"(%74) : (i32) -> vector<4xi32>
        %157 = "arith.cmpi"(%155, %156) {predicate = 2 : i64} : (vector<4xi32>, vector<4xi32>) -> vector<4xi1>
        %158 = "arith.andi"(%152, %157) : (vector<4xi1>, vector<4xi1>) -> vector<4xi1>
        %159 = "vector.maskedload"(%1, %149, %150, %158, %26) : (memref<?x?xf32, strided<[?, 1]>>, index, index, vector<4xi1>, vector<4xf32>) -> vector<4xf32>
        %160 = "arith.addi"(%149, %27) : (index, index) -> index
        %161 = "arith.addi"(%21, %28) : (i32, i32) -> i32
        %162 = "arith.cmpi"(%161, %133) {predicate = 2 : i64} : (i32, i32) -> i1
        %163 = "vector.broadcast"(%162) : (i1) -> vector<4xi1>
        %164 = "arith.andi"(%163, %157) : (vector<4xi1>, vector<4xi1>) -> vector<4xi1>
        %165 = "vector.maskedload"(%1, %160, %150, %164, %26) : (memref<?x?xf32, strided<[?, 1]>>, index, index, vector<4xi1>, vector<4xf32>) -> vector<4xf32>
        %166 = "vector.shuffle"(%159, %165) {mask = [0 : i64, 1 : i64, 2 : i64, 3 : i64, 4 : i64, 5 : i64, 6 : i64, 7 : i64]} : (vector<4xf32>, vector<4xf32>) -> vector<8xf32>
        "scf.yield"(%166) : (vector<8xf32>) -> ()
      }) : (i1) -> vector<8xf32>
      %167 = "vector.shuffle"(%97, %97) {mask = [0 : i64, 1 : i64, 2 : i64, 3 : i64]} : (vector<8xf32>, vector<8xf32>) -> vector<4xf32>
      "vector.store"(%167, %37, %39) {alignment = 16 : i64} : (vector<4xf32>, memref<640xf32, 3>, index) -> ()
      %168 = "vector.shuffle"(%97, %97) {mask = [4 : i64, 5 : i64, 6 : i64, 7 : i64]} : (vector<8xf32>, vector<8xf32>) -> vector<4xf32>
      "vector.store"(%168, %37, %78) {alignment = 16 : i64} : (vector<4xf32>, memref<640xf32, 3>, index) -> ()
      %169 = "vector.shuffle"(%134, %134) {mask = [0 : i64, 1 : i64, 2 : i64, 3 : i64]} : (vector<8xf32>, vector<8xf32>) -> vector<4xf32>
      "vector.store"(%169, %37, %79) {alignment = 16 : i64} : (vector<4xf32>, memref<640xf32, 3>, index) -> ()
      %170 = "vector.shuffle"(%134, %134) {mask = [4 : i64, 5 : i64, 6 : i64, 7 : i64]} : (vector<8xf32>, vector<8xf32>) -> vector<4xf32>
      "vector.store"(%170, %37, %80) {alignment = 16 : i64} : (vector<4xf32>, memref<640xf32, 3>, index) -> ()
      "gpu.barrier"() : () -> ()
      %171 = "scf.for"(%5, %43, %44, %88) ({
      ^bb2(%172: index, %173: vector<8xf32>):
        %174 = "arith.addi"(%36, %172) : (index, index) -> index
        %175 = "vector.load"(%37, %174) {alignment = 16 : i64} : (memref<640xf32, 3>, index) -> vector<4xf32>
        %176 = "arith.addi"(%81, %172) : (index, index) -> index
        %177 = "vector.load"(%37, %176) {alignment = 16 : i64} : (memref<640xf32, 3>, index) -> vector<4xf32>
        %178 = "vector.shuffle"(%175, %177) {mask = [0 : i64, 1 : i64, 2 : i64, 3 : i64, 4 : i64, 5 : i64, 6 : i64, 7 : i64]} : (vector<4xf32>, vector<4xf32>) -> vector<8xf32>
        %179 = "arith.muli"(%172, %45) : (index, index) -> index
        %180 = "arith.addi"(%82, %179) : (index, index) -> index
        %181 = "vector.load"(%37, %180) {alignment = 16 : i64} : (memref<640xf32, 3>, index) -> vector<4xf32>
        %182 = "arith.addi"(%83, %179) : (index, index) -> index
        %183 = "vector.load"(%37, %182) {alignment = 16 : i64} : (memref<640xf32, 3>, index) -> vector<4xf32>
        %184 = "arith.addi"(%84, %179) : (index, index) -> index
        %185 = "vector.load"(%37, %184) {alignment = 16 : i64} : (memref<640xf32, 3>, index) -> vector<4xf32>
        %186 = "arith.addi"(%85, %179) : (index, index) -> index
        %187 = "vector.load"(%37, %186) {alignment = 16 : i64} : (memref<640xf32, 3>, index) -> vector<4xf32>
        %188 = "vector.shuffle"(%181, %183) {mask = [0 : i64, 1 : i64, 2 : i64, 3 : i64, 4 : i64, 5 : i64, 6 : i64, 7 : i64]} : (vector<4xf32>, vector<4xf32>) -> vector<8xf32>
        %189 = "vector.shuffle"(%185, %187) {mask = [0 : i64, 1 : i64, 2 : i64, 3 : i64, 4 : i64, 5 : i64, 6 : i64, 7 : i64]} : (vector<4xf32>, vector<4xf32>) -> vector<8xf32>
        %190 = "vector.shuffle"(%188, %189) {mask = [0 : i64, 1 : i64, 2 : i64, 3 : i64, 4 : i64, 5 : i64, 6 : i64, 7 : i64, 8 : i64, 9 : i64, 10 : i64, 11 : i64, 12 : i64, 13 : i64, 14 : i64, 15 : i64]} : (vector<8xf32>, vector<8xf32>) -> vector<16xf32>
        %191 = "vector.shuffle"(%178, %178) {mask = [0 : i64, 0 : i64, 0 : i64, 0 : i64, 4 : i64, 4 : i64, 4 : i64, 4 : i64]} : (vector<8xf32>, vector<8xf32>) -> vector<8xf32>
        %192 = "vector.shuffle"(%190, %190) {mask = [0 : i64, 1 : i64, 2 : i64, 3 : i64, 0 : i64, 1 : i64, 2 : i64, 3 : i64]} : (vector<16xf32>, vector<16xf32>) -> vector<8xf32>
        %193 = "math.fma"(%191, %192, %173) : (vector<8xf32>, vector<8xf32>, vector<8xf32>) -> vector<8xf32>
        %194 = "vector.shuffle"(%178, %178) {mask = [1 : i64, 1 : i64, 1 : i64, 1 : i64, 5 : i64, 5 : i64, 5 : i64, 5 : i64]} : (vector<8xf32>, vector<8xf32>) -> vector<8xf32>
        %195 = "vector.shuffle"(%190, %190) {mask = [4 : i64, 5 : i64, 6 : i64, 7 : i64, 4 : i64, 5 : i64, 6 : i64, 7 : i64]} : (vector<16xf32>, vector<16xf32>) -> vector<8xf32>
        %196 = "math.fma"(%194, %195, %193) : (vector<8xf32>, vector<8xf32>, vector<8xf32>) -> vector<8xf32>
        %197 = "vector.shuffle"(%178, %178) {mask = [2 : i64, 2 : i64, 2 : i64, 2 : i64, 6 : i64, 6 : i64, 6 : i64, 6 : i64]} : (vector<8xf32>, vector<8xf32>) -> vector<8xf32>
        %198 = "vector.shuffle"(%190, %190) {mask = [8 : i64, 9 : i64, 10 : i64, 11 : i64, 8 : i64, 9 : i64, 10 : i64, 11 : i64]} : (vector<16xf32>, vector<16xf32>) -> vector<8xf32>
        %199 = "math.fma"(%197, %198, %196) : (vector<8xf32>, vector<8xf32>, vector<8xf32>) -> vector<8xf32>
        %200 = "vector.shuffle"(%178, %178) {mask = [3 : i64, 3 : i64, 3 : i64, 3 : i64, 7 : i64, 7 : i64, 7 : i64, 7 : i64]} : (vector<8xf32>, vector<8xf32>) -> vector<8xf32>
        %201 = "vector.shuffle"(%190, %190) {mask = [12 : i64, 13 : i64, 14 : i64, 15 : i64, 12 : i64, 13 : i64, 14 : i64, 15 : i64]} : (vector<16xf32>, vector<16xf32>) -> vector<8xf32>
        %202 = "math.fma"(%200, %201, %199) : (vector<8xf32>, vector<8xf32>, vector<8xf32>) -> vector<8xf32>
        "scf.yield"(%202) : (vector<8xf32>) -> ()
      }) : (index, index, index, vector<8xf32>) -> vector<8xf32>
      "gpu.barrier"() : () -> ()
      "scf.yield"(%171) : (vector<8xf32>) -> ()
    }) : (index, index, index, vector<8xf32>) -> vector<8xf32>
    %203 = "memref.dim"(%2, %5) : (memref<?x?xf32, strided<[?, 1]>>, index) -> index
    %204 = "memref.dim"(%2, %8) : (memref<?x?xf32, strided<[?, 1]>>, index) -> index
    %205 = "arith.minsi"(%203, %203) : (index, index) -> index
    %206 = "arith.subi"(%205, %55) : (index, index) -> index
    %207 = "arith.minsi"(%206, %6) : (index, index) -> index
    %208 = "arith.maxsi"(%207, %7) : (index, index) -> index
    %209 = "arith.index_cast"(%208) : (index) -> i32
    %210 = "arith.minsi"(%204, %204) : (index, index) -> index
    %211 = "arith.subi"(%210, %57) : (index, index) -> index
    %212 = "arith.minsi"(%211, %6) : (index, index) -> index
    %213 = "arith.maxsi"(%212, %7) : (index, index) -> index
    %214 = "arith.index_cast"(%213) : (index) -> i32
    %215 = "arith.andi"(%214, %15) : (i32, i32) -> i32
    %216 = "arith.cmpi"(%215, %16) {predicate = 0 : i64} : (i32, i32) -> i1
    %217 = "arith.andi"(%53, %216) : (i1, i1) -> i1
    "scf.if"(%217) ({
      %218 = "arith.cmpi"(%21, %209) {predicate = 2 : i64} : (i32, i32) -> i1
      %219 = "arith.cmpi"(%24, %214) {predicate = 2 : i64} : (i32, i32) -> i1
      %220 = "arith.andi"(%218, %219) : (i1, i1) -> i1
      %221 = "arith.addi"(%55, %22) : (index, index) -> index
      %222 = "arith.addi"(%57, %25) : (index, index) -> index
      %223 = "vector.shuffle"(%86, %86) {mask = [0 : i64, 1 : i64, 2 : i64, 3 : i64]} : (vector<8xf32>, vector<8xf32>) -> vector<4xf32>
      %224 = "vector.broadcast"(%220) : (i1) -> vector<4xi1>
      "vector.maskedstore"(%2, %221, %222, %224, %223) {alignment = 16 : i64} : (memref<?x?xf32, strided<[?, 1]>>, index, index, vector<4xi1>, vector<4xf32>) -> ()
      %225 = "arith.addi"(%21, %28) : (i32, i32) -> i32
      %226 = "arith.cmpi"(%225, %209) {predicate = 2 : i64} : (i32, i32) -> i1
      %227 = "arith.andi"(%226, %219) : (i1, i1) -> i1
      %228 = "arith.addi"(%221, %27) : (index, index) -> index
      %229 = "vector.shuffle"(%86, %86) {mask = [4 : i64, 5 : i64, 6 : i64, 7 : i64]} : (vector<8xf32>, vector<8xf32>) -> vector<4xf32>
      %230 = "vector.broadcast"(%227) : (i1) -> vector<4xi1>
      "vector.maskedstore"(%2, %228, %222, %230, %229) {alignment = 16 : i64} : (memref<?x?xf32, strided<[?, 1]>>, index, index, vector<4xi1>, vector<4xf32>) -> ()
      "scf.yield"() : () -> ()
    }, {
      %231 = "arith.cmpi"(%21, %209) {predicate = 2 : i64} : (i32, i32) -> i1
      %232 = "arith.addi"(%55, %22) : (index, index) -> index
      %233 = "arith.addi"(%57, %25) : (index, index) -> index
      %234 = "vector.shuffle"(%86, %86) {mask = [0 : i64, 1 : i64, 2 : i64, 3 : i64]} : (vector<8xf32>, vector<8xf32>) -> vector<4xf32>
      %235 = "vector.broadcast"(%231) : (i1) -> vector<4xi1>
      %236 = "arith.constant"() {value = dense<[0, 1, 2, 3]> : vector<4xi32>} : () -> vector<4xi32>
      %237 = "vector.broadcast"(%24) : (i32) -> vector<4xi32>
      %238 = "arith.addi"(%237, %236) : (vector<4xi32>, vector<4xi32>) -> vector<4xi32>
      %239 = "vector.broadcast"(%214) : (i32) -> vector<4xi32>
      %240 = "arith.cmpi"(%238, %239) {predicate = 2 : i64} : (vector<4xi32>, vector<4xi32>) -> vector<4xi1>
      %241 = "arith.andi"(%235, %240) : (vector<4xi1>, vector<4xi1>) -> vector<4xi1>
      "vector.maskedstore"(%2, %232, %233, %241, %234) : (memref<?x?xf32, strided<[?, 1]>>, index, index, vector<4xi1>, vector<4xf32>) -> ()
      %242 = "arith.addi"(%21, %28) : (i32, i32) -> i32
      %243 = "arith.cmpi"(%242, %209) {predicate = 2 : i64} : (i32, i32) -> i1
      %244 = "arith.addi"(%232, %27) : (index, index) -> index
      %245 = "vector.shuffle"(%86, %86) {mask = [4 : i64, 5 : i64, 6 : i64, 7 : i64]} : (vector<8xf32>, vector<8xf32>) -> vector<4xf32>
      %246 = "vector.broadcast"(%243) : (i1) -> vector<4xi1>
      %247 = "arith.andi"(%246, %240) : (vector<4xi1>, vector<4xi1>) -> vector<4xi1>
      "vector.maskedstore"(%2, %244, %233, %247, %245) : (memref<?x?xf32, strided<[?, 1]>>, index, index, vector<4xi1>, vector<4xf32>) -> ()
      "scf.yield"() : () -> ()
    }) : (i1) -> ()
    "func.return"() : () -> ()
  }) {function_type = (memref<?x?xf32, strided<[?, 1]>>, memref<?x?xf32, strided<[?, 1]>>, memref<?x?xf32, strided<[?, 1]>>) -> (), kdsl.explain = ["32 lanes: 1 subgroups of 32", "dot 16x16x16 (MxKxN) of f32: multiply-adds"], kdsl.kernel, kdsl.lanes = 32 : i64, kdsl.warps = 1 : i64, sym_name = "f"} : () -> ()
}) : () -> ()

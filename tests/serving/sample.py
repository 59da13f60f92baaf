"""Hand-written kernels and the files built from them, for the tests of built files."""

from __future__ import annotations

import sys
from functools import cache

import llvmlite.binding as llvm

from kdsl.ir.signature import Arg, Relation, Signature
from kdsl.serving.manifest import Entry, Manifest, Specialization, TargetRecord
from kdsl.serving.package import build_shared_object, manifest_of
from kdsl_cpu.runtime_ir import pool_ir

# axpby: y = a * x + b * y, over slots [x, shape, stride, y, shape, stride, a, b].
# rows: one row per work item of out[r, :] = src[r, :] * scale, in f32 or bf16 bits; strided rows, optional add.
KERNELS = """
declare i32 @kdsl_parallel_for(ptr, ptr, i64)
declare float @expf(float)
@factor = internal global float 1.0
@table = internal constant [2 x ptr] [ptr @factor, ptr @factor]
@scratch = internal global [4096 x i8] zeroinitializer

define internal i32 @axpby_part(ptr %slots, i64 %b, i64 %e) {
entry:
  %x = load ptr, ptr %slots
  %yp = getelementptr i64, ptr %slots, i64 3
  %y = load ptr, ptr %yp
  %ap = getelementptr i64, ptr %slots, i64 6
  %a = load float, ptr %ap
  %bp = getelementptr i64, ptr %slots, i64 7
  %bb = load float, ptr %bp
  %tp = load ptr, ptr getelementptr ([2 x ptr], ptr @table, i64 0, i64 1)
  %f = load float, ptr %tp
  br label %loop
loop:
  %i = phi i64 [ %b, %entry ], [ %i1, %loop ]
  %xp = getelementptr float, ptr %x, i64 %i
  %yq = getelementptr float, ptr %y, i64 %i
  %xv = load float, ptr %xp
  %yv = load float, ptr %yq
  %m = fmul float %a, %xv
  %n = fmul float %bb, %yv
  %s = fadd float %m, %n
  %t = fmul float %s, %f
  store float %t, ptr %yq
  %i1 = add i64 %i, 1
  %more = icmp slt i64 %i1, %e
  br i1 %more, label %loop, label %done
done:
  ret i32 0
}

define hidden i32 @kdsl_entry_axpby(ptr %slots) {
  %np = getelementptr i64, ptr %slots, i64 1
  %n = load i64, ptr %np
  store i8 1, ptr @scratch
  %r = call i32 @kdsl_parallel_for(ptr @axpby_part, ptr %slots, i64 %n)
  ret i32 %r
}
"""

ROWS = """
define hidden i32 @kdsl_entry_rows_{name}(ptr %slots) {
entry:
  %src = load ptr, ptr %slots
  %rp = getelementptr i64, ptr %slots, i64 1
  %rows = load i64, ptr %rp
  %cp = getelementptr i64, ptr %slots, i64 2
  %cols = load i64, ptr %cp
  %sp = getelementptr i64, ptr %slots, i64 3
  %ss = load i64, ptr %sp
  %op = getelementptr i64, ptr %slots, i64 5
  %out = load ptr, ptr %op
  %osp = getelementptr i64, ptr %slots, i64 8
  %os = load i64, ptr %osp
  %ap = getelementptr i64, ptr %slots, i64 10
  %add = load ptr, ptr %ap
  %none = icmp eq ptr %add, null
  %kp = getelementptr i64, ptr %slots, i64 13
  %kbits = load {int}, ptr %kp
  %mp = getelementptr i64, ptr %slots, i64 14
  %mode = load i32, ptr %mp
  %fail = icmp eq i32 %mode, 99
  br i1 %fail, label %assert, label %head
assert:
  ret i32 1
head:
  %scale = {load_scale}
  br label %row
row:
  %r = phi i64 [ 0, %head ], [ %r1, %next ]
  %rmore = icmp slt i64 %r, %rows
  br i1 %rmore, label %col, label %done
col:
  %c = phi i64 [ 0, %row ], [ %c1, %store ]
  %cmore = icmp slt i64 %c, %cols
  br i1 %cmore, label %body, label %next
body:
  %si0 = mul i64 %r, %ss
  %si = add i64 %si0, %c
  %spp = getelementptr {int}, ptr %src, i64 %si
  %sbits = load {int}, ptr %spp
  %s = {load_src}
  %v = fmul float %s, %scale
  br i1 %none, label %store, label %plus
plus:
  %app = getelementptr float, ptr %add, i64 %c
  %av = load float, ptr %app
  %w = fadd float %v, %av
  br label %store
store:
  %z = phi float [ %v, %body ], [ %w, %plus ]
  %oi0 = mul i64 %r, %os
  %oi = add i64 %oi0, %c
  %opp = getelementptr float, ptr %out, i64 %oi
  store float %z, ptr %opp
  %c1 = add i64 %c, 1
  br label %col
next:
  %r1 = add i64 %r, 1
  br label %row
done:
  ret i32 0
}
"""


def _rows(name: str) -> str:
    def load(result: str, bits: str) -> str:
        if name == "f32":
            return f"bitcast i32 {bits} to float"
        return f"bitcast i32 %{result}w to float"

    text = ROWS
    if name == "bf16":
        for result, bits in (("scale", "%kbits"), ("s", "%sbits")):
            widen = (
                f"%{result}z = zext i16 {bits} to i32\n  %{result}w = shl i32 %{result}z, 16\n  "
            )
            text = text.replace(f"%{result} = {{", f"{widen}%{result} = {{")
    return (
        text.replace("{name}", name)
        .replace("{int}", "i32" if name == "f32" else "i16")
        .replace("{load_scale}", load("scale", "%kbits"))
        .replace("{load_src}", load("s", "%sbits"))
    )


AXPBY = Signature(
    "axpby",
    (
        Arg("x", "tensor", "f32", "ro", ("N",)),
        Arg("y", "tensor", "f32", "rw", ("N",)),
        Arg("a", "scalar", "f32"),
        Arg("b", "scalar", "f32", default=1.0),
    ),
)


def rows_signature(dtype: str, biased: bool) -> Signature:
    return Signature(
        "rows",
        (
            Arg("src", "tensor", dtype, "ro", ("R", "C")),
            Arg("out", "tensor", "f32", "wo", ("R", "C"), align=16),
            Arg("bias", "tensor", "f32", "ro", ("C",), optional=True, absent=not biased),
            Arg("scale", "scalar", dtype, default=2.0),
            Arg("mode", "scalar", "i32", default=1),
        ),
        (Relation("C % G == 0"), Relation("0 <= mode < 100")),
        (("G", 4),),
    )


ENTRIES = (
    Entry("axpby", (Specialization("kdsl_entry_axpby", AXPBY),), doc="y = a * x + b * y /* sum */"),
    Entry(
        "rows",
        tuple(
            Specialization(f"kdsl_entry_rows_{d}", rows_signature(d, biased))
            for d in ("f32", "bf16")
            for biased in (False, True)
        ),
        doc="Scale each row.",
    ),
)


def compile_ir(text: str) -> bytes:
    """Turn IR text into an x86-64 object."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    triple = llvm.get_process_triple()
    machine = llvm.Target.from_triple(triple).create_target_machine(
        opt=2, reloc="pic", codemodel="default"
    )
    module = llvm.parse_assembly(f'target triple = "{triple}"\n{text}')
    module.verify()
    builder = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=2))
    builder.getModulePassManager().run(module, builder)
    return bytes(machine.emit_object(module))


@cache
def objects() -> tuple[bytes, bytes]:
    return (
        compile_ir(KERNELS + _rows("f32") + _rows("bf16")),
        compile_ir(pool_ir(llvm.get_process_triple())),
    )


@cache
def built(linker: str = "own", soname: str = "libsample.so") -> bytes:
    """Return the sample file."""
    kernels, pool = objects()
    manifest = manifest_of(ENTRIES, producer="kdsl test", source=b"sample")
    return build_shared_object(
        [kernels],
        manifest,
        compile_ir,
        runtime=[pool],
        soname=soname,
        target=TargetRecord("cpu", llvm.get_process_triple(), "sse2", ""),
        linker=linker,
    )


def manifest() -> Manifest:
    return manifest_of(ENTRIES, producer="kdsl test", source=b"sample")


if __name__ == "__main__":
    sys.stdout.buffer.write(built(*sys.argv[1:]))

"""Kernels typed in PTX with their entries in IR: what the launcher is tested with."""

from __future__ import annotations

import kdsl.dialects.all  # noqa: F401 - likewise
import kdsl_ptx.dialect.tile  # noqa: F401 - the parser knows its ops from here on
from kdsl.codegen.backend import Source
from kdsl.ir.parser import parse
from kdsl.ir.signature import Arg, Signature
from kdsl.passes.legalize import Legalize
from kdsl.runtime.launcher import Code, Launcher, Traced
from kdsl.target.target import Target
from kdsl_ptx import abi, artifact, host_entry, runtime
from kdsl_ptx.devices import DEVICES

HEAD = ".version 8.0\n.target sm_90\n.address_size 64\n"
INDEX = """
  .reg .pred %p, %q; .reg .b32 %i, %n, %t, %u; .reg .b64 %x, %y, %o, %w, %off; .reg .f32 %a, %b;
  mov.u32 %i, %ctaid.x; mov.u32 %t, %ntid.x; mov.u32 %u, %tid.x; mad.lo.u32 %i, %i, %t, %u;
"""
ADD = f"""
.visible .entry add(.param .b64 px, .param .b64 py, .param .b64 po, .param .b32 pn, .param .b64 ps)
{{{INDEX}
  ld.param.u64 %x, [px]; ld.param.u64 %y, [py]; ld.param.u64 %o, [po];
  ld.param.u32 %n, [pn]; ld.param.u64 %w, [ps];
  setp.ge.s32 %p, %i, %n; @%p ret;
  mul.wide.u32 %off, %i, 4;
  add.u64 %x, %x, %off; add.u64 %y, %y, %off; add.u64 %o, %o, %off;
  ld.global.f32 %a, [%x]; ld.global.f32 %b, [%y]; add.f32 %a, %a, %b; st.global.f32 [%o], %a;
  setp.ne.s32 %q, %n, 13; @%q ret;
  mov.u32 %t, 1; st.volatile.global.u32 [%w], %t;
  ret;
}}
"""
DOUBLE = f"""
.visible .entry double(.param .b64 px, .param .b64 po, .param .b32 pn, .param .b64 ps)
{{{INDEX}
  ld.param.u64 %x, [px]; ld.param.u64 %o, [po]; ld.param.u32 %n, [pn];
  griddepcontrol.wait;
  setp.ge.s32 %p, %i, %n; @%p ret;
  mul.wide.u32 %off, %i, 4; add.u64 %x, %x, %off; add.u64 %o, %o, %off;
  ld.global.f32 %a, [%x]; add.f32 %a, %a, %a; st.global.f32 [%o], %a;
  ret;
}}
"""
COUNT = """
.visible .entry count(.param .b64 pc, .param .b64 po, .param .b64 ps)
{
  .reg .pred %p; .reg .b64 %c, %o, %off; .reg .b32 %old, %n, %one;
  ld.param.u64 %c, [pc]; ld.param.u64 %o, [po];
  mov.u32 %one, 1; atom.global.add.u32 %old, [%c], %one;
  mul.wide.u32 %off, %old, 4; add.u64 %o, %o, %off; red.global.add.u32 [%o], %one;
  mov.u32 %n, %nctaid.x; sub.u32 %n, %n, 1; setp.ne.u32 %p, %old, %n; @%p ret;
  mov.u32 %one, 0; st.global.u32 [%c], %one;
  ret;
}
"""
COPY = """
.extern .shared .align 1024 .b8 room[];
.visible .entry copy(.param .align 64 .b8 pm[128], .param .b64 po, .param .b64 ps)
{
  .reg .pred %p; .reg .b64 %m, %o, %off; .reg .b32 %s, %bar, %t, %c, %k, %x, %z;
  .reg .b32 %v<4>; .reg .b64 %state;
  mov.b64 %m, pm; cvta.param.u64 %m, %m; ld.param.u64 %o, [po];
  mov.u32 %s, room; add.u32 %bar, %s, 8192; mov.u32 %t, %tid.x; mov.u32 %z, 0;
  setp.ne.u32 %p, %t, 0; @%p bra wait;
  mbarrier.init.shared.b64 [%bar], 1; fence.mbarrier_init.release.cluster;
  mbarrier.arrive.expect_tx.shared.b64 %state, [%bar], 8192;
  cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes
    [%s], [%m, {%z, %z}], [%bar];
wait:
  bar.sync 0;
again:
  mbarrier.try_wait.parity.shared.b64 %p, [%bar], 0; @!%p bra again;
  mul.wide.u32 %off, %t, 128; add.u64 %o, %o, %off;
  mov.u32 %c, 0;
next:
  and.b32 %x, %t, 7; xor.b32 %x, %x, %c; shl.b32 %x, %x, 4; shl.b32 %k, %t, 7; add.u32 %x, %x, %k;
  add.u32 %x, %x, %s; ld.shared.v4.b32 {%v0, %v1, %v2, %v3}, [%x];
  st.global.v4.b32 [%o], {%v0, %v1, %v2, %v3};
  add.u64 %o, %o, 16; add.u32 %c, %c, 1; setp.lt.u32 %p, %c, 8; @%p bra next;
  ret;
}
"""
F, I = "memref<?xf32>", "memref<?xi32>"
T = "memref<?x64xbf16, strided<[?, 1]>>"
THREADS = {"add": 128, "double": 128, "count": 1, "copy": 64}
SHARED = {"copy": 8192 + 16}
CDIV = """
  %t = "arith.constant"() {value = 128 : i32} : () -> i32
  %g = "arith.ceildivsi"(%n, %t) : (i32, i32) -> i32
  %gx = "arith.index_cast"(%g) : (i32) -> index
"""


def function(name, args, body="", mark="kdsl.kernel", **attributes):
    """Return a function as IR text."""
    listed = ", ".join(f"%{n}: {t}" for n, t in args.items())
    types = ", ".join(args.values())
    extra = "".join(f"{k.replace('__', '.')} = {v}, " for k, v in attributes.items())
    if mark == "kdsl.kernel":
        extra += f"kdsl.lanes = {THREADS[name]} : i64, "
    return f"""  "func.func"() ({{
  ^bb0({listed}):
  %c0 = "arith.constant"() {{value = 0 : index}} : () -> index
  %c1 = "arith.constant"() {{value = 1 : index}} : () -> index{body}
  "func.return"() : () -> ()
  }}) {{function_type = ({types}) -> (), {mark}, {extra}sym_name = "{name}"}} : () -> ()
"""


def launch(kernel, grid, args, mark=""):
    """Return a launch as IR text; ``args`` maps names of values to their types."""
    names = ", ".join([*grid, *args])
    types = ", ".join(["index"] * 3 + [t for _, t in args.items()])
    return f'\n  "kdsl.launch"(%{names.replace(", ", ", %")}) {{kernel = @{kernel}{mark}}} : ({types}) -> ()'


def module(*functions):
    return '"builtin.module"() ({\n' + "".join(functions) + "}) : () -> ()\n"


VECTORS = {"x": F, "y": F, "o": F, "n": "i32"}
ADD_IR = module(
    function("add", VECTORS),
    function("vadd", VECTORS, CDIV + launch("add", ("gx", "c1", "c1"), VECTORS), "kdsl.entry"),
)
CHAIN_ARGS = {"x": F, "o": F, "n": "i32"}
CHAIN_IR = module(
    function("double", CHAIN_ARGS),
    function(
        "fourfold",
        CHAIN_ARGS,
        CDIV
        + '\n  %m = "arith.index_cast"(%n) : (i32) -> index'
        + '\n  %w = "memref.alloc"(%m) {operandSegmentSizes = array<i32: 1, 0>} : (index) -> '
        + F
        + launch("double", ("gx", "c1", "c1"), {"x": F, "w": F, "n": "i32"})
        + launch("double", ("gx", "c1", "c1"), {"w": F, "o": F, "n": "i32"}, ", ptx.pdl")
        + f'\n  "memref.dealloc"(%w) : ({F}) -> ()',
        "kdsl.entry",
    ),
)
COUNT_IR = module(
    function("count", {"c": "i64", "o": I}),
    function(
        "tickets",
        {"o": I},
        '\n  %c = "ptx.counter"() : () -> i64'
        '\n  %s = "ptx.sm_count"() : () -> index'
        + launch("count", ("s", "c1", "c1"), {"c": "i64", "o": I}),
        "kdsl.entry",
    ),
)
GRID_IR = module(
    function("count", {"c": "i64", "o": I}),
    function(
        "tall",
        {"o": I, "n": "i32"},
        '\n  %c = "ptx.counter"() : () -> i64\n  %m = "arith.index_cast"(%n) : (i32) -> index'
        + launch("count", ("c1", "m", "c1"), {"c": "i64", "o": I}),
        "kdsl.entry",
    ),
)
COPY_IR = module(
    function("copy", {"m": "i64", "o": F}, ptx__tensor_maps="array<i64: 0>"),
    function(
        "tile",
        {"x": T, "o": F},
        f'\n  %m = "ptx.tensor_map"(%x) {{dims = array<i64: 0, 1>, box = array<i64: 64, 64>,'
        f" split = false, promotion = 128 : i64}} : ({T}) -> i64"
        + launch("copy", ("c1", "c1", "c1"), {"m": "i64", "o": F}),
        "kdsl.entry",
    ),
)


def pointers(*names, dtype="f32"):
    return tuple(Arg(n, "ptr", dtype) for n in names)


N = Arg("n", "scalar", "i32")
SIGNATURES = {
    "vadd": Signature("vadd", (*pointers("x", "y", "o"), N)),
    "fourfold": Signature("fourfold", (*pointers("x", "o"), N)),
    "tickets": Signature("tickets", pointers("o", dtype="i32")),
    "tall": Signature("tall", (*pointers("o", dtype="i32"), N)),
    "tile": Signature("tile", (Arg("x", "tensor", "bf16", dims=("M", 64)), *pointers("o"))),
}
TARGET = Target("ptx", "sm_90")


class Kernel:
    """A kernel as the launcher sees it, with a module that was typed in."""

    fixed_axes = ()
    outputs = ()
    defaults: dict = {}  # noqa: RUF012
    consts: dict = {}  # noqa: RUF012

    def __init__(self, name, text, ptx):
        self.name, self.text, self.ptx = name, text, ptx
        self.parameters = tuple(a.name for a in SIGNATURES[name].args)

    def specialize(self, request):
        return Traced(parse(self.text), SIGNATURES[self.name], self.name, TARGET)

    def enter(self, traced):
        entry = self.load(traced.module)
        return Code(entry.call, entry, DEVICES)

    def assemble(self, module):
        """Return the artifact of a module with the typed text as its image."""
        facts = {
            f.sym_name: abi.facts_of(f, SHARED.get(f.sym_name, 0))
            for f in module.functions
            if f.is_kernel
        }
        host = host_entry.host_text(decomposed(module), facts)
        text = artifact.join(HEAD + self.ptx, host)
        source = Source(text, ".ptx", (self.name,))
        ptx, host = artifact.split(text)
        return artifact.finish(source, host, ptx.encode(), {}, is_text=True)

    def load(self, module):
        """Return the entry as native code."""
        return runtime.load(self.assemble(module), TARGET)[self.name]


def decomposed(found):
    """Return a module without the ops that no target has."""
    Legalize().run(found, TARGET)
    return found


def launcher(name, text, ptx):
    kernel = Kernel(name, text, ptx)
    return Launcher(kernel, kernel.enter)

"""Lane-level programs that every device must run as the lane interpreter does.

Each is a kernel's body in MLIR text over given buffers; ``module_of`` puts kernel and entry around
it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kdsl.ir.core import Module
from kdsl.ir.parser import parse

LANES = 64


@dataclass(frozen=True)
class LaneProgram:
    """A kernel body, its parameters (name: type), and a function that makes its arguments.

    ``%t`` is the lane and ``%p`` the program, ``%c<n>`` the index n where ``constants`` holds n.
    """

    name: str
    parameters: dict[str, str]
    body: str
    make: Callable[[], tuple[Any, ...]] = field(repr=False)
    lanes: int = LANES
    programs: int = 1
    constants: tuple[int, ...] = (0, 1)

    def __str__(self) -> str:
        return self.name


def module_of(program: LaneProgram) -> Module:
    """Return the module with the entry ``go``."""
    names = [f"%{n}" for n in program.parameters]
    types = list(program.parameters.values())
    listed = ", ".join(f"{n}: {t}" for n, t in zip(names, types, strict=True))
    kinds = ", ".join(types)
    constants = "\n".join(
        f'    %c{n} = "arith.constant"() {{value = {n} : index}} : () -> index'
        for n in program.constants
    )
    text = f""""builtin.module"() ({{
  "func.func"() ({{
  ^bb0({listed}):
    %t = "gpu.thread_id"() {{dimension = #gpu<dim x>}} : () -> index
    %p = "kdsl.program_id"() {{axis = 0 : i64}} : () -> index
{constants}
{program.body}
    "func.return"() : () -> ()
  }}) {{function_type = ({kinds}) -> (), kdsl.kernel, kdsl.lanes = {program.lanes} : i64,
    sym_name = "go.kernel"}} : () -> ()
  "func.func"() ({{
  ^bb0({listed}):
    %one = "arith.constant"() {{value = 1 : index}} : () -> index
    %n = "arith.constant"() {{value = {program.programs} : index}} : () -> index
    "kdsl.launch"(%n, %one, %one, {", ".join(names)}) {{kernel = @go.kernel}}
      : (index, index, index, {kinds}) -> ()
    "func.return"() : () -> ()
  }}) {{function_type = ({kinds}) -> (), kdsl.entry, sym_name = "go"}} : () -> ()
}}) : () -> ()"""
    return parse(text)


def _numbers(count: int, dtype: Any = np.float32) -> np.ndarray:
    rng = np.random.default_rng(count)
    if np.dtype(dtype).kind == "i":
        return rng.integers(-100, 100, count).astype(dtype)
    return rng.standard_normal(count).astype(dtype)


def _load(name: str, t: str, at: str = "%t") -> str:
    return f'"memref.load"(%{name}, {at}) : (memref<?x{t}>, index) -> {t}'


def _store(value: str, name: str, t: str, at: str = "%t") -> str:
    return f'"memref.store"({value}, %{name}, {at}) : ({t}, memref<?x{t}>, index) -> ()'


_SHARED = '"kdsl.workgroup_alloc"() {align = 16 : i64} : () -> memref<64xf32, 3>'
_BARRIER = '"gpu.barrier"() : () -> ()'


def _reversed() -> LaneProgram:
    body = f"""
    %s = {_SHARED}
    %x = {_load("X", "f32")}
    "memref.store"(%x, %s, %t) : (f32, memref<64xf32, 3>, index) -> ()
    {_BARRIER}
    %r = "arith.subi"(%c63, %t) : (index, index) -> index
    %y = "memref.load"(%s, %r) : (memref<64xf32, 3>, index) -> f32
    {_store("%y", "Y", "f32")}"""
    parameters = {"X": "memref<?xf32>", "Y": "memref<?xf32>"}
    return LaneProgram(
        "lanes_in_reverse",
        parameters,
        body,
        lambda: (_numbers(64), np.zeros(64, np.float32)),
        constants=(63,),
    )


def _tree() -> LaneProgram:
    """Sum by halves: a loop with barriers around a branch that half of the lanes take."""
    body = f"""
    %s = {_SHARED}
    %at = "arith.muli"(%p, %c64) : (index, index) -> index
    %i = "arith.addi"(%at, %t) : (index, index) -> index
    %x = {_load("X", "f32", "%i")}
    "memref.store"(%x, %s, %t) : (f32, memref<64xf32, 3>, index) -> ()
    %half = "scf.for"(%c0, %c6, %c1, %c32) ({{
    ^bb0(%k: index, %n: index):
      {_BARRIER}
      %low = "arith.cmpi"(%t, %n) {{predicate = 2 : i64}} : (index, index) -> i1
      "scf.if"(%low) ({{
        %o = "arith.addi"(%t, %n) : (index, index) -> index
        %a = "memref.load"(%s, %t) : (memref<64xf32, 3>, index) -> f32
        %b = "memref.load"(%s, %o) : (memref<64xf32, 3>, index) -> f32
        %ab = "arith.addf"(%a, %b) : (f32, f32) -> f32
        "memref.store"(%ab, %s, %t) : (f32, memref<64xf32, 3>, index) -> ()
        "scf.yield"() : () -> ()
      }}, {{}}) : (i1) -> ()
      %next = "arith.shrui"(%n, %c1) : (index, index) -> index
      "scf.yield"(%next) : (index) -> ()
    }}) : (index, index, index, index) -> index
    {_BARRIER}
    %first = "arith.cmpi"(%t, %c0) {{predicate = 0 : i64}} : (index, index) -> i1
    "scf.if"(%first) ({{
      %sum = "memref.load"(%s, %c0) : (memref<64xf32, 3>, index) -> f32
      {_store("%sum", "Y", "f32", "%p")}
      "scf.yield"() : () -> ()
    }}, {{}}) : (i1) -> ()"""
    return LaneProgram(
        "tree_of_sums",
        {"X": "memref<?xf32>", "Y": "memref<?xf32>"},
        body,
        lambda: (_numbers(192), np.zeros(3, np.float32)),
        programs=3,
        constants=(0, 1, 6, 32, 64),
    )


def _shuffles(mode: str, width: int, offset: int, t: str, dtype: Any) -> LaneProgram:
    """Three exchanges in a loop: with two buffers, each turn begins with the other one."""
    one = "arith.addf" if t[0] == "f" else "arith.addi"
    steps = "\n".join(
        f"""
      %v{k + 1}, %ok{k} = "gpu.shuffle"(%v{k}, %offset, %width)
        {{mode = #gpu<shuffle_mode {mode}>}} : ({t}, i32, i32) -> ({t}, i1)"""
        for k in range(3)
    )
    body = f"""
    %offset = "arith.constant"() {{value = {offset} : i32}} : () -> i32
    %width = "arith.constant"() {{value = {width} : i32}} : () -> i32
    %x = {_load("X", t)}
    %sum = "scf.for"(%c0, %c3, %c1, %x) ({{
    ^bb0(%k: index, %v0: {t}):
      {steps}
      %e = "arith.select"(%ok2, %v3, %x) : (i1, {t}, {t}) -> {t}
      %n = "{one}"(%e, %v0) : ({t}, {t}) -> {t}
      "scf.yield"(%n) : ({t}) -> ()
    }}) : (index, index, index, {t}) -> {t}
    {_store("%sum", "Y", t)}"""
    return LaneProgram(
        f"shuffle_{mode}_{width}_{t}",
        {"X": f"memref<?x{t}>", "Y": f"memref<?x{t}>"},
        body,
        lambda: (_numbers(64, dtype), np.zeros(64, dtype)),
        constants=(0, 1, 3),
    )


def _swap() -> LaneProgram:
    """Loop-carried values that trade places, inside a loop that ends by a condition."""
    body = f"""
    %x = {_load("X", "i32")}
    %y = {_load("Y", "i32")}
    %n, %a, %b = "scf.while"(%t, %x, %y) ({{
    ^bb0(%i: index, %u: i32, %v: i32):
      %more = "arith.cmpi"(%i, %c5) {{predicate = 4 : i64}} : (index, index) -> i1
      "scf.condition"(%more, %i, %v, %u) : (i1, index, i32, i32) -> ()
    }}, {{
    ^bb1(%j: index, %u1: i32, %v1: i32):
      %p1, %q1 = "scf.for"(%c0, %c3, %c1, %u1, %v1) ({{
      ^bb2(%k: index, %m: i32, %w: i32):
        %s = "arith.addi"(%m, %w) : (i32, i32) -> i32
        "scf.yield"(%w, %m) : (i32, i32) -> ()
      }}) : (index, index, index, i32, i32) -> (i32, i32)
      %less = "arith.subi"(%j, %c5) : (index, index) -> index
      "scf.yield"(%less, %q1, %p1) : (index, i32, i32) -> ()
    }}) : (index, i32, i32) -> (index, i32, i32)
    {_store("%a", "X", "i32")}
    {_store("%b", "Y", "i32")}"""
    return LaneProgram(
        "carried_values_trade_places",
        {"X": "memref<?xi32>", "Y": "memref<?xi32>"},
        body,
        lambda: (_numbers(64, np.int32), _numbers(65, np.int32)[:64].copy()),
        constants=(0, 1, 3, 5),
    )


def _histogram() -> LaneProgram:
    """Count in workgroup memory, then add to the counts of all programs."""
    body = f"""
    %bins = "kdsl.workgroup_alloc"() {{align = 4 : i64}} : () -> memref<8xi32, 3>
    %zero = "arith.constant"() {{value = 0 : i32}} : () -> i32
    %one = "arith.constant"() {{value = 1 : i32}} : () -> i32
    %few = "arith.cmpi"(%t, %c8) {{predicate = 2 : i64}} : (index, index) -> i1
    "scf.if"(%few) ({{
      "memref.store"(%zero, %bins, %t) : (i32, memref<8xi32, 3>, index) -> ()
      "scf.yield"() : () -> ()
    }}, {{}}) : (i1) -> ()
    {_BARRIER}
    %at = "arith.muli"(%p, %c64) : (index, index) -> index
    %i = "arith.addi"(%at, %t) : (index, index) -> index
    %x = {_load("X", "i32", "%i")}
    %w = "arith.index_cast"(%x) : (i32) -> index
    %bin = "arith.andi"(%w, %c7) : (index, index) -> index
    %old = "memref.atomic_rmw"(%one, %bins, %bin) {{kind = 1 : i64}}
      : (i32, memref<8xi32, 3>, index) -> i32
    {_BARRIER}
    "scf.if"(%few) ({{
      %n = "memref.load"(%bins, %t) : (memref<8xi32, 3>, index) -> i32
      %before = "memref.atomic_rmw"(%n, %Y, %t) {{kind = 1 : i64}}
        : (i32, memref<?xi32>, index) -> i32
      "scf.yield"() : () -> ()
    }}, {{}}) : (i1) -> ()"""
    return LaneProgram(
        "histogram",
        {"X": "memref<?xi32>", "Y": "memref<?xi32>"},
        body,
        lambda: (_numbers(256, np.int32), np.zeros(8, np.int32)),
        programs=4,
        constants=(0, 1, 7, 8, 64),
    )


ATOMICS = {
    "addf": ("f32", "f64"), "maximumf": ("f32",), "minimumf": ("f32",), "mulf": ("f32",),
    "maxnumf": ("f32", "f64"), "addi": ("i8", "i16", "i32", "i64"), "maxs": ("i16", "i32", "i64"),
    "mins": ("i32",), "maxu": ("i8", "i32"), "minu": ("i32", "i64"), "muli": ("i32",),
    "ori": ("i32", "i16"), "andi": ("i32",),
}  # fmt: skip
_DTYPES: dict[str, Any] = {
    "f32": np.float32, "f64": np.float64, "i8": np.int8, "i16": np.int16, "i32": np.int32,
    "i64": np.int64,
}  # fmt: skip


def _atomic(kind: str, t: str) -> LaneProgram:
    """All lanes of all programs combine whole numbers into few elements."""
    from kdsl.dialects.memref import ATOMIC_KINDS

    dtype = _DTYPES[t]
    body = f"""
    %x = {_load("X", t)}
    %i = "arith.andi"(%t, %c7) : (index, index) -> index
    %old = "memref.atomic_rmw"(%x, %Y, %i) {{kind = {ATOMIC_KINDS.index(kind)} : i64}}
      : ({t}, memref<?x{t}>, index) -> {t}"""

    def make() -> tuple[Any, ...]:
        rng = np.random.default_rng(7)
        signs = rng.choice([-1, 1, 2], 64) if kind.startswith("mul") else rng.integers(-9, 9, 64)
        return signs.astype(dtype), np.full(8, 3, dtype)

    return LaneProgram(
        f"atomic_{kind}_{t}",
        {"X": f"memref<?x{t}>", "Y": f"memref<?x{t}>"},
        body,
        make,
        programs=1 if kind.startswith("mul") else 3,
        constants=(7,),
    )


def _fragments(t: str, dtype: Any, width: int) -> LaneProgram:
    """Vectors of a lane: taken apart, put together, rearranged, masked, scattered."""
    half = width // 2
    run = width * np.dtype(dtype).itemsize
    align = run & -run
    mask = ", ".join(f"{(3 * i) % (2 * width)}" for i in range(width))
    wide, bools = f"vector<{width}x{t}>", f"vector<{width}xi1>"
    body = f"""
    %w = "arith.constant"() {{value = {width} : index}} : () -> index
    %at = "arith.muli"(%t, %w) : (index, index) -> index
    %a = "vector.load"(%X, %at) {{alignment = {align} : i64}}
      : (memref<?x{t}>, index) -> {wide}
    %b = "vector.load"(%Y, %at) : (memref<?x{t}>, index) -> {wide}
    %s = "vector.shuffle"(%a, %b) {{mask = [{mask}]}} : ({wide}, {wide}) -> {wide}
    %e = "vector.extract"(%a) {{static_position = array<i64: {half}>}} : ({wide}) -> {t}
    %i = "vector.insert"(%e, %s) {{static_position = array<i64: 0>}} : ({t}, {wide}) -> {wide}
    %m = "vector.create_mask"(%t) : (index) -> {bools}
    %c = "vector.maskedload"(%X, %at, %m, %b)
      : (memref<?x{t}>, index, {bools}, {wide}) -> {wide}
    %d = "arith.select"(%m, %i, %c) : ({bools}, {wide}, {wide}) -> {wide}
    "vector.store"(%d, %Z, %at) : ({wide}, memref<?x{t}>, index) -> ()
    "vector.maskedstore"(%Y, %at, %m, %a) : (memref<?x{t}>, index, {bools}, {wide}) -> ()"""
    size = LANES * width
    return LaneProgram(
        f"fragments_{t}_x{width}",
        {"X": f"memref<?x{t}>", "Y": f"memref<?x{t}>", "Z": f"memref<?x{t}>"},
        body,
        lambda: (_numbers(size, dtype), _numbers(size + 1, dtype)[:size], np.zeros(size, dtype)),
        constants=(0,),
    )


def _tensor() -> LaneProgram:
    """Take a strided buffer of two axes, read by rows and columns, with its sizes."""
    kind = "memref<?x?xf32, strided<[?, ?]>>"
    body = f"""
    %rows = "memref.dim"(%X, %c0) : ({kind}, index) -> index
    %cols = "memref.dim"(%X, %c1) : ({kind}, index) -> index
    %r = "arith.divui"(%t, %cols) : (index, index) -> index
    %c = "arith.remui"(%t, %cols) : (index, index) -> index
    %in = "arith.cmpi"(%r, %rows) {{predicate = 2 : i64}} : (index, index) -> i1
    "scf.if"(%in) ({{
      %v = "memref.load"(%X, %r, %c) : ({kind}, index, index) -> f32
      %n = "arith.negf"(%v) : (f32) -> f32
      "memref.store"(%n, %Y, %r, %c) : (f32, {kind}, index, index) -> ()
      "scf.yield"() : () -> ()
    }}, {{}}) : (i1) -> ()"""

    def make() -> tuple[Any, ...]:
        return _numbers(120).reshape(6, 20)[:, ::3][::-1], np.zeros((7, 6), np.float32).T

    return LaneProgram("strided_tensor", {"X": kind, "Y": kind}, body, make)


def lane_programs() -> list[LaneProgram]:
    """Return all programs."""
    shuffles = [
        _shuffles(mode, width, offset, t, dtype)
        for mode, offset in (("xor", 5), ("up", 3), ("down", 2), ("idx", 6))
        for width in (32, 8)
        for t, dtype in (("f32", np.float32), ("i32", np.int32))
    ]
    atomics = [_atomic(kind, t) for kind, types in ATOMICS.items() for t in types]
    fragments = [
        _fragments(t, dtype, width)
        for t, dtype in (("f32", np.float32), ("i8", np.int8), ("f16", np.float16))
        for width in (2, 4, 6, 19)
    ]
    wide = [_shuffles("xor", 16, 3, "f64", np.float64), _shuffles("up", 4, 1, "i64", np.int64)]
    single = [_reversed(), _tree(), _swap(), _histogram(), _tensor()]
    return [*single, *shuffles, *wide, *atomics, *fragments]

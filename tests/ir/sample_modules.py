"""Modules that several tests of the IR start from."""

from __future__ import annotations

from kdsl.dialects import arith, func, memref, scf
from kdsl.ir.builder import Builder
from kdsl.ir.core import Module, Value
from kdsl.ir.types import DYNAMIC, F32, INDEX, FunctionType, Type, function
from kdsl.ir.types import memref as memref_type

BUFFER = memref_type((DYNAMIC,), F32)

SQUARES = """\
"builtin.module"() ({
  "func.func"() ({
  ^bb0(%x: memref<?xf32>, %y: memref<?xf32>, %n: index):
    %0 = "arith.constant"() {value = 0 : index} : () -> index
    %1 = "arith.constant"() {value = 1 : index} : () -> index
    %2 = "arith.constant"() {value = 0.0 : f32} : () -> f32
    %3 = "scf.for"(%0, %n, %1, %2) ({
    ^bb1(%i: index, %sum: f32):
      %4 = "memref.load"(%x, %i) : (memref<?xf32>, index) -> f32
      %5 = "arith.mulf"(%4, %4) : (f32, f32) -> f32
      "memref.store"(%5, %y, %i) : (f32, memref<?xf32>, index) -> ()
      %6 = "arith.addf"(%sum, %4) : (f32, f32) -> f32
      "scf.yield"(%6) : (f32) -> ()
    }) : (index, index, index, f32) -> f32
    "func.return"(%3) : (f32) -> ()
  }) {function_type = (memref<?xf32>, memref<?xf32>, index) -> f32, sym_name = "squares"} : () -> ()
}) : () -> ()
"""


def squares() -> Module:
    """Return a module whose function squares ``x`` into ``y`` and returns the sum of ``x``."""
    module, b = function_module("squares", BUFFER, BUFFER, INDEX, names=("x", "y", "n"))
    x, y, n = b.block.args
    zero, one = arith.index_constant(b, 0), arith.index_constant(b, 1)
    loop = scf.for_loop(b, zero, n, one, (arith.constant(b, 0.0, F32),))
    i, total = loop.body.args
    i.name, total.name = "i", "sum"
    with b.at(loop.body):
        value = b.create(memref.Load, x, [i])
        b.add(memref.Store, b.create(arith.Mulf, value, value), y, [i])
        b.add(scf.Yield, [b.create(arith.Addf, total, value)])
    return finish(module, b, loop.results[0])


def function_module(
    name: str, *inputs: Type, names: tuple[str | None, ...] = ()
) -> tuple[Module, Builder]:
    """Return a module with one function and a builder inside it."""
    module = Module.empty()
    made = func.Func.empty(name, inputs, (), names)
    module.body.append(made)
    return module, Builder(made.body)


def finish(module: Module, b: Builder, *returned: Value) -> Module:
    """Return values from the function that ``b`` builds."""
    b.add(func.Return, list(returned))
    made = b.block.parent_op
    assert made is not None
    kind = made.attributes["function_type"]
    assert isinstance(kind, FunctionType)
    made.attributes["function_type"] = function(kind.inputs, tuple(v.type for v in returned))
    return module

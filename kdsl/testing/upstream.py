"""Running an entry by upstream's tools alone: its launches become loops, its arguments globals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from kdsl.dialects import func, scf
from kdsl.dialects.arith import index_constant
from kdsl.dialects.kdsl import Launch, NumPrograms, ProgramId
from kdsl.ir.builder import Builder
from kdsl.ir.core import Module, Value
from kdsl.ir.printer import print_module
from kdsl.ir.types import DYNAMIC, INDEX, MemRefType, ScalarType, function
from kdsl.testing.oracles import mlir_cpu_run

AXES = 3
WORD = 4
NIBBLES = 8
OPENING, CLOSING = '"builtin.module"() ({', "}) : () -> ()"
WORDS = """
  func.func private @putchar(i32) -> i32
  func.func @put_word(%word: i32) {
    %zero = arith.constant 0 : index
    %one = arith.constant 1 : index
    %count = arith.constant 8 : index
    %bits = arith.constant 4 : i32
    %low = arith.constant 15 : i32
    %letter = arith.constant 97 : i32
    %rest = scf.for %i = %zero to %count step %one iter_args(%left = %word) -> i32 {
      %nibble = arith.andi %left, %low : i32
      %shown = arith.addi %nibble, %letter : i32
      %ignored = func.call @putchar(%shown) : (i32) -> i32
      %following = arith.shrui %left, %bits : i32
      scf.yield %following : i32
    }
    return
  }"""
"""Prints a word of 32 bits as eight letters from 'a' on, lowest nibble first, by libc's putchar."""


def run_upstream(module: Module, name: str, args: Sequence[Any]) -> tuple[np.ndarray, ...]:
    """Lower by upstream passes, run, and return what the arrays of 4-byte elements hold then.

    ``module``, which is consumed, has no op of our own but launches and what a kernel asks about
    the grid; arrays are passed contiguous.
    """
    launches_to_loops(module)
    text = _with_main(module, name, args)
    printed = mlir_cpu_run(text, "main", "void")
    nibbles = np.frombuffer(printed.strip().encode(), np.uint8).reshape(-1, NIBBLES) - ord("a")
    words = (nibbles.astype(np.uint32) << (4 * np.arange(NIBBLES, dtype=np.uint32))).sum(1)
    arrays = [arg for arg in args if isinstance(arg, np.ndarray) and arg.itemsize == WORD]
    ends = np.cumsum([array.size for array in arrays])
    assert ends[-1] == words.size
    parts = np.split(words.astype(np.uint32), ends[:-1])
    return tuple(p.view(a.dtype).reshape(a.shape) for p, a in zip(parts, arrays, strict=True))


def launches_to_loops(module: Module) -> None:
    """Let kernels take program ids and the grid as arguments, and call them in three loops."""
    for each in module.functions:
        if isinstance(each, func.Func) and each.is_kernel:
            _ids_to_arguments(each)
    for op in list(module.walk()):
        if isinstance(op, Launch):
            _launch_to_loops(op)


def _ids_to_arguments(kernel: func.Func) -> None:
    ids = [kernel.body.add_argument(INDEX) for _ in range(2 * AXES)]
    kernel.attributes["function_type"] = function(tuple(p.type for p in kernel.body.args), ())
    for op in list(kernel.walk()):
        if isinstance(op, ProgramId):
            op.replace_by(ids[op.axis])
        elif isinstance(op, NumPrograms):
            op.replace_by(ids[AXES + op.axis])


def _launch_to_loops(launch: Launch) -> None:
    b = Builder.before(launch)
    zero, one = index_constant(b, 0), index_constant(b, 1)
    grid = [launch.x, launch.y, launch.z]
    ids: list[Value] = []
    builders = [b]
    for size in reversed(grid):
        loop = scf.for_loop(builders[-1], zero, size, one)
        builders.append(Builder(loop.body))
        ids.insert(0, loop.body.args[0])
    inner = builders[-1]
    inner.add(func.Call, [*launch.args, *ids, *grid], types=[], callee=launch.kernel)
    for each in builders[1:]:
        each.add(scf.Yield, [])
    launch.erase()


def _with_main(module: Module, name: str, args: Sequence[Any]) -> str:
    """Return the module's text with a main that calls ``name`` and prints what it has then."""
    parameters = module.function(name).body.args
    made, passed, shown = [], [], []
    globals_ = []
    for number, (parameter, arg) in enumerate(zip(parameters, args, strict=True)):
        kind = parameter.type
        passed.append(f"%a{number}")
        if isinstance(kind, ScalarType):
            made.append(f"    %a{number} = arith.constant {_number(arg, kind)} : {kind}")
            continue
        assert isinstance(kind, MemRefType)
        array = np.zeros((1,) * kind.rank, kind.element.numpy) if arg is None else arg
        flat = f"memref<{array.size}x{kind.element}>"
        bits = np.ascontiguousarray(array).tobytes().hex().upper()
        globals_.append(f'  memref.global "private" @g{number} : {flat} = dense<"0x{bits}">')
        made += _buffer(number, flat, kind, array)
        if arg is not None and array.itemsize == WORD:
            shown += _shown(number, flat, kind, array.size)
    kinds = ", ".join(str(p.type) for p in parameters)
    call = f"    call @{name}({', '.join(passed)}) : ({kinds}) -> ()"
    text = print_module(module).strip()
    inside = text.removeprefix(OPENING).removesuffix(CLOSING)
    assert len(inside) == len(text) - len(OPENING) - len(CLOSING)
    main = ["  func.func @main() {", *made, call, *shown, "    return", "  }"]
    return "\n".join(["module {", *globals_, inside, WORDS, *main, "}", ""])


def _number(arg: Any, kind: ScalarType) -> str:
    return repr(float(arg)) if kind.kind == "f" else str(int(arg))


def _buffer(number: int, flat: str, kind: MemRefType, array: np.ndarray) -> list[str]:
    """Make the argument ``%a<number>`` of the global array."""
    strides = [int(np.prod(array.shape[axis + 1 :])) for axis in range(array.ndim)]
    lines = [f"    %g{number} = memref.get_global @g{number} : {flat}"]
    lists = []
    for what, known, numbers in (
        ("size", kind.shape, array.shape),
        ("stride", kind.element_strides, strides),
    ):
        names = []
        for axis, (fixed, n) in enumerate(zip(known, numbers, strict=True)):
            if fixed != DYNAMIC:
                names.append(str(fixed))
                continue
            names.append(f"%{what}{number}_{axis}")
            lines.append(f"    {names[-1]} = arith.constant {n} : index")
        lists.append(", ".join(names))
    lines.append(
        f"    %a{number} = memref.reinterpret_cast %g{number} to offset: [0], "
        f"sizes: [{lists[0]}], strides: [{lists[1]}] : {flat} to {kind}"
    )
    return lines


def _shown(number: int, flat: str, kind: MemRefType, size: int) -> list[str]:
    word = f"%x{number}"
    lines = [
        f"    %from{number} = arith.constant 0 : index",
        f"    %to{number} = arith.constant {size} : index",
        f"    %by{number} = arith.constant 1 : index",
        f"    scf.for %i = %from{number} to %to{number} step %by{number} {{",
        f"      {word} = memref.load %g{number}[%i] : {flat}",
    ]
    if kind.element.kind == "f":
        lines.append(f"      %w{number} = arith.bitcast {word} : {kind.element} to i32")
        word = f"%w{number}"
    return [*lines, f"      func.call @put_word({word}) : (i32) -> ()", "    }"]

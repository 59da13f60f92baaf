"""Start loops that stream to memory at an aligned element."""

from __future__ import annotations

from dataclasses import dataclass

from kdsl.dialects.arith import Addi, Divsi, Minsi, Remsi, Subi, index_constant
from kdsl.dialects.kdsl import Address
from kdsl.dialects.memref import CACHE, Store
from kdsl.dialects.scf import PARALLEL, TAIL, UNROLL, VECTORIZE, For
from kdsl.ir.builder import Builder
from kdsl.ir.core import BlockArgument, Module, Op, Value
from kdsl.ir.types import INDEX, element_type
from kdsl.passes.explain import explain
from kdsl.passes.manager import Pass
from kdsl.passes.vectorize.loops import natural_width
from kdsl.target.target import Target

ALIGN = "kdsl.align"
"""On a store: what its address is a multiple of once the loop is widened, in bytes."""
STREAM = "stream"


@dataclass(frozen=True)
class AlignStores(Pass):
    """Peel turns off loops to widen until their streaming store is aligned to a whole vector.

    Stores past the caches exist for aligned vectors only. The first store of a loop with
    ``cache="stream"`` along the counter decides; others of the loop stay ordinary ones.
    """

    name = "align-stores"

    def run(self, module: Module, target: Target) -> bool:
        if target.features.has_lanes:
            return False
        changed = False
        for function in module.functions:
            for op in list(function.walk()):
                if isinstance(op, For) and VECTORIZE in op.attributes and not op.results:
                    changed |= _align(op, target, function)
        return changed


def _align(loop: For, target: Target, function: Op) -> bool:
    store = _streaming_store(loop)
    if store is None or loop.induction.type is not INDEX or ALIGN in store.attributes:
        return False
    asked = loop.attributes[VECTORIZE]
    width = asked if isinstance(asked, int) and asked else natural_width(loop, target)
    item = element_type(store.target.type).numpy.itemsize
    whole = width * item
    if width <= 1 or whole & (whole - 1):
        return False
    store.attributes[ALIGN] = whole
    _peel(loop, store, item, whole)
    explain(function, f"{loop.loc or 'loop'}: starts at a multiple of {whole} bytes, to stream")
    return True


def _streaming_store(loop: For) -> Store | None:
    for op in loop.body:
        if isinstance(op, Store) and op.attributes.get(CACHE) == STREAM:
            outer, last = list(op.indices[:-1]), op.indices[-1]
            unit = op.target.type.element_strides[-1] == 1
            if unit and all(_is_outside(v, loop) for v in outer) and _offset(last, loop) is not ...:
                return op
    return None


def _offset(index: Value, loop: For) -> object:
    """Return what is added to the counter (None: nothing); ``...`` when it is anything else."""
    if index is loop.induction:
        return None
    op = index.op
    if isinstance(op, Addi):
        for counter, other in ((op.lhs, op.rhs), (op.rhs, op.lhs)):
            if counter is loop.induction and _is_outside(other, loop):
                found: Value = other
                return found
    return ...


def _is_outside(value: Value, loop: For) -> bool:
    if isinstance(value, BlockArgument):
        return value.block is not loop.body
    return value.op is not None and not value.op.is_inside(loop)


def _peel(loop: For, store: Store, item: int, whole: int) -> None:
    """Run the turns before the first aligned element in a scalar loop of their own."""
    b = Builder.before(loop)
    offset = _offset(store.indices[-1], loop)
    first = loop.lower
    if isinstance(offset, Value):
        first = b.create(Addi, first, offset)
    address = b.create(Address, store.target, [*store.indices[:-1], first])
    size = index_constant(b, whole)
    past = b.create(Remsi, address, size)
    missing = b.create(Remsi, b.create(Subi, size, past), size)
    turns = b.create(Divsi, missing, index_constant(b, item))
    start = b.create(Minsi, b.create(Addi, loop.lower, turns), loop.upper)
    head = loop.clone()
    for key in (VECTORIZE, TAIL, UNROLL, PARALLEL):
        head.attributes.pop(key, None)
    for op in head.walk():
        op.attributes.pop(ALIGN, None)
    b.insert(head)
    head.set_operand(1, start)
    loop.set_operand(0, start)

"""Rewrite what a target lacks by what it has; refuse the rest with the user's line.

- float arithmetic in a type without it is done in f32 and rounded back after each op;
- conversions between floats that the target lacks become bit arithmetic;
- an op that the target lacks is replaced by its own ``decompose``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from kdsl.dialects import arith, math, vector
from kdsl.dialects.formulae import Lanes
from kdsl.errors import CannotLegalizeError
from kdsl.ir.builder import Builder
from kdsl.ir.core import Block, Module, Op, Value
from kdsl.ir.define import Elementwise, Terminator
from kdsl.ir.define import Op as DeclaredOp
from kdsl.ir.types import F32, F64, ScalarType, Type, element_type, like
from kdsl.passes.manager import Pass
from kdsl.passes.narrow_floats import FORMATS, narrow, narrow_odd, widen
from kdsl.target.features import Features
from kdsl.target.target import Target

Need = Callable[[Features], bool]

ELEMENTARY: frozenset[type[Op]] = frozenset(
    {
        math.Exp2, math.Exp, math.Log, math.Log2, math.Sin, math.Cos, math.Tanh, math.Erf,
        math.Rsqrt, math.Powf, arith.Remf, arith.Floordivsi, arith.Ceildivsi,
    }
)  # fmt: skip
"""Ops that are decomposed unless a target says that it has them."""


@dataclass(frozen=True)
class Legal:
    """What a target takes.

    ``ops``: the classes it lowers, None for all but the elementary ones. ``needs``: what must hold
    of the features for an op of that class.
    """

    name: str = "generic"
    ops: frozenset[type[Op]] | None = None
    needs: Mapping[type[Op], Need] = field(default_factory=dict)

    def accepts(self, kind: type[Op], features: Features) -> bool:
        """Return whether ops of this class may stay."""
        if kind in ELEMENTARY if self.ops is None else kind not in self.ops:
            return False
        need = self.needs.get(kind)
        return need is None or need(features)

    def __str__(self) -> str:
        return self.name


GENERIC_LEGAL = Legal()
MOVES = (arith.Select, arith.Bitcast, arith.Constant)
NUMERIC_CONVERSIONS = (arith.Sitofp, arith.Uitofp, arith.Fptosi, arith.Fptoui)


@dataclass(frozen=True)
class Legalize(Pass):
    """Leave only ops and types that the target has."""

    name: ClassVar[str] = "legalize"
    legal: Legal = GENERIC_LEGAL

    def run(self, module: Module, target: Target) -> bool:
        """Rewrite every function."""
        return _Legalizer(self.legal, target).module(module)

    def __str__(self) -> str:
        return self.name


class _Legalizer:
    def __init__(self, legal: Legal, target: Target) -> None:
        self.legal = legal
        self.target = target
        self.features = target.features
        self._accepted: dict[type[Op], bool] = {}

    def module(self, module: Module) -> bool:
        return self.block(module.body)

    def block(self, block: Block) -> bool:
        """Legalize ops in order; what a rewrite creates is looked at in turn."""
        changed = False
        op = block.first
        while op is not None:
            before = op.prev
            if self.rewrite(op):
                changed = True
                op = block.first if before is None else before.next
                continue
            for region in op.regions:
                for inner in region.blocks:
                    changed |= self.block(inner)
            op = op.next
        return changed

    def rewrite(self, op: Op) -> bool:
        """Replace ``op`` when it is not legal; return whether it was replaced."""
        if op.regions or not isinstance(op, DeclaredOp) or Terminator in op.traits:
            return False
        if isinstance(op, arith.Extf | arith.Truncf):
            return self._conversion(op)
        if self._computes(op) and any(map(self._is_narrow, _types(op))):
            _in_f32(op, self._is_narrow)
            return True
        kind = type(op)
        accepted = self._accepted.get(kind)
        if accepted is None:
            accepted = self._accepted[kind] = self.legal.accepts(kind, self.features)
        if accepted:
            return False
        decompose = getattr(op, "decompose", None)
        if decompose is None:
            of = op.results[0].type if op.results else op.operands[0].type
            raise CannotLegalizeError(op.loc, target=self.target, op=op.name, type=of)
        op.replace_by(decompose(Builder.before(op)))
        return True

    @staticmethod
    def _computes(op: DeclaredOp) -> bool:
        if isinstance(op, MOVES):
            return False
        return (Elementwise in op.traits and not isinstance(op, arith.Conversion)) or isinstance(
            op, (*NUMERIC_CONVERSIONS, vector.Reduction)
        )

    def _is_narrow(self, t: Type) -> bool:
        """Whether lanes are of a small float type that the target does not compute with."""
        element = _element(t)
        return element in FORMATS and element.text not in self.features.native

    def _conversion(self, op: Any) -> bool:
        source, target = element_type(op.x.type), element_type(op.y.type)
        if self._converts(source, target):
            return False
        b = Builder.before(op)
        x = Lanes(b, op.x)
        if isinstance(op, arith.Extf):
            known = self._converts(source, F32)
            found = x.to(arith.Extf, F32) if known else widen(x, FORMATS[source])
            if target is not F32:
                found = found.to(arith.Extf if target is F64 else arith.Truncf, target)
        elif source is F64:
            found = narrow_odd(x).to(arith.Truncf, target)
        elif source is F32:
            found = narrow(x, FORMATS[target])
        else:
            found = x.to(arith.Extf, F32).to(arith.Truncf, target)
        op.replace_by(found.value)
        return True

    def _converts(self, source: ScalarType, target: ScalarType) -> bool:
        pair = (source.text, target.text)
        native = self.features.native
        return (source not in FORMATS and target not in FORMATS) or (
            pair in self.features.fast_conversions
            or (pair[0] in native and pair[1] in native and F64 not in (source, target))
        )


def _element(t: Type) -> ScalarType | None:
    return None if t.text.startswith("memref") else element_type(t)


def _types(op: Op) -> list[Type]:
    return [v.type for v in (*op.operands, *op.results)]


def _in_f32(op: DeclaredOp, is_narrow: Callable[[Type], bool]) -> None:
    """Compute in f32, and round each result back."""
    b = Builder.before(op)
    operands = [_widened(b, v) if is_narrow(v.type) else v for v in op.operands]
    types = [like(r.type, F32) if is_narrow(r.type) else r.type for r in op.results]
    wide = b.insert(type(op)(operands, types, dict(op.attributes), [], op.loc))
    results: list[Value] = []
    for made, wanted in zip(wide.results, op.results, strict=True):
        if made.type is wanted.type:
            results.append(made)
        else:
            results.append(b.create(arith.Truncf, made, types=[wanted.type]))
    op.replace_by(*results)


def _widened(b: Builder, value: Value) -> Value:
    made = b.create(arith.Extf, value, types=[like(value.type, F32)])
    assert isinstance(made, Value)
    return made

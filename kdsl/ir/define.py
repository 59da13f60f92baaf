"""Declaring ops: a class states operands, results, attributes and traits, everything else follows.

    class Select(Op, name="arith.select", traits=(Pure, Elementwise)):
        '''Each lane of ``a`` where ``condition`` holds, of ``b`` elsewhere.'''

        condition = operand(BOOL)
        a = operand(ANY)
        b = operand(same_as="a")
        y = result(same_as="a")

        evaluate = staticmethod(np.where)

Accessors (``op.condition``), positional ``match``, construction with inferred result types,
verification, the parser's knowledge of attribute types, IRDL, the docs page and random modules for
tests are all read off the declaration. ``evaluate`` takes NumPy values of the operands and returns
the result's value (a tuple when there are several): fold, interpreter and test oracle share it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from kdsl.ir.attributes import AttributeValue, Dense, FloatAttr, I32Array, IntAttr, Opaque, Symbol
from kdsl.ir.core import Op as CoreOp
from kdsl.ir.core import Region, Value
from kdsl.ir.location import Location
from kdsl.ir.types import (
    I1,
    INDEX,
    FunctionType,
    MemRefType,
    ScalarType,
    TensorType,
    Type,
    VectorType,
    element_type,
    like,
)

# ------------------------------------------------------------------------------------ constraints


@dataclass(frozen=True, slots=True)
class Constraint:
    """A named set of types; ``words`` is what an error message calls it."""

    name: str
    words: str
    accepts: Callable[[Type], bool] = field(compare=False)


def _data(t: Type) -> ScalarType | None:
    if isinstance(t, ScalarType):
        return t
    if isinstance(t, VectorType | TensorType):
        return t.element
    return None


def _of_kind(kinds: str) -> Callable[[Type], bool]:
    def accepts(t: Type) -> bool:
        element = _data(t)
        return element is not None and element.kind in kinds

    return accepts


ANY = Constraint("any", "any type", lambda _: True)
DATA = Constraint("data", "a scalar, vector or tile", lambda t: _data(t) is not None)
FLOAT = Constraint("float", "floating-point lanes", _of_kind("f"))
INTEGER = Constraint("integer", "integer lanes", _of_kind("ix"))
FIXED_INTEGER = Constraint("fixed_integer", "integer lanes of a stated width", _of_kind("i"))
BOOL = Constraint("bool", "i1 lanes", lambda t: _data(t) is I1)
INDEX_ONLY = Constraint("index", "an index", lambda t: t is INDEX)
SCALAR = Constraint("scalar", "a scalar", lambda t: isinstance(t, ScalarType))
BOOL_SCALAR = Constraint("i1", "an i1", lambda t: t is I1)
MEMREF = Constraint("memref", "a memref", lambda t: isinstance(t, MemRefType))
VECTOR = Constraint("vector", "a vector", lambda t: isinstance(t, VectorType))
TENSOR = Constraint("tensor", "a tile", lambda t: isinstance(t, TensorType))
SCALAR_OR_TENSOR = Constraint(
    "scalar_or_tensor", "a scalar or tile", lambda t: isinstance(t, ScalarType | TensorType)
)
SCALAR_OR_VECTOR = Constraint(
    "scalar_or_vector", "a scalar or vector", lambda t: isinstance(t, ScalarType | VectorType)
)

# ----------------------------------------------------------------------------------------- traits


@dataclass(frozen=True, slots=True)
class Trait:
    """A property that passes ask for."""

    name: str


Pure = Trait("Pure")
"""No effect: may be removed when unused, moved and merged."""
Elementwise = Trait("Elementwise")
"""Acts on each lane alone; scalars, vectors and tiles alike."""
Commutative = Trait("Commutative")
"""The first two operands may change places."""
ConstantLike = Trait("ConstantLike")
"""Has no operands and a ``value`` attribute."""
Terminator = Trait("Terminator")
"""Ends a block."""
ReadsMemory = Trait("ReadsMemory")
WritesMemory = Trait("WritesMemory")
Allocates = Trait("Allocates")
IsolatedFromAbove = Trait("IsolatedFromAbove")
"""Regions may not use values from outside."""
RegionEffects = Trait("RegionEffects")
"""Has exactly the effects of the ops in its regions."""

# ------------------------------------------------------------------------------------ descriptors


class Operand:
    """Accessor of an operand (or of a run of operands when ``variadic``)."""

    __slots__ = ("constraint", "index", "name", "optional", "same_as", "variadic")

    def __init__(self, constraint: Constraint, same_as: str | None, variadic: bool) -> None:
        self.constraint = constraint
        self.same_as = same_as
        self.variadic = variadic
        self.name = ""
        self.index = 0

    def __get__(self, op: Any, owner: type | None = None) -> Any:
        if op is None:
            return self
        return op.operand_group(self.index)


class Result:
    """Accessor of a result (or of a run of results when ``variadic``)."""

    __slots__ = ("constraint", "element", "index", "name", "same_as", "variadic")

    def __init__(
        self,
        constraint: Constraint,
        same_as: str | None,
        element: ScalarType | None,
        variadic: bool,
    ) -> None:
        self.constraint = constraint
        self.same_as = same_as
        self.element = element
        self.variadic = variadic
        self.name = ""
        self.index = 0

    def __get__(self, op: Any, owner: type | None = None) -> Any:
        if op is None:
            return self
        if self.variadic:
            return op.results[self.index :]
        return op.results[self.index]


_MISSING = object()


class AttributeField:
    """Accessor of an attribute; ``kind`` names how it is spelled and checked."""

    __slots__ = ("choices", "default", "kind", "name")

    def __init__(self, kind: str, default: object, choices: tuple[str, ...]) -> None:
        self.kind = kind
        self.default = default
        self.choices = choices
        self.name = ""

    @property
    def is_required(self) -> bool:
        return self.default is _MISSING

    def __get__(self, op: Any, owner: type | None = None) -> Any:
        if op is None:
            return self
        found = op.attributes.get(self.name, _MISSING)
        if found is _MISSING:
            return None if self.default is _MISSING else self.default
        return found


def operand(
    constraint: Constraint = ANY, *, same_as: str | None = None, variadic: bool = False
) -> Any:
    """Declare an operand; ``same_as`` names an earlier operand of equal type."""
    return Operand(constraint, same_as, variadic)


def result(
    constraint: Constraint = ANY,
    *,
    same_as: str | None = None,
    element: ScalarType | None = None,
    variadic: bool = False,
) -> Any:
    """Declare a result.

    ``same_as`` names the operand whose type it has; with ``element`` too, that operand's shape with
    this element (a comparison's ``i1``). Alone, ``element`` says that the result is just that
    scalar type.
    """
    return Result(constraint, same_as, element, variadic)


def attribute(kind: str, *, default: object = _MISSING, choices: tuple[str, ...] = ()) -> Any:
    """Declare an attribute.

    ``kind``: "int" (i64), "bool", "string", "float", "type", "ints" (array<i64>), "i32s"
    (array<i32>), "intlist" (``[1 : i64]``), "symbol", "typed" (IntAttr, FloatAttr or Dense),
    "opaque", "unit". ``choices`` lists what a string may be.
    """
    return AttributeField(kind, default, choices)


ATTRIBUTE_CHECKS: dict[str, Callable[[object], bool]] = {
    "int": lambda v: isinstance(v, int) and not isinstance(v, bool),
    "bool": lambda v: isinstance(v, bool),
    "string": lambda v: isinstance(v, str),
    "float": lambda v: isinstance(v, float),
    "type": lambda v: isinstance(v, Type),
    "function_type": lambda v: isinstance(v, FunctionType),
    "ints": lambda v: isinstance(v, tuple) and all(isinstance(x, int) for x in v),
    "i32s": lambda v: isinstance(v, I32Array),
    "intlist": lambda v: isinstance(v, list) and all(isinstance(x, int) for x in v),
    "symbol": lambda v: isinstance(v, Symbol),
    "typed": lambda v: isinstance(v, IntAttr | FloatAttr | Dense | bool),
    "opaque": lambda v: isinstance(v, Opaque),
    "unit": lambda v: v is None,
}


# ---------------------------------------------------------------------------------------- base op

REGISTRY: dict[str, type[Op]] = {}
"""Every declared op by its full name."""


class Op(CoreOp):
    """Base of declared ops; see the module's docstring."""

    __slots__ = ()

    operand_fields: ClassVar[tuple[Operand, ...]] = ()
    result_fields: ClassVar[tuple[Result, ...]] = ()
    attribute_fields: ClassVar[dict[str, AttributeField]] = {}
    traits: ClassVar[frozenset[Trait]] = frozenset()
    region_count: ClassVar[int | None] = 0
    segments: ClassVar[bool] = False
    _variadic_at: ClassVar[int | None] = None

    evaluate: ClassVar[Any] = None
    """NumPy meaning, or None when the op needs the interpreter (control flow)."""

    def __init_subclass__(
        cls,
        name: str | None = None,
        traits: Sequence[Trait] = (),
        regions: int | None = 0,
        segments: bool = False,
        **kwargs: object,
    ) -> None:
        super().__init_subclass__(**kwargs)
        if name is None:
            return
        cls.name = name
        cls.traits = frozenset(traits)
        cls.region_count = regions
        cls.segments = segments
        operands: list[Operand] = []
        results: list[Result] = []
        attributes: dict[str, AttributeField] = {}
        for key, declared in list(vars(cls).items()):
            if isinstance(declared, Operand):
                declared.name, declared.index = key, len(operands)
                operands.append(declared)
            elif isinstance(declared, Result):
                declared.name, declared.index = key, len(results)
                results.append(declared)
            elif isinstance(declared, AttributeField):
                declared.name = key
                attributes[key] = declared
        cls.operand_fields = tuple(operands)
        cls.result_fields = tuple(results)
        cls.attribute_fields = attributes
        cls.__match_args__ = tuple(o.name for o in operands)  # type: ignore[misc]
        variadic = [o.index for o in operands if o.variadic]
        if len(variadic) > 1 and not segments:
            msg = f"{name}: two variadic operands need segments=True"
            raise TypeError(msg)
        cls._variadic_at = variadic[0] if variadic else None
        REGISTRY[name] = cls

    @classmethod
    def make(
        cls,
        *operands: Value | Sequence[Value],
        types: Sequence[Type] | None = None,
        regions: Sequence[Region] = (),
        loc: Location | None = None,
        **attributes: AttributeValue,
    ) -> Any:
        """Create the op; result types are inferred where the declaration says how.

        A variadic operand is given as one sequence. ``types`` gives the result types otherwise.
        """
        flat: list[Value] = []
        counts: list[int] = []
        for given in operands:
            if isinstance(given, Value):
                flat.append(given)
                counts.append(1)
            else:
                flat.extend(given)
                counts.append(len(given))
        if cls.segments:
            attributes["operandSegmentSizes"] = I32Array(tuple(counts))
        if types is None:
            types = cls.infer_types(flat, attributes)
        return cls(flat, types, attributes, regions, loc)

    @classmethod
    def infer_types(
        cls, operands: Sequence[Value], attributes: dict[str, AttributeValue]
    ) -> list[Type]:
        """Return the result types that the declaration implies."""
        found: list[Type] = []
        for declared in cls.result_fields:
            if declared.same_as is None:
                if declared.element is None:
                    if declared.variadic:
                        continue
                    msg = f"{cls.name}: the type of result '{declared.name}' must be given"
                    raise TypeError(msg)
                found.append(declared.element)
                continue
            at = next(o.index for o in cls.operand_fields if o.name == declared.same_as)
            if cls._variadic_at is not None and at > cls._variadic_at:
                at -= len(cls.operand_fields)
            source = operands[at].type
            found.append(source if declared.element is None else like(source, declared.element))
        return found

    def operand_group(self, index: int) -> Any:
        """Return the operand that declaration ``index`` names, a list when it is variadic."""
        declared = self.operand_fields[index]
        if self.segments:
            sizes = self.attributes["operandSegmentSizes"]
            assert isinstance(sizes, I32Array)
            start = sum(sizes.values[:index])
            group = self.operands[start : start + sizes.values[index]]
            return group if declared.variadic else group[0]
        at = self._variadic_at
        if at is None or index < at:
            return self.operands[index]
        after = len(self.operand_fields) - at - 1
        if index == at:
            return self.operands[at : len(self.operands) - after]
        return self.operands[index - len(self.operand_fields)]

    # ------------------------------------------------------------------- what an op may override

    def fold(self) -> Value | AttributeValue | None:
        """Return an existing value (or a constant attribute) that equals the result, or None.

        A fold creates no ops. Constant folding through ``evaluate`` is done by the driver.
        """
        return None

    def verify(self) -> None:
        """Raise a KdslError when a rule beyond types and counts is broken."""

    def verify_symbols(self, symbols: dict[str, CoreOp]) -> None:
        """Raise a KdslError when a named function does not fit; every named one is there."""

    @classmethod
    def has(cls, trait: Trait) -> bool:
        return trait in cls.traits

    @property
    def is_pure(self) -> bool:
        """Whether the op, with what is inside it, has no effect."""
        if Pure in self.traits:
            return True
        if RegionEffects in self.traits:
            return all(
                isinstance(inner, Op) and (inner.is_pure or Terminator in inner.traits)
                for region in self.regions
                for block in region.blocks
                for inner in block
            )
        return False


def element_of(value: Value) -> ScalarType:
    """Return the scalar type of a value's lanes."""
    return element_type(value.type)

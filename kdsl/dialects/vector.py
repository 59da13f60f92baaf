"""The upstream ``vector`` dialect: SIMD memory access, shuffles and horizontal reductions."""

from __future__ import annotations

from typing import Any

import numpy as np

from kdsl.dialects import rules
from kdsl.dialects.numeric import signless, unsigned
from kdsl.ir.core import OpResult, Value, defining_op
from kdsl.ir.define import (
    BOOL,
    DATA,
    INDEX_ONLY,
    INTEGER,
    MEMREF,
    SCALAR,
    SCALAR_OR_VECTOR,
    VECTOR,
    Op,
    Pure,
    ReadsMemory,
    WritesMemory,
    attribute,
    operand,
    result,
)
from kdsl.ir.types import I1, ScalarType, VectorType, vector


def _run(source: Any, indices: tuple[Any, ...], count: int) -> tuple[Any, ...]:
    """Return the index of ``count`` elements along the last dimension."""
    *outer, last = (int(i) for i in indices)
    return (*outer, slice(last, last + count))


class Broadcast(Op, name="vector.broadcast", traits=(Pure,)):
    """A scalar in every lane (or a vector repeated in new leading dimensions)."""

    x = operand(SCALAR_OR_VECTOR)
    y = result(VECTOR)

    def evaluate(self, x: Any) -> Any:
        wanted = self.y.type
        return np.full(wanted.shape, x, wanted.element.numpy)

    def verify(self) -> None:
        rules.holds_elements(self, self.y, self.x)
        if isinstance(self.x.type, VectorType):
            shape, wanted = self.x.type.shape, self.y.type.shape
            padded = (1,) * (len(wanted) - len(shape)) + shape
            fits = len(padded) == len(wanted) and all(
                a in (1, b) for a, b in zip(padded, wanted, strict=True)
            )
            rules.require(self, fits, f"{self.x.type} does not fit into {self.y.type}")


class Load(Op, name="vector.load", traits=(ReadsMemory,)):
    """Read consecutive elements of the last dimension.

    ``alignment``: what the address is known to be a multiple of, in bytes; 0 where unknown.
    """

    source = operand(MEMREF)
    indices = operand(INDEX_ONLY, variadic=True)
    alignment = attribute("int", default=0)
    y = result(VECTOR)

    def evaluate(self, source: Any, *indices: Any) -> Any:
        return source[_run(source, indices, self.y.type.size)].copy()

    def verify(self) -> None:
        rules.vector_access(self, self.source, self.indices, self.y)


class Store(Op, name="vector.store", traits=(WritesMemory,)):
    """Write consecutive elements of the last dimension; ``alignment`` as for a load."""

    value = operand(VECTOR)
    target = operand(MEMREF)
    indices = operand(INDEX_ONLY, variadic=True)
    alignment = attribute("int", default=0)

    def evaluate(self, value: Any, target: Any, *indices: Any) -> tuple[()]:
        target[_run(target, indices, self.value.type.size)] = value
        return ()

    def verify(self) -> None:
        rules.vector_access(self, self.target, self.indices, self.value)


class CreateMask(Op, name="vector.create_mask", traits=(Pure,)):
    """Lanes below ``count`` are true."""

    count = operand(INDEX_ONLY)
    y = result(VECTOR)

    def evaluate(self, count: Any) -> Any:
        return np.arange(self.y.type.size) < int(count)

    def verify(self) -> None:
        kind = self.y.type
        rules.require(self, kind.element is I1 and kind.rank == 1, f"{kind} is no mask of one axis")


class MaskedLoad(Op, name="vector.maskedload", traits=(ReadsMemory,)):
    """Read consecutive elements where the mask holds; ``pass_thru`` elsewhere.

    ``alignment`` as for a load.
    """

    source = operand(MEMREF)
    indices = operand(INDEX_ONLY, variadic=True)
    mask = operand(BOOL)
    pass_thru = operand(VECTOR)
    alignment = attribute("int", default=0)
    y = result(same_as="pass_thru")

    def evaluate(self, source: Any, *rest: Any) -> Any:
        *indices, mask, found = rest
        *outer, last = (int(i) for i in indices)
        found = np.array(found)
        for lane in np.flatnonzero(mask):
            found[lane] = source[(*outer, last + int(lane))]
        return found

    def verify(self) -> None:
        rules.indexed(self, self.source, self.indices)
        rules.holds_elements(self, self.source, self.pass_thru)
        rules.masked_lanes(self, self.pass_thru, self.mask)


class MaskedStore(Op, name="vector.maskedstore", traits=(WritesMemory,)):
    """Write consecutive elements where the mask holds; ``alignment`` as for a load."""

    target = operand(MEMREF)
    indices = operand(INDEX_ONLY, variadic=True)
    mask = operand(BOOL)
    value = operand(VECTOR)
    alignment = attribute("int", default=0)

    @staticmethod
    def evaluate(target: Any, *rest: Any) -> tuple[()]:
        *indices, mask, value = rest
        *outer, last = (int(i) for i in indices)
        for lane in np.flatnonzero(mask):
            target[(*outer, last + int(lane))] = value[lane]
        return ()

    def verify(self) -> None:
        rules.indexed(self, self.target, self.indices)
        rules.holds_elements(self, self.target, self.value)
        rules.masked_lanes(self, self.value, self.mask)


class Gather(Op, name="vector.gather", traits=(ReadsMemory,)):
    """Read ``source[indices..., last + lanes[l]]`` for each lane where the mask holds."""

    source = operand(MEMREF)
    indices = operand(INDEX_ONLY, variadic=True)
    lanes = operand(INTEGER)
    mask = operand(BOOL)
    pass_thru = operand(VECTOR)
    y = result(same_as="pass_thru")

    @staticmethod
    def evaluate(source: Any, *rest: Any) -> Any:
        *indices, lanes, mask, found = rest
        *outer, last = (int(i) for i in indices)
        found = np.array(found)
        for lane in np.flatnonzero(mask):
            found[lane] = source[(*outer, last + int(lanes[lane]))]
        return found

    def verify(self) -> None:
        rules.indexed(self, self.source, self.indices)
        rules.holds_elements(self, self.source, self.pass_thru)
        rules.masked_lanes(self, self.pass_thru, self.mask, self.lanes)


class Scatter(Op, name="vector.scatter", traits=(WritesMemory,)):
    """Write ``target[indices..., last + lanes[l]]`` for each lane that the mask has, in order."""

    target = operand(MEMREF)
    indices = operand(INDEX_ONLY, variadic=True)
    lanes = operand(INTEGER)
    mask = operand(BOOL)
    value = operand(VECTOR)

    @staticmethod
    def evaluate(target: Any, *rest: Any) -> tuple[()]:
        *indices, lanes, mask, value = rest
        *outer, last = (int(i) for i in indices)
        for lane in np.flatnonzero(mask):
            target[(*outer, last + int(lanes[lane]))] = value[lane]
        return ()

    def verify(self) -> None:
        rules.indexed(self, self.target, self.indices)
        rules.holds_elements(self, self.target, self.value)
        rules.masked_lanes(self, self.value, self.mask, self.lanes)


REDUCTIONS: dict[str, Any] = {
    "add": np.add.reduce,
    "mul": np.multiply.reduce,
    "minsi": np.minimum.reduce,
    "maxsi": np.maximum.reduce,
    "minnumf": np.fmin.reduce,
    "maxnumf": np.fmax.reduce,
    "minimumf": np.minimum.reduce,
    "maximumf": np.maximum.reduce,
    "and": np.bitwise_and.reduce,
    "or": np.bitwise_or.reduce,
    "xor": np.bitwise_xor.reduce,
}
"""What ``vector.reduction`` can combine (``minui``/``maxui`` are compared as unsigned)."""


def reduction_kind(name: str) -> str:
    """Return the attribute text of a reduction kind."""
    return f"#vector.kind<{name}>"


class Reduction(Op, name="vector.reduction", traits=(Pure,)):
    """Combine all lanes into one; ``kind`` is ``#vector.kind<...>``."""

    x = operand(VECTOR)
    kind = attribute("opaque")
    fastmath = attribute("opaque", default=None)
    y = result(DATA)

    @classmethod
    def infer_types(cls, operands: Any, attributes: Any) -> list[Any]:
        return [operands[0].type.element]

    @property
    def kind_name(self) -> str:
        return str(self.kind.text.removeprefix("#vector.kind<").removesuffix(">"))

    def evaluate(self, x: Any) -> Any:
        name = self.kind_name
        if name in ("minui", "maxui"):
            combine = np.minimum if name == "minui" else np.maximum
            return signless(combine.reduce(unsigned(x)), x)[()]
        with np.errstate(all="ignore"):
            return x.dtype.type(REDUCTIONS[name](x))

    def verify(self) -> None:
        kind, lanes = self.kind_name, self.x.type
        rules.require(self, lanes.rank == 1, f"{lanes} has more than one axis")
        rules.require(self, self.y.type is lanes.element, f"{lanes} to {self.y.type}")
        known = kind in REDUCTIONS or kind in ("minui", "maxui")
        both = kind in ("add", "mul")
        is_float = lanes.element.kind == "f"
        fits = known and (both or kind.endswith("f") == is_float)
        rules.require(self, fits, f"{kind} of {lanes}")


class Shuffle(Op, name="vector.shuffle", traits=(Pure,)):
    """Lanes of ``a`` then ``b``, picked by ``mask``."""

    a = operand(VECTOR)
    b = operand(VECTOR)
    mask = attribute("intlist")
    y = result(VECTOR)

    @classmethod
    def infer_types(cls, operands: Any, attributes: Any) -> list[Any]:
        return [vector(len(attributes["mask"]), operands[0].type.element)]

    def evaluate(self, a: Any, b: Any) -> Any:
        return np.concatenate([a, b])[self.mask]

    def verify(self) -> None:
        a, b, y = self.a.type, self.b.type, self.y.type
        fits = a.rank == b.rank == y.rank == 1 and a.element is b.element is y.element
        rules.require(self, fits, f"{a} and {b} to {y}")
        fits = len(self.mask) == y.size and all(0 <= m < a.size + b.size for m in self.mask)
        rules.require(self, fits, f"the mask {self.mask} does not fit {a}, {b} and {y}")


class Extract(Op, name="vector.extract", traits=(Pure,)):
    """One lane of a vector of one axis, at a fixed position."""

    x = operand(VECTOR)
    static_position = attribute("ints")
    y = result(SCALAR)

    @classmethod
    def infer_types(cls, operands: Any, attributes: Any) -> list[Any]:
        return [operands[0].type.element]

    def evaluate(self, x: Any) -> Any:
        return x[self.static_position]

    def fold(self) -> Value | None:
        """A lane of a broadcast scalar, of single elements, or of one inserted."""
        (at,), made = self.static_position, self.x
        while isinstance(made, OpResult) and isinstance(made.op, Insert):
            if made.op.static_position == self.static_position:
                return made.op.operands[0]
            made = made.op.x
        if not isinstance(made, OpResult):
            return None
        if isinstance(made.op, FromElements):
            return made.op.operands[at]
        is_scalar = isinstance(made.op, Broadcast) and made.op.x.type is self.y.type
        return made.op.operands[0] if is_scalar else None

    def verify(self) -> None:
        verify_position(self, self.x.type, self.static_position)
        rules.require(self, self.y.type is self.x.type.element, f"{self.y.type} of {self.x.type}")


class Insert(Op, name="vector.insert", traits=(Pure,)):
    """The vector of one axis with the lane at a fixed position replaced."""

    value = operand(SCALAR)
    x = operand(VECTOR)
    static_position = attribute("ints")
    y = result(same_as="x")

    def evaluate(self, value: Any, x: Any) -> Any:
        found = np.array(x)
        found[self.static_position] = value
        return found

    def verify(self) -> None:
        verify_position(self, self.x.type, self.static_position)
        fits = self.value.type is self.x.type.element
        rules.require(self, fits, f"{self.value.type} into {self.x.type}")


def verify_position(op: Op, kind: VectorType, position: tuple[int, ...]) -> None:
    """Check that a fixed position is a lane of a vector of one axis."""
    fits = kind.rank == 1 and len(position) == 1 and 0 <= position[0] < kind.shape[0]
    rules.require(op, fits, f"{kind} has no lane at {position}")


class FromElements(Op, name="vector.from_elements", traits=(Pure,)):
    """Scalars as the lanes of a vector, in row-major order."""

    elements = operand(SCALAR, variadic=True)
    y = result(VECTOR)

    @classmethod
    def infer_types(cls, operands: Any, attributes: Any) -> list[Any]:
        return [vector(len(operands), operands[0].type)]

    def evaluate(self, *elements: Any) -> Any:
        return np.array(elements, self.y.type.element.numpy).reshape(self.y.type.shape)

    def verify(self) -> None:
        kind, count = self.y.type, len(self.elements)
        fits = count == kind.size and all(e.type is kind.element for e in self.elements)
        rules.require(self, fits, f"{count} elements do not make {kind}")


class ExtractElement(Op, name="vector.extractelement", traits=(Pure,)):
    """One lane of a vector, at a run-time position."""

    x = operand(VECTOR)
    position = operand(INTEGER)
    y = result(SCALAR)

    @classmethod
    def infer_types(cls, operands: Any, attributes: Any) -> list[Any]:
        return [operands[0].type.element]

    @staticmethod
    def evaluate(x: Any, position: Any) -> Any:
        return x[int(position)]

    def fold(self) -> Value | None:
        """A lane of a broadcast scalar is the scalar."""
        source = defining_op(self.x, Broadcast)
        if source is not None and source.x.type is self.y.type:
            found = source.x
            assert isinstance(found, Value)
            return found
        return None

    def verify(self) -> None:
        x, y, at = self.x.type, self.y.type, self.position.type
        fits = x.rank == 1 and y is x.element and isinstance(at, ScalarType)
        rules.require(self, fits, f"{y} from {x} at {at}")


class InsertElement(Op, name="vector.insertelement", traits=(Pure,)):
    """The vector with one lane replaced, at a run-time position."""

    value = operand(SCALAR)
    x = operand(VECTOR)
    position = operand(INTEGER)
    y = result(same_as="x")

    @staticmethod
    def evaluate(value: Any, x: Any, position: Any) -> Any:
        found = np.array(x)
        found[int(position)] = value
        return found

    def verify(self) -> None:
        x, value, at = self.x.type, self.value.type, self.position.type
        fits = x.rank == 1 and value is x.element and isinstance(at, ScalarType)
        rules.require(self, fits, f"{value} into {x} at {at}")


class Interleave(Op, name="vector.interleave", traits=(Pure,)):
    """a0 b0 a1 b1 ..."""

    a = operand(VECTOR)
    b = operand(same_as="a")
    y = result(VECTOR)

    @classmethod
    def infer_types(cls, operands: Any, attributes: Any) -> list[Any]:
        t = operands[0].type
        return [vector((*t.shape[:-1], 2 * t.shape[-1]), t.element)]

    @staticmethod
    def evaluate(a: Any, b: Any) -> Any:
        return np.stack([a, b], axis=-1).reshape(*a.shape[:-1], -1)

    def verify(self) -> None:
        a, y = self.a.type, self.y.type
        wanted = vector((*a.shape[:-1], 2 * a.shape[-1]), a.element)
        rules.require(self, y is wanted, f"{a} gives {wanted}, not {y}")


class Deinterleave(Op, name="vector.deinterleave", traits=(Pure,)):
    """Even lanes and odd lanes."""

    x = operand(VECTOR)
    even = result(VECTOR)
    odd = result(VECTOR)

    @classmethod
    def infer_types(cls, operands: Any, attributes: Any) -> list[Any]:
        t = operands[0].type
        half = vector((*t.shape[:-1], t.shape[-1] // 2), t.element)
        return [half, half]

    @staticmethod
    def evaluate(x: Any) -> Any:
        return x[..., 0::2].copy(), x[..., 1::2].copy()

    def verify(self) -> None:
        x, even, odd = self.x.type, self.even.type, self.odd.type
        half = vector((*x.shape[:-1], x.shape[-1] // 2), x.element)
        fits = even is half and odd is half and x.shape[-1] % 2 == 0
        rules.require(self, fits, f"{x} gives {half} twice, not {even} and {odd}")


class Bitcast(Op, name="vector.bitcast", traits=(Pure,)):
    """The same bits as a vector of another element type (and so another length)."""

    x = operand(VECTOR)
    y = result(VECTOR)

    def evaluate(self, x: Any) -> Any:
        return np.ascontiguousarray(x).view(self.y.type.element.numpy).copy()

    def verify(self) -> None:
        x, y = self.x.type, self.y.type
        fits = x.rank == y.rank and x.shape[:-1] == y.shape[:-1]
        fits = fits and x.shape[-1] * x.element.bits == y.shape[-1] * y.element.bits
        rules.require(self, fits, f"{x} and {y} differ in bits")


def lanes_of(value: Value) -> int:
    """Return the lane count of a vector, 1 for a scalar."""
    return value.type.size if isinstance(value.type, VectorType) else 1

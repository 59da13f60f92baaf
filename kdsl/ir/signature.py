"""What an entry takes: plain data, shared by the language, the launcher and the built file."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

TENSOR, PTR, SCALAR = "tensor", "ptr", "scalar"


@dataclass(frozen=True)
class Arg:
    """One run-time argument; ``dims`` holds a name, or an int where the extent is fixed.

    An ``optional`` array may be left out of calls of some specialization of the entry. Each one is
    compiled for it being there, or for it being ``absent``: then its slots are 0.
    """

    name: str
    kind: str
    dtype: str
    access: str = "rw"
    dims: tuple[str | int, ...] = ()
    unit_stride: bool = True
    align: int = 1
    default: float | int | bool | None = None
    optional: bool = False
    dim_names: tuple[str | None, ...] = ()
    """What fixed dims are called; empty, or one per dim."""
    absent: bool = False

    @property
    def rank(self) -> int:
        """The rank that a caller passes; a pointer is passed as a vector."""
        return 1 if self.kind == PTR else len(self.dims)

    @property
    def is_array(self) -> bool:
        return self.kind != SCALAR

    @property
    def slots(self) -> int:
        """The number of 8-byte slots that the native entry reads for this argument."""
        return 1 + 2 * len(self.dims) if self.kind == TENSOR else 1

    def dim_name(self, axis: int) -> str | None:
        """Return the user's name of dim ``axis``, also of a fixed one when it is known."""
        dim = self.dims[axis]
        if isinstance(dim, str):
            return dim
        return self.dim_names[axis] if self.dim_names else None


@dataclass(frozen=True)
class Relation:
    """A condition on dims and integer scalars, in Python syntax: ``"Hq % Hkv == 0"``."""

    text: str

    @property
    def names(self) -> tuple[str, ...]:
        """The names that the text reads, in order of appearance."""
        import ast

        nodes = [n for n in ast.walk(ast.parse(self.text, mode="eval")) if isinstance(n, ast.Name)]
        return tuple(dict.fromkeys(n.id for n in sorted(nodes, key=lambda n: n.col_offset)))

    def holds(self, values: Mapping[str, int]) -> bool:
        """Evaluate the relation; a zero divisor makes it false."""
        code = compile(self.text, "<relation>", "eval")
        try:
            return bool(eval(code, {"__builtins__": {}}, dict(values)))  # noqa: S307
        except ZeroDivisionError:
            return False


@dataclass(frozen=True)
class Signature:
    """The arguments of one specialization of an entry, in call order."""

    name: str
    args: tuple[Arg, ...]
    relations: tuple[Relation, ...] = ()
    consts: tuple[tuple[str, object], ...] = ()
    doc: str = ""

    @property
    def slots(self) -> int:
        return sum(arg.slots for arg in self.args)

    @property
    def missing_dims(self) -> frozenset[str]:
        """The names of dims that only absent arguments have."""
        here, gone = set[str](), set[str]()
        for arg in self.args:
            names = {str(n) for axis in range(len(arg.dims)) if (n := arg.dim_name(axis))}
            (gone if arg.absent else here).update(names)
        return frozenset(gone - here)

    def to_json(self) -> dict[str, Any]:
        """Return JSON-able data; what has its default is left out of the arguments."""
        return {
            "name": self.name,
            "args": [_arg_to_json(arg) for arg in self.args],
            "relations": [relation.text for relation in self.relations],
            "consts": [[name, _const_to_json(value)] for name, value in self.consts],
            "doc": self.doc,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Signature:
        """Build a signature from ``to_json`` data. Raises KeyError, TypeError or ValueError."""
        return cls(
            name=str(data["name"]),
            args=tuple(_arg_from_json(arg) for arg in data["args"]),
            relations=tuple(Relation(str(text)) for text in data.get("relations", ())),
            consts=tuple((str(name), value) for name, value in data.get("consts", ())),
            doc=str(data.get("doc", "")),
        )


_DEFAULTS = {field.name: field.default for field in fields(Arg)}


def _arg_to_json(arg: Arg) -> dict[str, Any]:
    given = {key: value for key, value in asdict(arg).items() if value != _DEFAULTS[key]}
    if isinstance(arg.default, float) and not math.isfinite(arg.default):
        given["default"] = repr(arg.default)
    return given


def _arg_from_json(data: Mapping[str, Any]) -> Arg:
    known = dict(data)
    if isinstance(known.get("default"), str):
        known["default"] = float(known["default"])
    for key in ("dims", "dim_names"):
        known[key] = tuple(known.get(key, ()))
    arg = Arg(**known)
    if arg.kind not in (TENSOR, PTR, SCALAR) or not isinstance(arg.name, str):
        raise ValueError(f"no argument kind {arg.kind!r}")
    if arg.absent and not arg.optional:
        raise ValueError(f"{arg.name} is absent, but not optional")
    return arg


def _const_to_json(value: object) -> object:
    """Plain values stay; a dtype, an enum or a struct is recorded by its text."""
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)
    return value if isinstance(value, bool | int | float | str | None) else str(value)

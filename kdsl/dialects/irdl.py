"""A dialect's declarations as IRDL, so that ``mlir-opt --irdl-file=`` verifies our own ops too.

What IRDL of MLIR 19 cannot say stays with our verifier: optional attributes, shapes, and rules of
an op's own. It demands one type of all values of a variadic operand; an op that mixes types there
(a launch) is therefore declared once for each count of operands, as ``launch__5``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from kdsl.ir.define import REGISTRY, AttributeField, Constraint, Op, Operand, Result
from kdsl.ir.printer import string_text
from kdsl.ir.types import SCALARS

INTEGERS = ("i1", "i8", "i16", "i32", "i64")
FLOATS = ("f16", "bf16", "f32", "f64", "f8E4M3FN", "f8E5M2")

SHAPED = {"tensor": "builtin.tensor", "vector": "builtin.vector", "memref": "builtin.memref"}

CONSTRAINTS: dict[str, tuple[str, ...]] = {
    "any": (),
    "data": ("vector", "tensor", *SCALARS),
    "float": ("vector", "tensor", *FLOATS),
    "integer": ("vector", "tensor", "index", *INTEGERS),
    "fixed_integer": ("vector", "tensor", *INTEGERS),
    "bool": ("vector", "tensor", "i1"),
    "index": ("index",),
    "scalar": tuple(SCALARS),
    "i1": ("i1",),
    "memref": ("memref",),
    "vector": ("vector",),
    "tensor": ("tensor",),
    "scalar_or_tensor": ("tensor", *SCALARS),
    "scalar_or_vector": ("vector", *SCALARS),
}
"""Each constraint's types: scalars by name, shaped types by kind (IRDL sees no elements)."""

ONE_TYPE = ("index", "i1")
"""Constraints that leave no choice, so that a variadic operand's values agree."""

ATTRIBUTES = {
    "int": "#builtin.integer",
    "bool": "#builtin.integer",
    "string": "#builtin.string",
    "float": "#builtin.float",
    "type": "#builtin.type",
    "function_type": "#builtin.type",
    "ints": "#builtin.dense_array",
    "i32s": "#builtin.dense_array",
    "intlist": "#builtin.array",
    "symbol": "#builtin.symbol_ref",
    "unit": "#builtin.unit",
}


def irdl(dialect: str = "kdsl", counts: Iterable[int] = range(16)) -> str:
    """Return the IRDL of every declared op of a dialect, ordered by name.

    ``counts``: for how many operands an op that mixes types is declared.
    """
    ops = [REGISTRY[name] for name in sorted(REGISTRY) if name.startswith(f"{dialect}.")]
    texts = []
    for kind in ops:
        if mixes_types(kind):
            fewest = len(kind.operand_fields) - 1
            texts += [_operation(kind, n - fewest) for n in counts if n >= fewest]
        else:
            texts.append(_operation(kind, None))
    return "\n".join([f"irdl.dialect @{dialect} {{", *texts, "}", ""])


def mixes_types(kind: type[Op]) -> bool:
    """Return whether the values of a variadic operand may have several types."""
    return any(o.variadic and o.constraint.name not in ONE_TYPE for o in kind.operand_fields)


def _operation(kind: type[Op], extra: int | None) -> str:
    """Declare an op, with ``extra`` values for the variadic operand when a number is given."""
    body = _Body()
    lines = _values(kind, body, extra)
    lines += _attributes(kind, body)
    name = kind.name.partition(".")[2]
    if extra is not None:
        name = f"{name}__{len(kind.operand_fields) - 1 + extra}"
    return "\n".join([f"  irdl.operation @{name} {{", *body.lines, *lines, "  }"])


class _Body:
    """The lines of one operation that define constraints, numbered as they come."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.count = 0

    def add(self, text: str) -> str:
        """Define one constraint and return its name."""
        name = f"%{self.count}"
        self.count += 1
        self.lines.append(f"    {name} = irdl.{text}")
        return name

    def one_of(self, options: tuple[str, ...], single: Callable[[str], str]) -> str:
        names = [self.add(single(option)) for option in options]
        return names[0] if len(names) == 1 else self.add(f"any_of({', '.join(names)})")

    def type(self, constraint: Constraint) -> str:
        options = CONSTRAINTS[constraint.name]
        return self.one_of(options, _single_type) if options else self.add("any")


def _single_type(option: str) -> str:
    return f'base "!{SHAPED[option]}"' if option in SHAPED else f"is {option}"


def _values(kind: type[Op], body: _Body, extra: int | None) -> list[str]:
    """Return the lines for operands and results; one name used twice means one type."""
    names: dict[str, str] = {}
    operands: list[str] = []
    for declared in kind.operand_fields:
        if declared.variadic and extra is not None:
            operands += [body.type(declared.constraint) for _ in range(extra)]
            continue
        shared = names.get(declared.same_as or "")
        names[declared.name] = shared or body.type(declared.constraint)
        operands.append(_listed(declared, names[declared.name]))
    results = [_listed(r, _result(r, names, body)) for r in kind.result_fields]
    lines = []
    if operands:
        lines.append(f"    irdl.operands({', '.join(operands)})")
    if results:
        lines.append(f"    irdl.results({', '.join(results)})")
    return lines


def _result(declared: Result, names: dict[str, str], body: _Body) -> str:
    if declared.same_as is not None and declared.element is None:
        return names[declared.same_as]
    if declared.same_as is None and declared.element is not None:
        return body.add(f"is {declared.element}")
    return body.type(declared.constraint)


def _listed(declared: Operand | Result, name: str) -> str:
    return f"variadic {name}" if declared.variadic else name


def _attributes(kind: type[Op], body: _Body) -> list[str]:
    entries = [
        f"{string_text(name)} = {_attribute(field, body)}"
        for name, field in kind.attribute_fields.items()
        if field.is_required
    ]
    return [f"    irdl.attributes {{ {', '.join(entries)} }}"] if entries else []


def _attribute(field: AttributeField, body: _Body) -> str:
    if field.choices:
        return body.one_of(field.choices, lambda choice: f"is {string_text(choice)}")
    base = ATTRIBUTES.get(field.kind)
    return body.add("any" if base is None else f'base "{base}"')

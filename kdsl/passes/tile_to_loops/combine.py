"""Combining lanes: reductions and scans, by the names of upstream's atomic kinds."""

from __future__ import annotations

from typing import Any

import numpy as np

from kdsl.dialects.arith import (
    CONTRACT,
    Addf,
    Addi,
    Andi,
    Maximumf,
    Maxnumf,
    Maxsi,
    Maxui,
    Minimumf,
    Minnumf,
    Minsi,
    Minui,
    Mulf,
    Muli,
    Ori,
    Xori,
)
from kdsl.dialects.vector import Reduction, reduction_kind
from kdsl.ir.attributes import Opaque
from kdsl.ir.builder import Builder
from kdsl.ir.core import Value
from kdsl.ir.types import I1, ScalarType, VectorType

COMBINERS: dict[str, type[Any]] = {
    "addf": Addf, "addi": Addi, "mulf": Mulf, "muli": Muli,
    "maximumf": Maximumf, "minimumf": Minimumf, "maxnumf": Maxnumf, "minnumf": Minnumf,
    "maxs": Maxsi, "mins": Minsi, "maxu": Maxui, "minu": Minui,
    "andi": Andi, "ori": Ori, "xori": Xori,
}  # fmt: skip
"""The op that combines two lanes."""

HORIZONTAL: dict[str, str] = {
    "addf": "add", "addi": "add", "mulf": "mul", "muli": "mul",
    "maximumf": "maximumf", "minimumf": "minimumf", "maxnumf": "maxnumf", "minnumf": "minnumf",
    "maxs": "maxsi", "mins": "minsi", "maxu": "maxui", "minu": "minui",
    "andi": "and", "ori": "or", "xori": "xor",
}  # fmt: skip
"""The kind of ``vector.reduction``."""

FLOAT_NEUTRALS = {
    "addf": -0.0, "mulf": 1.0, "maximumf": -np.inf, "minimumf": np.inf,
    "maxnumf": np.nan, "minnumf": np.nan,
}  # fmt: skip

REASSOCIATE = Opaque("#arith.fastmath<reassoc>")
"""A sum over lanes may be taken in any order, the op says so."""


def neutral(kind: str, element: ScalarType) -> Any:
    """Return what leaves a lane as it is when combined with it."""
    if kind in FLOAT_NEUTRALS:
        return FLOAT_NEUTRALS[kind]
    if element is I1:
        return kind in ("muli", "andi", "minu", "maxs")
    info = np.iinfo(element.numpy)
    return {
        "addi": 0, "ori": 0, "xori": 0, "maxu": 0, "muli": 1, "andi": -1, "minu": -1,
        "maxs": info.min, "mins": info.max,
    }[kind]  # fmt: skip


def combine(b: Builder, kind: str, x: Value, y: Value) -> Value:
    """Combine two values lane by lane."""
    flags: dict[str, Any] = {"fastmath": Opaque(CONTRACT)} if kind in ("addf", "mulf") else {}
    made = b.create(COMBINERS[kind], x, y, **flags)
    assert isinstance(made, Value)
    return made


def horizontal(b: Builder, kind: str, x: Value) -> Value:
    """Combine all lanes of a vector; a scalar stays."""
    if not isinstance(x.type, VectorType):
        return x
    flags: dict[str, Any] = {"fastmath": REASSOCIATE} if kind in ("addf", "mulf") else {}
    made = b.create(Reduction, x, kind=Opaque(reduction_kind(HORIZONTAL[kind])), **flags)
    assert isinstance(made, Value)
    return made

"""A kernel language inside Python: ``import kdsl as kd``.

Public names are looked up in the tables below on first use, so that importing kdsl is cheap.
"""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"

PUBLIC: dict[str, tuple[str, ...]] = {
    "kdsl.errors": ("KdslError",),
    "kdsl.settings": ("settings",),
    "kdsl.language.types": (
        "AUTO", "Config", "Const", "Index", "RO", "RW", "WO", "Width", "align", "bf16", "dtype_var",
        "f16", "f32", "f64", "f8e4m3", "f8e5m2", "i16", "i32", "i64", "i8", "index", "u16", "u32",
        "u64", "u8",
    ),
    "kdsl.language.dims": ("const_dims", "dims"),
    "kdsl.language.memory": ("Ptr", "Tensor"),
    "kdsl.language.simd": ("SIMD", "lane_numbers", "mask_below", "splat"),
    "kdsl.language.tile": (
        "Tile", "arange", "concat", "cumsum", "dot", "full", "full_like", "iota", "ones", "scan",
        "softmax", "stack", "zeros", "zeros_like",
    ),
    "kdsl.language.span": ("span", "span_at"),
    "kdsl.language.values": ("cast",),
    "kdsl.language.math": (
        "LN2", "LOG2E", "abs", "cdiv", "ceil", "clamp", "copysign", "cos", "erf", "exp", "exp2",
        "floor", "fma", "inf", "leading_zeros", "log", "log2", "maximum", "minimum", "nan", "pi",
        "popcount", "pow", "round", "rsqrt", "select", "sigmoid", "silu", "sin", "sqrt", "tanh",
        "trailing_zeros", "trunc", "where",
    ),
    "kdsl.language.loops": (
        "num_stages", "parallelize", "static_assert", "static_range", "unroll", "vectorize",
        "vectorize_reduce",
    ),
    "kdsl.language.control": ("cond", "fori", "while_loop"),
    "kdsl.language.grid": ("num_programs", "program_id", "require"),
    "kdsl.host": ("Export", "exported"),
    "kdsl.torch_operators": ("torch_op",),
    "kdsl.runtime.devices": ("synchronize",),
    "kdsl.language.kernel": ("export", "exports", "func", "kernel", "program", "single_kernel"),
    "kdsl.language.program": ("workspace",),
    "kdsl.language.schedule": ("autotune", "by_target", "features"),
    "kdsl.bench.case": ("Case",),
    "kdsl.serving.library": ("load",),
}  # fmt: skip
"""Module -> the public names that it defines."""

RENAMED: dict[str, tuple[str, str]] = {
    "bool": ("kdsl.language.types", "bool_"),
    "broadcast_to": ("kdsl.language.tile", "broadcast_tile"),
    "max": ("kdsl.language.tile", "max_"),
    "min": ("kdsl.language.tile", "min_"),
    "prod": ("kdsl.language.tile", "prod_"),
    "range": ("kdsl.language.loops", "range_"),
    "sum": ("kdsl.language.tile", "sum_"),
}
"""Public names that Python has already: where they are, and what they are called there."""

_HOME: dict[str, tuple[str, str]] = {
    **{name: (module, name) for module, names in PUBLIC.items() for name in names},
    **RENAMED,
}

__all__ = ["__version__", *_HOME]  # noqa: PLE0604 - names come from the tables above


def __getattr__(name: str) -> Any:
    """Import the module that defines ``name`` and keep the name here."""
    found = _HOME.get(name)
    if found is None:
        raise AttributeError(f"module 'kdsl' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(found[0]), found[1])
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})

"""A kernel language inside Python: ``import kdsl as kd``.

Public names are looked up in the tables below on first use, so that importing kdsl is cheap.
"""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"

PUBLIC: dict[str, tuple[str, ...]] = {
    "kdsl.bench.case": ("Case",),
    "kdsl.errors": ("KdslError",),
    "kdsl.serving.library": ("load",),
    "kdsl.settings": ("settings",),
}
"""Module -> the public names that it defines."""

_HOME = {name: module for module, names in PUBLIC.items() for name in names}

__all__ = ["__version__", *_HOME]  # noqa: PLE0604 - names come from the table above


def __getattr__(name: str) -> Any:
    """Import the module that defines ``name`` and keep the name here."""
    module = _HOME.get(name)
    if module is None:
        raise AttributeError(f"module 'kdsl' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(module), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})

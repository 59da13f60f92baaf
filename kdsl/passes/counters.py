"""Arithmetic on loop counters that cannot wrap: in index, whatever the counter's type."""

from __future__ import annotations

from kdsl.dialects.arith import IndexCast
from kdsl.ir.builder import Builder
from kdsl.ir.core import Value
from kdsl.ir.types import INDEX, Type


def as_index(b: Builder, value: Value) -> Value:
    """Convert an integer to index."""
    return as_counter(b, value, INDEX)


def as_counter(b: Builder, value: Value, kind: Type) -> Value:
    """Convert between index and the type of a counter."""
    if value.type is kind:
        return value
    found: Value = b.create(IndexCast, value, types=[kind])
    return found

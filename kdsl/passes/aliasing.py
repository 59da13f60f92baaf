"""Which buffers may share memory.

Two buffers that a caller passes are the same buffer or do not overlap, and do not overlap when
their element types differ; buffers that the program makes itself overlap nothing else.
"""

from __future__ import annotations

from collections.abc import Collection

from kdsl.dialects.kdsl import WorkgroupAlloc
from kdsl.dialects.memref import Alloc, Alloca, Cast
from kdsl.ir.core import Value
from kdsl.ir.types import element_type


def may_alias(a: Value, b: Value, own: Collection[Value] = ()) -> bool:
    """Return whether two buffers may be one; those in ``own`` are none but themselves."""
    a, b = whole_buffer(a), whole_buffer(b)
    if a is b:
        return True
    if element_type(a.type) is not element_type(b.type):
        return False
    return not any(v in own or isinstance(v.op, Alloc | Alloca | WorkgroupAlloc) for v in (a, b))


def whole_buffer(value: Value) -> Value:
    """Return the buffer that a value is, under whatever type."""
    while isinstance(value.op, Cast):
        value = value.op.operands[0]
    return value

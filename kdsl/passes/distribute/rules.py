"""The rule of each op; elementwise ops need none of their own."""

from __future__ import annotations

from kdsl.dialects.kdsl import (
    Broadcast,
    Concat,
    Dot,
    Gather,
    LoadTile,
    Print,
    Reduce,
    Reshape,
    Scan,
    Scatter,
    Slice,
    StoreTile,
    Transpose,
)
from kdsl.dialects.scf import Condition, For, If, While, Yield
from kdsl.ir.core import Op
from kdsl.passes.distribute.control import (
    lower_condition,
    lower_for,
    lower_if,
    lower_while,
    lower_yield,
)
from kdsl.passes.distribute.dots import lower_dot
from kdsl.passes.distribute.effects import lower_plain, lower_print
from kdsl.passes.distribute.lowering import Rule
from kdsl.passes.distribute.memory import lower_gather, lower_load, lower_scatter, lower_store
from kdsl.passes.distribute.moves import lower_move
from kdsl.passes.distribute.reduce import lower_reduce
from kdsl.passes.distribute.scan import lower_scan

RULES: dict[type[Op], Rule] = {
    For: lower_for,
    If: lower_if,
    While: lower_while,
    Yield: lower_yield,
    Condition: lower_condition,
    LoadTile: lower_load,
    StoreTile: lower_store,
    Gather: lower_gather,
    Scatter: lower_scatter,
    Reduce: lower_reduce,
    Scan: lower_scan,
    Dot: lower_dot,
    Broadcast: lower_move,
    Transpose: lower_move,
    Reshape: lower_move,
    Slice: lower_move,
    Concat: lower_move,
    Print: lower_print,
}

__all__ = ["RULES", "lower_plain"]

"""Importing this module declares every op; the parser and the tools need that, kernels do not."""

from __future__ import annotations

from kdsl.dialects import arith as arith
from kdsl.dialects import cf as cf
from kdsl.dialects import func as func
from kdsl.dialects import gpu as gpu
from kdsl.dialects import kdsl as kdsl
from kdsl.dialects import lanes as lanes
from kdsl.dialects import math as math
from kdsl.dialects import memref as memref
from kdsl.dialects import scf as scf
from kdsl.dialects import vector as vector

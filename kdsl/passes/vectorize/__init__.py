"""Widening scalar loops: the pass, and the widening of ops."""

from __future__ import annotations

from kdsl.passes.vectorize.loops import Vectorize as Vectorize

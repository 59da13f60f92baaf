"""Layouts of tiles over lanes; see ``kdsl.target.layout``, where matrix units need them too."""

from __future__ import annotations

from kdsl.target.layout import Digit, Layout, blocked, made, row_major

__all__ = ["Digit", "Layout", "blocked", "made", "row_major"]

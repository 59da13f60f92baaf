"""Judges compare answers with the same tools as kdsl's own users."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "ir"))

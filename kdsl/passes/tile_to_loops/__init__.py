"""Tiles become loops over scalars and vectors: ``tile-to-loops``, for targets with flat memory.

``normalize`` rewrites tile ops into fewer kinds; ``plan`` decides which tiles get a scratch buffer;
``schedule`` and ``reuse`` which ops share a loop nest and a buffer; ``emit``, ``nest`` and ``pull``
write the nests, ``micro`` the dots; ``lower`` drives.
"""

from kdsl.passes.tile_to_loops.lower import TileToLoops

__all__ = ["TileToLoops"]

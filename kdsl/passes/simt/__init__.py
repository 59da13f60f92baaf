"""Giving scalar kernels and loops to the lanes of workgroups.

What a program does is done by all lanes of its workgroup: pure ops and loads by each of them alike,
the turns of a loop with ``kdsl.vectorize`` or ``kdsl.parallel`` by one lane each, everything else
that has effects by lane 0. Barriers stand where lanes would otherwise meet in memory.
"""

from __future__ import annotations

from kdsl.passes.simt.lower import Simt as Simt

"""Running lane-level kernels: all lanes of a workgroup side by side, as arrays with a lane axis.

    simt.run(module, "add", (x, y, out), features)

Host entries run as ``kdsl.ir.interpreter`` runs them; each launch of a kernel with ``kdsl.lanes``
runs its programs one after another, each as a workgroup. A value is an array whose first axis is
the lane (of size 1 where all lanes agree); branches and loops that lanes take differently run under
a mask. What a device only may do is an error here: a barrier that some lanes do not reach, two
lanes (or programs) that touch one element without order, an index outside a buffer, a vector access
that is not aligned as it says, memory read while a copy to it is under way, a subgroup operation
with lanes missing. Workgroup memory starts poisoned.

An op runs by its ``execute_lanes(group, *operands)`` if its class has one, else by ``RULES``, else
lane by lane through ``evaluate``. ``Machine`` brings rules for a back end's ops, and lets parts of
a workgroup go their own ways.
"""

from __future__ import annotations

from kdsl.testing.simt.group import Workgroup as Workgroup
from kdsl.testing.simt.memory import LaneBuffer as LaneBuffer
from kdsl.testing.simt.rules import RULES as RULES
from kdsl.testing.simt.run import Machine as Machine
from kdsl.testing.simt.run import run as run

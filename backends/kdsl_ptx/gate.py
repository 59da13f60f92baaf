"""What must not be in assembled code: spills, serialized matrix products, uneven descriptors.

Each finding is an error that names the kernel, its schedule and what to change.
"""

from __future__ import annotations

import re

from kdsl.errors import SerializedMatrixError, SpillError, UnevenCodeError
from kdsl_ptx.emit import SCHEDULE
from kdsl_ptx.machine_code import instruction_counts
from kdsl_ptx.report import Resources, bodies

HARMLESS = "C7519"
"""The assembler adds a fence in front of the first product: nothing is lost."""
MATRIX_UNIT = "wgmma."
OWN_STACK = "kdsl_local"
"""Kernels that print, or ask for local buffers, have a stack of their own."""
MOST = {"WARPSYNC": 0, "R2UR": 20}
"""How many of an instruction a kernel with matrix products may hold."""
REQUIRED_LANES = re.compile(r"^\.reqntid (\d+)", re.MULTILINE)
RAISED = re.compile(r"setmaxnreg\.inc\.sync\.aligned\.u32 (\d+)")
"""What a role takes of the registers that others give up."""
REGISTER_FILE, MOST_REGISTERS = 65536, 255


def schedule_of(text: str, kernel: str) -> str:
    """Return " (schedule ...)" as the emitted text states it, or nothing."""
    mark = f"{SCHEDULE}{kernel}: "
    at = text.find(mark)
    if at < 0:
        return ""
    return f" (schedule {text[at + len(mark) : text.find(chr(10), at)]})"


def check(text: str, found: dict[str, Resources]) -> None:
    """Raise a GateError for the first kernel whose code is not good enough."""
    kernels = bodies(text)
    for name, r in found.items():
        body = kernels.get(name, "")
        _check_matrix_unit(text, r)
        _check_spills(text, r, body)


def _check_matrix_unit(text: str, r: Resources) -> None:
    for advisory in r.advisories:
        if advisory.startswith(HARMLESS):
            continue
        advice = (
            "take smaller tiles or more consumers, so that accumulators fit registers"
            if advisory.startswith("C7512") or "register" in advisory
            else "wait for a product before its accumulator is touched"
        )
        raise SerializedMatrixError(
            kernel=r.kernel, schedule=schedule_of(text, r.kernel), what=advisory, advice=advice
        )


def _check_spills(text: str, r: Resources, body: str) -> None:
    spilled = r.spill_stores + r.spill_loads
    own = OWN_STACK in body
    if not spilled and (own or not r.stack):
        return
    what = f"{spilled} bytes are spilled" if spilled else f"{r.stack} bytes of stack are used"
    lanes = REQUIRED_LANES.search(body)
    limit = MOST_REGISTERS
    if lanes:
        limit = min(limit, REGISTER_FILE // int(lanes[1]) // 8 * 8)
    limit = max(limit, *map(int, RAISED.findall(body)), 0)
    raise SpillError(
        kernel=r.kernel,
        schedule=schedule_of(text, r.kernel),
        what=what,
        registers=limit,
        advice="take smaller tiles, or more warps or consumers for the same tile (k.schedule(...))",
    )


# ---------------------------------------------------------------------------------- machine code


def check_machine_code(text: str, image: bytes) -> None:
    """Look at kernels with matrix products instruction by instruction. Raises UnevenCodeError."""
    kernels = {name for name, body in bodies(text).items() if MATRIX_UNIT in body}
    if not kernels:
        return
    for name, count in instruction_counts(image).items():
        for what, most in MOST.items():
            if name in kernels and count[what] > most:
                raise UnevenCodeError(
                    kernel=name,
                    schedule=schedule_of(text, name),
                    count=count[what],
                    what=what,
                    advice="compute descriptors and loop bounds from values that lanes share",
                )

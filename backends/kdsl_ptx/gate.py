"""What must not be in assembled code: spills, serialized matrix products, uneven descriptors.

Each finding is an error that names the kernel, its schedule and what to change.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections import Counter
from pathlib import Path

from kdsl.errors import SerializedMatrixError, SpillError, UnevenCodeError
from kdsl_ptx.emit import SCHEDULE
from kdsl_ptx.report import Resources, bodies
from kdsl_ptx.tools import find_tool

HARMLESS = "C7519"
"""The assembler adds a fence in front of the first product: nothing is lost."""
MATRIX_UNIT = "wgmma."
OWN_STACK = "kdsl_local"
"""Kernels that print, or ask for local buffers, have a stack of their own."""
MOST_MOVES = 20
REQUIRED_LANES = re.compile(r"^\.reqntid (\d+)", re.MULTILINE)
REGISTER_FILE, MOST_REGISTERS = 65536, 255
FUNCTION = re.compile(r"^\s*\.section\s+\.text\.([\w$]+),|^\.text\.([\w$]+):", re.MULTILINE)
INSTRUCTION = re.compile(
    r"^\s+/\*[0-9a-f]{4,6}\*/\s+(?:@!?U?P\w+\s+)?([A-Z][A-Z0-9_.]*)", re.MULTILINE
)


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
    raise SpillError(
        kernel=r.kernel,
        schedule=schedule_of(text, r.kernel),
        what=what,
        registers=limit,
        advice="take smaller tiles, or more warps for the same tile (k.schedule(warps=...))",
    )


# ----------------------------------------------------------------------------------- disassembly


def check_machine_code(text: str, image: bytes) -> bool:
    """Look at kernels with matrix products instruction by instruction.

    Returns whether a disassembler was at hand. Raises UnevenCodeError.
    """
    if MATRIX_UNIT not in text:
        return True
    tool = find_tool("nvdisasm")
    if tool is None:
        return False
    for name, count in instruction_counts(tool, image).items():
        moves = sum(n for word, n in count.items() if word.startswith("R2UR"))
        if not any(word.startswith(("HGMMA", "QGMMA", "IGMMA")) for word in count):
            continue
        synchronizations = sum(n for word, n in count.items() if word.startswith("WARPSYNC"))
        rows = (("WARPSYNC", synchronizations, 0), ("R2UR", moves, MOST_MOVES))
        for what, n, most in rows:
            if n > most:
                raise UnevenCodeError(
                    kernel=name,
                    schedule=schedule_of(text, name),
                    count=n,
                    what=what,
                    advice="compute descriptors and loop bounds from values that lanes share",
                )
    return True


def instruction_counts(tool: str, image: bytes) -> dict[str, Counter[str]]:
    """Return how often each machine instruction is in each kernel."""
    with tempfile.TemporaryDirectory(prefix="kdsl") as folder:
        path = Path(folder) / "image.cubin"
        path.write_bytes(image)
        done = subprocess.run([tool, "-c", path], capture_output=True, text=True, check=False)
    found: dict[str, Counter[str]] = {}
    marks = list(FUNCTION.finditer(done.stdout))
    ends = [*(m.start() for m in marks[1:]), len(done.stdout)]
    for mark, end in zip(marks, ends, strict=False):
        words = INSTRUCTION.findall(done.stdout, mark.start(), end)
        found.setdefault(mark[1] or mark[2], Counter()).update(words)
    return found

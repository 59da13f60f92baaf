"""What generated code is like: registers, occupancy, widths of accesses, matrix instructions."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

from kdsl.target.target import Target
from kdsl_amdgpu.features import Chip, chip_of
from kdsl_amdgpu.metadata import Kernel

_WIDTHS = {"dword": 32, "dwordx2": 64, "dwordx3": 96, "dwordx4": 128}
_ACCESS = re.compile(
    r"(global|flat|buffer|ds|scratch|s_buffer|s)_(load|read|store|write)"
    r"(2st64|2|_2addr_stride64|_2addr)?_(\w+)"
)


@dataclass(frozen=True, slots=True)
class Quality:
    """A kernel's numbers. Registers are for one lane (scalar ones for a wave), sizes in bytes.

    ``occupancy``: waves that one SIMD unit can hold. ``mix``: instruction kind -> how many stand in
    the text; ``accesses``: (space, direction, bits of one lane) as text -> how many. ``inner``: the
    mix of the innermost loop with the most matrix instructions, of the largest one without any.
    """

    lanes: int
    vector_registers: int
    accumulator_registers: int
    scalar_registers: int
    lds_bytes: int
    scratch_bytes: int
    vector_spills: int
    scalar_spills: int
    occupancy: int
    matrix_instructions: int
    instructions: int
    mix: dict[str, int]
    accesses: dict[str, int]
    inner: dict[str, int]

    def facts(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)


def report(assembly: str, kernels: dict[str, Kernel], target: Target) -> dict[str, Quality]:
    """Return the numbers of each kernel of an assembly text."""
    chip = chip_of(target)
    return {name: _measure(_body(assembly, name), k, chip) for name, k in kernels.items()}


def kernel_lines(assembly: str, name: str) -> list[str]:
    """Return the instructions of a kernel, without labels, directives and comments."""
    return [line for line in _body(assembly, name) if not line.endswith(":")]


def _body(assembly: str, name: str) -> list[str]:
    """Return the instructions and labels of a kernel."""
    label = name if re.fullmatch(r"[A-Za-z_.$][\w.$]*", name) else f'"{name}"'
    start = assembly.index(f"\n{label}:") + 1
    end = assembly.find("\n\t.section", start)
    lines = (line.partition(";")[0].strip() for line in assembly[start:end].splitlines())
    return [line for line in lines if line.endswith(":") or (line and not line.startswith("."))]


def _measure(body: list[str], kernel: Kernel, chip: Chip) -> Quality:
    row = kernel.facts
    lines = [line for line in body if not line.endswith(":")]
    mix = _mix(lines)
    words = [part.split(maxsplit=1)[0] for line in lines for part in line.split("::")]
    accesses = Counter(found for word in words if (found := _access(word)) is not None)
    lanes = row[".max_flat_workgroup_size"]
    return Quality(
        lanes,
        row[".vgpr_count"],
        row.get(".agpr_count", 0),
        row[".sgpr_count"],
        row[".group_segment_fixed_size"],
        row[".private_segment_fixed_size"],
        row[".vgpr_spill_count"],
        row[".sgpr_spill_count"],
        occupancy(chip, row[".vgpr_count"], row[".group_segment_fixed_size"], lanes),
        mix["matrix"],
        len(lines),
        dict(sorted(mix.items())),
        dict(sorted(accesses.items())),
        dict(sorted(_mix(inner_loop(body)).items())),
    )


def _mix(lines: list[str]) -> Counter[str]:
    """Count kinds of instructions; both halves of a dual-issue one."""
    parts = [part for line in lines for part in line.split("::")]
    return Counter(_kind(part.split(maxsplit=1)[0]) for part in parts)


def inner_loop(body: list[str]) -> list[str]:
    """Return the instructions of the loop that counts: see ``Quality.inner``."""
    labels = {line[:-1]: at for at, line in enumerate(body) if line.endswith(":")}
    loops = []
    for at, line in enumerate(body):
        word, _, target = line.partition(" ")
        if word.startswith(("s_branch", "s_cbranch")) and labels.get(target.strip(), at) < at:
            loops.append((labels[target.strip()], at))
    innermost = [
        (a, b)
        for a, b in loops
        if not any(a <= c and d <= b and (a, b) != (c, d) for c, d in loops)
    ]
    found = [[x for x in body[a : b + 1] if not x.endswith(":")] for a, b in innermost]
    return max(found, key=lambda x: (_mix(x)["matrix"], len(x)), default=[])


def occupancy(chip: Chip, vector_registers: int, lds_bytes: int, lanes: int) -> int:
    """Return how many waves a SIMD unit can hold, by registers and by workgroup memory."""
    taken = max(1, -(-vector_registers // chip.allocation)) * chip.allocation
    by_registers = min(chip.max_waves, chip.simd_registers // taken)
    if lds_bytes == 0:
        return by_registers
    waves = -(-lanes // chip.features.subgroup)
    groups = chip.cluster_lds // lds_bytes
    by_memory = max(1, -(-groups * waves // chip.simds))
    return min(by_registers, by_memory)


def _kind(word: str) -> str:
    if word.startswith(("v_mfma", "v_wmma", "v_smfmac", "v_swmmac")):
        return "matrix"
    if word.startswith(("s_wait", "s_nop", "s_delay", "s_clause", "s_sleep")):
        return "wait"
    head, _, rest = word.partition("_")
    if head == "s":
        return "scalar load" if rest.startswith(("load", "buffer")) else "scalar"
    names = {"v": "vector", "ds": "workgroup memory", "global": "global memory", "flat": "flat"}
    return names.get(head, head)


def _access(word: str) -> str | None:
    found = _ACCESS.fullmatch(word)
    if found is None or found[1].startswith("s"):
        return None if found is None or found[1] != "scratch" else f"scratch {found[2]}"
    space, direction, pair, kind = found.groups()
    bits = _WIDTHS.get(kind) or int(re.sub(r"\D", "", kind.split("_")[0]) or 0)
    if kind.endswith(("byte", "ubyte", "sbyte")):
        bits = 8
    elif "short" in kind:
        bits = 16
    word = {"read": "load", "write": "store"}.get(direction, direction)
    return f"{space} {word} {bits * (2 if pair else 1)}"


def faults(row: Quality) -> list[str]:
    """Return what is never meant in a kernel with matrix instructions."""
    if not row.matrix_instructions:
        return []
    found = []
    if row.vector_spills:
        found.append(f"{row.vector_spills} vector registers are spilled")
    if row.scratch_bytes:
        found.append(f"{row.scratch_bytes} bytes of scratch memory a lane")
    return found


def access_lines(rows: dict[str, Quality]) -> list[str]:
    """Return a line for each kernel, for ``explain()``."""
    lines = []
    for name, row in rows.items():
        parts = "; ".join(f"{count} {kind}-bit" for kind, count in row.accesses.items())
        held = f"{row.vector_registers} vector registers, {row.lds_bytes} bytes of workgroup memory"
        waves = f"{row.occupancy} waves a SIMD"
        matrix = f"; {row.matrix_instructions} matrix" if row.matrix_instructions else ""
        spilled = "".join(f"; {what}" for what in faults(row))
        lines.append(f"{name}: accesses: {parts or 'none'}{matrix}; {held}; {waves}{spilled}")
    return lines

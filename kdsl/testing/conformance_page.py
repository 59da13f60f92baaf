"""The page: kernels by targets, groups of ops by targets, refusals, tools, devices."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

from kdsl.codegen.backend import RUNGS
from kdsl.testing.conformance_record import (
    SEPARATOR,
    Executed,
    Key,
    Recorded,
    Results,
    op_text,
    rung_of,
    targets_of,
)
from kdsl.testing.trials import REFUSED, WRONG

WORDS = {
    "hardware": "executed on hardware",
    "emulator": "executed in an emulator",
    "assembled": "assembled",
    "text": "text checked",
    REFUSED: "refused",
    WRONG: "WRONG",
}
PREFACE = """# Conformance

Written by `kdsl conformance`; every number was counted by a run.

- *hardware*: executed on hardware, *emulator*: executed in an emulator. The results were compared,
  element by element, with the interpreted kernel or with the op's meaning.
- *assembled*: the target's own assembler took the code. *text*: code was written, nothing took it.
- *refused*: a coded error, listed below. *WRONG* fails the run.

"""
VERSIONS = """## Versions

Of the machine that wrote this page; they are not compared when it is checked.
"""
GROUPS = (
    ("conversions", ("arith.ext", "arith.trunc", "arith.sito", "arith.uito", "arith.fpto",
                     "arith.index_cast", "arith.bitcast")),
    ("comparisons, select", ("arith.cmp", "arith.select")),
    ("arithmetic, bits", ("arith.",)),
    ("functions", ("math.",)),
    ("numeric", ("",)),
)  # fmt: skip
"""Name -> how the names of its ops begin; an op belongs to the first group that fits."""


def page(record: Recorded, devices: Sequence[Executed]) -> str:
    """Return the page as Markdown."""
    shown = with_hardware(record, devices)
    parts = [PREFACE.rstrip()]
    if shown.kernels:
        parts.append(_section("Library", "kernel", shown.kernels, lambda key: key[0], {}))
    if shown.ops:
        title = "ops on"
        parts.append(_section("Ops", title, shown.ops, _group, shown.cases))
    parts += [text for text in (_refusals(shown), _devices(devices), _tools(shown)) if text]
    parts.append(VERSIONS.rstrip())
    parts.append("\n".join(f"- {name}: {text}" for name, text in sorted(record.versions.items())))
    return "\n\n".join(parts) + "\n"


def comparable(text: str) -> str:
    """Return the part of a page that must be the same on every machine."""
    return text.partition(VERSIONS.splitlines()[0])[0]


def with_hardware(record: Recorded, devices: Sequence[Executed]) -> Recorded:
    """Return a record in which what ran on some device is at the best rung."""
    best = RUNGS[0]
    shown = Recorded(dict(record.kernels), dict(record.ops), record.cases, record.versions)
    for device in devices:
        text = f"{best}{SEPARATOR}{device.device}, {device.date}"
        kernels, ops = set(device.kernels), set(device.ops)
        for key, result in record.kernels.items():
            ran = key[-1] == device.target and " ".join(key[:-1]) in kernels
            if ran and rung_of(result) in RUNGS:
                shown.kernels[key] = text
        for key, result in record.ops.items():
            ran = key[-1] == device.target and op_text(key) in ops
            if ran and rung_of(result) in RUNGS:
                shown.ops[key] = text
    return shown


def _section(
    title: str, column: str, results: Results, name_of: Callable[[Key], str], cases: dict[Key, int]
) -> str:
    """Return a table of names by targets with how many cases are at which rung."""
    targets = list(dict.fromkeys(key[-1] for key in results))
    cells: dict[tuple[str, str], Counter[str]] = {}
    for key, result in results.items():
        cell = cells.setdefault((name_of(key), key[-1]), Counter())
        cell[rung_of(result)] += cases.get(key, 1)
    names = sorted({name for name, _ in cells}) if cases else dict.fromkeys(n for n, _ in cells)
    lines = [f"## {title}", "", f"| {column} | " + " | ".join(targets) + " |"]
    lines.append("| --- " * (len(targets) + 1) + "|")
    for name in names:
        row = [_cell(cells.get((name, target), Counter())) for target in targets]
        lines.append(f"| {name} | " + " | ".join(row) + " |")
    return "\n".join(lines)


def _cell(counts: Counter[str]) -> str:
    return ", ".join(f"{rung} {counts[rung]}" for rung in WORDS if counts[rung])


def _group(key: Key) -> str:
    op, dtype = key[0], key[1]
    group = next(name for name, heads in GROUPS if op.startswith(heads))
    return f"{group}: {dtype.partition(' ')[0]}"


def _refusals(record: Recorded) -> str:
    """Return what is refused, and by which code, kernels and ops by their numbers."""
    counts: Counter[tuple[str, str, str]] = Counter()
    for what, results in (("kernels", record.kernels), ("ops", record.ops)):
        for key, result in results.items():
            if rung_of(result) == REFUSED:
                counts[key[-1], what, result.partition(SEPARATOR)[2]] += record.cases.get(key, 1)
    lines = [
        f"- {target}, {count} {what}: {why}"
        for (target, what, why), count in sorted(counts.items())
    ]
    return "\n".join(["## Refused", "", *lines]) if lines else ""


def _devices(devices: Sequence[Executed]) -> str:
    lines = [
        f"- {d.target} on {d.device}, {d.date}: {len(d.kernels)} specializations of library"
        f" kernels, {len(d.ops)} rows of ops"
        for d in devices
    ]
    head = ["## Executed on hardware", "", "By `kdsl conformance --record`, on those machines.", ""]
    return "\n".join([*head, *lines]) if lines else ""


def _tools(record: Recorded) -> str:
    counts = Counter((key[-1], result) for key, result in _rows(record) if rung_of(result) in RUNGS)
    lines = []
    for (target, result), count in counts.items():
        rung, _, how = result.partition(SEPARATOR)
        lines.append(f"- {target}: {count} rows {WORDS[rung]} ({how})")
    order = targets_of(record)
    lines.sort(key=lambda line: order.index(line[2:].partition(": ")[0]))
    return "\n".join(["## By what", "", *lines])


def _rows(record: Recorded) -> Iterator[tuple[Key, str]]:
    yield from record.kernels.items()
    yield from record.ops.items()


def wrong_rows(record: Recorded) -> list[str]:
    """Return the rows that are wrong."""
    rows: Iterable[tuple[Key, str]] = _rows(record)
    return [f"{' '.join(key)}: {result}" for key, result in rows if rung_of(result) == WRONG]

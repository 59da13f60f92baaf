"""The table as JSON: what is compared from machine to machine, and what was run on hardware.

A result is a text: a rung and by what, or what was refused. Rows of equal results share a line, so
that a change shows as a small difference.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kdsl.cli.userfile import read_text
from kdsl.codegen.backend import RUNGS
from kdsl.testing.conformance_ops import OpRow
from kdsl.testing.conformance_table import Row, Table

Key = tuple[str, ...]
Results = dict[Key, str]
SEPARATOR = ": "


@dataclass(frozen=True)
class Executed:
    """What ran right on a device: keys without the target."""

    target: str
    device: str
    date: str
    version: str
    kernels: tuple[str, ...] = ()
    ops: tuple[str, ...] = ()


@dataclass
class Recorded:
    """A table as a file has it; ``versions`` are not compared."""

    kernels: Results = field(default_factory=dict)
    ops: Results = field(default_factory=dict)
    cases: dict[Key, int] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)


def recorded(table: Table) -> Recorded:
    """Return a table with its rows as texts."""
    return Recorded(
        {(r.kernel, r.options, r.target): _text(r) for r in table.kernels},
        {op_key(r): _text(r) for r in table.ops},
        {op_key(r): r.cases for r in table.ops},
        table.versions,
    )


def op_key(row: OpRow) -> Key:
    """Return what tells a row from others."""
    return row.op, row.dtype, str(row.width), row.target


def _text(row: Row | OpRow) -> str:
    return f"{row.rung}{SEPARATOR}{row.how}"


def rung_of(result: str) -> str:
    """Return the rung in a result."""
    return result.partition(SEPARATOR)[0]


def targets_of(record: Recorded) -> list[str]:
    """Return the targets in the order of the record."""
    return list(dict.fromkeys(key[-1] for key in (*record.kernels, *record.ops)))


def combined(old: Recorded, new: Recorded, order: Sequence[str]) -> Recorded:
    """Return the new rows, and the old ones of other targets, in the order of the targets."""
    fresh = set(targets_of(new))
    place = {target: number for number, target in enumerate(order)}

    def rows(before: Results, after: Results) -> Results:
        kept = {key: text for key, text in before.items() if key[-1] not in fresh}
        return dict(
            sorted({**after, **kept}.items(), key=lambda r: place.get(r[0][-1], len(place)))
        )

    kept = {
        n: v for n, v in old.versions.items() if not n.startswith(tuple(f"{t}: " for t in fresh))
    }
    return Recorded(
        rows(old.kernels, new.kernels),
        rows(old.ops, new.ops),
        {**old.cases, **new.cases},
        {**kept, **new.versions},
    )


# -------------------------------------------------------------------------------------------- JSON


def to_json(record: Recorded) -> str:
    """Return the record, a line for each kernel with its options, and for each op and dtype."""
    kernels: dict[Key, dict[str, str]] = {}
    for (kernel, options, target), result in record.kernels.items():
        kernels.setdefault((kernel, options), {})[target] = result
    lines = [
        {"kernel": kernel, "options": options, "results": results}
        for (kernel, options), results in kernels.items()
    ]
    sections = [
        f'"kernels": [\n{_lines(lines)}\n]',
        f'"ops": [\n{_lines(_op_lines(record))}\n]',
        f'"versions": {json.dumps(record.versions, indent=1, sort_keys=True, ensure_ascii=False)}',
    ]
    return "{\n" + ",\n".join(sections) + "\n}\n"


def _op_lines(record: Recorded) -> list[dict[str, Any]]:
    """Return a line for each op and dtype; widths of equal results share it."""
    single: dict[tuple[str, str, str], dict[str, str]] = {}
    for (op, dtype, width, target), result in sorted(record.ops.items()):
        single.setdefault((op, dtype, width), {})[target] = result
    order = targets_of(record)
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for (op, dtype, width), results in single.items():
        ordered = {target: results[target] for target in order if target in results}
        cases = record.cases[op, dtype, width, next(iter(ordered))]
        line: dict[str, Any] = {"op": op, "dtype": dtype, "widths": [], "cases": cases}
        line["results"] = ordered
        same = found.setdefault((op, dtype, cases, *ordered.items()), line)
        same["widths"].append(int(width))
    for line in found.values():
        line["widths"] = sorted(line["widths"])
    return list(found.values())


def _lines(rows: Iterable[Any]) -> str:
    return ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)


def from_json(text: str) -> Recorded:
    """Return what ``to_json`` wrote."""
    data = json.loads(text)
    record = Recorded(versions=data["versions"])
    for line in data["kernels"]:
        for target, result in line["results"].items():
            record.kernels[line["kernel"], line["options"], target] = result
    for line in data["ops"]:
        for width in line["widths"]:
            for target, result in line["results"].items():
                key = (line["op"], line["dtype"], str(width), target)
                record.ops[key] = result
                record.cases[key] = line["cases"]
    return record


# -------------------------------------------------------------------------------------- hardware


def executed(table: Table, date: str) -> list[Executed]:
    """Return what ran right on the devices of this machine, by target and device."""
    found: dict[tuple[str, str], tuple[list[str], list[str]]] = {}
    best = RUNGS[0]
    for row in table.kernels:
        if row.rung == best:
            found.setdefault((row.target, row.how), ([], []))[0].append(kernel_text(row))
    for op in table.ops:
        if op.rung == best:
            found.setdefault((op.target, op.how), ([], []))[1].append(op_text(op_key(op)))
    versions = table.versions
    return [
        Executed(target, device, date, versions.get(f"{target}: {device}", ""), tuple(k), tuple(o))
        for (target, device), (k, o) in found.items()
    ]


def kernel_text(row: Row) -> str:
    """Return a kernel with its options."""
    return f"{row.kernel} {row.options}"


def op_text(key: Sequence[str]) -> str:
    """Return op, dtype and width."""
    return f"{key[0]} {key[1]} x{key[2]}"


def read_executed(path: Path) -> list[Executed]:
    """Return the records of a file; none when there is no such file."""
    if not path.exists():
        return []
    rows = json.loads(read_text(path))
    return [
        Executed(**{**row, "kernels": tuple(row["kernels"]), "ops": tuple(row["ops"])})
        for row in rows
    ]


def executed_json(records: Iterable[Executed]) -> str:
    """Return records as JSON, one a line."""
    return f"[\n{_lines(vars(record) for record in records)}\n]\n"


def joined(old: Iterable[Executed], new: Iterable[Executed]) -> list[Executed]:
    """Return all records; a new one replaces that of its target and device."""
    found = {(r.target, r.device): r for r in (*old, *new)}
    return list(found.values())


# -------------------------------------------------------------------------------------- comparing


def stale(old: Recorded, new: Recorded) -> list[str]:
    """Return the rows of ``new`` that ``old`` does not have so.

    A rung that this machine reaches and the old one did not, or the reverse, is no difference:
    what counts is whether the row is right, refused (and why) or wrong.
    """
    found = []
    for old_rows, new_rows in ((old.kernels, new.kernels), (old.ops, new.ops)):
        for key, result in new_rows.items():
            before = old_rows.get(key)
            if before is None:
                found.append(f"{' '.join(key)} is new")
            elif before != result and not _both_right(before, result):
                found.append(f"{' '.join(key)}: {before!r} is now {result!r}")
    return found


def _both_right(a: str, b: str) -> bool:
    return rung_of(a) in RUNGS and rung_of(b) in RUNGS


def missing(old: Recorded, new: Recorded) -> list[str]:
    """Return the rows of ``old`` on the targets of ``new`` that are no more."""
    targets = set(targets_of(new))
    rows = [(old.kernels, new.kernels), (old.ops, new.ops)]
    return [
        f"{' '.join(key)} is gone"
        for before, after in rows
        for key in before
        if key[-1] in targets and key not in after
    ]

"""Write the C header of a built file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from kdsl.ir.signature import SCALAR, Arg
from kdsl.serving.checks import any_of, describe, ordinal, scalar_border, taken
from kdsl.serving.codes import STATUSES
from kdsl.serving.dtypes import BORDERS
from kdsl.serving.manifest import ABI, Entry, Manifest

TEMPLATE = Path(__file__).with_name("templates") / "header.h.j2"


def header(manifest: Manifest, library: str = "kernel") -> str:
    """Return the text of a C99 and C++ header for the file ``lib<library>`` or ``<library>.so``."""
    import jinja2

    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # noqa: S701
    )
    template = environment.from_string(TEMPLATE.read_text())
    guard = re.sub(r"\W", "_", library).upper()
    return (
        template.render(
            guard=f"KDSL_{guard}_H",
            abi=ABI,
            producer=manifest.producer,
            statuses=STATUSES,
            device=next((e.device for e in manifest.entries if not e.runs_on_host), 0),
            entries=[_entry(entry) for entry in manifest.entries],
        )
        + "\n"
    )


def _entry(entry: Entry) -> dict[str, Any]:
    args = entry.signature.args
    params = [
        f"const DLTensor* {a.name}" if a.is_array else f"{_c_type(entry, k)} {a.name}"
        for k, a in enumerate(args)
    ]
    call = [_example(a) for a in args]
    return {
        "name": entry.name,
        "doc": [_plain(line) for line in entry.doc.strip().splitlines()],
        "args": [f"{a.name} ({ordinal(k)}): {_meaning(entry, k)}" for k, a in enumerate(args)],
        "relations": [r.text for r in entry.signature.relations],
        "dims": ", ".join(entry.dims),
        "params": ", ".join([*params, "void* stream"]),
        "call": ", ".join([*call, "NULL"]),
        "specializations": [_specialization(s.signature.args, s.signature.consts)
                            for s in entry.specializations],
    }  # fmt: skip


def _meaning(entry: Entry, index: int) -> str:
    arg = entry.signature.args[index]
    if arg.kind == SCALAR:
        default = "" if arg.default is None else f", usually {arg.default}"
        return f"{_c_type(entry, index)}{default}"
    dtypes = list(dict.fromkeys(s.signature.args[index].dtype for s in entry.specializations))
    access = {"ro": "read", "wo": "written", "rw": "read and written"}[arg.access]
    shape = describe(arg).removeprefix(arg.dtype)
    notes = [access]
    if arg.unit_stride:
        notes.append("last dim contiguous")
    if arg.align > 1:
        notes.append(f"aligned to {arg.align} bytes")
    absent = {s.signature.args[index].absent for s in entry.specializations}
    if True in absent:
        notes.append("may be NULL" if False in absent else "must be NULL: built without it")
    return f"{any_of(dtypes)} {shape}, {', '.join(notes)}"


def _specialization(args: tuple[Arg, ...], consts: tuple[tuple[str, object], ...]) -> str:
    arrays = [f"{a.name} {taken(a)}" for a in args if a.is_array]
    return _plain("; ".join([*arrays, *(f"{name} = {value}" for name, value in consts)]))


def _c_type(entry: Entry, index: int) -> str:
    return BORDERS[scalar_border(entry, index)].c


def _example(arg: Arg) -> str:
    if arg.is_array:
        return "NULL" if arg.absent else f"&{arg.name}"
    if arg.default is not None:
        return str(arg.default).lower() if isinstance(arg.default, bool) else str(arg.default)
    return "1.0" if BORDERS[arg.dtype].family == "f" else "1"


def _plain(text: str) -> str:
    """Keep a user's text from ending the comment that it stands in."""
    return text.replace("*/", "* /").replace("/*", "/ *")

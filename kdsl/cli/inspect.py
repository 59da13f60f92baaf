"""kdsl inspect: what a built file says about itself."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from textwrap import shorten

import click

from kdsl.cli.console import table
from kdsl.ir.signature import Arg, Signature
from kdsl.runtime.views import DEVICE_NAMES, HOST
from kdsl.serving.manifest import Entry, Manifest, TargetRecord, read
from kdsl.serving.package import write_atomically
from kdsl.serving.packed import Packed, packed_in

ACCESS_WORDS = {"ro": "read", "wo": "written", "rw": "read and written"}
DIGEST_CHARACTERS = 16
FEATURE_CHARACTERS = 60
FOLDER = click.Path(file_okay=False, exists=True, path_type=Path)


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the manifest as JSON.")
@click.option("--extract", type=FOLDER, help="Write the packed code into this folder.")
def inspect(file: Path, as_json: bool, extract: Path | None) -> None:
    """Show what the built FILE holds; the file is read, never loaded."""
    manifest = read(file)
    if extract is not None:
        for each in packed_in(file):
            path = extract / f"{each.symbol}.{each.target.replace(':', '-')}.{each.format}"
            write_atomically(path, each.data)
            click.echo(path)
        return
    if as_json:
        click.echo(json.dumps(manifest.to_json(), indent=2, ensure_ascii=False))
        return
    click.echo(f"{file}: {file.stat().st_size} bytes, ABI {manifest.abi}, {manifest.producer}")
    show_targets(manifest)
    packed = packed_in(file)
    for forms in manifest.by_name().values():
        show_entry(forms)
    if packed:
        show_packed(packed)


def show_targets(manifest: Manifest) -> None:
    """Print for which machines there is code."""
    columns = ("code for", "triple", "features", "sha256")
    rows = [_target_row(target) for target in manifest.targets]
    if rows:
        table("", columns, rows)


def _target_row(target: TargetRecord) -> tuple[str, ...]:
    features = shorten(target.features.replace(",", " "), FEATURE_CHARACTERS, placeholder=" ...")
    return target.kind, target.triple, features, target.sha256[:DIGEST_CHARACTERS]


def show_packed(packed: Sequence[Packed]) -> None:
    """Print the code that the file carries for others to launch."""
    columns = ("packed for", "format", "entry", "fixed", "bytes", "sha256")
    rows = [
        (
            each.target,
            each.format,
            each.entry,
            specialization_text(each.signature),
            str(len(each.data)),
            each.sha256[:DIGEST_CHARACTERS],
        )
        for each in packed
    ]
    table("", columns, rows)


def show_entry(forms: Sequence[Entry]) -> None:
    """Print one entry: its arguments, relations and specializations on each kind of memory."""
    entry = forms[0]
    first = entry.signature
    click.echo(f"{entry.name}({', '.join(arg.name for arg in first.args)})")
    if entry.doc:
        click.echo(f"  {entry.doc.strip().splitlines()[0]}")
    table(
        "",
        ("argument", "kind", "dtypes", "dims", "access", "align"),
        [_argument_row(entry, index, arg) for index, arg in enumerate(first.args)],
    )
    for relation in first.relations:
        click.echo(f"  requires {relation.text}")
    if entry.grid:
        click.echo(f"  grid {entry.grid}")
    for form in forms:
        where = f" on {DEVICE_NAMES.get(form.device, HOST)}" if len(forms) > 1 else ""
        for number, special in enumerate(form.specializations, 1):
            text = specialization_text(special.signature)
            click.echo(f"  specialization {number}{where}: {text}")
    click.echo("")


def _argument_row(entry: Entry, index: int, arg: Arg) -> tuple[str, ...]:
    dtypes = dict.fromkeys(s.signature.args[index].dtype for s in entry.specializations)
    dims = ", ".join(arg.dim_name(axis) or str(dim) for axis, dim in enumerate(arg.dims))
    access = ACCESS_WORDS[arg.access] if arg.is_array else ""
    kind = f"{arg.kind}, optional" if arg.optional else arg.kind
    return arg.name, kind, " ".join(dtypes), dims, access, str(arg.align) if arg.align > 1 else ""


def specialization_text(signature: Signature) -> str:
    """Return what one specialization fixes: dtypes, dims, constants."""
    arrays = (arg for arg in signature.args if arg.is_array and not arg.absent)
    dtypes = " ".join(dict.fromkeys(arg.dtype for arg in arrays))
    dims = {
        arg.dim_name(axis) or f"{arg.name}.shape[{axis}]": dim
        for arg in signature.args
        for axis, dim in enumerate(arg.dims)
        if isinstance(dim, int)
    }
    presence = {a.name: "none" if a.absent else "given" for a in signature.args if a.optional}
    named = (*dims.items(), *presence.items(), *signature.consts)
    fixed = [f"{name}={value}" for name, value in named]
    return " ".join([dtypes, *dict.fromkeys(fixed)])

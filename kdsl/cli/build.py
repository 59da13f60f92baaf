"""kdsl build: a file's exported kernels as one shared object."""

from __future__ import annotations

import time
from contextlib import nullcontext
from pathlib import Path

import click

from kdsl.cli.console import progress, size_text
from kdsl.cli.userfile import load_file, write_text
from kdsl.language.spec import parse_spec
from kdsl.settings import settings

LINKERS = ("own", "ld", "cc")
PATH = click.Path(path_type=Path)


@click.command()
@click.argument("file", type=PATH)
@click.option("-o", "--output", type=PATH, required=True, help="The shared object to write.")
@click.option("--target", help="Back ends and chips, with commas; this machine when left out.")
@click.option("--entry", "entries", multiple=True, help="Build only this export; repeatable.")
@click.option("--spec", "specs", multiple=True, help="What to specialize for: 'D=64,128 T=bf16'.")
@click.option("--header", type=PATH, help="Also write a C header.")
@click.option("--linker", type=click.Choice(LINKERS), default="own", show_default=True)
@click.option("--dump", type=PATH, help="Write every stage's product into this folder.")
@click.option("--check", is_flag=True, help="Load the file, run its cases, compare and measure.")
def build(
    file: Path,
    output: Path,
    target: str | None,
    entries: tuple[str, ...],
    specs: tuple[str, ...],
    header: Path | None,
    linker: str,
    dump: Path | None,
    check: bool,
) -> None:
    """Build the exported kernels of FILE into one shared object that needs no kdsl.

    A --spec fixes Const parameters, dims and dtype variables; several values make several
    specializations, and calls are dispatched on dtypes and sizes.
    """
    from kdsl.cli.building import build_jobs, exports_of, jobs_of
    from kdsl.codegen.registry import targets_to_build
    from kdsl.compiler import target_of
    from kdsl.serving.package import write_atomically

    started = time.perf_counter()
    spec = parse_spec(specs)
    module = load_file(file)
    exports = exports_of(module, file, entries)
    jobs = jobs_of(exports, spec)
    if check:
        from kdsl.cli.check import cases_of

        cases = cases_of(module, file, [export.name for export in exports])
    chosen = targets_to_build(target) if target else [target_of(None)]
    with (
        progress("building", total=len(jobs) * len(chosen) + 1) as advance,
        settings.override(dump=dump) if dump is not None else nullcontext(),
    ):
        built = build_jobs(
            jobs,
            chosen,
            source=file.read_bytes(),
            soname=output.name,
            linker=linker,
            advance=advance,
        )
    write_atomically(output, built.data)
    if header is not None:
        from kdsl.serving.header import header as header_of

        write_text(header, header_of(built.manifest, output.stem.removeprefix("lib")))
    click.echo(
        f"{output}: {len(exports)} entries, {len(jobs)} specializations for"
        f" {', '.join(map(str, chosen))}, {size_text(len(built.data))},"
        f" {time.perf_counter() - started:.2f} s"
    )
    if check:
        from kdsl.cli.check import run_cases, show
        from kdsl.serving.library import load

        library = load(output)
        show(run_cases(cases, {case.entry: library[case.entry] for case in cases}))

"""kdsl docs: write the generated pages, or check that they are fresh."""

from __future__ import annotations

from pathlib import Path

import click

from kdsl.cli.pages import PAGES
from kdsl.cli.userfile import write_text
from kdsl.errors import StalePagesError

FOLDER = click.Path(file_okay=False, path_type=Path)


@click.command()
@click.option("--folder", type=FOLDER, default=Path("docs"), show_default=True)
@click.option("--check", is_flag=True, help="Write nothing; fail when a page is not fresh.")
def docs(folder: Path, check: bool) -> None:
    """Write the pages that are generated from declarations: errors, ops, settings."""
    made = {folder / name: make() for name, make in PAGES.items()}
    stale = [path for path, text in made.items() if not is_fresh(path, text)]
    if check and stale:
        raise StalePagesError(pages=", ".join(map(str, stale)))
    for path in stale:
        write_text(path, made[path])
    click.echo(f"{len(made)} pages, {len(stale)} written")


def is_fresh(path: Path, text: str) -> bool:
    """Whether the file holds just this text."""
    return path.is_file() and path.read_text(encoding="utf-8") == text

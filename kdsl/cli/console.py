"""Tables and progress for commands; the only place that imports rich."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

PIPE_WIDTH = 160
UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table; a column whose cells all start with a digit is aligned to the right."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    made = Table(title=title or None, box=box.SIMPLE_HEAD, title_justify="left")
    for index, column in enumerate(columns):
        numeric = bool(rows) and all(row[index][:1].isdigit() for row in rows)
        made.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        made.add_row(*row)
    console = Console()
    if not console.is_terminal:  # a file or a pipe is not cut to an imagined terminal
        console = Console(width=PIPE_WIDTH)
    console.print(made, markup=False)


class Step(Protocol):
    """What a running block calls: it names the work at hand, and says how many items are done."""

    def __call__(self, description: str, advance: int = 1, /) -> None: ...


@contextmanager
def progress(description: str, total: int | None = None) -> Iterator[Step]:
    """Show a bar on the terminal's error stream while a block runs; quiet when there is none."""
    if not sys.stderr.isatty():  # rich takes a while to import
        yield lambda _description, _advance=1, /: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeElapsedColumn as Elapsed

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), Elapsed())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(description, total=total)
        yield lambda title, count=1, /: bar.update(task, description=title, advance=count)


def size_text(count: int) -> str:
    """Return a size in bytes as people read it."""
    value = float(count)
    for unit in UNITS[:-1]:
        if value < 1024:
            return f"{count} B" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} {UNITS[-1]}"


def age_text(seconds: float) -> str:
    """Return how long ago something was, in its largest whole unit."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{int(seconds // length)} {unit}"
    return f"{max(int(seconds), 0)} s"

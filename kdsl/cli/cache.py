"""kdsl cache: look at and clear the cache of compiled kernels."""

from __future__ import annotations

import json
import time

import click

from kdsl.cache import Cache
from kdsl.cli.console import age_text, size_text, table
from kdsl.settings import settings

COLUMNS = ("kernel", "target", "size", "age", "digest")


@click.group()
def cache() -> None:
    """List or clear the cache of compiled kernels (KDSL_CACHE_DIR)."""


@cache.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_entries(as_json: bool) -> None:
    """List the entries, oldest first."""
    store = Cache(settings.cache_dir)
    entries = list(store.entries())
    if as_json:
        found = [
            {"key": e.key, "size": e.size, "modified": e.modified, "facts": e.facts}
            for e in entries
        ]
        click.echo(json.dumps(found, indent=2))
        return
    now = time.time()
    rows = [
        (
            str(entry.facts.get("kernel", "")),
            str(entry.facts.get("target", "")),
            size_text(entry.size),
            age_text(now - entry.modified),
            entry.key[:12],
        )
        for entry in entries
    ]
    if rows:
        table("", COLUMNS, rows)
    click.echo(f"{store.root}: {len(rows)} entries, {size_text(store.size())}")


@cache.command()
def clear() -> None:
    """Remove every entry."""
    store = Cache(settings.cache_dir)
    count, size = store.clear()
    click.echo(f"{store.root}: removed {count} entries, {size_text(size)}")

"""kdsl explain: one error, or the list of all."""

from __future__ import annotations

from contextlib import suppress
from inspect import cleandoc

import click

from kdsl.errors import KdslError, UnknownCodeError, by_code, catalogue


@click.command()
@click.argument("code", required=False)
def explain(code: str | None) -> None:
    """Explain the error CODE with an example and the fix; without CODE, list all errors."""
    if code is None:
        for error in catalogue():
            click.echo(f"{error.code}  {summary_of(error)}")
        return
    found = by_code(code) or of_back_ends(code)
    if found is None:
        raise UnknownCodeError(name=code)
    click.echo(explanation(found))


def of_back_ends(code: str) -> type[KdslError] | None:
    """Import the back ends, whose errors are their own, and look again."""
    from kdsl.codegen.registry import backend_named, backend_names

    for name in backend_names():
        with suppress(KdslError, ImportError):  # a broken back end has no errors to explain
            backend_named(name).loader()
    return by_code(code)


def summary_of(documented: type) -> str:
    """Return the first line of a class's docstring."""
    return cleandoc(documented.__doc__ or "").partition("\n")[0]


def explanation(error: type[KdslError]) -> str:
    """Return all that the catalogue says about an error."""
    parts = [f"{error.code} {error.__name__}: {summary_of(error)}", f"Message: {error.message}"]
    if error.hint:
        parts.append(f"Help: {error.hint}")
    parts.append(cleandoc(error.explanation))
    return "\n\n".join(parts)

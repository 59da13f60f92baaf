"""kdsl irdl: our dialect's declarations, for mlir-opt."""

from __future__ import annotations

import click


@click.command()
@click.argument("dialect", default="kdsl")
def irdl(dialect: str) -> None:
    """Print DIALECT's ops as IRDL.

    Use it as: mlir-opt --irdl-file=<(kdsl irdl) k.mlir
    """
    import kdsl.dialects.all as _declared  # noqa: F401 - importing declares the ops
    from kdsl.dialects.irdl import irdl as irdl_of
    from kdsl.errors import UnknownDialectError
    from kdsl.ir.define import REGISTRY

    known = sorted({name.partition(".")[0] for name in REGISTRY})
    if dialect not in known:
        raise UnknownDialectError(name=dialect, known=", ".join(known))
    click.echo(irdl_of(dialect), nl=False)

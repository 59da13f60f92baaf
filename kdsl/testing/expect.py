"""Expecting a coded error at the user's own expression.

with expect_error(DtypeMismatchError, at="acc + p"):
    kernel.ir("trace")
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from kdsl.errors import KdslError


@contextmanager
def expect_error(
    kind: type[KdslError], *, at: str | None = None, match: str | None = None
) -> Iterator[None]:
    """Demand that the block raises ``kind``, with carets under ``at`` and a message like ``match``."""
    try:
        yield
    except kind as error:
        if at is not None:
            found = None if error.loc is None else error.loc.text
            assert found == at, f"the carets are under {found!r}, not {at!r}:\n{error}"
        if match is not None:
            assert re.search(match, error.summary), f"{match!r} is not in:\n{error}"
        return
    raise AssertionError(f"{kind.code} {kind.__name__} was not raised")

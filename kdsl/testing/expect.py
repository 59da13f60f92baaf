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
    """Demand that the block raises ``kind``, carets under ``at``, a message like ``match``."""
    caught: KdslError | None = None
    try:
        yield
    except kind as error:
        caught = error
    assert caught is not None, f"{kind.code} {kind.__name__} was not raised"
    place = None if caught.loc is None else caught.loc.text
    if at is not None:
        assert place == at, f"the carets are under {place!r}, not {at!r}:\n{caught}"
    if match is not None:
        assert re.search(match, caught.summary), f"{match!r} is not in:\n{caught}"

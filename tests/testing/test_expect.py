from __future__ import annotations

import pytest

from kdsl.errors import Position, StaticAssertError, TracedBoolError
from kdsl.testing.expect import expect_error

SOURCE = "if all([x > 0]): pass"


def failing():
    raise TracedBoolError(Position.in_text("k.py", SOURCE, 8, 5), type="i1")


def test_the_error_its_carets_and_its_message_are_checked():
    with expect_error(TracedBoolError, at="x > 0", match="Python bool"):
        failing()


def test_other_carets_fail():
    with (
        pytest.raises(AssertionError, match="carets are under 'x > 0'"),
        expect_error(TracedBoolError, at="all"),
    ):
        failing()


def test_another_message_fails():
    with (
        pytest.raises(AssertionError, match="is not in"),
        expect_error(TracedBoolError, match="zebra"),
    ):
        failing()


def test_another_error_passes_through():
    with pytest.raises(TracedBoolError), expect_error(StaticAssertError):
        failing()


def test_no_error_fails():
    with (
        pytest.raises(AssertionError, match="KD0106 TracedBoolError was not raised"),
        expect_error(TracedBoolError),
    ):
        pass

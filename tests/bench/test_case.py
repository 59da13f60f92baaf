from __future__ import annotations

import numpy as np
import pytest

from kdsl.bench.case import Case, error_of, largest_error

INF, NAN = float("inf"), float("nan")


@pytest.mark.parametrize(
    ("got", "want", "error"),
    [
        ([1.0, 2.0], [1.0, 2.0], 0.0),
        ([0.5, 0.0], [0.25, 0.0], 0.25),
        ([110.0, 0.0], [100.0, 0.0], 0.1),
        ([NAN, 1.0], [NAN, 1.0], 0.0),
        ([INF], [INF], 0.0),
        ([-INF], [INF], INF),
        ([NAN], [1.0], INF),
        ([INF, 1.0], [2.0, 1.0], INF),
        ([1.0], [NAN], INF),
        ([1.0, 2.0], [1.0], INF),
    ],
)
def test_the_error_is_relative_above_one_and_infinite_for_a_special_value(got, want, error):
    assert largest_error(np.array(got, np.float32), np.array(want)) == pytest.approx(error)


def add_one_case():
    return Case(
        entry="add_one",
        shape="8",
        dtype="f32",
        inputs=lambda: {"x": np.arange(8, dtype=np.float32), "out": np.zeros(8, np.float32)},
        reference=lambda x, out: {"out": x.astype(np.float64) + 1 + 0 * out},
        tolerance=1e-6,
    )


def test_an_entry_is_called_by_name_on_inputs_of_its_own():
    def add_one(*, x, out):
        np.add(x, 1, out=out)
        x[:] = -1

    assert error_of(add_one_case(), add_one) == 0.0


def test_a_wrong_entry_has_its_error():
    def add_two(*, x, out):
        np.add(x, 2, out=out)

    assert error_of(add_one_case(), add_two) == pytest.approx(1 / 8)

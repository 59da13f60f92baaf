from __future__ import annotations

import numpy as np

from kdsl.bench.building import build
from kdsl.bench.calls import six_arguments
from kdsl.serving.library import load


def arguments():
    return (*(np.full(4, n, np.float32) for n in (1, 2, 3)), np.zeros(4, np.float32), 2, 10.0)


def test_the_measured_kernel_is_right_however_it_is_called(tmp_path):
    from kdsl.bench import calls

    build(calls.__file__, tmp_path / "k.so")
    entry = load(tmp_path / "k.so").six_arguments
    bound = six_arguments.bind
    for run in (six_arguments, entry, lambda *args: bound(*args)()):
        args = arguments()
        run(*args)
        assert args[3].tolist() == [0, 0, 33, 0]

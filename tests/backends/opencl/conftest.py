"""The device that tests run on: PoCL where it is installed, else whatever is first."""

from __future__ import annotations

import pytest

from kdsl.testing.judges import require_module
from kdsl_opencl.backend import BACKEND


@pytest.fixture(scope="session")
def target():
    require_module("pyopencl")
    return BACKEND.resolve("")

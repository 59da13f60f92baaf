"""The devices that tests run on: lanes as a GPU has them on PoCL, and the first device as it is."""

from __future__ import annotations

import pytest

from kdsl.errors import NoDeviceError
from kdsl.testing.judges import require_module
from kdsl_opencl.backend import BACKEND
from kdsl_opencl.device import device_of


@pytest.fixture(scope="session", autouse=True)
def own_pocl_cache(tmp_path_factory):
    """Keep what a crash of the driver leaves in its cache away from other runs."""
    patch = pytest.MonkeyPatch()
    patch.setenv("POCL_CACHE_DIR", str(tmp_path_factory.mktemp("pocl")))
    yield
    patch.undo()


def resolved(chip):
    require_module("pyopencl")
    try:
        device_of(chip)
    except NoDeviceError as problem:
        pytest.skip(str(problem))
    return BACKEND.resolve(chip)


@pytest.fixture(scope="session")
def target():
    """Lanes."""
    return resolved("pocl")


@pytest.fixture(scope="session", params=["pocl", "native"])
def either(request):
    """Lanes, and loops where the device is a CPU."""
    return resolved(request.param)

from __future__ import annotations

import pytest

from kdsl_amdgpu.features import CHIPS, resolve


@pytest.fixture(params=list(CHIPS))
def target(request):
    return resolve(request.param)

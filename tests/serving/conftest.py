"""The sample file on disk, once per linker."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import sample

from kdsl.serving.library import Library, load


@pytest.fixture(scope="session")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("built")


@pytest.fixture(scope="session", params=["own", "ld", "cc"])
def file(request, folder) -> Path:
    path = folder / f"lib{request.param}.so"
    path.write_bytes(sample.built(request.param, path.name))
    return path


@pytest.fixture(scope="session")
def own(folder) -> Path:
    path = folder / "libsample.so"
    path.write_bytes(sample.built())
    return path


@pytest.fixture(scope="session")
def library(file) -> Library:
    return load(file)

"""The table of chips, and finding this machine's."""

from __future__ import annotations

import ctypes

import pytest

from kdsl.errors import NoChipError, UnknownChipError
from kdsl.target.atoms import ATOMS
from kdsl_ptx import features
from kdsl_ptx.features import CHIPS, chip_of, ptx_version, resolve
from tests.backends.ptx.modules import assembled, code_of, kernel

KIB = 1024


def test_each_chip_has_the_workgroup_memory_that_its_maker_states():
    found = {chip: row.features.shared_bytes // KIB for chip, row in CHIPS.items()}
    assert found == {
        "sm_80": 163, "sm_86": 99, "sm_89": 99, "sm_90a": 227, "sm_100a": 227, "sm_120a": 99,
    }  # fmt: skip


@pytest.mark.parametrize("chip", CHIPS)
def test_each_chip_is_a_target_whose_atoms_are_known(chip):
    target = resolve(chip)
    assert str(target) == f"ptx:{chip}"
    found = target.features
    assert (found.subgroup, found.max_lanes, found.registers) == (32, 1024, 65536)
    assert not found.flat_memory
    assert found.atoms
    assert all(ATOMS[name].subgroup == 32 for name in found.atoms)


@pytest.mark.parametrize("chip", CHIPS)
def test_an_empty_kernel_assembles_for_each_chip(chip):
    text = code_of(kernel("%n: index", ""), chip).text
    assert f".version {ptx_version(chip)}\n.target {chip}\n" in text
    assert assembled(text, chip).data


def test_small_floats_have_a_matrix_unit_from_sm_89_on():
    with_bytes = {chip for chip, row in CHIPS.items() if "mma.m16n8k32.f8" in row.features.atoms}
    assert with_bytes == {"sm_89", "sm_90a", "sm_100a", "sm_120a"}


def test_an_unknown_chip_is_refused_with_those_that_are_known():
    with pytest.raises(UnknownChipError, match="sm_90a"):
        resolve("sm_90b")


def test_without_a_driver_the_error_names_the_chips(monkeypatch):
    def missing(name):
        raise OSError(f"{name}: cannot open")

    monkeypatch.setattr(features.ctypes, "CDLL", missing)
    features.detect.cache_clear()
    with pytest.raises(NoChipError, match="sm_80, sm_86"):
        resolve()
    features.detect.cache_clear()


class Driver:
    """A driver with one device."""

    def __init__(self, major, minor, processors=132, count=1):
        self.values = {75: major, 76: minor, 16: processors}
        self.count = count

    def cuInit(self, flags):  # noqa: N802
        return 0

    def cuDeviceGetCount(self, out):  # noqa: N802
        ctypes.cast(out, ctypes.POINTER(ctypes.c_int))[0] = self.count
        return 0

    def cuDeviceGet(self, out, number):  # noqa: N802
        return 0

    def cuDeviceGetAttribute(self, out, which, device):  # noqa: N802
        ctypes.cast(out, ctypes.POINTER(ctypes.c_int))[0] = self.values[which]
        return 0


def detected(monkeypatch, driver):
    monkeypatch.setattr(features.ctypes, "CDLL", lambda name: driver)
    features.detect.cache_clear()
    try:
        return resolve()
    finally:
        features.detect.cache_clear()


def test_this_machines_gpu_is_the_default_with_its_own_processors(monkeypatch):
    found = detected(monkeypatch, Driver(9, 0, 114))
    assert (found.chip, found.features.threads) == ("sm_90a", 114)


def test_a_driver_without_devices_is_an_error(monkeypatch):
    with pytest.raises(NoChipError, match="no device"):
        detected(monkeypatch, Driver(9, 0, count=0))


def test_a_device_that_is_too_old_is_an_error(monkeypatch):
    with pytest.raises(NoChipError, match="sm_75"):
        detected(monkeypatch, Driver(7, 5))


@pytest.mark.parametrize(
    ("major", "minor", "chip"),
    [(8, 0, "sm_80"), (8, 7, "sm_86"), (8, 9, "sm_89"), (9, 0, "sm_90a"), (12, 0, "sm_120a"),
     (11, 0, None), (7, 5, None)],
)  # fmt: skip
def test_a_device_runs_code_for_its_own_chip_or_an_earlier_one_of_the_family(major, minor, chip):
    assert chip_of(major, minor) == chip

"""Reading files without loading them: right ones, wrong ones, broken ones."""

from __future__ import annotations

import json

import pytest
import sample
from hypothesis import given, settings
from hypothesis import strategies as st

from kdsl.errors import KdslError
from kdsl.errors.artifacts import (
    DamagedManifestError,
    ForeignArtifactError,
    NewerAbiError,
    TruncatedArtifactError,
    UnreadableArtifactError,
    WriteError,
    WrongMachineError,
)
from kdsl.serving import manifest as manifests
from kdsl.serving.library import load
from kdsl.serving.package import write_atomically


def test_the_note_says_what_was_built(file):
    found = manifests.read(file)
    assert found.entries == sample.ENTRIES
    assert found.producer == "kdsl test"
    assert len(found.source_hash) == len(found.targets[0].sha256) == 64
    assert found.entries[1].dims == ("R", "C")


def test_the_note_is_plain_json_for_other_readers(own):
    _, _, payload = next(n for n in manifests._open(own).notes() if n[0] == "kdsl")
    data = json.loads(payload)
    assert data["kdsl_abi"] == 1
    assert [a["dtypes"] for a in data["entries"][1]["args"][:2]] == [["f32", "bf16"], ["f32"]]


def test_a_file_that_is_not_there_is_unreadable(tmp_path):
    with pytest.raises(UnreadableArtifactError, match="No such file"):
        manifests.read(tmp_path / "none.so")


def test_a_text_file_is_foreign(tmp_path):
    (tmp_path / "t.so").write_text("hello")
    with pytest.raises(ForeignArtifactError, match="no ELF"):
        load(tmp_path / "t.so")


def test_a_file_of_somebody_else_is_foreign():
    import _ctypes

    with pytest.raises(ForeignArtifactError, match="no kdsl note"):
        manifests.read(_ctypes.__file__)


@pytest.mark.parametrize("size", [5, 20, 64, 200, 3000])
def test_a_cut_file_is_truncated(size):
    with pytest.raises(TruncatedArtifactError):
        manifests.read(sample.built()[:size])


def test_a_newer_abi_is_refused_by_number(tmp_path):
    data = sample.built().replace(b'"kdsl_abi":1,', b'"kdsl_abi":7,')
    (tmp_path / "n.so").write_bytes(data)
    with pytest.raises(NewerAbiError, match="ABI 7"):
        load(tmp_path / "n.so")


def test_another_machine_is_readable_but_not_loadable(tmp_path):
    data = bytearray(sample.built())
    data[18] = 183
    (tmp_path / "a.so").write_bytes(data)
    assert manifests.read(tmp_path / "a.so").entries == sample.ENTRIES
    with pytest.raises(WrongMachineError, match="aarch64"):
        load(tmp_path / "a.so")


@pytest.mark.parametrize(
    "payload",
    [b"", b"[]", b"{}", b"\xff", b'{"kdsl_abi":0}', b'{"kdsl_abi":"1"}', b'{"kdsl_abi":1}',
     b'{"kdsl_abi":1,"entries":[{}],"targets":[],"producer":"","source_sha256":""}',
     b'{"kdsl_abi":1,"entries":3,"targets":[],"producer":"","source_sha256":""}', b"[" * 100_000],
)  # fmt: skip
def test_a_note_that_is_no_manifest_is_damaged(payload):
    with pytest.raises(DamagedManifestError):
        manifests.decode(payload)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 2**20), st.integers(0, 255)), min_size=1, max_size=8),
    st.integers(0, 2**20),
    st.booleans(),
)
def test_changed_bytes_raise_only_coded_errors(changes, cut, headers):
    data = bytearray(sample.built())
    for place, value in changes:
        data[place % (700 if headers else len(data))] = value
    try:
        manifests.read(bytes(data[: cut % len(data)] if cut % 3 == 0 else data))
    except KdslError as error:
        family = error.code[:4]
    else:
        family = "KD06"
    assert family == "KD06"


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_garbage_raises_only_coded_errors(data):
    for prefix in (b"", b"\x7fELF\x02\x01\x01", sample.built()[:64]):
        with pytest.raises(KdslError):
            manifests.read(prefix + data)


def test_writing_replaces_a_file_at_once(tmp_path):
    target = tmp_path / "k.so"
    write_atomically(target, b"old")
    write_atomically(target, b"new")
    assert target.read_bytes() == b"new"
    assert [p.name for p in tmp_path.iterdir()] == ["k.so"]


def test_an_unwritable_destination_is_named(tmp_path):
    with pytest.raises(WriteError, match="No such file"):
        write_atomically(tmp_path / "none" / "k.so", b"x")


def test_a_file_cut_anywhere_is_refused_before_it_is_mapped(file, tmp_path):
    whole = file.read_bytes()
    cut = tmp_path / "cut.so"
    for size in range(0, len(whole), max(1, len(whole) // 40)):
        cut.write_bytes(whole[:size])
        with pytest.raises(KdslError):
            load(cut)

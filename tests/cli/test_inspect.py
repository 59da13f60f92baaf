from __future__ import annotations

import json

import pytest

from kdsl.cli.__main__ import run
from kdsl.ir.signature import Arg, Relation, Signature
from kdsl.serving import manifest as manifests
from kdsl.serving.manifest import Entry, Manifest, Specialization, TargetRecord


def signature(dtype, head_dim):
    return Signature(
        "scale",
        (
            Arg("x", "tensor", dtype, "ro", ("M", head_dim), align=16, dim_names=(None, "D")),
            Arg("bias", "tensor", "f32", "rw", ("M",), optional=True),
            Arg("factor", "scalar", "f32"),
        ),
        (Relation("M % 2 == 0"),),
        (("W", 8),),
    )


MANIFEST = Manifest(
    (
        Entry(
            "scale",
            (
                Specialization("kdsl_entry_scale_0", signature("f32", 64)),
                Specialization("kdsl_entry_scale_1", signature("bf16", 128)),
            ),
            doc="Scale each row.",
        ),
    ),
    (TargetRecord("here", "x86_64-unknown-linux-gnu", "+avx2", "ab" * 32),),
)


@pytest.fixture
def file(tmp_path, monkeypatch):
    path = tmp_path / "k.so"
    path.write_bytes(b"...")
    monkeypatch.setattr("kdsl.cli.inspect.read", lambda _: MANIFEST)
    monkeypatch.setattr("kdsl.cli.inspect.packed_in", lambda _: [])
    return path


def test_a_file_shows_entries_arguments_and_specializations(file, capsys):
    assert run(["inspect", str(file)]) == 0
    shown = capsys.readouterr().out
    assert "scale(x, bias, factor)" in shown
    assert "Scale each row." in shown
    assert "requires M % 2 == 0" in shown
    assert "f32 bf16" in shown
    assert "tensor, optional" in shown
    assert "specialization 1: f32 D=64 bias=given W=8" in shown
    assert "specialization 2: bf16 f32 D=128 bias=given W=8" in shown
    assert "x86_64-unknown-linux-gnu" in shown


def test_json_is_the_manifest(file, capsys):
    assert run(["inspect", str(file), "--json"]) == 0
    text = capsys.readouterr().out
    assert manifests.decode(text.encode()) == MANIFEST
    assert json.loads(text)["entries"][0]["name"] == "scale"


def test_a_foreign_file_is_a_users_mistake(tmp_path, capsys):
    path = tmp_path / "k.so"
    path.write_text("not a shared object")
    assert run(["inspect", str(path)]) == 2
    assert "error[KD06" in capsys.readouterr().err


def test_a_missing_file_is_a_users_mistake(tmp_path, capsys):
    assert run(["inspect", str(tmp_path / "none.so")]) == 2
    assert "KD0601" in capsys.readouterr().err

"""What the wheel holds, and that it works from anywhere."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (found,) = folder.glob("*.whl")
    return found


def test_the_wheel_holds_every_module_and_data_file(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    for root in (ROOT, ROOT / "backends"):
        for folder in root.glob("kdsl*"):
            for path in folder.rglob("*"):
                if path.is_file() and "__pycache__" not in path.parts:
                    assert path.relative_to(root).as_posix() in names


def test_the_wheel_holds_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.partition("/")[0] for name in names}
    back_ends = {folder.name for folder in (ROOT / "backends").glob("kdsl_*")}
    assert {top for top in tops if not top.endswith(".dist-info")} <= {"kdsl", *back_ends}
    assert not [name for name in names if name.endswith((".pyc", ".so", ".o"))]


def test_back_ends_are_found_by_entry_points(wheel):
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [n for n in archive.namelist() if n.endswith("entry_points.txt")]
        text = archive.read(name).decode()
    assert "[kdsl.backends]" in text
    assert "kdsl = kdsl.cli.__main__:main" in text


def test_the_unpacked_wheel_works_from_anywhere(wheel, tmp_path):
    zipfile.ZipFile(wheel).extractall(tmp_path)
    script = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import kdsl; print(kdsl.__file__);"
        "from kdsl.cli.__main__ import run; assert run(['explain', 'KD0106']) == 0"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith(str(tmp_path))

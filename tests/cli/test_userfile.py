from __future__ import annotations

import sys

import pytest

from kdsl.cli.__main__ import run
from kdsl.cli.userfile import load_file
from kdsl.errors import CannotReadError, UserFileError


def test_a_file_is_run_with_its_neighbours_importable(tmp_path):
    (tmp_path / "neighbour_of_it.py").write_text("VALUE = 7\n")
    path = tmp_path / "k.py"
    path.write_text(
        "import neighbour_of_it\nX = neighbour_of_it.VALUE\nIS_MAIN = __name__ == '__main__'\n"
    )
    module = load_file(path)
    assert module.X == 7
    assert module.IS_MAIN is False


def test_an_exception_points_at_the_users_line(tmp_path):
    path = tmp_path / "k.py"
    path.write_text("def f():\n    return 1 / 0\n\n\nx = f()\n")
    with pytest.raises(UserFileError) as caught:
        load_file(path)
    shown = str(caught.value)
    assert "raised ZeroDivisionError: division by zero" in shown
    assert f"{path}:2:12" in shown
    assert "^^^^^" in shown


def test_a_syntax_error_points_at_its_place(tmp_path):
    path = tmp_path / "k.py"
    path.write_text("x = (1,\ny = 2\n")
    with pytest.raises(UserFileError, match="SyntaxError") as caught:
        load_file(path)
    assert caught.value.loc.line == 1


def test_a_file_that_exits_is_an_error(tmp_path):
    path = tmp_path / "k.py"
    path.write_text("raise SystemExit(4)\n")
    with pytest.raises(UserFileError, match="SystemExit: 4"):
        load_file(path)


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(CannotReadError, match="No such file"):
        load_file(tmp_path / "none.py")


def test_a_binary_file_is_an_error(tmp_path):
    path = tmp_path / "k.py"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CannotReadError, match="not UTF-8"):
        load_file(path)


@pytest.fixture(autouse=True)
def restored_path():
    before = list(sys.path)
    yield
    sys.path[:] = before


def test_a_mistake_in_a_kernel_is_the_files_not_ours(tmp_path, capsys):
    path = tmp_path / "k.py"
    path.write_text(
        "import kdsl as kd\nfrom kdsl import Ptr, f32\n\n\n"
        "@kd.export\n@kd.kernel\ndef k(x: Ptr[f32]) -> None:\n    x[0] = missing + x[0]\n"
    )
    assert run(["build", str(path), "-o", str(tmp_path / "k.so")]) == 2
    shown = capsys.readouterr().err
    assert "KD0708" in shown
    assert "name 'missing' is not defined" in shown
    assert f"{path}:8:12" in shown


def test_no_line_is_shown_where_only_the_command_is_behind_a_mistake(tmp_path, capsys):
    path = tmp_path / "k.py"
    path.write_text(
        "import kdsl as kd\nfrom kdsl import Ptr, f32\n\n\n"
        "@kd.export\n@kd.kernel(grid=lambda d: 1.5)\ndef k(x: Ptr[f32]) -> None:\n    x[0] = 1.0\n"
    )
    assert run(["build", str(path), "-o", str(tmp_path / "k.so")]) == 2
    shown = capsys.readouterr().err
    assert "KD0514" in shown
    assert "site-packages" not in shown

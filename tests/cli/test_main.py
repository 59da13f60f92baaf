from __future__ import annotations

import os
import subprocess
import sys

import click
import pytest

import kdsl
from kdsl.cli.__main__ import COMMANDS, LazyGroup, cli, run
from kdsl.errors import by_code

HEAVY = ("llvmlite", "sympy", "rich", "jinja2", "kdsl.ir", "kdsl.language", "importlib.metadata")


def test_every_command_of_the_table_exists_and_has_help():
    context = click.Context(cli)
    for name in COMMANDS:
        command = cli.get_command(context, name)
        assert command is not None
        assert command.help


@pytest.mark.parametrize(
    "arguments", [["--help"], ["-h"], *([name, "--help"] for name in COMMANDS)]
)
def test_help_exits_with_success(arguments, capsys):
    assert run(arguments) == 0
    assert "Usage: kdsl" in capsys.readouterr().out


def test_the_version_is_printed(capsys):
    assert run(["--version"]) == 0
    assert kdsl.__version__ in capsys.readouterr().out


def test_an_unknown_command_is_a_users_mistake(capsys):
    assert run(["biuld"]) == 2
    assert "No such command" in capsys.readouterr().err


def test_a_coded_error_is_shown_without_a_traceback(capsys):
    assert run(["explain", "KD9999"]) == 2
    shown = capsys.readouterr().err
    assert shown.startswith("error[KD0710]: there is no error 'KD9999'")
    assert "Traceback" not in shown
    assert "kdsl explain KD0710" in shown


def test_debug_shows_the_traceback(monkeypatch):
    monkeypatch.setenv("KDSL_DEBUG", "1")
    with pytest.raises(by_code("KD0710")):
        run(["explain", "KD9999"])


def broken_command(error):
    @click.command()
    def broken():
        raise error

    return broken


def test_an_unexpected_exception_is_a_bug_of_kdsl_and_says_so(monkeypatch, capsys):
    command = broken_command(ZeroDivisionError("oops"))
    monkeypatch.setattr(LazyGroup, "get_command", lambda *_: command)
    assert run(["build"]) == 3
    shown = capsys.readouterr().err
    assert "error[KD0901]" in shown
    assert "ZeroDivisionError: oops" in shown


def test_an_interrupt_has_its_own_exit_code(monkeypatch):
    command = broken_command(KeyboardInterrupt())
    monkeypatch.setattr(LazyGroup, "get_command", lambda *_: command)
    assert run(["build"]) == 130


def test_help_imports_nothing_heavy():
    script = (
        "import sys\nfrom kdsl.cli.__main__ import run\nassert run(['--help']) == 0\n"
        f"found = [m for m in {HEAVY!r} if m in sys.modules]\nassert not found, found"
    )
    subprocess.run([sys.executable, "-c", script], check=True, stdout=subprocess.DEVNULL)


def test_a_closed_pipe_ends_quietly():
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "kdsl.cli.__main__", "explain"],
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writer)
    assert done.returncode == 1
    assert done.stderr == ""

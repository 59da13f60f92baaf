"""The kdsl command: a table of subcommands, and how errors become messages and exit codes.

Exit codes: 0 done, 2 the user can mend it, 3 a bug of kdsl, 130 interrupted.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module

import click

import kdsl
from kdsl.errors import InternalError, KdslError
from kdsl.settings import settings

COMMANDS = {
    "build": ("kdsl.cli.build:build", "Build exported kernels into one shared object."),
    "inspect": ("kdsl.cli.inspect:inspect", "Show what a built file holds, without loading it."),
    "opt": ("kdsl.cli.opt:opt", "Run passes on a module's text."),
    "bench": ("kdsl.cli.bench:bench", "Measure kernels and their peers in the same run."),
    "targets": ("kdsl.cli.targets:targets", "List the targets of the installed back ends."),
    "conformance": (
        "kdsl.testing.conformance_command:conformance",
        "Try every library kernel on every target; write what was checked.",
    ),
    "explain": ("kdsl.cli.explain:explain", "Explain an error code."),
    "cache": ("kdsl.cli.cache:cache", "List or clear the cache of compiled kernels."),
    "irdl": ("kdsl.cli.irdl:irdl", "Print the kdsl dialect as IRDL, for mlir-opt."),
    "docs": ("kdsl.cli.docs:docs", "Write or check the generated pages of docs/."),
}
"""Name -> where the command lives, and its line in --help; nothing else is imported for --help."""

INTERRUPTED = 130


class LazyGroup(click.Group):
    """A group whose commands are imported when they run."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command = getattr(import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands from the table alone."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(kdsl.__version__, prog_name="kdsl")
def cli() -> None:
    """Build, inspect and explain kernels."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit."""
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    try:
        code = cli.main(arguments, prog_name="kdsl", standalone_mode=False)
    except KdslError as error:
        return report(error)
    except click.exceptions.Abort:
        click.echo("interrupted", err=True)
        return INTERRUPTED
    except click.ClickException as error:
        error.show()
        return 2
    except Exception as error:
        if show_tracebacks():
            raise
        return report(_explained(error))
    return code if isinstance(code, int) else 0


def _explained(error: Exception) -> KdslError:
    """Return an exception without a code as a mistake in the user's file, or as a bug of ours."""
    from kdsl.cli.userfile import mistake_behind

    ours = InternalError(what=f"{type(error).__name__}: {error}", notes=())
    return mistake_behind(error) or ours


def report(error: KdslError) -> int:
    """Print an error; return its exit code."""
    if show_tracebacks():
        raise error
    text = error.render()
    head, _, rest = text.partition("\n")
    click.echo(click.style(head, bold=True), err=True)
    if rest:
        click.echo(rest, err=True)
    if error.code:
        click.echo(f"  = more: kdsl explain {error.code}", err=True)
    return error.exit_code


def show_tracebacks() -> bool:
    """Whether KDSL_DEBUG asks for tracebacks; a bad value of it does too."""
    try:
        return settings.debug
    except KdslError:
        return True


if __name__ == "__main__":
    main()

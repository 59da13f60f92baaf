"""FileCheck lines and golden files in tests.

filecheck(print_module(module), '''
    CHECK:     %[[P:.*]] = "math.fma"
    CHECK-NOT: "arith.addf"
''')
"""

from __future__ import annotations

import io
from difflib import unified_diff
from pathlib import Path

from kdsl.settings import settings


class MismatchError(AssertionError):
    """Text does not match its CHECK lines or its golden file."""


def filecheck(text: str, checks: str) -> None:
    """Match ``text`` against CHECK, -NEXT, -SAME, -NOT, -DAG, -LABEL, -COUNT and -EMPTY lines.

    Raises MismatchError with the failing line, the whole checks and the whole text.
    """
    from filecheck.finput import FInput
    from filecheck.matcher import Matcher
    from filecheck.options import Options
    from filecheck.parser import Parser, pattern_for_opts

    options = Options(match_filename="checks")
    source = checks if checks.endswith("\n") else checks + "\n"
    content = text if text.endswith("\n") else text + "\n"
    parser = Parser(options, io.StringIO(source), *pattern_for_opts(options))
    matcher = Matcher(options, FInput("text", content), parser)
    matcher.stderr = complaint = io.StringIO()
    if matcher.run() != 0:
        raise MismatchError(f"{complaint.getvalue()}\n--- checks\n{source}\n--- text\n{content}")


def golden(text: str, path: Path) -> None:
    """Compare with a golden file; KDSL_ACCEPT=1 writes it instead."""
    if settings.accept:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return
    if not path.exists():
        raise MismatchError(f"{path} does not exist; KDSL_ACCEPT=1 writes it")
    before = path.read_text(encoding="utf-8")
    if before != text:
        lines = unified_diff(
            before.splitlines(), text.splitlines(), str(path), "now", lineterm="", n=2
        )
        raise MismatchError("\n".join([*lines, "", "KDSL_ACCEPT=1 accepts what is there now"]))

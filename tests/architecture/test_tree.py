"""Properties of the source tree that no single file can see."""

from __future__ import annotations

import ast
import io
import re
import subprocess
import sys
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINE_CAP = 800
NUDGE = 400

PRODUCT = sorted([*ROOT.glob("kdsl/**/*.py"), *ROOT.glob("backends/**/*.py")])
SOURCES = sorted([*PRODUCT, *ROOT.glob("tests/**/*.py"), *ROOT.glob("examples/**/*.py")])
CORE = sorted(ROOT.glob("kdsl/**/*.py"))

BACK_END_NAMES = {"cpu", "ptx", "amdgpu", "metal", "opencl", "cuda", "rocm", "hip"}
DEVICE_WORDS_ALLOWED_IN = {
    # DLPack's device types are numbers of an outside standard, not back ends.
    "kdsl/runtime/dlpack.py",
}
NAMES_FUTURE_ANNOTATIONS = "from __future__ import annotations"


def relative(path):
    return path.relative_to(ROOT).as_posix()


def lines_of(path):
    return path.read_text(encoding="utf-8").count("\n")


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_no_file_is_longer_than_the_cap(path):
    assert lines_of(path) <= LINE_CAP, f"split it; {NUDGE} lines is a good size"


def docstrings(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and node.body:
            first = node.body[0]
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                yield first.value


def string_literals(tree):
    ignored = {id(constant) for constant in docstrings(tree)}
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and id(node) not in ignored
        ):
            yield node


def test_the_core_names_no_back_end():
    found = []
    for path in CORE:
        if relative(path) in DEVICE_WORDS_ALLOWED_IN:
            continue
        found += [
            f"{relative(path)}:{node.lineno}: {node.value!r}"
            for node in string_literals(ast.parse(path.read_text(encoding="utf-8")))
            if node.value.lower() in BACK_END_NAMES or "kdsl_" + "cpu" in node.value
        ]
    assert not found, "ask Features, or the registry"


def test_the_folder_of_back_ends_is_no_package():
    assert not (ROOT / "backends" / "__init__.py").exists()


def holds_kernels(tree):
    """Kernels' annotations are values, so their modules must not turn them into text."""
    return any(
        isinstance(node, ast.Attribute | ast.Name)
        and (node.attr if isinstance(node, ast.Attribute) else node.id)
        in {"kernel", "func", "program", "export"}
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef)
        for decorator in function.decorator_list
        for node in ast.walk(decorator)
    )


def test_modules_without_kernels_postpone_their_annotations():
    missing = []
    for path in PRODUCT:
        text = path.read_text(encoding="utf-8")
        tree = ast.parse(text)
        has_code = any(isinstance(n, ast.FunctionDef | ast.ClassDef) for n in ast.walk(tree))
        if has_code and not holds_kernels(tree) and NAMES_FUTURE_ANNOTATIONS not in text:
            missing.append(relative(path))
    assert not missing


MARKS = [re.compile(p) for p in (r"\bTODO\b", r"\bFIXME\b", r"\bXXX\b", r"\bHACK\b")]
SILENCERS = re.compile(r"except[^:\n]*:\s*(#[^\n]*)?\n?\s*pass\b")


def test_nothing_is_left_for_later():
    found = []
    for path in [*SOURCES, *ROOT.glob("docs/**/*.md"), ROOT / "README.md"]:
        if path == Path(__file__):
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if any(mark.search(line) for mark in MARKS):
                found.append(f"{relative(path)}:{number}: {line.strip()}")
    assert not found


def test_no_exception_is_swallowed_without_a_word():
    found = [relative(p) for p in PRODUCT if SILENCERS.search(p.read_text(encoding="utf-8"))]
    assert not found, "use contextlib.suppress with a reason, or handle it"


PRIVATE_PLACES = re.compile(r"/work/|/root/|\bshared/(notes|probes)\b")


def test_no_text_names_a_private_place():
    found = []
    for path in [*SOURCES, *ROOT.glob("docs/**/*.md"), ROOT / "README.md", ROOT / "pyproject.toml"]:
        if path == Path(__file__):
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if PRIVATE_PLACES.search(line):
                found.append(f"{relative(path)}:{number}: {line.strip()}")
    assert not found


def comments(path):
    with io.StringIO(path.read_text(encoding="utf-8")) as text:
        for token in tokenize.generate_tokens(text.readline):
            if token.type == tokenize.COMMENT:
                yield token


def test_every_noqa_and_type_ignore_names_its_rule():
    found = [
        f"{relative(path)}:{token.start[0]}: {token.string}"
        for path in PRODUCT
        for token in comments(path)
        if re.search(r"noqa(?!: [A-Z])|type: ignore(?!\[)", token.string)
    ]
    assert not found


def test_every_ruff_ignore_has_a_reason():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    start = text.index("[tool.ruff.lint]")
    end = text.index("[tool.ruff.lint.flake8-tidy-imports]")
    entries = [line for line in text[start:end].splitlines() if re.match(r'\s+"[A-Z]+\d*",', line)]
    assert len(entries) > 20
    assert [line for line in entries if not re.search(r"# \S+", line)] == []


@pytest.mark.slow
def test_import_contracts_hold():
    done = subprocess.run(
        [Path(sys.executable).parent / "lint-imports"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr

"""What importing kdsl costs, as the list of what it must not import."""

from __future__ import annotations

import json
import subprocess
import sys

import kdsl

BEYOND_NUMPY = (
    "click",
    "importlib.metadata",
    "jinja2",
    "llvmlite",
    "ml_dtypes",
    "rich",
    "sympy",
    "torch",
    "kdsl.bench",
    "kdsl.cli",
    "kdsl.codegen",
    "kdsl.compiler",
    "kdsl.dialects",
    "kdsl.ir",
    "kdsl.language",
    "kdsl.library",
    "kdsl.passes",
    "kdsl.runtime",
    "kdsl.serving",
    "kdsl_cpu",
)
"""Never imported by ``import kdsl`` alone."""

KERNEL_BUDGET = (
    "click",
    "importlib.metadata",
    "jinja2",
    "kdsl.cli",
    "kdsl.library",
    "kdsl_cpu",
    "llvmlite",
    "rich",
    "sympy",
    "torch",
)
"""Never imported by naming every public name."""

TYPING_BLOCK = "if TYPE_CHECKING:"


def imported_by(statement):
    script = f"import json, sys\nimport numpy\n{statement}\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_importing_kdsl_imports_nothing_but_its_front():
    added = imported_by("import kdsl") - imported_by("")
    assert not added & set(BEYOND_NUMPY)
    assert {name for name in added if name.startswith("kdsl")} <= {"kdsl"}
    assert len(added) <= 3, sorted(added)


def test_using_every_public_name_imports_no_back_end_and_no_tool():
    loaded = imported_by("import kdsl\nfor name in kdsl.__all__: getattr(kdsl, name)")
    assert not (loaded - imported_by("")) & set(KERNEL_BUDGET)


def test_every_public_name_exists():
    for name in kdsl.__all__:
        assert getattr(kdsl, name) is not None, name


def test_an_unknown_name_is_an_attribute_error():
    assert not hasattr(kdsl, "no_such_name")


def test_public_names_are_listed_by_dir():
    assert set(kdsl.__all__) <= set(dir(kdsl))


def test_no_public_name_has_two_homes():
    names = [name for names in kdsl.PUBLIC.values() for name in names]
    assert len(names) == len(set(names))

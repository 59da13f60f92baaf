"""A back end of another distribution: a target is added without touching kdsl."""

from __future__ import annotations

import os
import subprocess
import sys
from textwrap import dedent

import pytest

METADATA = "Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
ENTRY_POINTS = "[kdsl.backends]\n{points}\n"

TOY = dedent('''
    """The smallest complete back end: it writes a list of the ops and runs nothing."""

    from kdsl.codegen.backend import Artifact, Backend, LoadedEntry, Source
    from kdsl.errors import UnknownChipError
    from kdsl.passes.legalize import Legal
    from kdsl.passes.manager import Pipeline
    from kdsl.target.features import Features
    from kdsl.target.target import Target

    CHIPS = {"t1": Features(vector_bits=64), "t2": Features(vector_bits=512, fma=True)}


    def resolve(chip):
        name = chip or "t1"
        if name not in CHIPS:
            raise UnknownChipError(backend="toy", chip=name, known=", ".join(CHIPS))
        return Target("toy", name, CHIPS[name])


    def emit(module, target):
        names = [op.name for function in module.body for op in function.regions[0].blocks[0]]
        return Source("\\n".join([str(target), *names]), ".toy", ("k",))


    def assemble(source, target):
        return Artifact(source.text.encode(), "toy", source.entries)


    BACKEND = Backend(
        name="toy",
        resolve=resolve,
        chips=tuple(CHIPS),
        legal=Legal(),
        pipeline=Pipeline("toy"),
        emit=emit,
        assemble=assemble,
        load="kdsl_toy:load",
    )


    def load(artifact, target):
        return {name: LoadedEntry(name, lambda _: 0, 0) for name in artifact.entries}
''')

MODULE = """
"builtin.module"() ({
  "func.func"() ({
  ^bb0(%x: f32):
    %y = "arith.addf"(%x, %x) : (f32, f32) -> f32
    "func.return"() : () -> ()
  }) {function_type = (f32) -> (), sym_name = "k"} : () -> ()
}) : () -> ()
"""


@pytest.fixture
def site(tmp_path):
    """Install distributions into a folder that subprocesses have on their path."""

    def install(name, source, points):
        (tmp_path / f"{name}.py").write_text(source)
        facts = tmp_path / f"{name}-1.0.dist-info"
        facts.mkdir()
        (facts / "METADATA").write_text(METADATA.format(name=name))
        (facts / "entry_points.txt").write_text(ENTRY_POINTS.format(points=points))

    def python(script):
        environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
        return subprocess.run(
            [sys.executable, "-c", dedent(script)],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def command(*arguments):
        return python(f"from kdsl.cli.__main__ import run; raise SystemExit(run({arguments!r}))")

    install.python = python
    install.command = command
    return install


def test_its_targets_are_listed(site):
    site("kdsl_toy", TOY, "toy = kdsl_toy:BACKEND")
    shown = site.command("targets")
    assert shown.returncode == 0, shown.stderr
    assert "toy:t1" in shown.stdout
    assert "t2" in shown.stdout


def test_a_module_goes_from_text_to_a_call(site):
    site("kdsl_toy", TOY, "toy = kdsl_toy:BACKEND")
    done = site.python(f"""
        import kdsl.dialects.all
        from kdsl.codegen.registry import backend_named, resolve_target
        from kdsl.ir.parser import parse
        from kdsl.passes.manager import run_pipeline

        target = resolve_target("toy:t2")
        backend = backend_named(target.backend)
        module = parse({MODULE!r})
        run_pipeline(backend.pipeline, module, target, verify=True)
        artifact = backend.assemble(backend.emit(module, target), target)
        assert artifact.data.decode().splitlines() == ["toy:t2", "arith.addf", "func.return"]
        assert backend.loader()(artifact, target)["k"].call(0) == 0
    """)
    assert done.returncode == 0, done.stderr


def test_an_unknown_chip_of_it_is_its_own_error(site, tmp_path):
    site("kdsl_toy", TOY, "toy = kdsl_toy:BACKEND")
    (tmp_path / "k.mlir").write_text(MODULE)
    shown = site.command("opt", str(tmp_path / "k.mlir"), "--target", "toy:t3")
    assert shown.returncode == 2
    assert "error[KD0407]: toy does not know the chip 't3'; it knows t1, t2" in shown.stderr


def test_a_broken_back_end_harms_nobody_else(site):
    site("kdsl_toy", TOY, "toy = kdsl_toy:BACKEND")
    site("kdsl_sick", "import no_such_driver", "sick = kdsl_sick:BACKEND")
    site("kdsl_odd", "BACKEND = 3", "odd = kdsl_odd:BACKEND")
    shown = site.command("targets")
    assert shown.returncode == 0, shown.stderr
    assert "toy:t1" in shown.stdout
    assert "'sick' from kdsl_sick is broken: ModuleNotFoundError" in shown.stdout
    assert "'odd' from kdsl_odd is broken" in shown.stdout


def test_two_back_ends_of_one_name_are_an_error_that_names_both(site):
    site("kdsl_toy", TOY, "toy = kdsl_toy:BACKEND")
    site("kdsl_twin", TOY, "toy = kdsl_twin:BACKEND")
    shown = site.command("targets")
    assert shown.returncode == 2
    assert "KD0403" in shown.stderr
    assert "kdsl_toy" in shown.stderr
    assert "kdsl_twin" in shown.stderr

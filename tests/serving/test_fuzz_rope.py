"""Wrong calls of a real built kernel, in a child process, so that a crash is seen as one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from kdsl.cli.__main__ import run

CALLS = 1500
FILE = """
import kdsl as kd
from kdsl.library.rope import rope

EXPORTS = [kd.exported(rope, "T=f32,bf16 D=8 R=4 positions=none,given")]
"""


def test_many_wrong_calls_of_rope_never_crash(tmp_path):
    source, built = tmp_path / "k.py", tmp_path / "k.so"
    source.write_text(FILE)
    assert run(["build", str(source), "-o", str(built)]) == 0
    script = Path(__file__).with_name("fuzz_rope.py")
    done = subprocess.run(
        [sys.executable, script, built, str(CALLS)], capture_output=True, text=True, check=False,
        timeout=300, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert "calls refused" in done.stdout

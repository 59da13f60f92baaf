"""What building a file costs: kdsl build in new processes, with nothing in the cache."""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from kdsl.bench.suites import Table

ROUNDS = 5
FILES = {
    "rope, f32 and bf16": """
import kdsl as kd
from kdsl.library.rope import rope

EXPORTS = [kd.exported(rope, "T=f32,bf16 D=128 R=64")]
""",
    "rope_attention prefill and decode, 8 specializations": """
import kdsl as kd
from kdsl.library.rope_attention import rope_attention, rope_attention_decode

EXPORTS = [
    kd.exported(rope_attention, "T=f32,bf16 D=64 R=32", "T=f32,bf16 D=128 R=64"),
    kd.exported(rope_attention_decode, "T=f32,bf16 D=64 R=32 G=3", "T=f32,bf16 D=128 R=64 G=4"),
]
""",
}


ROPE = "rope, f32"
TARGET_FILE = """
import kdsl as kd
from kdsl.library.rope import rope

EXPORTS = [kd.exported(rope, "T=f32 D=128 R=64")]
"""
TARGETS = ("gfx942", "apple7", "sm_90a", "generic")
"""Chips that a cold build of one kernel is measured for; no device is needed."""


def build_cost() -> Table:
    """Return median wall and CPU seconds of each file's build, processes and imports counted."""
    files = {title: (text, "") for title, text in FILES.items()}
    files |= {f"{ROPE}, for {target}": (TARGET_FILE, target) for target in TARGETS}
    rows = []
    with TemporaryDirectory() as name:
        folder = Path(name)
        for title, (text, target) in files.items():
            source = folder / "kernels.py"
            source.write_text(text)
            build(source, folder / "kernels.so", target)  # Python's bytecode is there afterwards
            walls, cpus = zip(*(_once(source, folder, target) for _ in range(ROUNDS)), strict=True)
            wall, cpu = statistics.median(walls), statistics.median(cpus)
            rows.append((title, f"{wall:.2f}", f"{cpu:.2f}"))
    return Table("build", ("file", "wall s", "user CPU s"), tuple(rows))


def build(source: Path, output: Path, target: str = "") -> None:
    """Build a file in a new process, with an empty cache of its own; for this machine if unsaid."""
    with TemporaryDirectory() as cache:
        environment = {**os.environ, "KDSL_CACHE_DIR": cache, "PYTHONDONTWRITEBYTECODE": ""}
        command = [sys.executable, "-m", "kdsl.cli", "build", str(source), "-o", str(output)]
        command += ["--target", target] if target else []
        subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)


def _once(source: Path, folder: Path, target: str) -> tuple[float, float]:
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    build(source, folder / "kernels.so", target)
    wall = time.perf_counter() - started
    return wall, resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before.ru_utime

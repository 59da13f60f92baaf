"""Metal text through clang: two readings that check it, and a shared object that runs it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from kdsl.codegen.clike.facts import Facts, read_facts
from kdsl.errors import AssembleError, MissingToolError
from kdsl_metal.emit import SUFFIX, split_parameters

HERE = Path(__file__).parent
COMPILER = "KDSL_CLANG"
"""A setting of tests: the clang to use, with its leading arguments."""
CHECKED = ("-Werror=address-of-temporary", "-Wno-unknown-attributes", "-Wno-unknown-pragmas")
RUN_FLAGS = (
    "-std=c++20", "-O1", "-shared", "-fPIC", "-fno-exceptions", "-ffp-contract=off",
    "-Wno-duplicate-decl-specifier", "-mf16c", "-mfma", "-mavx2",
)  # fmt: skip
READING_FLAGS = (
    "-x", "clcpp", "-cl-std=clc++2021", "-target", "spir64", "-fsyntax-only", "-nostdinc",
    "-cl-no-stdinc",
    "-Xclang", "-cl-ext=-all,+cl_khr_fp16,+__opencl_c_generic_address_space",
    "-Wno-unknown-pragmas",
)  # fmt: skip
SHARED = re.compile(r"^(\s+alignas\(\d+\)) (threadgroup .*;)$", re.MULTILINE)
ATTRIBUTE = re.compile(r"\s*\[\[.*?\]\]")


@cache
def clang() -> tuple[list[str], list[str]]:
    """Return the command of clang for building, and for reading. Raises MissingToolError."""
    given = os.environ.get(COMPILER)
    if given:
        return given.split(), given.split()
    if find_spec("ziglang") is None:
        raise MissingToolError(
            purpose="running Metal text here", tool="clang", advice="pip install ziglang"
        )
    zig = [sys.executable, "-m", "ziglang"]
    build = [*zig, "cc", "-nostdinc++", "-nostdlib++", "-target", "x86_64-linux-gnu"]
    return build, [*zig, "clang"]


def read_strictly(text: str) -> None:
    """Have clang read the text as C++ for OpenCL. Raises AssembleError."""
    plain = ATTRIBUTE.sub("", text)
    command = [*clang()[1], *READING_FLAGS, "-I", str(HERE / "reading"), "-"]
    done = subprocess.run(command, input=plain, capture_output=True, text=True, check=False)
    if done.returncode:
        raise AssembleError(tool="clang", suffix=SUFFIX, why=first_errors(done.stderr))


def build(text: str, folder: Path) -> Path:
    """Compile the text into a shared object in ``folder``. Raises AssembleError."""
    made, out = folder / "module.cpp", folder / "module.so"
    made.write_text(runnable(text, read_facts(text)))
    command = [
        *clang()[0], *RUN_FLAGS, *CHECKED, "-I", str(HERE / "include"), str(made),
        str(HERE / "runtime.cpp"), "-o", str(out),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise AssembleError(tool="clang", suffix=SUFFIX, why=first_errors(done.stderr))
    return out


def first_errors(text: str) -> str:
    """Return the lines of clang's output that name errors."""
    lines = [line for line in text.splitlines() if "error:" in line]
    return "\n".join(lines[:5] or text.splitlines()[:5])


def runnable(text: str, facts: Facts) -> str:
    """Return C++: threadgroup arrays live once a group, and each kernel has a way to be started."""
    body = SHARED.sub(r"\1 static \2", text)
    cases = "\n".join(_case(n, row) for n, row in enumerate(facts.kernels.values()))
    return f"""#line 1 "kernels.metal"
{body}
#line 1 "launcher"
extern "C" int kd_run_group(unsigned, unsigned);
static unsigned kd_which;
static void **kd_buffers;
static void *kd_numbers;
static uint3 kd_at, kd_size;
extern "C" void kd_kernel() {{
  unsigned number = kd_group.current->number;
  switch (kd_which) {{
{cases}
  }}
}}
extern "C" int kd_launch(unsigned which, void **buffers, void *numbers, const unsigned *grid,
                         unsigned lanes, unsigned order) {{
  kd_which = which;
  kd_buffers = buffers;
  kd_numbers = numbers;
  kd_size = uint3{{grid[0], grid[1], grid[2]}};
  for (uint z = 0; z < grid[2]; z++)
    for (uint y = 0; y < grid[1]; y++)
      for (uint x = 0; x < grid[0]; x++) {{
        kd_at = uint3{{x, y, z}};
        if (int failed = kd_run_group(lanes, order)) return failed;
      }}
  return 0;
}}
"""


def _case(number: int, row: dict[str, Any]) -> str:
    """Return the call of one kernel by one lane."""
    buffers, numbers = split_parameters(row["parameters"], lambda p: p[0])
    symbol = row["symbol"]
    args = [f"(device {p[3]} *)kd_buffers[{at}]" for at, p in enumerate(buffers)]
    if numbers:
        args.append(f"*(constant {symbol}_numbers *)kd_numbers")
    args += ["kd_at", "kd_size", "number", "number % KD_WIDTH"]
    return f"    case {number}: {symbol}({', '.join(args)}); break;"


def number_rows(row: dict[str, Any]) -> tuple[list[Any], list[Any]]:
    """Return a kernel's buffers and numbers in the order in which they are passed."""
    return split_parameters(row["parameters"], lambda p: p[0])

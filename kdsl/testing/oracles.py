"""Outside judges of modules: mlir-opt, xDSL and mlir-cpu-runner, as functions on text.

Each skips the calling test when its tool is missing (fails it under KDSL_REQUIRE_JUDGES=1).
``KDSL_MLIR_DIR`` names a folder of MLIR 19 tools; otherwise LLVM's own folders, then PATH, are
searched.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import kdsl.dialects.all  # noqa: F401  (the ops must be declared)
from kdsl.dialects.irdl import irdl, mixes_types
from kdsl.ir.define import REGISTRY
from kdsl.testing.judges import require_module, require_program

LLVM_FOLDERS = ("/usr/lib/llvm-19", "/usr/local/opt/llvm@19", "/opt/homebrew/opt/llvm@19")
TIMEOUT_S = 120
MOST_OPERANDS = 40
"""Of an op that mixes operand types."""
_OWN_OP = re.compile(r'"(kdsl\.\w+)"\(([^)]*)\)')
_COUNTED = re.compile(r'"(kdsl\.\w+?)__\d+"\(')
GENERIC = "--mlir-print-op-generic"

TO_LLVM = (
    "--convert-vector-to-scf",
    "--expand-strided-metadata",
    "--lower-affine",
    "--convert-scf-to-cf",
    "--arith-expand",
    "--memref-expand",
    "--convert-math-to-llvm",
    "--convert-math-to-libm",
    "--convert-vector-to-llvm",
    "--finalize-memref-to-llvm",
    "--convert-arith-to-llvm",
    "--convert-func-to-llvm",
    "--convert-cf-to-llvm",
    "--convert-index-to-llvm",
    "--reconcile-unrealized-casts",
)
"""Upstream passes that take func, scf, arith, math, vector and memref to LLVM's dialect."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a judge said: its output when it accepted, its complaint otherwise."""

    accepted: bool
    output: str
    complaint: str


@cache
def llvm_folder() -> Path | None:
    """Return the root of an LLVM 19 with MLIR tools, if there is one."""
    given = os.environ.get("KDSL_MLIR_DIR")
    folders = [Path(given)] if given else [Path(folder) for folder in LLVM_FOLDERS]
    return next((f for f in folders if (f / "bin" / "mlir-opt").exists()), None)


def tool(name: str) -> str:
    """Return the path of an MLIR 19 tool; skip or fail the calling test when there is none."""
    folder = llvm_folder()
    if folder is not None and (folder / "bin" / name).exists():
        return str(folder / "bin" / name)
    return shutil.which(f"{name}-19") or require_program(name)


@cache
def irdl_file(dialect: str = "kdsl") -> str:
    """Return the path of our dialect as IRDL, written once in a process."""
    path = Path(tempfile.mkdtemp(prefix="kdsl-irdl-")) / f"{dialect}.irdl.mlir"
    path.write_text(irdl(dialect, range(MOST_OPERANDS + 1)))
    return str(path)


def mlir_opt(text: str, *flags: str) -> Verdict:
    """Let mlir-opt parse, verify and print a module (our dialect's ops by IRDL)."""
    verdict = _run([tool("mlir-opt"), f"--irdl-file={irdl_file()}", *flags], _with_counts(text))
    return replace(verdict, output=_COUNTED.sub(r'"\1"(', verdict.output))


def _with_counts(text: str) -> str:
    """Rename ops that mix types as their IRDL declarations are: ``kdsl.launch__5``."""

    def rename(found: re.Match[str]) -> str:
        name, operands = found.groups()
        kind = REGISTRY.get(name)
        if kind is None or not mixes_types(kind):
            return found[0]
        return f'"{name}__{operands.count("%")}"({operands})'

    return _OWN_OP.sub(rename, text)


def mlir_opt_accepts_each(texts: Sequence[str]) -> list[bool]:
    """Return mlir-opt's verdict on each of many modules, a few at a time."""
    tool("mlir-opt")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return [verdict.accepted for verdict in pool.map(mlir_opt, texts)]


SPLIT = "// -----"
_SPLIT_ERROR = re.compile(r"^within split at [^:]*:(\d+) offset.* error: ")


def mlir_opt_batch(texts: Sequence[str], *flags: str) -> list[Verdict]:
    """Let one run of mlir-opt parse, verify and print many modules.

    Outputs come only when it accepts all of them.
    """
    starts = [1]  # complaints name the line of the separator before a module, or the first line
    line = 1
    for text in texts:
        line += text.rstrip().count("\n") + 1
        starts.append(line)
        line += 1
    whole = f"\n{SPLIT}\n".join(text.rstrip() for text in texts)
    judged = mlir_opt(whole, "--split-input-file", *flags)
    if judged.accepted:
        return [Verdict(True, output, "") for output in judged.output.split(SPLIT)]
    complaints: dict[int, list[str]] = {}
    for row in judged.complaint.splitlines():
        if found := _SPLIT_ERROR.search(row):
            complaints.setdefault(int(found[1]), []).append(row)
    if not complaints or not complaints.keys() <= set(starts[:-1]):
        raise AssertionError(f"mlir-opt failed without naming a module:\n{judged.complaint}")
    return [
        Verdict(start not in complaints, "", "\n".join(complaints.get(start, ())))
        for start in starts[:-1]
    ]


XDSL_SCALARS_ONLY = frozenset(
    f"arith.{name}"
    for name in (
        "cmpf", "cmpi", "extsi", "extui", "fptosi", "fptoui", "index_cast", "index_castui",
        "select", "sitofp", "trunci", "uitofp",
    )
)  # fmt: skip
"""Ops whose xDSL declaration knows scalars only, where upstream takes vectors and tensors too."""

XDSL_DIFFERS = frozenset(["vector.shuffle"])
"""Ops that upstream spelled otherwise in MLIR 19 than in the version that xDSL follows."""


_SPLAT_BITS = re.compile(r"dense<0x[0-9A-F]+>")


def readable_by_xdsl(text: str) -> str:
    """Replace splats given as bits (infinities): xDSL takes the bits for a number."""
    return _SPLAT_BITS.sub("dense<1.5>", text)


def xdsl_roundtrip(text: str) -> Verdict:
    """Let xDSL parse, verify and print a module.

    Ops that it does not know pass unverified; so do ``XDSL_SCALARS_ONLY`` on vectors and tiles, and
    ``XDSL_DIFFERS``.
    """
    require_module("xdsl")
    from io import StringIO

    from xdsl.context import Context
    from xdsl.dialects import get_all_dialects
    from xdsl.dialects.builtin import ShapedType
    from xdsl.parser import Parser
    from xdsl.printer import Printer
    from xdsl.utils.exceptions import DiagnosticException, ParseError, VerifyException

    context = Context(allow_unregistered=True)
    for name, factory in get_all_dialects().items():
        context.register_dialect(name, factory)
    try:
        module = Parser(context, text).parse_module()
        for op in module.walk():
            on_lanes = any(isinstance(v.type, ShapedType) for v in (*op.operands, *op.results))
            skipped = op.name in XDSL_DIFFERS or (op.name in XDSL_SCALARS_ONLY and on_lanes)
            if not skipped:
                op.verify(verify_nested_ops=False)
    except (ParseError, VerifyException, DiagnosticException) as problem:
        return Verdict(False, "", str(problem))
    out = StringIO()
    Printer(stream=out, print_generic_format=True).print_op(module)
    return Verdict(True, out.getvalue(), "")


def mlir_cpu_run(text: str, entry: str = "main", result: str = "void") -> str:
    """Lower a module by upstream passes only, run it, and return what it printed."""
    lowered = mlir_opt(text, *TO_LLVM)
    if not lowered.accepted:
        raise AssertionError(f"upstream passes refused the module:\n{lowered.complaint}")
    folder = llvm_folder()
    libraries = [] if folder is None else sorted((folder / "lib").glob("libmlir_*runner_utils.so"))
    command = [
        tool("mlir-cpu-runner"),
        "-e",
        entry,
        f"--entry-point-result={result}",
        *(f"--shared-libs={path}" for path in libraries),
    ]
    ran = _run(command, lowered.output)
    if not ran.accepted:
        raise AssertionError(f"mlir-cpu-runner failed:\n{ran.complaint}")
    return ran.output


def _run(command: list[str], text: str) -> Verdict:
    done = subprocess.run(
        command, input=text, capture_output=True, text=True, check=False, timeout=TIMEOUT_S
    )
    return Verdict(done.returncode == 0, done.stdout, done.stderr)

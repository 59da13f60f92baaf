"""LLVM text to a code object and its launcher: generate in a child process, link, check."""

from __future__ import annotations

import atexit
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from shutil import which
from typing import Any

import kdsl.dialects.all  # noqa: F401 - the parser knows the ops of imported dialects
from kdsl.codegen.backend import Artifact, Source
from kdsl.errors import AssembleError, AssemblerDiedError, InternalError, SpillError
from kdsl.ir.parser import parse
from kdsl.target.target import Target
from kdsl_amdgpu.emit import HOST_MARK
from kdsl_amdgpu.features import chip_of
from kdsl_amdgpu.host import kernel_abi
from kdsl_amdgpu.launcher import host_object, host_text, host_triple, runtime_ir
from kdsl_amdgpu.link import link
from kdsl_amdgpu.metadata import Kernel, check
from kdsl_amdgpu.quality import Quality, access_lines, faults, report

FORMAT = "elf-object"
ROCM_MEMORY = 10
"""DLPack's number of the memory that kernels work on."""
LINKERS = ("ld.lld", "ld.lld-22", "ld.lld-21", "ld.lld-20")
STRATEGIES = ("max-ilp", "iterative-minreg")
KERNEL_MARK = '"amdgpu-flat-work-group-size"'
"""What stands once in each kernel's attributes."""
SPILLS_ALLOWED = 4
"""A kernel may spill one in so many of a lane's registers; ``explain()`` says so."""
SPILL_ADVICE = "smaller tiles or more subgroups: k.schedule(BN=..., warps=...)"
WORDS = 2000
"""How much of a dead process's last words is quoted."""


@dataclass(frozen=True)
class Code:
    """What is made of one text: assembly for readers, a relocatable object, a loadable one."""

    assembly: str
    relocatable: bytes
    loadable: bytes
    kernels: dict[str, Kernel]
    seconds: dict[str, float]


class _Worker:
    """The child process; one for this process, started when first needed."""

    def __init__(self) -> None:
        self.errors = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        self.owner = os.getpid()
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("worker.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
        )

    def ask(self, request: dict[str, Any], text: bytes) -> tuple[dict[str, Any], bytes, bytes]:
        """Send a request and return the answer; EOFError when the process ended."""
        sending, receiving = self.process.stdin, self.process.stdout
        assert sending is not None
        assert receiving is not None
        try:
            sending.write(json.dumps(request | {"bytes": len(text)}).encode() + b"\n" + text)
            sending.flush()
        except BrokenPipeError as error:
            raise EOFError from error
        line = receiving.readline()
        if not line:
            raise EOFError
        head = json.loads(line)
        assembly = receiving.read(head.get("assembly", 0))
        return head, assembly, receiving.read(head.get("object", 0))

    def last_words(self) -> str:
        """Return what the process said before it ended."""
        status = self.process.wait()
        self.errors.seek(0)
        said = self.errors.read().decode(errors="replace").strip()
        first = next((line for line in said.splitlines() if "ERROR" in line), said[-WORDS:])
        return first or f"status {status}"

    def close(self) -> None:
        """End the process and wait for it."""
        if self.owner != os.getpid():
            return
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()
        self.process.wait()
        self.errors.close()


_lock = threading.Lock()
_worker: _Worker | None = None


def _ask(
    request: dict[str, Any], text: bytes, target: Target
) -> tuple[dict[str, Any], bytes, bytes]:
    global _worker  # noqa: PLW0603 - one process for all
    with _lock:
        if _worker is None or _worker.owner != os.getpid():
            _worker = _Worker()
            atexit.register(_worker.close)
        try:
            return _worker.ask(request, text)
        except EOFError:
            dead, _worker = _worker, None
            raise AssemblerDiedError(target=target, why=dead.last_words()) from None


@lru_cache(maxsize=8)
def generate(text: str, target: Target) -> Code:
    """Generate, link and check. Raises AssembleError, AssemblerDiedError, CodeObjectError."""
    request = {
        "triple": target.triple,
        "cpu": target.chip,
        "attributes": target.attributes,
        "unroll": True,
    }
    head, assembly, data = _ask(request, text.encode(), target)
    if "error" in head:
        raise AssembleError(tool="LLVM", suffix=".ll", why=head["error"])
    started = time.perf_counter()
    loadable = linked(data)
    kernels = check(loadable, chip_of(target).granule)
    seconds = head["seconds"] | {"link and check": time.perf_counter() - started}
    return Code(assembly.decode(), data, loadable, kernels, seconds)


def best_code(text: str, target: Target) -> Code:
    """Generate; where a matrix kernel spills, try LLVM's other orders of instructions."""
    found = generate(text, target)
    spilled = _spills(found, target)
    for strategy in STRATEGIES:
        if not spilled:
            break
        other = generate(_ordered(text, strategy), target)
        left = _spills(other, target)
        if left < spilled:
            found, spilled = other, left
    return found


def _spills(code: Code, target: Target) -> int:
    """Return how many registers matrix kernels spill."""
    rows = report(code.assembly, code.kernels, target).values()
    return sum(row.vector_spills for row in rows if row.matrix_instructions)


def _ordered(text: str, strategy: str) -> str:
    """Return the text with all kernels ordered by a strategy of LLVM's scheduler."""
    return text.replace(KERNEL_MARK, f'"amdgpu-sched-strategy"="{strategy}" {KERNEL_MARK}')


def linked(data: bytes) -> bytes:
    """Return a loadable object: by lld where one is installed, else by kdsl's own linker."""
    program = next((found for name in LINKERS if (found := which(name))), None)
    return link(data) if program is None else link_with([program], data)


def link_with(command: Sequence[str], data: bytes) -> bytes:
    """Return what lld makes of an object. Raises AssembleError."""
    with tempfile.TemporaryDirectory() as folder:
        source, made = Path(folder, "k.o"), Path(folder, "k.hsaco")
        source.write_bytes(data)
        done = subprocess.run(
            [*command, "-shared", "-m", "elf64_amdgpu", str(source), "-o", str(made)],
            capture_output=True,
            check=False,
        )
        if done.returncode:
            why = done.stderr.decode().strip()
            raise AssembleError(tool=" ".join(command), suffix=".o", why=why)
        return made.read_bytes()


def _refuse_spills(name: str, row: Quality, target: Target) -> None:
    """Raise SpillError where more than a few values of a matrix kernel live in memory."""
    registers = target.features.lane_registers
    if row.matrix_instructions and row.vector_spills > registers // SPILLS_ALLOWED:
        what = "; ".join(faults(row))
        raise SpillError(
            kernel=name, schedule="", what=what, registers=registers, advice=SPILL_ADVICE
        )


def host_of(text: str) -> dict[str, Any]:
    """Return the host's part of an emitted text: entries, and how kernels are launched."""
    line = next(x for x in reversed(text.splitlines()) if x.startswith(HOST_MARK))
    found: dict[str, Any] = json.loads(line.removeprefix(HOST_MARK))
    return found


_MADE: dict[str, Code] = {}
KEPT = 8
"""How many results of this process are kept with their assembly."""


def code_of(digest: str) -> Code:
    """Return what was assembled to an artifact of this digest."""
    found = _MADE.get(digest)
    if found is None:
        raise InternalError(what="this process has not assembled the artifact, or long ago")
    return found


def assemble(source: Source, target: Target) -> Artifact:
    """Return an object of the host: the launcher of the entries, with the code object inside.

    Text without kernels is a built file's own launcher. Raises SpillError for matrix kernels that
    spill.
    """
    if HOST_MARK not in source.text:
        data = host_object(source.text)
        digest = hashlib.sha256(data).hexdigest()
        return Artifact(data, FORMAT, source.entries, {}, digest)
    code = best_code(source.text, target)
    rows = report(code.assembly, code.kernels, target)
    for name, row in rows.items():
        _refuse_spills(name, row, target)
    host = host_of(source.text)
    started = time.perf_counter()
    data = host_object(_launcher(host, code)) if source.entries else code.loadable
    facts = {
        "llvm": code.seconds | {"launcher": time.perf_counter() - started},
        "host": host,
        "kernels": {name: row.facts() for name, row in rows.items()},
        "accesses": access_lines(rows),
        "device": ROCM_MEMORY,
        "triple": host_triple(),
        "images": [[f"{target.chip} code object", hashlib.sha256(code.loadable).hexdigest()]],
        "runtime": [runtime_ir()],
    }
    digest = hashlib.sha256(data).hexdigest()
    _MADE[digest] = code
    while len(_MADE) > KEPT:
        del _MADE[next(iter(_MADE))]
    return Artifact(data, FORMAT, source.entries, facts, digest)


def _launcher(host: dict[str, Any], code: Code) -> str:
    abis = {n: kernel_abi(row, code.kernels[n].facts) for n, row in host["kernels"].items()}
    return host_text(parse(host["module"]), abis, code.loadable)

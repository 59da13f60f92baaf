"""Turn objects into a shared object: by our own writer, or by the system's ``ld`` or ``cc``."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from kdsl.errors.artifacts import LinkerFailedError, LinkerMissingError, UnknownLinkerError
from kdsl.serving.linker import LIBC, LIBM, link_own

OWN = "own"
# Libraries are named by file, for the runtime's are there without development packages.
_LIBRARIES = ["--no-as-needed", f"-l:{LIBC}", "--as-needed", f"-l:{LIBM}"]
_FLAGS = ["-Bsymbolic", "-z", "noexecstack", "-z", "nodelete", "-z", "now", "-z", "relro"]
COMMANDS = {
    "ld": ["ld", "-shared", *_FLAGS],
    "cc": ["cc", "-shared", "-nostdlib", *(f"-Wl,{flag}" for flag in _FLAGS)],
}
LINKERS = (OWN, *COMMANDS)


def link(objects: list[bytes], soname: str, linker: str = OWN) -> bytes:
    """Return a shared object. Raises ArtifactError: its KD061x family."""
    if linker == OWN:
        return link_own(objects, soname)
    if linker not in COMMANDS:
        raise UnknownLinkerError(name=linker, known=", ".join(LINKERS))
    return _run(COMMANDS[linker], objects, soname)


def _run(command: list[str], objects: list[bytes], soname: str) -> bytes:
    tool = shutil.which(command[0])
    if tool is None:
        raise LinkerMissingError(name=command[0])
    wrap = "-Wl," if command[0] == "cc" else ""
    with tempfile.TemporaryDirectory(prefix="kdsl-link-") as folder:
        inputs = []
        for number, data in enumerate(objects):
            file = Path(folder, f"{number}.o")
            file.write_bytes(data)
            inputs.append(str(file))
        output = Path(folder, "out.so")
        name = [f"-Wl,-soname,{soname}"] if wrap else ["-soname", soname]
        libraries = [wrap + flag if flag.startswith("--") else flag for flag in _LIBRARIES]
        line = [tool, *command[1:], *name, "-o", str(output), *inputs, *libraries]
        done = subprocess.run(line, capture_output=True, text=True, check=False)
        if done.returncode or not output.exists():
            complaint = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
            raise LinkerFailedError(name=command[0], reason=complaint[0])
        return output.read_bytes()

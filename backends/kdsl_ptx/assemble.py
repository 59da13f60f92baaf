"""PTX text to an image: by ptxas, else by nvJitLink, else by the driver when it is loaded.

Which one it was is in the artifact's facts, with the registers and the memory that each kernel
takes. Code that spills or serializes matrix products is refused (``gate``).
"""

from __future__ import annotations

import ctypes
import re
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from kdsl.codegen.backend import Artifact, Source
from kdsl.errors import AssembleError, OldAssemblerError
from kdsl.target.target import Target
from kdsl_ptx import gate, report
from kdsl_ptx.artifact import finish, host_artifact, split
from kdsl_ptx.features import ptx_version
from kdsl_ptx.tools import find_linker, find_tool

SUFFIX, HOST_SUFFIX = ".ptx", ".ll"
PTXAS, LINKER, DRIVER = "ptxas", "nvJitLink", "driver"
VERSION = re.compile(r"release (\d+\.\d+), V([\d.]+)")
OPTIONS = ("-O3", "-v", "--warn-on-spills")
UNKNOWN = ("is not defined for option 'gpu-name'", "Unsupported .version")
ADVICE = "install a newer nvidia-cuda-nvcc wheel, or uninstall this one to let the driver do it"


@dataclass(frozen=True)
class Image:
    """An image, the assembler's words about it, and which assembler it was.

    ``is_text``: it is PTX still.
    """

    data: bytes
    log: str
    tool: str
    is_text: bool = False


def assemble(source: Source, target: Target) -> Artifact:
    """Return the image with its launcher; the facts say which resources each kernel takes.

    LLVM IR text is a built file's own launcher: it becomes an object of the host.
    """
    if source.suffix == HOST_SUFFIX:
        return host_artifact(source)
    ptx, host = split(source.text)
    started = time.perf_counter()
    image = image_of_text(ptx, target)
    facts: dict[str, Any] = {"ptxas": {"assemble": time.perf_counter() - started}}
    facts |= checked_facts(ptx, image)
    return finish(source, host, image.data, facts, is_text=image.is_text)


def checked_facts(ptx: str, image: Image) -> dict[str, Any]:
    """Pass an image through the gate; return what is known of it."""
    found = report.resources(image.log)
    gate.check(ptx, found)
    if not image.is_text:
        gate.check_machine_code(ptx, image.data)
    lines = [*report.access_report(ptx), *report.resource_lines(found)]
    if image.is_text:
        lines.append("no assembler is installed: the driver assembles, and nothing is known yet")
    return {
        "assembler": image.tool,
        "resources": [r.as_fact() for r in found.values()],
        "accesses": lines,
    }


def image_of_text(ptx: str, target: Target) -> Image:
    """Assemble with the first assembler that is installed."""
    for assembler in ASSEMBLERS:
        image = assembler(ptx, target)
        if image is not None:
            return image
    return Image(ptx.encode(), "", DRIVER, is_text=True)


# ------------------------------------------------------------------------------------------ ptxas


@cache
def ptxas_version(tool: str) -> str:
    """Return the release of a ptxas ("13.0"), or nothing."""
    done = subprocess.run([tool, "--version"], capture_output=True, text=True, check=False)
    found = VERSION.search(done.stdout)
    return found[1] if found else ""


def with_ptxas(ptx: str, target: Target) -> Image | None:
    """Return None when there is no ptxas."""
    tool = find_tool(PTXAS)
    if tool is None:
        return None
    with tempfile.TemporaryDirectory(prefix="kdsl") as folder:
        text, image = Path(folder) / "kernels.ptx", Path(folder) / "kernels.cubin"
        text.write_text(ptx)
        command = [tool, f"-arch={target.chip}", *OPTIONS, str(text), "-o", str(image)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        log = done.stdout + done.stderr
        if done.returncode:
            raise _refused(PTXAS, ptxas_version(tool), log, target)
        return Image(image.read_bytes(), log, PTXAS)


def _refused(tool: str, version: str, log: str, target: Target) -> Exception:
    if any(words in log for words in UNKNOWN):
        return OldAssemblerError(
            tool=tool, version=version, chip=target.chip, needed=ptx_version(target.chip),
            advice=ADVICE,
        )  # fmt: skip
    return AssembleError(tool=tool, suffix=SUFFIX, why=log.strip())


# -------------------------------------------------------------------------------------- nvJitLink

INPUT_PTX = 2
LINK_VERSIONS = ("", "_13_0", "_12_9", "_12_8", "_12_6", "_12_4", "_12_2", "_12_0")


def _function(library: ctypes.CDLL, name: str) -> Any:
    """Return a function, whose exported name carries the version of its header."""
    for version in LINK_VERSIONS:
        for prefix in ("", "__"):
            found = getattr(library, f"{prefix}nvJitLink{name}{version}", None)
            if found is not None:
                return found
    raise AssembleError(tool=LINKER, suffix=SUFFIX, why=f"the library has no {name}")


def with_linker(ptx: str, target: Target) -> Image | None:
    """Return None when there is no nvJitLink."""
    library = find_linker()
    if library is None:
        return None
    handle = ctypes.c_void_p()
    words = [f"-arch={target.chip}".encode(), b"-O3", b"-verbose"]
    options = (ctypes.c_char_p * len(words))(*words)
    _checked(library, handle, target, "Create", ctypes.byref(handle), len(words), options)
    try:
        data = ptx.encode() + b"\0"
        name = ctypes.c_char_p(b"kernels.ptx")
        size = ctypes.c_size_t(len(data))
        _checked(library, handle, target, "AddData", handle, INPUT_PTX, data, size, name)
        _checked(library, handle, target, "Complete", handle)
        image = _sized(library, handle, "LinkedCubin")
        return Image(image, _sized(library, handle, "InfoLog").decode(errors="replace"), LINKER)
    finally:
        _function(library, "Destroy")(ctypes.byref(handle))


def _checked(library: ctypes.CDLL, handle: Any, target: Target, name: str, *args: Any) -> None:
    if _function(library, name)(*args):
        log = _sized(library, handle, "ErrorLog").decode(errors="replace") if handle else ""
        raise _refused(LINKER, "", log or f"nvJitLink{name} failed", target)


def _sized(library: ctypes.CDLL, handle: Any, what: str) -> bytes:
    """Return a product that is asked for by its size first."""
    size = ctypes.c_size_t(0)
    _function(library, f"Get{what}Size")(handle, ctypes.byref(size))
    buffer = ctypes.create_string_buffer(max(size.value, 1))
    _function(library, f"Get{what}")(handle, buffer)
    return buffer.raw[: size.value].rstrip(b"\0") if "Log" in what else buffer.raw[: size.value]


ASSEMBLERS: tuple[Callable[[str, Target], Image | None], ...] = (with_ptxas, with_linker)
"""In the order of preference."""

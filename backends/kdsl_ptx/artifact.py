"""From emitted text to one object file of the host: the device image and its native launcher.

The emitted text is PTX; the launcher's LLVM IR rides along in its comments, so that the file is
what an assembler takes and yet is all that a compilation needs from there on.
"""

from __future__ import annotations

import hashlib
import time
from functools import cache
from typing import Any

from kdsl.codegen.backend import Artifact, Source
from kdsl.errors import AssembleError, InternalError
from kdsl_ptx.driver_ir import driver_ir
from kdsl_ptx.host_entry import IMAGE, IMAGE_SECTION

MARK = "//: "
TITLE = "// The host launcher, in LLVM IR:"
FORMAT = "elf-object"
TEXT, MACHINE_CODE = "ptx", "cubin"
"""What an image is: the fact ``image``."""
DLPACK_CUDA = 2
"""DLPack's number of the memory that kernels work on."""
RUNTIME = "runtime"
"""The fact that lists what a built file needs once."""
HOST_LEVEL, DRIVER_LEVEL = 1, 2
BYTES = [f"\\{byte:02X}" for byte in range(256)]


def join(ptx: str, host: str) -> str:
    """Return one text of both."""
    lines = [MARK + line for line in host.splitlines()]
    return "\n".join([ptx.rstrip("\n"), "", TITLE, *lines, ""])


def split(text: str) -> tuple[str, str]:
    """Return PTX and launcher apart."""
    ptx, found, rest = text.partition(f"\n{TITLE}\n")
    if not found:
        raise InternalError(what="the emitted text has no host launcher")
    lines = [line.removeprefix(MARK) for line in rest.splitlines()]
    return ptx, "\n".join(lines) + "\n"


def finish(
    source: Source, host: str, image: bytes, facts: dict[str, Any], *, is_text: bool = False
) -> Artifact:
    """Return the artifact of an image (``is_text``: PTX, which the driver assembles itself)."""
    started = time.perf_counter()
    body = image + b"\0" if is_text else image
    digest = hashlib.sha256(image).hexdigest()
    data = host_object(host.replace(IMAGE, _constant(body), 1))
    known = {
        **facts,
        "image": TEXT if is_text else MACHINE_CODE,
        "device": DLPACK_CUDA,
        "triple": host_triple(),
        "images": [[f"{_chip(source.text)} {TEXT if is_text else MACHINE_CODE}", digest]],
        "image_sha256": digest,
        "image_bytes": len(image),
        "launcher": {"assemble": time.perf_counter() - started},
        RUNTIME: [driver_ir()],
    }
    return Artifact(data, FORMAT, source.entries, known, hashlib.sha256(data).hexdigest())


def _chip(text: str) -> str:
    """Return the chip that PTX is for."""
    return text.partition(".target ")[2].partition("\n")[0].partition(",")[0].strip()


def host_artifact(source: Source) -> Artifact:
    """Return LLVM IR text of the host as an artifact: a built file's own launcher."""
    data = host_object(source.text, 0 if source.quick else DRIVER_LEVEL)
    return Artifact(data, FORMAT, source.entries, {}, hashlib.sha256(data).hexdigest())


def _constant(data: bytes) -> str:
    return f'[{len(data)} x i8] c"{"".join(map(BYTES.__getitem__, data))}"'


def image_of(data: bytes) -> bytes:
    """Return the image that an artifact's object holds."""
    import struct

    # The section header table of a 64-bit little-endian ELF file, as the ELF specification has it.
    start, entry, count, names = struct.unpack_from("<Q10xHHH", data, 40)
    rows = [struct.unpack_from("<IIQQQQ", data, start + i * entry) for i in range(count)]
    texts = rows[names][4]
    wanted = IMAGE_SECTION.encode() + b"\0"
    for name, _, _, _, offset, size in rows:
        if data.startswith(wanted, texts + name):
            return data[offset : offset + size]
    raise InternalError(what="the object holds no image")


# ----------------------------------------------------------------------------------------- objects


@cache
def _machine(level: int) -> Any:
    """Return LLVM's description of any processor of this architecture."""
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    target = llvm.Target.from_triple(host_triple())
    return target.create_target_machine(opt=level, reloc="pic", codemodel="small")


@cache
def host_triple() -> str:
    """Return the triple of the machine whose processor launches."""
    import llvmlite.binding as llvm

    return str(llvm.get_process_triple())


def host_object(text: str, level: int = HOST_LEVEL) -> bytes:
    """Return LLVM IR text as a relocatable object of the host. Raises AssembleError."""
    import llvmlite.binding as llvm

    machine = _machine(level)
    try:
        module = llvm.parse_assembly(text)
        module.verify()
    except RuntimeError as error:
        raise AssembleError(tool="LLVM", suffix=".ll", why=str(error).strip()) from error
    module.triple = host_triple()
    module.data_layout = str(machine.target_data)
    if level == DRIVER_LEVEL:
        options = llvm.create_pipeline_tuning_options(speed_level=2)
        builder = llvm.create_pass_builder(machine, options)
        manager = llvm.create_new_module_pass_manager()
        for name in ("always_inliner", "sroa", "instruction_combine", "simplify_cfg"):
            getattr(manager, f"add_{name}_pass")()
        manager.run(module, builder)
    data: bytes = machine.emit_object(module)
    return data

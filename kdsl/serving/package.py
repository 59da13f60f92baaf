"""Put a built file together: kernels, thread pool, launcher and manifest into one shared object."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from kdsl.errors.artifacts import WriteError
from kdsl.serving.manifest import Entry, Manifest, TargetRecord
from kdsl.serving.packed import Packed, records_of
from kdsl.serving.stub import stub_ir
from kdsl.serving.system_linkers import OWN, link

Compile = Callable[[str], bytes]
"""LLVM IR text to one relocatable, position-independent object."""


def build_shared_object(
    kernels: Sequence[bytes | str],
    manifest: Manifest,
    compile_ir: Compile,
    *,
    soname: str = "kernel.so",
    runtime: Sequence[bytes | str] = (),
    target: TargetRecord | None = None,
    images: Sequence[TargetRecord] = (),
    packed: Sequence[Packed] = (),
    linker: str = OWN,
    compile_launcher: Compile | None = None,
) -> bytes:
    """Return the file's bytes.

    ``kernels`` and ``runtime`` (the thread pool) are objects, or LLVM IR text for ``compile_ir``.
    ``compile_launcher`` may optimize less. With ``target`` the manifest records it and the hash of
    the kernels' objects; ``images`` are the code for devices in them, ``packed`` what is launched
    from elsewhere. Raises ArtifactError.
    """
    objects = [_object(part, compile_ir) for part in kernels]
    if target is not None:
        record = replace(target, sha256=hashlib.sha256(b"".join(objects)).hexdigest())
        manifest = replace(manifest, targets=(*manifest.targets, record))
    manifest = replace(manifest, targets=(*manifest.targets, *images, *records_of(packed)))
    objects += [_object(part, compile_ir) for part in runtime]
    objects.append((compile_launcher or compile_ir)(stub_ir(manifest, packed)))
    return link(objects, soname, linker)


def manifest_of(entries: Sequence[Entry], *, producer: str, source: bytes) -> Manifest:
    """Return a manifest for entries made from a source text."""
    return Manifest(
        tuple(entries), producer=producer, source_hash=hashlib.sha256(source).hexdigest()
    )


def write_atomically(path: str | Path, data: bytes) -> None:
    """Write a file so that nobody ever sees half of it. Raises WriteError."""
    path = Path(path)
    temporary = None
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.chmod(temporary, 0o777 & ~_umask())  # noqa: PTH101
        os.replace(temporary, path)  # noqa: PTH105
    except OSError as error:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        raise WriteError(path=str(path), reason=error.strerror) from None


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _object(part: bytes | str, compile_ir: Compile) -> bytes:
    return compile_ir(part) if isinstance(part, str) else part

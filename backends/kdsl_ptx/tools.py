"""Finding NVIDIA's programs and libraries: on PATH, else in their wheels."""

from __future__ import annotations

import ctypes
import shutil
from functools import cache
from importlib.util import find_spec
from pathlib import Path

LINKERS = ("libnvJitLink.so.13", "libnvJitLink.so.12", "libnvJitLink.so")


def wheel_folders() -> list[Path]:
    """Return where wheels of the ``nvidia`` namespace are unpacked, one folder each."""
    spec = find_spec("nvidia")
    places = [] if spec is None else list(spec.submodule_search_locations or ())
    return [folder for place in places for folder in sorted(Path(place).glob("*"))]


@cache
def find_tool(name: str) -> str | None:
    """Return the path of a program, None when it is not installed."""
    found = shutil.which(name)
    if found:
        return found
    for folder in wheel_folders():
        path = folder / "bin" / name
        if path.is_file():
            return str(path)
    return None


@cache
def find_linker() -> ctypes.CDLL | None:
    """Return the library nvJitLink, None when it is not installed."""
    paths = [str(f / "lib" / name) for f in wheel_folders() for name in LINKERS]
    for path in (*LINKERS, *(p for p in paths if Path(p).is_file())):
        try:
            return ctypes.CDLL(path)
        except OSError:
            continue
    return None

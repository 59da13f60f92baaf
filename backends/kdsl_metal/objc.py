"""The system's Metal through the Objective-C runtime, by ctypes: the few messages that we send."""

from __future__ import annotations

import ctypes
import platform
from functools import cache
from typing import Any

from kdsl.errors import NoDriverError

FRAMEWORK = "/System/Library/Frameworks/Metal.framework/Metal"
RUNTIME = "/usr/lib/libobjc.A.dylib"
Id = ctypes.c_void_p
Count = ctypes.c_ulong


class Size(ctypes.Structure):
    """``MTLSize``."""

    _fields_ = (("width", Count), ("height", Count), ("depth", Count))


@cache
def libraries() -> tuple[Any, Any]:
    """Open Metal and the Objective-C runtime. Raises NoDriverError."""
    if platform.system() != "Darwin":
        why = f"this system is {platform.system()}, Metal comes with macOS"
        raise NoDriverError(target="metal", library="Metal.framework", why=why)
    try:
        metal, objc = ctypes.CDLL(FRAMEWORK), ctypes.CDLL(RUNTIME)
    except OSError as error:
        raise NoDriverError(target="metal", library=FRAMEWORK, why=str(error)) from error
    objc.objc_getClass.restype = Id
    objc.objc_getClass.argtypes = [ctypes.c_char_p]
    objc.sel_registerName.restype = Id
    objc.sel_registerName.argtypes = [ctypes.c_char_p]
    metal.MTLCreateSystemDefaultDevice.restype = Id
    return metal, objc


@cache
def _selector(name: str) -> int:
    found: int = libraries()[1].sel_registerName(name.encode())
    return found


def send(
    target: int, message: str, *args: Any, types: tuple[Any, ...] = (), gives: Any = Id
) -> Any:
    """Send a message; ``types`` are those of its arguments, ``gives`` that of its answer."""
    address = ctypes.cast(libraries()[1].objc_msgSend, ctypes.c_void_p).value or 0
    call = ctypes.CFUNCTYPE(gives, Id, Id, *types)(address)
    return call(target, _selector(message), *args)


def class_named(name: str) -> int:
    """Return a class object."""
    found: int = libraries()[1].objc_getClass(name.encode())
    return found


def text(value: str) -> int:
    """Return an ``NSString``."""
    made: int = send(
        class_named("NSString"), "stringWithUTF8String:", value.encode(), types=(ctypes.c_char_p,)
    )
    return made


def words(value: int) -> str:
    """Return what an ``NSString`` holds."""
    found: bytes | None = send(value, "UTF8String", gives=ctypes.c_char_p) if value else None
    return (found or b"").decode()


def complaint(error: int) -> str:
    """Return what an ``NSError`` says."""
    return words(send(error, "localizedDescription")) if error else "no reason was given"

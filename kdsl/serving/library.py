"""Load a built file into Python: one callable per entry, on anything with DLPack."""

from __future__ import annotations

import ctypes
import operator
import sys
from collections.abc import Callable, Sequence
from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kdsl.errors.artifacts import CallError, KernelFailedError, LoadError, NoSuchEntryError
from kdsl.ir.signature import Arg
from kdsl.serving import manifest as manifests
from kdsl.serving.checks import describe, ordinal, scalar_border
from kdsl.serving.codes import FIRST_ARGUMENT_ERROR
from kdsl.serving.dtypes import BORDERS
from kdsl.serving.manifest import Entry

if TYPE_CHECKING:
    from kdsl.serving.foreign import PackedLibrary

C_TYPES: dict[str, Any] = {
    "int8_t": ctypes.c_int8, "int16_t": ctypes.c_int16, "int32_t": ctypes.c_int32,
    "int64_t": ctypes.c_int64,
    "uint8_t": ctypes.c_uint8, "uint16_t": ctypes.c_uint16, "uint32_t": ctypes.c_uint32,
    "uint64_t": ctypes.c_uint64, "float": ctypes.c_float, "double": ctypes.c_double,
}  # fmt: skip
# NumPy exports only its own dtypes through DLPack: carrier, and the word that replaces its own.
FOREIGN_DTYPES = {
    "bfloat16": (np.uint16, BORDERS["bf16"].word),
    "float8_e4m3fn": (np.uint8, BORDERS["f8e4m3"].word),
    "float8_e5m2": (np.uint8, BORDERS["f8e5m2"].word),
}
DTYPE_OFFSET = 20
VERSIONED_OFFSET = 32  # of the DLTensor in a DLManagedTensorVersioned
READ_ONLY_FLAG, FLAGS_OFFSET = 1, 24
DLPACK = {"max_version": (1, 0)}

_pointer = ctypes.pythonapi.PyCapsule_GetPointer
_pointer.restype, _pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
_is_capsule = ctypes.pythonapi.PyCapsule_IsValid
_is_capsule.restype, _is_capsule.argtypes = ctypes.c_int, [ctypes.py_object, ctypes.c_char_p]

Convert = Callable[[Any, list[Any]], Any]


class Library:
    """A loaded file; its entries are attributes. It is never unloaded."""

    def __init__(self, path: Path, manifest: manifests.Manifest, handle: ctypes.CDLL) -> None:
        self.path = path
        self.manifest = manifest
        self.handle = handle
        handle.kdsl_last_error.restype = ctypes.c_char_p
        handle.kdsl_last_error.argtypes = []
        self._entries = {n: LoadedEntry(forms, handle) for n, forms in manifest.by_name().items()}

    @property
    def entries(self) -> tuple[str, ...]:
        return tuple(self._entries)

    def __getattr__(self, name: str) -> LoadedEntry:
        """Return an entry. Raises NoSuchEntryError, or AttributeError for a private name."""
        if name.startswith("_"):
            raise AttributeError(name)
        return self[name]

    def __getitem__(self, name: str) -> LoadedEntry:
        try:
            return self._entries[name]
        except KeyError:
            known = ", ".join(self._entries)
            raise NoSuchEntryError(path=str(self.path), name=name, known=known) from None

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self._entries]

    def __repr__(self) -> str:
        return f"<kdsl library {self.path} with {', '.join(self._entries)}>"


class LoadedEntry:
    """One entry: call it with arrays and numbers, by position or by name."""

    def __init__(self, forms: Sequence[Entry], handle: ctypes.CDLL) -> None:
        entry = self.entry = forms[0]
        self._takes_stream = not all(form.runs_on_host for form in forms)
        self.__name__ = entry.name
        self.__doc__ = entry.doc
        self._args = entry.signature.args
        self._names = tuple(arg.name for arg in self._args)
        self._count = len(self._args)
        self._last_error = handle.kdsl_last_error
        self._function = getattr(handle, f"kdsl_{entry.name}")
        self._function.restype = ctypes.c_int32
        kinds: list[Any] = []
        self._converters: list[Convert] = []
        for index, arg in enumerate(self._args):
            if arg.is_array:
                kinds.append(ctypes.c_void_p)
                self._converters.append(_array_converter(entry.name, index, arg))
            else:
                dtype = scalar_border(entry, index)
                kinds.append(C_TYPES[BORDERS[dtype].c])
                self._converters.append(_scalar_converter(entry.name, index, arg, dtype))
        self._function.argtypes = [*kinds, ctypes.c_void_p]
        self._queue: Callable[[Sequence[Any]], int | None] = _current_queue

    def __call__(self, *args: Any, **named: Any) -> None:
        """Run the entry. Raises CallError before anything is touched, KernelFailedError after."""
        if named or len(args) != self._count:
            args = bound(self.entry.name, self._args, args, named)
        keep: list[Any] = []
        raw = [convert(value, keep) for convert, value in zip(self._converters, args, strict=True)]
        status = self._function(*raw, self._queue(args) if self._takes_stream else None)
        if status:
            text = self._last_error().decode(errors="replace")
            raise (CallError if status >= FIRST_ARGUMENT_ERROR else KernelFailedError)(text=text)

    def on(self, stream: Any) -> LoadedEntry:
        """Return the entry on a stream: its handle, or an object of torch or ``__cuda_stream__``.

        Without it, launches go to torch's current stream, and to the default one for arrays of
        other libraries.
        """
        told = getattr(stream, "__cuda_stream__", None)
        if told is not None:
            stream = (told() if callable(told) else told)[1]
        handle = getattr(stream, "cuda_stream", stream)
        if not self._takes_stream or not isinstance(handle, int):
            where = "it is no stream" if self._takes_stream else "it runs on the CPU"
            raise CallError(text=f"{self.entry.name}: cannot go to {stream!r}: {where}")
        found = copy(self)
        found._queue = lambda _: handle
        return found

    def __repr__(self) -> str:
        return f"<kdsl entry {self.entry.name}({', '.join(self._names)})>"


def bound(
    name: str, known: Sequence[Arg], args: tuple[Any, ...], named: dict[str, Any]
) -> tuple[Any, ...]:
    """Put named arguments and defaults in their places. Raises CallError."""
    names = [arg.name for arg in known]
    if len(args) > len(names):
        text = f"{name}: takes {len(names)} arguments ({', '.join(names)}), got {len(args)}"
        raise CallError(text=text)
    found = list(args)
    for arg in known[len(args) :]:
        if arg.name in named:
            found.append(named.pop(arg.name))
        elif arg.default is not None or arg.optional:
            found.append(arg.default)
        else:
            index = len(found)
            raise CallError(text=f"{_title(name, index, arg)}: is missing")
    if named:
        extra = next(iter(named))
        why = "is given twice" if extra in names else "is unknown"
        raise CallError(text=f"{name}: argument '{extra}' {why}; it takes {', '.join(names)}")
    return tuple(found)


def load(path: str | Path, target: str | None = None) -> Library | PackedLibrary:
    """Load a built file after reading its manifest. Raises ArtifactError.

    The file itself launches what it has for the memory that the arrays are in. With ``target`` the
    back end of this target launches the code that is packed for it.
    """
    path = Path(path)
    if target is not None:
        from kdsl.serving.foreign import load_packed

        return load_packed(path, target)
    manifest = manifests.read(path)
    manifests.require_this_machine(path)
    try:
        handle = ctypes.CDLL(str(path.resolve()))
    except OSError as error:
        raise LoadError(path=str(path), reason=str(error)) from None
    return Library(path, manifest, handle)


def _current_queue(args: Sequence[Any]) -> int | None:
    """Return torch's current stream on the device of the first tensor that is not on the CPU."""
    torch = sys.modules.get("torch")
    if torch is None:
        return None
    for value in args:
        if isinstance(value, torch.Tensor) and not value.is_cpu:
            return int(torch.cuda.current_stream(value.device).cuda_stream)
    return None


def _title(entry: str, index: int, arg: Arg) -> str:
    return f"{entry}: argument '{arg.name}' ({ordinal(index)})"


def _array_converter(entry: str, index: int, arg: Arg) -> Convert:
    """Return a function from an array to the address of a DLTensor; it keeps the owner alive."""
    title, writes = _title(entry, index, arg), arg.access != "ro"

    def convert(value: Any, keep: list[Any]) -> int | None:
        try:
            if type(value) is np.ndarray:
                if value.flags.writeable:
                    if value.dtype.kind != "V":
                        capsule = value.__dlpack__()
                        keep.append(capsule)
                        return _pointer(capsule, b"dltensor")
                elif writes:
                    raise CallError(text=f"{title}: is read-only, but the kernel writes it")
                return _unusual_array(value, keep)
            if value is None:
                return None
            capsule = _export(value)
            keep.append(capsule)
            return _tensor_of(capsule, writes, title)
        except (BufferError, RuntimeError, TypeError, AttributeError, ValueError) as error:
            text = f"{title}: is {_kind(value)}, expected a tensor {describe(arg)} ({error})"
            raise CallError(text=text) from None

    return convert


def _unusual_array(value: Any, keep: list[Any]) -> int | None:
    """Export a read-only array, or one of a dtype that NumPy does not export."""
    foreign = FOREIGN_DTYPES.get(value.dtype.name)
    if foreign is not None:
        carrier, word = foreign
        value = value.view(carrier)
    capsule = value.__dlpack__(**DLPACK)
    keep.append(capsule)
    address = _pointer(capsule, b"dltensor_versioned") + VERSIONED_OFFSET
    if foreign is not None:
        # The export is ours alone, so its dtype may be told truly.
        ctypes.c_uint32.from_address(address + DTYPE_OFFSET).value = word
    return int(address)


def _export(value: Any) -> Any:
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Tensor):
        if value.requires_grad:
            raise TypeError("it requires grad; pass x.detach()")
        return torch.utils.dlpack.to_dlpack(value)
    return value.__dlpack__()


def _tensor_of(capsule: Any, writes: bool, title: str) -> int:
    if _is_capsule(capsule, b"dltensor"):
        return int(_pointer(capsule, b"dltensor"))
    address = int(_pointer(capsule, b"dltensor_versioned"))
    if writes and ctypes.c_uint64.from_address(address + FLAGS_OFFSET).value & READ_ONLY_FLAG:
        raise CallError(text=f"{title}: is read-only, but the kernel writes it")
    return address + VERSIONED_OFFSET


def _scalar_converter(entry: str, index: int, arg: Arg, dtype: str) -> Convert:
    title, border = _title(entry, index, arg), BORDERS[dtype]
    low, high = border.range

    def real(value: Any, _: list[Any]) -> float:
        try:
            return float(value)
        except (TypeError, ValueError, OverflowError):
            raise CallError(text=f"{title}: is {_kind(value)}, expected {dtype}") from None

    def whole(value: Any, _: list[Any]) -> int:
        try:
            number = operator.index(value)
        except TypeError:
            raise CallError(text=f"{title}: is {_kind(value)}, expected {dtype}") from None
        if not low <= number <= high:
            raise CallError(text=f"{title}: is {number}, expected {dtype}: {low} to {high}")
        return number

    def truth(value: Any, _: list[Any]) -> int:
        if not isinstance(value, bool | int | np.bool_):
            raise CallError(text=f"{title}: is {_kind(value)}, expected {dtype}")
        return int(bool(value))

    return {"f": real, "b": truth}.get(border.family, whole)


def _kind(value: Any) -> str:
    if value is None:
        return "None"
    name = type(value).__name__
    return f"a{'n' if name[0] in 'aeiou' else ''} {name}"

"""Launch the code that is packed into a file: by the back end of its target, from Python."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kdsl.codegen.backend import Artifact
from kdsl.codegen.registry import backend_named, resolve_target
from kdsl.errors import LaunchError
from kdsl.errors.artifacts import NoPackedCodeError, NoSuchEntryError
from kdsl.ir.core import Module
from kdsl.runtime.checks import Checked
from kdsl.runtime.devices import runtime_of
from kdsl.runtime.launcher import Prepared, Traced
from kdsl.runtime.views import HOST, Device, View, view_of
from kdsl.serving.library import bound
from kdsl.serving.packed import Packed, packed_in
from kdsl.target.target import Target


class PackedLibrary:
    """The entries of a file for one target, as attributes."""

    def __init__(self, path: Path, target: Target, packed: Sequence[Packed]) -> None:
        self.path = path
        self.target = target
        found: dict[str, list[Packed]] = {}
        for each in packed:
            found.setdefault(each.entry, []).append(each)
        self._entries = {name: PackedEntry(forms, target) for name, forms in found.items()}

    @property
    def entries(self) -> tuple[str, ...]:
        return tuple(self._entries)

    def __getattr__(self, name: str) -> PackedEntry:
        """Return an entry. Raises NoSuchEntryError, or AttributeError for a private name."""
        if name.startswith("_"):
            raise AttributeError(name)
        return self[name]

    def __getitem__(self, name: str) -> PackedEntry:
        try:
            return self._entries[name]
        except KeyError:
            known = ", ".join(self._entries)
            raise NoSuchEntryError(path=str(self.path), name=name, known=known) from None


class PackedEntry:
    """One entry: call it with arrays and numbers, by position or by name."""

    def __init__(self, forms: Sequence[Packed], target: Target) -> None:
        self.forms = forms
        self.target = target
        self.__name__ = forms[0].entry
        self._backend = backend_named(target.backend)
        self._loaded: dict[str, Any] = {}

    def __call__(self, *args: Any, **named: Any) -> None:
        """Run the specialization that takes the arguments. Raises LaunchError."""
        values = bound(self.__name__, self.forms[0].signature.args, args, named)
        values = tuple(view_of(v) or v for v in values)
        device = next((v.device for v in values if isinstance(v, View)), HOST)
        refused: list[LaunchError] = []
        for form in self.forms:
            words: list[int] = []
            keep: list[Any] = []
            try:
                Checked(form.signature, device).slots(values, words, keep)
            except LaunchError as problem:
                refused.append(problem)
                continue
            self._run(form, device, values, words)
            return
        raise refused[0]

    def _run(
        self, form: Packed, device: Device | str, values: Sequence[Any], words: list[int]
    ) -> None:
        entry = self._entry(form)
        traced = Traced(Module.empty(), form.signature, form.symbol, self.target)
        runtime = runtime_of(self._backend)
        checked = Checked(form.signature, device)
        prepared = Prepared(entry.call, checked, traced, None, runtime)
        if isinstance(device, Device):
            prepared.add_queue(words, values, None)
        slots = array("q", words)
        if status := entry.call(slots.buffer_info()[0]):
            raise prepared.failure(status)

    def _entry(self, form: Packed) -> Any:
        if form.symbol not in self._loaded:
            artifact = Artifact(form.data, form.format, (form.symbol,), form.facts, form.sha256)
            self._loaded |= self._backend.loader()(artifact, self.target)
        return self._loaded[form.symbol]


def load_packed(path: Path, name: str) -> PackedLibrary:
    """Return the entries packed for a target: a back end's only one, or a chip's.

    Raises NoPackedCodeError.
    """
    packed = packed_in(path)
    names = list(dict.fromkeys(each.target for each in packed))
    fitting = [n for n in names if name in (n, *n.split(":", 1))]
    if len(fitting) != 1:
        known = ", ".join(names) or "none"
        raise NoPackedCodeError(path=str(path), target=name, known=known)
    (target,) = fitting
    chosen = [each for each in packed if each.target == target]
    return PackedLibrary(path, resolve_target(target), chosen)

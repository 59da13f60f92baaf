"""Finding back ends by the entry-point group ``kdsl.backends``, when a target is asked for."""

from __future__ import annotations

from collections.abc import Collection
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from kdsl.codegen.backend import HOST_MEMORY, Backend
from kdsl.errors import (
    BrokenBackEndError,
    DuplicateBackEndError,
    UnknownTargetError,
)
from kdsl.target.target import Target

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "kdsl.backends"
CHIPS_MODULE = "features"
"""Where a back end's package may have ``CHIPS``, a table by chip: asked first, for it is light."""

_added: dict[str, Backend] = {}


def register(backend: Backend) -> None:
    """Add a back end by hand, for a process that does not install its distribution."""
    _added[backend.name] = backend
    backend_named.cache_clear()


@cache
def _entry_points() -> dict[str, EntryPoint]:
    from importlib.metadata import entry_points

    found: dict[str, EntryPoint] = {}
    for point in entry_points(group=GROUP):
        other = found.get(point.name)
        if other is not None and other.value != point.value:
            raise DuplicateBackEndError(
                name=point.name, first=_distribution(other), second=_distribution(point)
            )
        found[point.name] = point
    return found or _declared_beside()


def _declared_beside() -> dict[str, EntryPoint]:
    """Return what the pyproject.toml of a checkout declares that is used without installing it."""
    import tomllib
    from importlib.metadata import EntryPoint

    project = Path(__file__).parents[2] / "pyproject.toml"
    if not project.is_file():
        return {}
    declared = tomllib.loads(project.read_text())["project"]["entry-points"][GROUP]
    return {name: EntryPoint(name, value, GROUP) for name, value in declared.items()}


def _distribution(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else "an unknown distribution"


def backend_names() -> list[str]:
    """Return the names of the installed back ends."""
    return sorted({*_added, *_entry_points()})


@cache
def backend_named(name: str) -> Backend:
    """Import one back end. Raises UnknownTargetError or BrokenBackEndError."""
    if name in _added:
        return _added[name]
    point = _entry_points().get(name)
    if point is None:
        raise UnknownTargetError(name=name, known=", ".join(backend_names()) or "none")
    try:
        found = point.load()
    except Exception as error:
        raise _broken(point, f"{type(error).__name__}: {error}") from error
    if not isinstance(found, Backend):
        raise _broken(point, f"{point.value} is a {type(found).__name__}, not a Backend")
    return found


def _broken(point: EntryPoint, why: str) -> BrokenBackEndError:
    return BrokenBackEndError(name=point.name, distribution=_distribution(point), why=why)


@cache
def resolve_target(text: str) -> Target:
    """Return the target of ``backend``, ``backend:chip`` or a chip that one back end alone knows.

    A back end without a chip means this machine's.
    """
    name, _, chip = text.partition(":")
    if not chip and name not in backend_names():
        owners = [n for n in backend_names() if name in _chips(n)]
        if len(owners) == 1:
            return backend_named(owners[0]).resolve(name)
    return backend_named(name).resolve(chip)


def _chips(name: str) -> Collection[str]:
    """Return the chips that a back end knows; its table of them is imported alone if it can be."""
    from importlib import import_module

    point = _entry_points().get(name)
    if name in _added or point is None:
        return backend_named(name).chips
    package = point.value.partition(":")[0].rpartition(".")[0]
    try:
        found: Collection[str] = import_module(f"{package}.{CHIPS_MODULE}").CHIPS
    except (ImportError, AttributeError, ValueError):
        return backend_named(name).chips  # tables elsewhere; or broken, which is told there
    return found


def targets_to_build(text: str) -> list[Target]:
    """Return the targets of a list with commas; each once.

    A back end without a chip means its usual one: what is built need not run here.
    """
    found = []
    for name in filter(None, map(str.strip, text.split(","))):
        is_whole = ":" not in name and name in backend_names()
        usual = backend_named(name).usual if is_whole else ""
        found.append(backend_named(name).resolve(usual) if usual else resolve_target(name))
    return list(dict.fromkeys(found))


@cache
def default_target() -> Target:
    """Return this machine as the first back end sees it that shares memory with the caller."""
    for name in backend_names():
        backend = backend_named(name)
        if backend.device != HOST_MEMORY:
            continue
        found = backend.resolve("")
        if found.features.flat_memory:
            return found
    raise UnknownTargetError(name="", known=", ".join(backend_names()) or "none")

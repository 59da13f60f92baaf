"""Every environment variable, one typed descriptor each; read when used, overridable in code.

    from kdsl.settings import settings

    if settings.time: ...
    with settings.override(verify="passes", num_threads=1): ...

An override holds for the whole process (worker threads see it) until its block ends.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Generic, TypeVar, overload

from kdsl.errors import BadSettingError, UnknownSettingError

T = TypeVar("T")
Parse = Callable[[str], T]

_VARIABLES: Any = getattr(os.environ, "_data", os.environ)
"""The environment as CPython keeps it, by encoded names."""

TRUE_WORDS = ("1", "true", "yes", "on")
FALSE_WORDS = ("", "0", "false", "no", "off")
VERIFY_LEVELS = ("", "ir", "passes")
MAX_THREADS = 1024


class RejectedError(ValueError):
    """A value is not of the wanted form; its text says which form that is."""


class Setting(Generic[T]):
    """One environment variable: its parser, its default and its documentation."""

    def __init__(self, parse: Parse[T], default: T | Callable[[], T], shown: str, doc: str) -> None:
        self.parse = parse
        self.default = default
        self.shown = shown
        self.doc = doc
        self.name = ""
        self.variable = ""
        self.key: str | bytes = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name
        self.variable = f"KDSL_{name.upper()}"
        self.key = self.variable if _VARIABLES is os.environ else os.fsencode(self.variable)

    @overload
    def __get__(self, instance: None, owner: type) -> Setting[T]: ...

    @overload
    def __get__(self, instance: Settings, owner: type) -> T: ...

    def __get__(self, instance: Settings | None, owner: type) -> T | Setting[T]:
        if instance is None:
            return self
        if self.name in instance.overrides:
            value: T = instance.overrides[self.name]
            return value
        # Launches look settings up: an absent variable must not cost the encoding of its name.
        if self.key not in _VARIABLES:
            return self.default() if callable(self.default) else self.default
        text = os.environ.get(self.variable, "")
        if text == "":
            return self.default() if callable(self.default) else self.default
        return self.read(text)

    def read(self, text: str) -> T:
        """Parse ``text``; raise BadSettingError when it is not of the wanted form."""
        try:
            return self.parse(text)
        except RejectedError as wanted:
            raise BadSettingError(variable=self.variable, value=text, wanted=wanted) from None


def flag(text: str) -> bool:
    """Read a yes or no."""
    word = text.strip().lower()
    if word in TRUE_WORDS or word in FALSE_WORDS:
        return word in TRUE_WORDS
    raise RejectedError("0 or 1")


def folder(text: str) -> Path:
    """Read a path; a leading ~ is the home folder."""
    return Path(text).expanduser()


def thread_count(text: str) -> int:
    """Read a number of threads."""
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= MAX_THREADS:
        raise RejectedError(f"a number from 1 to {MAX_THREADS}")
    return int(text)


def verify_level(text: str) -> str:
    """Read how much is verified."""
    if text not in VERIFY_LEVELS:
        raise RejectedError("ir or passes")
    return text


def words(text: str) -> tuple[str, ...]:
    """Read names with commas between them."""
    return tuple(word.strip() for word in text.split(",") if word.strip())


def default_cache_dir() -> Path:
    """Return where this user's caches belong (XDG, else ~/.cache)."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if Path(base).is_absolute() else Path("~/.cache").expanduser()) / "kdsl"


def usable_threads() -> int:
    """Return on how many processors this process may run."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Settings:
    """All settings of this process; attributes read the environment anew each time."""

    cache_dir = Setting(
        folder, default_cache_dir, "~/.cache/kdsl", "Where compiled kernels are kept."
    )
    disable_cache = Setting(flag, False, "0", "Compile every kernel anew; neither read nor write.")
    target = Setting[str | None](
        str, None, "this machine", "Target of kernels and of kdsl build when none is given."
    )
    num_threads = Setting(
        thread_count, usable_threads, "all processors", "Threads that a grid is spread over."
    )
    sync = Setting(
        flag, False, "0", "Wait after each launch on a device (read when its code is loaded)."
    )
    interpret = Setting(flag, False, "0", "Run kernels in the NumPy interpreter, indices checked.")
    verify = Setting(
        verify_level,
        "",
        "",
        "ir: verify the module after every pass. passes: also interpret it before and after, and"
        " name the first pass that changed an answer.",
    )
    dump = Setting[Path | None](
        folder, None, "", "Write every stage's product into this folder, numbered in order."
    )
    print_after = Setting[tuple[str, ...]](
        words, (), "", "Print the module after these passes (commas between; all: every pass)."
    )
    time = Setting(flag, False, "0", "Print how long each stage and pass took.")
    debug = Setting(flag, False, "0", "Show tracebacks on the command line.")
    accept = Setting(flag, False, "0", "Tests rewrite their golden files instead of failing.")
    require_judges = Setting(
        flag, False, "0", "Tests fail instead of skipping when an outside judge is missing."
    )

    def __init__(self) -> None:
        self.overrides: dict[str, Any] = {}

    @contextmanager
    def override(self, **values: Any) -> Iterator[None]:
        """Set settings for the length of a block; text is parsed as from the environment."""
        known = {setting.name: setting for setting in all_settings()}
        for name, value in values.items():
            if name not in known:
                raise UnknownSettingError(name=name, known=", ".join(known))
            if isinstance(value, str):
                values[name] = known[name].read(value)
        before = self.overrides
        self.overrides = before | values
        try:
            yield
        finally:
            self.overrides = before


def all_settings() -> list[Setting[Any]]:
    """Return the descriptors in the order of their declaration."""
    return [value for value in vars(Settings).values() if isinstance(value, Setting)]


settings = Settings()


def __getattr__(name: str) -> Any:
    """Give a setting: once this module is imported, ``kdsl.settings`` is it and not the object."""
    return getattr(settings, name)

"""Running a user's file to get at the kernels in it."""

from __future__ import annotations

import importlib.util
import sys
import traceback
from pathlib import Path
from types import ModuleType

import kdsl
from kdsl.errors import CannotReadError, CannotWriteError, KdslError, Position, UserFileError

MODULE_NAME = "__kdsl_user_file__"


def load_file(path: Path) -> ModuleType:
    """Run ``path`` as Python would, with its folder importable, but not as ``__main__``.

    Raises CannotReadError, UserFileError with the user's own line, or the KdslError of a kernel.
    """
    source = read_text(path)
    spec = importlib.util.spec_from_file_location(MODULE_NAME, path)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.resolve().parent))
    sys.modules[MODULE_NAME] = module
    try:
        code = compile(source, str(path), "exec", dont_inherit=True)
        exec(code, module.__dict__)  # noqa: S102 - it is their file
    except KdslError:
        raise
    except SyntaxError as error:
        raise _syntax_error(path, error) from error
    except SystemExit as error:
        raise UserFileError(path=path, kind="SystemExit", why=error.code) from error
    except Exception as error:
        raise _raised(path, error) from error
    return module


def mistake_behind(error: Exception) -> UserFileError | None:
    """Return an exception as a mistake in the loaded file; None when kdsl's own code raised it."""
    module = sys.modules.get(MODULE_NAME)
    if module is None or module.__file__ is None:
        return None
    theirs, ours = Path(module.__file__).resolve(), Path(kdsl.__file__).resolve().parent
    frames = traceback.extract_tb(error.__traceback__)
    for file in [frame.filename for frame in reversed(frames)]:
        if Path(file).resolve() == theirs:
            return _raised(Path(file), error)
        if Path(file).resolve().is_relative_to(ours):
            return None
    return None


def read_text(path: Path) -> str:
    """Read a text file; raise CannotReadError."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise CannotReadError(path=path, why=error.strerror) from error
    except UnicodeDecodeError as error:
        raise CannotReadError(path=path, why="it is not UTF-8 text") from error


def write_text(path: Path, text: str) -> None:
    """Write a text file; raise CannotWriteError."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CannotWriteError(path=path, why=error.strerror) from error


def _syntax_error(path: Path, error: SyntaxError) -> UserFileError:
    line, column = error.lineno or 1, error.offset or 1
    row = (error.text or "").rstrip("\n")
    end = error.end_offset if error.end_lineno == line and error.end_offset else column + 1
    loc = Position(error.filename or str(path), line, column, line, max(end, column + 1), row)
    return UserFileError(loc, path=path, kind=type(error).__name__, why=error.msg)


def _raised(path: Path, error: Exception) -> UserFileError:
    """Point at the innermost line that lies in the user's file."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == str(path)]
    loc = None
    if frames and frames[-1].lineno is not None:
        frame = frames[-1]
        line, column = frames[-1].lineno, (frame.colno or 0) + 1
        end = (frame.end_colno or column) + 1
        row = _line(path, line)
        loc = Position(str(path), line, column, frame.end_lineno or line, end, row)
    return UserFileError(loc, path=path, kind=type(error).__name__, why=error)


def _line(path: Path, number: int) -> str:
    import linecache

    return linecache.getline(str(path), number).rstrip("\n")

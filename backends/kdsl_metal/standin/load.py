"""Metal text loaded into this process: quick, for text whose accesses are known to be inside."""

from __future__ import annotations

import ctypes
import tempfile
from pathlib import Path

import kdsl.dialects.all  # noqa: F401 - the parser knows the ops of imported dialects
from kdsl.codegen.backend import Artifact, LoadedEntry
from kdsl.codegen.clike.facts import read_facts
from kdsl.ir.parser import parse
from kdsl.runtime.entry import entry_function
from kdsl.target.target import Target
from kdsl_metal.standin.build import build
from kdsl_metal.standin.worker import Group


def load(artifact: Artifact, target: Target) -> dict[str, LoadedEntry]:
    """Return the entries of Metal text as functions that run on this processor."""
    del target
    text = artifact.data.decode()
    facts = read_facts(text)
    with tempfile.TemporaryDirectory() as folder:
        library = ctypes.CDLL(str(build(text, Path(folder))))
    group, host = Group(library, facts, 0), parse(facts.host)
    return {
        name: LoadedEntry(name, entry_function(host, name, group), 0, (group, host))
        for name in artifact.entries
    }

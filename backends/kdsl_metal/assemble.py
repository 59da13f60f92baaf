"""Metal text is compiled by the system that runs it: the text is the artifact."""

from __future__ import annotations

import hashlib

from kdsl.codegen.backend import Artifact, Source
from kdsl.codegen.clike.facts import read_facts
from kdsl.errors import NoLauncherError
from kdsl.target.target import Target
from kdsl_metal.emit import SUFFIX

FORMAT = "metal-source"


def assemble(source: Source, target: Target) -> Artifact:
    """Return the text as bytes, with the report of its accesses. Raises NoLauncherError."""
    if source.suffix != SUFFIX:
        raise NoLauncherError(target=str(target))
    data = source.text.encode()
    facts = {"accesses": list(read_facts(source.text).accesses)}
    return Artifact(data, FORMAT, source.entries, facts, hashlib.sha256(data).hexdigest())

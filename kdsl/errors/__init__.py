"""Every error that kdsl raises at a user.

One class is one message; codes say the layer. Raise ``SomeError(loc, field=value, ...)``.

    KdslError
    ├── LanguageError   KD01xx  the kernel's text, found while tracing   errors/language.py
    ├── IrError         KD02xx  modules: parser, interpreter             errors/ir.py
    │   └── VerifyError         ... and verifier
    ├── PassError       KD03xx  passes, pipelines, registers             errors/passes.py
    ├── TargetError     KD04xx  targets, back ends, assemblers           errors/target.py
    │                   KD043x  code objects and their emulator          errors/code_objects.py
    │                   KD045x  drivers of devices                     errors/devices.py
    │                   KD046x  what assemblers of devices say         errors/assemblers.py
    ├── LaunchError     KD05xx  arguments of a call, status of a run     errors/launch.py
    ├── ArtifactError   KD06xx  built shared objects                     errors/artifacts.py
    ├── ToolError       KD07xx  settings, commands, build, cache         errors/tools.py
    └── InternalError   KD0901  kdsl's own mistakes                      errors/internal.py

The whole tree with every message is docs/errors.md; ``kdsl explain CODE`` shows one entry.
"""

from __future__ import annotations

from kdsl.errors.artifacts import *
from kdsl.errors.assemblers import *
from kdsl.errors.base import KdslError as KdslError
from kdsl.errors.base import Position as Position
from kdsl.errors.base import SourceLocation as SourceLocation
from kdsl.errors.base import by_code as by_code
from kdsl.errors.base import catalogue as catalogue
from kdsl.errors.code_objects import *
from kdsl.errors.devices import *
from kdsl.errors.internal import *
from kdsl.errors.ir import *
from kdsl.errors.language import *
from kdsl.errors.launch import *
from kdsl.errors.passes import *
from kdsl.errors.target import *
from kdsl.errors.tools import *

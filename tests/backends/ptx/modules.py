"""Lane-level modules for the emitter's tests, and how they are assembled."""

from __future__ import annotations

import kdsl.dialects.all  # noqa: F401 - the parser knows the ops of imported dialects
from kdsl.ir.parser import parse
from kdsl.ir.verify import verify
from kdsl.testing.judges import require_found
from kdsl_ptx.assemble import Image, with_ptxas
from kdsl_ptx.backend import BACKEND
from kdsl_ptx.emit import DeviceCode, device_code

KERNEL = """
"builtin.module"() ({{
  "func.func"() <{{function_type = ({types}) -> (), sym_name = "k"}}> ({{
  ^bb0({args}):
    {body}
    "func.return"() : () -> ()
  }}) {{kdsl.kernel, kdsl.lanes = {lanes} : i64{attributes}}} : () -> ()
}}) : () -> ()
"""


THREAD = '%t = "gpu.thread_id"() <{dimension = #gpu<dim x>}> : () -> index'


def kernel(args, body, *, lanes=128, attributes=""):
    """Return a module with one kernel; ``args`` as ``%a: memref<?xf32>, %n: index``."""
    pairs = split(args)
    types = ", ".join(kind for _, kind in pairs)
    if "%t" in body:
        body = f"{THREAD}\n{body}"
    text = KERNEL.format(
        types=types, args=args, body=body.strip(), lanes=lanes, attributes=attributes
    )
    module = parse(text)
    verify(module)
    return module


def split(args):
    """Cut arguments apart at the commas before a name."""
    parts = args.split(", %")
    return [tuple(part.removeprefix("%").split(": ", 1)) for part in parts]


def code_of(module, chip="sm_90a") -> DeviceCode:
    return device_code(module, BACKEND.resolve(chip))


def body_of(text):
    """Return the instructions of the only kernel, without declarations."""
    inside = text[text.index("{\n", text.index(".visible")) + 2 : text.rindex("}")]
    return [line.strip() for line in inside.splitlines() if not line.strip().startswith(".")]


def instructions(args, body, chip="sm_90a", **options):
    return body_of(code_of(kernel(args, body, **options), chip).text)


def assembled(text, chip="sm_90a") -> Image:
    """Assemble; without ptxas the calling test is skipped and counted."""
    return require_found("ptxas", with_ptxas(text, BACKEND.resolve(chip)))

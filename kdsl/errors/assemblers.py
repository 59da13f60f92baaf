"""KD046x: what assemblers of devices say about the code that they made."""

from __future__ import annotations

from kdsl.errors.base import KdslError
from kdsl.errors.target import TargetError


class NoChipError(TargetError):
    """A back end was asked for this machine's device, and there is none that it knows."""

    code = "KD0460"
    message = "{backend}: there is no device here to compile for ({why}); chips are {known}"
    hint = "name a chip: {backend}:CHIP; compiling for one needs no device"
    explanation = """
        Without a chip the target is the device in this machine. To compile for another machine,
        name its chip.

            kdsl build k.py -o k.so --target cuda          # wrong: there is no such back end
            kdsl targets                                   # names back ends and their chips
    """


class GateError(KdslError):
    """The assembler made code, but code that cannot be fast."""


class SpillError(GateError):
    """A kernel needs more registers than a lane has."""

    code = "KD0461"
    message = "{kernel}{schedule}: {what}; a lane has {registers} registers"
    hint = "{advice}"
    explanation = """
        Values that do not fit registers go to memory, which costs several times the kernel's speed.
        Smaller tiles hold fewer values at once; more lanes share a tile among more registers.

            k.schedule(BN=192)      # KD0461: scores, probabilities and output do not fit
            k.schedule(BN=128)      # right
    """


class SerializedMatrixError(GateError):
    """The assembler made asynchronous matrix instructions wait for each other."""

    code = "KD0462"
    message = "{kernel}{schedule}: matrix instructions are serialized ({what})"
    hint = "{advice}"
    explanation = """
        Between the issue of a matrix instruction and the wait for it nothing may touch its
        accumulator, and its registers must suffice; otherwise the assembler inserts waits.
    """


class UnevenCodeError(GateError):
    """A kernel with matrix instructions holds instructions that stop them."""

    code = "KD0463"
    message = "{kernel}{schedule}: {count} {what} in a kernel with matrix instructions"
    hint = "{advice}"
    explanation = """
        Descriptors must be the same in all lanes of a subgroup and the assembler must see it; a
        value that it takes for different costs a move to a uniform register before each use.
    """


class OldAssemblerError(TargetError):
    """The assembler that is installed does not know the chip or the version of the text."""

    code = "KD0464"
    message = "{tool} ({version}) does not know {chip} with version {needed} of its language"
    hint = "{advice}"
    explanation = """
        Newer chips need newer assemblers. Without any, the text itself is packed, and the driver
        assembles it when it is loaded.
    """


class WorkgroupLimitError(TargetError):
    """A workgroup takes more than the chip has for one."""

    code = "KD0465"
    message = "{kernel}{schedule}: a workgroup takes {takes} {what}, {target} has {limit}"
    hint = "take smaller tiles, or fewer stages or warps (k.schedule(...))"
    explanation = """
        All lanes of a workgroup share the memory and the lanes that one processor has for it. What
        a kernel takes follows from its tiles and from how many loads are under way at once.

            k.schedule(stages=8)      # KD0465: eight tiles of keys at once
            k.schedule(stages=2)      # right
    """

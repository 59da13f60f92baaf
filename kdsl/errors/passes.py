"""KD03xx: passes and pipelines: names, options, what cannot be lowered, what a pass broke."""

from __future__ import annotations

from kdsl.errors.base import KdslError


class PassError(KdslError):
    """A pass cannot do its work."""


class UnknownPassError(PassError):
    """A pipeline names a pass that does not exist."""

    code = "KD0301"
    message = "there is no pass {name!r}; there are {known}"
    hint = "kdsl opt --list shows passes and pipelines"
    explanation = """
            kdsl opt k.mlir -p canonicalise        # KD0301
            kdsl opt k.mlir -p canonicalize        # right
    """


class PipelineSyntaxError(PassError):
    """A pipeline's text cannot be read."""

    code = "KD0302"
    message = "cannot read the pipeline {text!r}: {why}"
    hint = "write passes with commas, options in braces: canonicalize,unroll{{factor=4}}"
    explanation = """
            kdsl opt k.mlir -p 'unroll{factor=4'          # KD0302: the brace stays open
            kdsl opt k.mlir -p 'unroll{factor=4},cse'     # right
    """


class PassOptionError(PassError):
    """A pass has no such option, or the option not such a value."""

    code = "KD0303"
    message = "{pass_name}: the option {option!r} {why}"
    hint = "the options are {known}"
    explanation = """
        The fields of a pass's dataclass are its options, with dashes for underscores.

            kdsl opt k.mlir -p 'unroll{by=4}'          # KD0303
            kdsl opt k.mlir -p 'unroll{factor=4}'      # right
    """


class OutOfRegistersError(PassError):
    """A tile needs more room than the target keeps tiles in: registers, or scratch memory."""

    code = "KD0304"
    message = "{what} needs {needed} of {kind}, {target} has {available}"
    hint = "{advice}"
    explanation = """
        A tile that lives across a loop is held close to the arithmetic: in registers where a
        matrix unit works on them, in a cache's worth of scratch memory on a CPU. When it does
        not fit there, every turn would move it, which costs more than the work.

            acc = kd.zeros((2048, 2048), f32)      # KD0304: 16 MiB of scratch
            acc = kd.zeros((64, 64), f32)          # right: let the grid cover the rest
    """


class CannotLegalizeError(PassError):
    """The target lacks an op and the op has no decomposition."""

    code = "KD0305"
    message = "{target} has no {op} for {type}, and it cannot be expressed by simpler ops"
    hint = "use another dtype or function, or write a lowering in the back end"
    explanation = """
        legalize rewrites what a target lacks into what it has: bf16 arithmetic into f32, exp into
        exp2, wide vectors into narrow ones. Some ops have no such form.
    """


class InvalidAfterPassError(PassError):
    """A pass left a module that the verifier rejects."""

    code = "KD0306"
    message = "{pass_name} left an invalid module: {what}"
    hint = "this is a bug in the pass; KDSL_DUMP=dir keeps the module before and after it"
    exit_code = 3
    explanation = """
        Modules are valid before and after every pass. KDSL_VERIFY=ir checks it; the error names
        the first pass that broke the rule.
    """


class ChangedMeaningError(PassError):
    """A pass changed what a kernel computes."""

    code = "KD0307"
    message = "{pass_name} changed the answer of {kernel}: {what}"
    hint = "this is a bug in the pass; KDSL_DUMP=dir keeps the module before and after it"
    exit_code = 3
    explanation = """
        KDSL_VERIFY=passes interprets the module before and after every pass on generated inputs
        and compares. The error names the first pass after which they differ.
    """


class CannotVectorizeError(PassError):
    """A loop that was asked to be vectorized at a width cannot be."""

    code = "KD0308"
    message = "the loop cannot be vectorized by {width}: {why}"
    hint = "use width=kd.AUTO to let kdsl fall back, and kernel.explain() to read why it did"
    explanation = """
        kd.vectorize promises independent turns. An explicit width is an order; AUTO is a wish.

            @kd.vectorize(n, width=8)
            def step(i, w):
                s.store(0, s.load(0) + x.load(i))      # every turn writes s[0]: KD0308
    """


class TileShapeError(PassError):
    """A tile's shape cannot be lowered on the target."""

    code = "KD0309"
    message = "{op}: the tile {shape} {why}"
    hint = "{advice}"
    explanation = """
        Tiles have static shapes; they may have any size, but some ops limit the number of axes or
        elements on some targets.
    """


class ScheduleOptionError(PassError):
    """A schedule asks for what the kernel or the target cannot do."""

    code = "KD0310"
    message = "{kernel}: the schedule option {option} cannot be {value}: {why}"
    hint = "{advice}"
    explanation = """
        k.schedule(...) overrides what the compiler would choose. A choice that does not fit is an
        error, never another choice.

            k.schedule("sm_90a", BM=128, consumers=4)     # KD0310: two groups of 64 rows
            k.schedule("sm_90a", BM=192, consumers=3)     # right
    """


class ScheduleProtocolError(PassError):
    """The simulator of rings and barriers found that a scheduled kernel would hang or race."""

    code = "KD0311"
    message = "{kernel} ({schedule}): {what}"
    hint = "this is a bug in the scheduler; k.schedule(portable=True) avoids it"
    exit_code = 3
    explanation = """
        Kernels with roles are executed on the host for small trip counts before they are built.
        What is found there - a deadlock, a slot overwritten before it was released, a read before
        the data arrived, a slot released twice - would be a hang or wrong numbers on the device.
    """

"""KD04xx: targets and back ends: finding them, lowering to them, assembling for them."""

from __future__ import annotations

from kdsl.errors.base import KdslError


class TargetError(KdslError):
    """A target or its back end cannot serve."""


class UnknownTargetError(TargetError):
    """No installed back end knows the target."""

    code = "KD0401"
    message = "there is no target {name!r}; there are {known}"
    hint = "kdsl targets lists them; a back end from another distribution must be installed"
    explanation = """
        A target is a back end's name, alone or with a chip after a colon.

            kdsl build k.py -o k.so --target cqu           # KD0401
            kdsl build k.py -o k.so --target cpu           # right: this machine
            kdsl build k.py -o k.so --target cpu:x86-64-v3 # right: a chip
    """


class MissingBackEndError(TargetError):
    """A back end is registered but what it needs is not installed."""

    code = "KD0402"
    message = "the back end {name!r} needs {module!r}, which is not installed"
    hint = "pip install {package}"
    explanation = """
        Back ends import their vendor's library when they are first used, never earlier.
    """


class DuplicateBackEndError(TargetError):
    """Two distributions register a back end under the same name."""

    code = "KD0403"
    message = "both {first} and {second} provide a back end called {name!r}"
    hint = "uninstall one of them"
    explanation = """
        Back ends are found through the entry-point group `kdsl.backends`; names are unique.
    """


class CannotLowerError(TargetError):
    """A back end has no lowering for an op."""

    code = "KD0404"
    message = "{backend} cannot lower {op}{detail}"
    hint = "add a row to the back end's lowering table, or a decomposition to the op"
    explanation = """
        After legalize only ops that the back end declared should be left. This op came through.
    """


class AssembleError(TargetError):
    """The target's assembler rejects the emitted source."""

    code = "KD0405"
    message = "{tool} rejected the emitted {suffix} source: {why}"
    hint = "this is a bug in the back end; KDSL_DUMP=dir keeps the source"
    exit_code = 3
    explanation = """
        Emitted source is judged by a program that kdsl did not write: LLVM's verifier, a vendor's
        assembler. Its message is quoted.
    """


class MissingToolError(TargetError):
    """A program that is needed to assemble or link is not installed."""

    code = "KD0406"
    message = "{purpose} needs {tool}, which is not installed"
    hint = "{advice}"
    explanation = """
        Everything up to the source text works without any tool; assembling and linking may not.
    """


class UnknownChipError(TargetError):
    """A back end does not know the chip."""

    code = "KD0407"
    message = "{backend} does not know the chip {chip!r}; it knows {known}"
    hint = "kdsl targets lists the chips"
    explanation = """
            kdsl build k.py -o k.so --target cpu:pentium5      # KD0407
    """


class UnknownFeatureError(TargetError):
    """A target option names a feature that the chip cannot have."""

    code = "KD0408"
    message = "{target}: there is no feature {name!r}; there are {known}"
    hint = "check the spelling"
    explanation = """
        Options after the chip add or remove features, for example cpu:x86-64-v3,-fma.
    """


class UnsupportedDtypeError(TargetError):
    """A target cannot hold or convert a dtype."""

    code = "KD0409"
    message = "{target} has no {dtype} for {what}"
    hint = "convert to f32 on load and back on store"
    explanation = """
        Most dtypes work everywhere as storage; arithmetic is widened where it is missing.
    """


class BrokenBackEndError(TargetError):
    """A registered back end cannot be imported or is no Backend."""

    code = "KD0410"
    message = "the back end {name!r} from {distribution} is broken: {why}"
    hint = "upgrade or uninstall {distribution}; other back ends keep working"
    explanation = """
        The entry point must give a kdsl.codegen.backend.Backend.
    """


class CannotRunError(TargetError):
    """Code for another kind of machine was to be run on this one."""

    code = "KD0411"
    message = "code for {target} cannot run on this machine, which is {here}"
    hint = "unset KDSL_TARGET to run kernels; kdsl build --target is for other machines"
    explanation = """
        A kernel that is called is compiled for the target that KDSL_TARGET names, and runs here.

            KDSL_TARGET=cpu:aarch64 python kernels.py                       # KD0411 on x86-64
            kdsl build kernels.py -o k.so --target cpu:aarch64              # right
    """


class NoPoolError(TargetError):
    """The thread pool does not know this machine's system calls."""

    code = "KD0413"
    message = "there is no thread pool for the machine {machine!r}"
    hint = "use one of: {known}"
    explanation = """
        The pool sleeps in the Linux kernel's futex call, whose number depends on the machine.
    """

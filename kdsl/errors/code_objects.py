"""KD043x: code objects, and the emulator that runs them."""

from __future__ import annotations

from kdsl.errors.target import TargetError


class CodeObjectError(TargetError):
    """A code object is damaged, inconsistent, or cannot be linked."""

    code = "KD0430"
    message = "the code object cannot be used: {what}"
    hint = "this is a bug in the back end, or the file is damaged; compile the kernel again"
    exit_code = 3
    explanation = """
        What LLVM emits is linked by kdsl itself, then symbols, kernel descriptors and metadata are
        compared with each other before anything is loaded.
    """


class AssemblerDiedError(TargetError):
    """The process that generates code ended."""

    code = "KD0431"
    message = "LLVM ended while it generated code for {target}: {why}"
    hint = "this is a bug in the back end; KDSL_DUMP=dir keeps the source"
    exit_code = 3
    explanation = """
        LLVM aborts when it cannot select an instruction. Code is generated in a process of its own,
        so that only that process ends; its last words are quoted.
    """


class EmulationError(TargetError):
    """A kernel did something wrong while it was emulated."""

    code = "KD0432"
    message = "{kernel}, line {line} of its assembly ({text}): {what}"
    hint = "run the kernel's module in the lane-level interpreter to find the op"
    exit_code = 3
    explanation = """
        The emulator checks every access: a lane outside of all buffers, two waves that touch the
        same bytes of workgroup memory without a barrier between, a wave that ends while others wait
        at a barrier, an address that is not aligned.
    """


class UnknownInstructionError(TargetError):
    """The emulator has no row for an instruction."""

    code = "KD0433"
    message = "the emulator does not know the instruction {text!r} of {chip}"
    hint = "add a row to the emulator's tables"
    exit_code = 3
    explanation = """
        An instruction that is not known is an error and never skipped: what ran, ran wholly.
    """

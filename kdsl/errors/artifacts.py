"""KD06xx: built files, linking them, reading them and calling what they hold."""

from __future__ import annotations

from kdsl.errors.base import KdslError


class ArtifactError(KdslError):
    """Something is wrong with a built file."""


class UnreadableArtifactError(ArtifactError):
    """The file cannot be opened."""

    code = "KD0601"
    message = "cannot read {path}: {reason}"
    hint = "check the path and its permissions"
    explanation = "The operating system refused to open the file. Nothing was loaded."


class ForeignArtifactError(ArtifactError):
    """The file was not made by `kdsl build`."""

    code = "KD0602"
    message = "{path} was not built by kdsl: {reason}"
    hint = "build it with: kdsl build file.py -o kernel.so"
    explanation = (
        "A built file is a 64-bit little-endian ELF shared object with a note of owner `kdsl`, "
        "which holds the manifest. This file has none, so kdsl will not load it: loading runs code."
    )


class TruncatedArtifactError(ArtifactError):
    """The file ends before what its headers announce."""

    code = "KD0603"
    message = "{path} is cut short or damaged: {what} lies outside its {size} bytes"
    hint = "copy or build the file again"
    explanation = (
        "The ELF headers point behind the end of the file, as they do after an interrupted copy."
    )


class NewerAbiError(ArtifactError):
    """The file was made by a newer kdsl."""

    code = "KD0604"
    message = "{path} has kdsl ABI {found}, this kdsl reads up to {known}"
    hint = "upgrade kdsl, or build the file again with this version"
    explanation = (
        "`kdsl_abi` in the manifest grows when the calling convention changes. An older kdsl "
        "cannot know what a newer file expects."
    )


class WrongMachineError(ArtifactError):
    """The code is for another processor."""

    code = "KD0605"
    message = "{path} holds code for {found}, this machine is {expected}"
    hint = "build the file for this machine, or use it on the other one"
    explanation = "`kdsl inspect` still reads such a file; only loading it is refused."


class DamagedManifestError(ArtifactError):
    """The note is there, but what it holds is no manifest."""

    code = "KD0606"
    message = "the manifest of {path} is damaged: {reason}"
    hint = "build the file again"
    explanation = "The manifest is JSON of a fixed shape. This one cannot be understood."


class LoadError(ArtifactError):
    """The system's loader refused the file."""

    code = "KD0607"
    message = "{path} cannot be loaded: {reason}"
    hint = "the manifest is fine; the reason comes from the system's dynamic loader"
    explanation = "The manifest was read and fits this machine, but `dlopen` failed."


class UnknownLinkerError(ArtifactError):
    """There is no linker of that name."""

    code = "KD0610"
    message = "there is no linker {name!r}"
    hint = "choose one of: {known}"
    explanation = "`--linker` takes `own` (the default), `ld` or `cc`."


class LinkerMissingError(ArtifactError):
    """The chosen linker is not installed."""

    code = "KD0611"
    message = "the linker {name!r} is not on PATH"
    hint = "install it, or use --linker own, which needs nothing"
    explanation = "`ld` comes with binutils and `cc` with a C compiler. kdsl's own needs neither."


class LinkerFailedError(ArtifactError):
    """The chosen linker refused the objects."""

    code = "KD0612"
    message = "the linker {name!r} failed: {reason}"
    hint = "try another one with --linker own|ld|cc"
    explanation = "The text is the linker's own first complaint."


class UnsupportedObjectError(ArtifactError):
    """Our linker cannot take this object."""

    code = "KD0613"
    message = "kdsl's linker cannot take the object: {reason}"
    hint = "use --linker ld or --linker cc"
    explanation = (
        "The built-in linker takes position-independent 64-bit x86 code without thread-local "
        "storage, which is all that kdsl emits. The reason names what else it met."
    )


class SymbolClashError(ArtifactError):
    """Two objects define one symbol."""

    code = "KD0614"
    message = "the symbol {symbol!r} is defined twice"
    hint = "export the entries under different names"
    explanation = "Every exported entry needs its own name within one file."


class ExportError(ArtifactError):
    """An entry cannot be exported as it is."""

    code = "KD0615"
    message = "cannot export {entry!r}: {reason}"
    hint = "{advice}"
    explanation = (
        "An exported entry is a C function. Its name must be a C identifier, and all its "
        "specializations must take the same arguments, differing only in dtypes, fixed dims and "
        "constants. Relations may only read dims, integer scalars and integer constants."
    )


class WriteError(ArtifactError):
    """The output cannot be written."""

    code = "KD0616"
    message = "cannot write {path}: {reason}"
    hint = "check that the directory exists and is writable"
    explanation = "The file is written beside its destination and renamed, so an old one is intact."


class CallError(ArtifactError):
    """A built entry refused its arguments; nothing was read or written."""

    code = "KD0620"
    message = "{text}"
    hint = ""
    explanation = (
        "Every argument is checked before memory is touched. The message names the argument, what "
        "was expected and what came. `kdsl inspect kernel.so` lists what the file supports."
    )


class KernelFailedError(ArtifactError):
    """A built entry ran and failed."""

    code = "KD0621"
    message = "{text}"
    hint = "outputs may be half written"
    explanation = "An `assert` in the kernel did not hold, or a workspace could not be allocated."


class NoSuchEntryError(ArtifactError):
    """The file has no such entry."""

    code = "KD0622"
    message = "{path} has no entry {name!r}"
    hint = "it has: {known}"
    explanation = "`kdsl inspect kernel.so` lists the entries of a file."


class NoPackedCodeError(ArtifactError):
    """A file carries no code for a target, or code for several that a name fits."""

    code = "KD0623"
    message = "{path} has no code packed for {target!r}; there is code for {known}"
    hint = "name one of these, or build with: kdsl build file.py -o {path} --target {target}"
    explanation = """
        A built file launches code for one target of each kind of memory itself; code for others is
        packed into it. `kdsl inspect` lists both.

            kd.load("k.so")                       # what the file launches itself
            kd.load("k.so", target="opencl")      # KD0623 when the file was built without opencl
    """

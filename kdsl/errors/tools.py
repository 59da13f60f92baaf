"""KD07xx: settings, the command line, building, the cache, optional parts."""

from __future__ import annotations

from kdsl.errors.base import KdslError


class ToolError(KdslError):
    """A command or setting is wrong."""


class BadSettingError(ToolError):
    """A setting has a value that it does not take."""

    code = "KD0701"
    message = "{variable}={value!r} is not {wanted}"
    hint = "unset {variable}, or see docs/settings.md"
    explanation = """
        Settings are read when they are used, so a wrong one shows where it matters.

            KDSL_NUM_THREADS=many python k.py      # KD0701
            KDSL_NUM_THREADS=4 python k.py         # right
    """


class UnknownSettingError(ToolError):
    """A setting is overridden that does not exist."""

    code = "KD0702"
    message = "there is no setting {name!r}; there are {known}"
    hint = "check the spelling"
    explanation = """
            with settings.override(num_thread=1): ...       # KD0702
            with settings.override(num_threads=1): ...      # right
    """


class NoExportsError(ToolError):
    """A file has nothing to build."""

    code = "KD0703"
    message = "{path} exports no kernel"
    hint = "put @kd.export above @kd.kernel, or list EXPORTS = [kd.exported(kernel, ...)]"
    explanation = """
        kdsl build looks for exported roots, so that helpers do not end up in the file.

            @kd.export
            @kd.kernel(grid=lambda d: (d.M,))
            def scale(x: Tensor[f32, M, D]) -> None: ...
    """


class BadSpecError(ToolError):
    """A --spec cannot be read or does not fit the kernel."""

    code = "KD0704"
    message = "cannot use the spec {text!r}: {why}"
    hint = "write NAME=VALUE with commas between values: --spec 'D=64,128 T=f32,bf16'"
    explanation = """
        A spec fixes Const parameters, dims and dtype variables of the exported kernels; several
        values make several specializations. An optional argument is compiled out (`lse=none`, which
        is also what saying nothing means), or is one that callers must give (`lse=given`).

            kdsl build k.py -o k.so --spec D:64          # KD0704
            kdsl build k.py -o k.so --spec D=64          # right
    """


class UnknownEntryError(ToolError):
    """--entry names no exported kernel of the file."""

    code = "KD0705"
    message = "{path} exports no {name!r}; it exports {known}"
    hint = "check the spelling, or add @kd.export"
    explanation = """
            kdsl build k.py -o k.so --entry sclae      # KD0705
    """


class CannotReadError(ToolError):
    """An input file cannot be read."""

    code = "KD0706"
    message = "cannot read {path}: {why}"
    hint = "check the path and its permissions"
    explanation = """
            kdsl build no-such-file.py -o k.so      # KD0706
    """


class CannotWriteError(ToolError):
    """An output file cannot be written."""

    code = "KD0707"
    message = "cannot write {path}: {why}"
    hint = "check the folder and its permissions"
    explanation = """
            kdsl build k.py -o /no/such/folder/k.so      # KD0707
    """


class UserFileError(ToolError):
    """A user's file raised an error of its own when it was run."""

    code = "KD0708"
    message = "running {path} raised {kind}: {why}"
    hint = "run python {path} to see the whole traceback"
    explanation = """
        kdsl build runs the file to find its kernels; put what should not run then under
        `if __name__ == "__main__":`.
    """


class CheckFailedError(ToolError):
    """A built kernel does not agree with its reference."""

    code = "KD0709"
    message = "{entry}: the largest error is {got}, allowed is {allowed}"
    hint = "{advice}"
    explanation = """
        kdsl build --check runs each kernel on the inputs that the file declares and compares with
        its reference.
    """


class UnknownCodeError(ToolError):
    """There is no error with this code."""

    code = "KD0710"
    message = "there is no error {name!r}"
    hint = "kdsl explain without a code lists all of them"
    explanation = """
            kdsl explain KD9999      # KD0710
    """


class UnknownBenchError(ToolError):
    """There is no benchmark of this name."""

    code = "KD0711"
    message = "there is no benchmark {name!r}; there are {known}"
    hint = "kdsl bench --list names them"
    explanation = """
            kdsl bench prefil      # KD0711
    """


class CacheError(ToolError):
    """The cache cannot be used at all."""

    code = "KD0712"
    message = "cannot use the cache in {path}: {why}"
    hint = "set KDSL_CACHE_DIR to a folder of your own, or KDSL_DISABLE_CACHE=1"
    explanation = """
        A cache that cannot be written is silently not written; this error comes only from
        commands that must change it, such as kdsl cache clear.
    """


class MissingExtraError(ToolError):
    """An optional part of kdsl is not installed."""

    code = "KD0713"
    message = "{what} needs {module!r}, which is not installed"
    hint = "pip install 'kdsl[{extra}]'"
    explanation = """
        Extras: demo (a real model), cuda, opencl, test, dev.
    """


class NoCheckError(ToolError):
    """--check was asked for, but the file declares no inputs and reference."""

    code = "KD0714"
    message = "{path} declares no check for {entry}"
    hint = "declare one, see docs/language.md, or build without --check"
    explanation = """
        A case gives inputs, a function that computes the expected outputs, and a tolerance.

            CHECKS = [kd.Case("rope", "1x8x512x64", "f32", inputs, reference, tolerance=1e-5)]
    """


class StalePagesError(ToolError):
    """Generated pages of docs/ do not say what the code says."""

    code = "KD0715"
    message = "not fresh: {pages}"
    hint = "run kdsl docs and commit the result"
    explanation = """
        docs/errors.md, docs/ops.md and docs/settings.md are written from the declarations.
    """


class UnknownDialectError(ToolError):
    """There is no dialect of this name."""

    code = "KD0716"
    message = "there is no dialect {name!r}; there are {known}"
    hint = "check the spelling"
    explanation = """
            kdsl irdl kdls      # KD0716
            kdsl irdl           # right: the kdsl dialect
    """


class BadChecksError(ToolError):
    """CHECKS of a file is no list of cases."""

    code = "KD0717"
    message = "CHECKS of {path} must be a list of kd.Case, it holds {got}"
    hint = "see docs/language.md"
    explanation = """
            CHECKS = [rope]                            # KD0717
            CHECKS = [kd.Case(entry="rope", ...)]      # right
    """


class UnknownStageError(ToolError):
    """A stage of compiling is asked for that does not exist."""

    code = "KD0718"
    message = "there is no stage {name!r}; there are {known}"
    hint = "the text that a back end emits is what .source() gives"
    explanation = """
            silu_mul.ir("optimized")     # KD0718
            silu_mul.ir("optimize")      # right
    """


class BenchDeviceError(ToolError):
    """A benchmark of an accelerator was started where it cannot run."""

    code = "KD0719"
    message = "this benchmark needs an accelerator that torch can drive: {what}"
    hint = "run it on the machine with the GPU; kdsl bench --list names the others"
    explanation = """
        Times on a GPU are taken with torch's events, and the peers are torch's own kernels.

            kdsl bench rope-attention      # KD0719 on a machine without a GPU
    """


class ConformanceError(ToolError):
    """A target computed something else, or the page about it is out of date."""

    code = "KD0720"
    message = "conformance does not hold: {count} wrong, {first}"
    hint = "the rows are listed above; a stale page is written anew by kdsl conformance --write"
    explanation = """
        The rows in docs/conformance.json are compared with what comes out now; docs/conformance.md
        is the page of these rows and of what was executed on hardware.

            kdsl conformance --check              # KD0720 when a row is stale
            kdsl conformance --write              # right
            kdsl conformance --check --quick      # a few rows of each target
    """

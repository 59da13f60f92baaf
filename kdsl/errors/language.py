"""KD01xx: what a kernel's text says wrongly, found while it is traced."""

from __future__ import annotations

from kdsl.errors.base import KdslError


class LanguageError(KdslError):
    """A kernel's text cannot be traced."""


class TypeMismatchError(LanguageError):
    """An operation got a value of a type that it does not take."""

    code = "KD0101"
    message = "{op} needs {wanted}, got {got}"
    hint = "convert the value first, for example x.to(kd.f32)"
    explanation = """
        kdsl converts no value silently between integers, floats and bools.

            y = kd.exp2(i)                # i is an i32: KD0101
            y = kd.exp2(i.to(kd.f32))     # right
    """


class DtypeMismatchError(LanguageError):
    """Two operands have dtypes that kdsl does not mix by itself."""

    code = "KD0102"
    message = "{op} mixes {left} and {right}"
    hint = "say which one is meant: x.to(kd.{left}) or y.to(kd.{right})"
    explanation = """
        Mixing dtypes would hide a conversion whose rounding matters. Python numbers adapt to the
        other operand; two traced values must agree.

            s = acc + p            # acc is f32, p is bf16: KD0102
            s = acc + p.to(f32)    # right
    """


class RankError(LanguageError):
    """A tensor was indexed with the wrong number of indices."""

    code = "KD0103"
    message = "{name!r} has {wanted} dims ({dims}), got {got} indices"
    hint = "give one index or span for each of {dims}; trailing dims may be left out of a tile load"
    explanation = """
        The number of indices must fit the declared dims.

            q: Tensor[f32, B, H, M, D]
            q[b, h, rows, 0, 0]     # five indices for four dims: KD0103
            q[b, h, rows]           # right: a tile of rows x D
    """


class UnknownDimError(LanguageError):
    """A dim is named that no argument declares."""

    code = "KD0104"
    message = "{kernel} has no dim {name!r}; it has {known}"
    hint = "declare it with kd.dims and use it in a Tensor annotation"
    explanation = """
        A dim gets its value from the shape of an argument, so some argument must carry it.

            @kd.kernel(grid=lambda d: (d.rows,))      # no argument has a dim `rows`: KD0104
            def scale(x: Tensor[f32, M, D]) -> None: ...

            @kd.kernel(grid=lambda d: (d.M,))         # right
    """


class ShapeMismatchError(LanguageError):
    """Two shapes do not fit together."""

    code = "KD0105"
    message = "{op}: the shapes {left} and {right} do not fit"
    hint = "add an axis where one is missing, for example m[:, None]"
    explanation = """
        Tiles broadcast as NumPy arrays do: from the last axis, sizes equal or 1.

            p = s - m              # s is 64x32, m is 64: KD0105
            p = s - m[:, None]     # right: 64x1 broadcasts along the rows
    """


class TracedBoolError(LanguageError):
    """A traced condition reached Python code that needs True or False now."""

    code = "KD0106"
    message = "a traced {type} was used as a Python bool; its value is known only at run time"
    hint = "use if/while/and/or/not directly in the kernel, kd.where, or a Const parameter"
    explanation = """
        The kernel is traced before it has data. `if`, `while`, `and`, `or`, `not`, chained
        comparisons and `assert` in the kernel's own text are captured; a helper without @kd.func,
        a comprehension, any() or all() are plain Python and would freeze one answer.

            if all([x > 0, y > 0]): ...     # KD0106
            if x > 0 and y > 0: ...         # right
    """


class TracedValueError(LanguageError):
    """A traced value reached Python code that needs a number now."""

    code = "KD0107"
    message = "a traced {type} cannot become a Python {wanted}; its value is known only at run time"
    hint = "use kd.range for loops, kd functions for maths, or make it a Const parameter"
    explanation = """
        int(), float(), range(), math.* and list indices need numbers while the kernel is traced.

            for i in range(n): ...        # n: i32 is a run-time value: KD0107
            for i in kd.range(n): ...     # right
    """


class UnboundLoopVariableError(LanguageError):
    """A name is read after a loop or branch that may not have assigned it."""

    code = "KD0108"
    message = "{name!r} has no value when the {construct} is not entered"
    hint = "assign {name} before the {construct}"
    explanation = """
        A loop may run zero times, a branch may not be taken. A name that lives on after it needs
        a value before it.

            for i in kd.range(n):
                last = x[i]
            out[0] = last             # KD0108 when n is 0

            last = kd.cast(0.0, f32)  # right: a value before the loop
    """


class LoopCarriedTypeError(LanguageError):
    """A name changes its type from one turn of a loop to the next."""

    code = "KD0109"
    message = "{name!r} is {before} before the {construct} and {after} at its end"
    hint = "start with the final type, for example kd.zeros(shape, kd.f32)"
    explanation = """
        A value that a loop carries keeps one type and one shape.

            acc = kd.cast(0, kd.i32)
            for i in kd.range(n):
                acc = acc + x[i].to(f32)     # f32: KD0109

            acc = kd.cast(0, f32)            # right
            acc = 0                          # right too: a Python number takes the final dtype
    """


class UnsupportedConstructError(LanguageError):
    """The kernel's text uses a part of Python that kdsl does not trace."""

    code = "KD0110"
    message = "{construct} is not supported in a kernel"
    hint = "{advice}"
    explanation = """
        A kernel is Python with a bounded set of statements: assignment, if, while, for over
        kd.range or Python values, break-free loops, assert, print, calls of kd functions and of
        other kernels. try, with, yield, async, del, global, and break or return inside a traced
        loop have no meaning on a device.

            for i in kd.range(n):
                if x[i] == 0.0:
                    break                 # KD0110

            i = kd.cast(0, kd.i32)        # right: say it with while
            while i < n and x[i] != 0.0:
                i = i + 1
    """


class NotConstError(LanguageError):
    """A run-time value stands where a compile-time constant is needed."""

    code = "KD0111"
    message = "{what} must be known while tracing, got a traced {got}"
    hint = "make it a keyword-only parameter: {example}"
    explanation = """
        Tile sizes, vector widths, axes and trip counts of unrolled loops shape the code itself.

            def k(x: Ptr[f32], n: i32): kd.zeros((n,), f32)            # KD0111
            def k(x: Ptr[f32], *, N: Const[int]): kd.zeros((N,), f32)  # right
    """


class MissingConstError(LanguageError):
    """A Const parameter without default was not given."""

    code = "KD0112"
    message = "{kernel}: the Const parameter {name!r} was not given and has no default"
    hint = "pass {name}=..., or add it to --spec"
    explanation = """
        Const parameters are part of the kernel's identity and are needed before tracing.

            scale(x, out)           # scale has *, W: Const[int]: KD0112
            scale(x, out, W=8)      # right
    """


class UnknownParameterError(LanguageError):
    """A keyword names no parameter of the kernel."""

    code = "KD0113"
    message = "{kernel} has no parameter {name!r}; it has {known}"
    hint = "check the spelling"
    explanation = """
        Keywords are Const parameters or arguments by name.

            scale(x, out, width=8)     # the parameter is called W: KD0113
            scale(x, out, W=8)         # right
    """


class BadAnnotationError(LanguageError):
    """A kernel parameter's annotation is no kernel type."""

    code = "KD0114"
    message = "{kernel}: the annotation of {name!r} is {got}, not a kernel type"
    hint = "use Ptr[dtype], Tensor[dtype, dims...], a dtype, Const[type] or a frozen dataclass"
    explanation = """
        Every parameter is typed; positional parameters are run-time arguments, keyword-only
        parameters are Const.

            def k(x, n: int): ...                  # KD0114 twice
            def k(x: Ptr[f32], n: i32): ...        # right

        Do not use `from __future__ import annotations` together with annotations that name
        local variables: they are then only text and cannot be found again.
    """


class StaticAssertError(LanguageError):
    """A kd.static_assert does not hold for these Const parameters."""

    code = "KD0115"
    message = "static_assert failed: {what}"
    hint = "choose other Const parameters"
    explanation = """
        The kernel's author states what its Const parameters must satisfy.

            kd.static_assert(D % 2 == 0, "rotary dims come in pairs")
            rope(x, D=63)       # KD0115
            rope(x, D=64)       # right
    """


class WidthError(LanguageError):
    """A SIMD width or lane list is impossible."""

    code = "KD0116"
    message = "{op}: the width {width} {why}"
    hint = "use a width from 1 to 1024, or kd.AUTO"
    explanation = """
        A SIMD value has a fixed number of lanes; masks, shuffles and joins must fit it.

            x.load(i, width=0)               # KD0116
            x.load(i, width=kd.AUTO)         # right: the target's width
    """


class NoSourceError(LanguageError):
    """The text of a kernel cannot be read, so its control flow cannot be captured."""

    code = "KD0117"
    message = "the source of {name!r} is not available"
    hint = "put the kernel into a file, or use kd.fori and kd.cond instead of for and if"
    explanation = """
        `if`, `while` and `for` are captured by rewriting the kernel's source. A kernel made by
        exec() or typed at a plain prompt has none; kernels without traced control flow still work.

            out = kd.cond(x > 0, lambda: x, lambda: -x)      # works without source
    """


class BranchTypeError(LanguageError):
    """A name has different types after the two branches of an if."""

    code = "KD0118"
    message = "{name!r} is {then} after one branch and {other} after the other"
    hint = "convert one of them, for example kd.cast(0.0, kd.f32)"
    explanation = """
        After an `if` on a traced value a name must have one type.

            if x > 0.0: y = x            # f32
            else:       y = i            # i32: KD0118

            else:       y = i.to(f32)    # right
    """


class OutsideKernelError(LanguageError):
    """A kernel-only function was called by ordinary Python code."""

    code = "KD0119"
    message = "{what} has a meaning only inside a kernel"
    hint = "call it from a function decorated with @kd.kernel or @kd.func"
    explanation = """
        Functions of the language record operations in the kernel that is being traced.

            kd.program_id(0)                    # at module level: KD0119

            @kd.kernel
            def k(out: Ptr[i32]) -> None:
                out[0] = kd.program_id(0)       # right
    """


class AccessError(LanguageError):
    """An argument is read or written against its declared access."""

    code = "KD0120"
    message = "{name!r} is declared {access} and cannot be {action}"
    hint = "drop kd.{access} from the annotation, or use another argument"
    explanation = """
        kd.RO and kd.WO are promises to callers and to the optimizer.

            def k(x: Ptr[f32, kd.RO]): x[0] = 1.0        # KD0120
            def k(x: Ptr[f32]): x[0] = 1.0               # right
    """


class ReturnError(LanguageError):
    """A kernel returns what it cannot return."""

    code = "KD0121"
    message = "{kernel} returns {got}; {why}"
    hint = "write results through an argument: out[i] = value"
    explanation = """
        Kernels write results to memory. Helpers (@kd.func) may return values, at their end only.

            @kd.kernel
            def k(x: Ptr[f32]): return x[0]                          # KD0121

            @kd.kernel
            def k(x: Ptr[f32], out: Ptr[f32]): out[0] = x[0]         # right
    """


class ConstantRangeError(LanguageError):
    """A Python number does not fit the dtype that it meets."""

    code = "KD0122"
    message = "{value} does not fit {dtype}"
    hint = "convert the traced operand to a wider dtype first"
    explanation = """
        A Python number takes the dtype of the value it meets; it must be representable there.

            y = x + 300               # x: i8: KD0122
            y = x.to(i32) + 300       # right
    """


class KernelRecursionError(LanguageError):
    """A kernel function calls itself."""

    code = "KD0123"
    message = "{name} calls itself: {chain}"
    hint = "write it as a loop"
    explanation = """
        Calls inside kernels are inlined, so a function that calls itself has no end. Recursion
        over Const parameters that ends while tracing is fine.

            @kd.func
            def f(n): return n * f(n - 1)      # n is traced: KD0123
    """


class BadDecoratorError(LanguageError):
    """A decorator was used on something it does not fit, or with options it does not know."""

    code = "KD0124"
    message = "{decorator} cannot be used like this: {why}"
    hint = "{advice}"
    explanation = """
        @kd.kernel and @kd.func take plain functions; @kd.export stands above @kd.kernel.

            @kd.kernel
            @kd.export                # KD0124: the wrong way round
            def k(...): ...

            @kd.export
            @kd.kernel                # right
            def k(...): ...
    """


class EscapedValueError(LanguageError):
    """A value made inside a loop or branch is used after it."""

    code = "KD0125"
    message = "a {type} made inside a {construct} is used after it"
    hint = "carry it out by a name that has a value before, or store it to memory"
    explanation = """
        What a loop's body or a branch computes exists only there; names carry it out, Python
        objects cannot.

            found = []
            for i in kd.range(n):
                found.append(x[i])
            out[0] = found[0]         # KD0125

            last = 0.0
            for i in kd.range(n):
                last = x[i]
            out[0] = last             # right
    """


class UnboundSpanError(LanguageError):
    """A span's mask or stop is asked for before anything says where it ends."""

    code = "KD0126"
    message = "the span has no end to compare with"
    hint = "give it: kd.span(i, BLOCK, stop=n), or index a tensor with the span first"
    explanation = """
        A span takes its limit from `stop=`, or from the first tensor dim that it indexes.

            cols = kd.span(j, BN)
            keep = cols.mask                      # KD0126
            cols = kd.span(j, BN, stop=length)    # right
    """

"""KD05xx: wrong arguments of a call, found before memory is touched, and failures while running."""

from __future__ import annotations

from kdsl.errors.base import KdslError


class LaunchError(KdslError):
    """A kernel cannot be launched with these arguments."""


class ArgumentCountError(LaunchError):
    """A call has too many or too few arguments."""

    code = "KD0501"
    message = "{kernel} takes {wanted} arguments ({names}), got {got}"
    hint = ""
    explanation = """
            silu_mul(x, g)                 # KD0501
            silu_mul(x, g, out, n)         # right
    """


class ArgumentTypeError(LaunchError):
    """An argument is no array or no number where one is needed."""

    code = "KD0502"
    message = "{kernel}: {name!r} must be {wanted}, got {got}"
    hint = "arrays are NumPy arrays or anything with DLPack (torch CPU tensors too)"
    explanation = """
            silu_mul([1.0, 2.0], g, out, 2)                           # KD0502: a list
            silu_mul(np.array([1.0, 2.0], np.float32), g, out, 2)     # right
    """


class ArgumentDtypeError(LaunchError):
    """An array has another dtype than declared."""

    code = "KD0503"
    message = "{kernel}: {name!r} must have dtype {wanted}, got {got}"
    hint = "convert it, for example x.astype(...)"
    explanation = """
        NumPy makes float64 by default; kernels mostly want float32.

            rms_norm(np.ones(64), w, out)                       # KD0503
            rms_norm(np.ones(64, np.float32), w, out)           # right

        bf16 arrays have the dtype ml_dtypes.bfloat16.
    """


class ArgumentRankError(LaunchError):
    """An array has another number of dims than declared."""

    code = "KD0504"
    message = "{kernel}: {name!r} must have {wanted} dims ({dims}), got shape {shape}"
    hint = "reshape it, for example x[None]"
    explanation = """
            attention(q[0], k, v, o)      # q without its batch dim: KD0504
            attention(q, k, v, o)         # right
    """


class ArgumentShapeError(LaunchError):
    """A dim has two different sizes, or another one than fixed."""

    code = "KD0505"
    message = "{kernel}: the dim {dim} of {name!r} is {got}, but {wanted} by {by}"
    hint = ""
    explanation = """
        A dim name stands for one number in a call.

            attention(q, k, v, o)     # k is (1, 8, 512, 64), v is (1, 8, 500, 64): KD0505
    """


class RelationError(LaunchError):
    """The sizes of a call do not satisfy a relation that the kernel declares."""

    code = "KD0506"
    message = "{kernel}: {relation} must hold, got {values}"
    hint = ""
    explanation = """
        For example grouped-query attention needs Hq % Hkv == 0.

            attention(q, k, v, o)     # 9 query heads, 2 key heads: KD0506
    """


class ArgumentStrideError(LaunchError):
    """An array has strides that the kernel does not take."""

    code = "KD0507"
    message = "{kernel}: {name!r} must have {wanted}, got strides {got} (in elements)"
    hint = "pass np.ascontiguousarray({name}), or x.contiguous() in torch"
    explanation = """
        The innermost stride is 1 element, so that loads can be vectors; other strides are free.

            scale(x.T, out)                            # KD0507
            scale(np.ascontiguousarray(x.T), out)      # right
    """


class AlignmentError(LaunchError):
    """An address is not aligned as declared."""

    code = "KD0508"
    message = "{kernel}: {name!r} must be aligned to {wanted} bytes, its address ends in {got}"
    hint = "pass a copy: np.array(x)"
    explanation = """
        An array must at least be aligned to its dtype; a kernel may ask for more.
    """


class ReadOnlyArrayError(LaunchError):
    """A read-only array is passed where the kernel writes."""

    code = "KD0509"
    message = "{kernel} writes to {name!r}, but the array is read-only"
    hint = "pass a writable copy"
    explanation = """
        Arrays from memory maps, broadcasts or jax may be read-only.

            out = np.broadcast_to(0.0, (64,))       # read-only: KD0509
            out = np.zeros(64)                      # right
    """


class DeviceError(LaunchError):
    """An array lives on another device than the kernel runs on."""

    code = "KD0510"
    message = "{kernel}: {name!r} is on {got}, the kernel runs on {wanted}"
    hint = "move it first, for example x.cpu(), or x.to(y.device)"
    explanation = """
        kdsl never copies between devices by itself. A kernel runs where its arrays are: NumPy
        arrays and CPU tensors on the CPU, tensors of a device on that device, all on one.
        KDSL_TARGET, when it is set, decides instead, and arrays must be where that target works.
    """


class KernelAssertError(LaunchError):
    """An assert in a kernel failed while it ran."""

    code = "KD0511"
    message = "an assert in {kernel} failed"
    hint = "KDSL_INTERPRET=1 names the line and the values"
    explanation = """
        `assert` on traced values is checked while the kernel runs; the rest of the grid may have
        run, so the contents of the outputs are undefined.
    """


class OutOfMemoryError(LaunchError):
    """A workspace could not be allocated."""

    code = "KD0512"
    message = "{kernel} could not allocate its workspace"
    hint = "use smaller shapes"
    explanation = """
        Programs with kd.workspace allocate it at each call and free it before they return.
    """


class NoSpecializationError(LaunchError):
    """No specialization of an entry fits the dtypes and dims of a call."""

    code = "KD0513"
    message = "{kernel} has no specialization for {got}; it has {known}"
    hint = "build one more: --spec"
    explanation = """
        One exported entry may hold several specializations; the first whose dtypes and fixed dims
        fit is taken.
    """


class BadGridError(LaunchError):
    """A grid is no tuple of one to three positive sizes."""

    code = "KD0514"
    message = "{kernel}: the grid {got} {why}"
    hint = "a grid is one to three ints, for example k[kd.cdiv(n, 64)](...)"
    explanation = """
            scale[1, 2, 3, 4](x, out)      # KD0514: at most three axes
            scale[n, 0](x, out)            # allowed: an empty grid runs nothing
    """


class ScalarRangeError(LaunchError):
    """A number does not fit the scalar argument's dtype."""

    code = "KD0515"
    message = "{kernel}: {name!r} is {got}, which does not fit {dtype}"
    hint = ""
    explanation = """
            silu_mul(x, g, out, 2**40)      # n: i32: KD0515
    """


class NullArgumentError(LaunchError):
    """An argument that must be given is None or a null pointer."""

    code = "KD0516"
    message = "{kernel}: {name!r} must not be None"
    hint = "only arguments declared optional may be None"
    explanation = """
            rope(q, None, sin)      # cos is not optional: KD0516
    """


class NoGridError(LaunchError):
    """A kernel without a declared grid was called without one."""

    code = "KD0517"
    message = "{kernel} declares no grid"
    hint = "declare it, @kd.kernel(grid=...), or call {kernel}[grid](...)"
    explanation = """
        The grid is how many programs run. It is declared on the kernel, so that kdsl build can
        compute it, or given at the call.
    """


class UnknownStatusError(LaunchError):
    """A kernel returned a status that has no other error."""

    code = "KD0518"
    message = "{kernel} failed with status {status}"
    hint = ""
    exit_code = 3
    explanation = """
        Entries return 0, 1 (an assert failed) or 2 (out of memory). Anything else is a bug.
    """

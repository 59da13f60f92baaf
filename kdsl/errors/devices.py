"""KD045x and KD053x: devices with a driver and memory of their own."""

from __future__ import annotations

from kdsl.errors.launch import LaunchError
from kdsl.errors.target import TargetError


class NoDriverError(TargetError):
    """The vendor's driver library is not installed."""

    code = "KD0450"
    message = "{target} needs the driver library {library}, which cannot be opened: {why}"
    hint = "install the vendor's driver; kdsl build --target {target} works without it"
    explanation = """
        Compiling needs no device. Running does: the driver comes with the machine, not with pip.
    """


class NoDeviceError(TargetError):
    """The driver is there, but no device."""

    code = "KD0451"
    message = "{target}: the driver reports no device ({why})"
    hint = "check that the process may see the device (visible devices, container flags)"
    explanation = """
        In a container, and under a scheduler, devices must be passed in. An environment variable
        that lists visible devices may be empty.
    """


class OldDriverError(TargetError):
    """The driver is older than what compiled code or launches need."""

    code = "KD0452"
    message = "the driver (version {version}) is too old: {why}"
    hint = "upgrade the driver, or build with an older assembler"
    explanation = """
        Launches with attributes need version 11.8, bulk tensor copies 12.0. An assembler newer than
        the driver makes images that the driver cannot read.
    """


class WrongDeviceError(TargetError):
    """An image for one chip was to be run on another."""

    code = "KD0453"
    message = "code for {target} cannot run on {device}, which is {chip}"
    hint = "build with --target {chip}, or unset KDSL_TARGET"
    explanation = """
        A chip's name with an `a` at the end is for that chip alone; others run on later chips of
        the same generation.
    """


class ImageRejectedError(TargetError):
    """The driver rejects an image or cannot assemble its text."""

    code = "KD0454"
    message = "the driver rejected the image of {kernel}: {why}"
    hint = "this is a bug in the back end; KDSL_DUMP=dir keeps the source"
    exit_code = 3
    explanation = """
        Without an assembler at hand the driver assembles the emitted text itself; its log is
        quoted.
    """


class DeviceFailedError(LaunchError):
    """A call of the driver failed."""

    code = "KD0530"
    message = "{kernel}: {function} failed: {why}"
    hint = "KDSL_SYNC=1 shows at which launch an earlier kernel failed"
    exit_code = 3
    explanation = """
        Launches are asynchronous: what a kernel does wrong (an illegal address, say) is reported by
        whatever call comes next, and the device is unusable for this process from then on.
    """


class GridLimitError(LaunchError):
    """A grid has more programs along an axis than the device takes."""

    code = "KD0531"
    message = "{kernel}: the grid is larger than {limit} along axis {axis}"
    hint = "let the first axis of the grid be the largest one"
    explanation = """
        Along the first axis 2**31 - 1 programs are possible, along the others 65535.
    """


class MappedAddressError(LaunchError):
    """A tensor for bulk copies begins at an odd address."""

    code = "KD0532"
    message = "{kernel}: {name!r} must begin at a multiple of 16 bytes for bulk copies"
    hint = "pass {name}.clone(), or a slice that begins at a multiple of 16 bytes"
    explanation = """
        Bulk copies read whole rows of a tensor; hardware wants addresses in units of 16 bytes.
    """


class MappedStrideError(LaunchError):
    """A tensor for bulk copies has an odd row stride."""

    code = "KD0533"
    message = "{kernel}: the strides of {name!r} must be multiples of 16 bytes, below 2**40"
    hint = "pass {name}.contiguous(), or pad its last dim to a multiple of 16 bytes"
    explanation = """
        Rows of 8 half-precision numbers, or a multiple of that, fulfil it.
    """


class MappedExtentError(LaunchError):
    """A tensor for bulk copies is too long."""

    code = "KD0534"
    message = "{kernel}: {name!r} has more than 2**31 - 1 elements along a dim"
    hint = "cut it into parts"
    explanation = """
        Hardware counts the elements of one dim in 32 bits, with a sign.
    """


class BadStreamError(LaunchError):
    """An object is no stream, or the kernel runs where there are none."""

    code = "KD0535"
    message = "{kernel}: {got} is no stream{why}"
    hint = "pass a stream of torch or cupy, an object with __cuda_stream__, or its handle"
    explanation = """
            scale.on(torch.cuda.Stream())(x, out)     # launches there
            scale(x, out)                             # on the current stream of the arrays' library
    """


class NoOutputError(LaunchError):
    """An output cannot be made like the inputs."""

    code = "KD0536"
    message = "{kernel}: {name!r} was left out, and {why}"
    hint = "pass it"
    explanation = """
        A tensor that a kernel only writes may be left out when its dims are known from the other
        arguments: it is made where they are, by their library (NumPy, torch, cupy), and returned.
    """


class TorchOpError(LaunchError):
    """A kernel cannot be made an operator of torch."""

    code = "KD0537"
    message = "{kernel} cannot be a torch operator: {why}"
    hint = "{advice}"
    explanation = """
            op = kd.torch_op(rms_norm, name="my::rms_norm")
            y = op(x, w)        # in torch.compile(fullgraph=True), too
    """


class CannotMirrorError(LaunchError):
    """A pointer to host memory was passed to a device that has memory of its own."""

    code = "KD0540"
    message = "{device} has memory of its own, and a pointer does not say how much to copy there"
    hint = "declare the parameter as a Tensor, whose shape says it"
    explanation = """
        Devices that read the host's memory take pointers as they are. For others the arrays of a
        call are copied, which needs their sizes.
    """


class LaneOrderError(LaunchError):
    """Lanes on a CPU stand-in wait for each other for ever, fault, or depend on their order."""

    code = "KD0541"
    message = "{kernel}, lane by lane on this processor: {why}"
    hint = "this is a bug of kdsl's passes or of the back end; KDSL_DUMP=dir keeps the modules"
    exit_code = 3
    explanation = """
        Text for a device that is not here is compiled for this processor and run with its lanes
        in several orders, each array beside memory that may not be touched.
    """


class NoLauncherError(TargetError):
    """A shared object was to be built for a target whose kernels are started from Python."""

    code = "KD0470"
    message = "{target} has no launcher for shared objects: its kernels are started by kdsl itself"
    hint = "run them under KDSL_TARGET, or take their text from kernel.source({target!r})"
    explanation = """
        A shared object needs native code that reaches the device's driver. The text of the kernels
        is complete; its last line says how each is launched.
    """

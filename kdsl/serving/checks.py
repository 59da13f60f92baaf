"""Write the checked core of an entry as LLVM IR: every check, the dispatch, the slots, the call.

The core is ``i32 @kdsl.core.<name>(ptr raw)``. ``raw`` holds 8 bytes per argument: the address of a
DLTensor, an integer, or the bits of a double. Memory behind a tensor is touched only by the kernel,
after all checks.
"""

from __future__ import annotations

from collections.abc import Sequence

from kdsl.errors.artifacts import ExportError
from kdsl.ir.signature import PTR, SCALAR, TENSOR, Arg, Relation, Signature
from kdsl.runtime.views import DEVICE_NAMES, HOST
from kdsl.serving import codes
from kdsl.serving.dtypes import BORDERS, SCALARS, widest
from kdsl.serving.irtext import MESSAGE_BYTES, Function, Strings
from kdsl.serving.manifest import Entry, Specialization
from kdsl.serving.relations import RelationCompiler

MAX_RANK = 16
MAX_LISTED = 8
RESERVED = frozenset((
    "manifest", "manifest_size", "abi_version", "last_error", "parallel_for", "set_num_threads",
    "get_num_threads",
))  # fmt: skip
# Byte offsets in a DLTensor (dlpack.h 1.x).
DL_DATA, DL_DEVICE, DL_RANK, DL_DTYPE, DL_SHAPE, DL_STRIDES, DL_OFFSET = 0, 8, 16, 20, 24, 32, 40
DL_NUMBER = 12
FAILURE = "kdsl_device_failure_"
"""And the number of the device's kind: what the runtime of its back end is asked for its words."""
ANY_NUMBER = "-1"
"""No array has said yet on which device it is."""


def ordinal(index: int) -> str:
    """Count from "1st"."""
    n = index + 1
    ending = "th" if n % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")
    return f"{n}{ending}"


def any_of(items: list[str]) -> str:
    """Join as prose: "a", "a or b", "a, b or c"."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} or {items[-1]}"


def describe(arg: Arg) -> str:
    """Return an array argument as the user declared it: ``bf16[B, S, 128]``."""
    if arg.kind == PTR:
        return f"{arg.dtype}[:]"
    return f"{arg.dtype}[{', '.join(str(dim) for dim in arg.dims)}]"


def taken(arg: Arg) -> str:
    """Return what a specialization takes for an array argument: ``none``, or its description."""
    return "none" if arg.absent else describe(arg)


def validate(entry: Entry) -> None:
    """Raise ExportError when an entry cannot be one C function."""
    name = entry.name
    if (
        not (name.isidentifier() and name.isascii())
        or name in RESERVED
        or name.startswith("entry_")
    ):
        raise ExportError(
            entry=name, reason="the name is no free C identifier", advice="give it another name"
        )
    first = entry.signature
    for s in entry.specializations:
        if [_shape_of(a) for a in s.signature.args] != [_shape_of(a) for a in first.args]:
            raise ExportError(
                entry=name,
                reason="its specializations take different arguments",
                advice="keep names, kinds, ranks, strides and order equal, or export two entries",
            )
        for arg in s.signature.args:
            _validate_arg(name, arg)
    keys = [_dispatch_key(s.signature) for s in entry.specializations]
    for number, key in enumerate(keys):
        if key in keys[:number]:
            raise ExportError(
                entry=name,
                reason=f"specializations {keys.index(key) + 1} and {number + 1} take the same "
                "arrays, dtypes and fixed dims, so the later one is never chosen",
                advice="export them under different names",
            )


def scalar_border(entry: Entry, index: int) -> str:
    """Return the dtype in which a scalar crosses the C border."""
    dtypes = [s.signature.args[index].dtype for s in entry.specializations]
    best = widest(dtypes)
    if best is None:
        arg = entry.signature.args[index]
        raise ExportError(
            entry=entry.name,
            reason=f"the scalar {arg.name!r} is of different kinds: {', '.join(dtypes)}",
            advice="use floats only, or integers of one signedness only",
        )
    return best


def core(entry: Entry, strings: Strings, name: str = "") -> str:
    """Return the text of the core function, by another name if one is given. Raises ExportError."""
    return _Core(entry, strings, name or entry.name).text()


def choice(entries: Sequence[Entry], strings: Strings) -> str:
    """Return cores of an entry for several kinds of memory, and one that chooses among them."""
    for entry in entries:
        validate_together(entries[0], entry)
    names = [f"{entry.name}.{entry.device}" for entry in entries]
    parts = [core(e, strings, name) for e, name in zip(entries, names, strict=True)]
    title = entries[0].name
    fn = Function(f"internal i32 @kdsl.core.{title}(ptr %raw, ptr %stream) noinline", strings)
    tensor = "null"
    for index, arg in reversed(list(enumerate(entries[0].signature.args))):
        if arg.is_array:
            given = fn.let(f"load ptr, ptr {fn.let(f'getelementptr i64, ptr %raw, i64 {index}')}")
            missing = fn.let(f"icmp eq ptr {given}, null")
            tensor = fn.let(f"select i1 {missing}, ptr {tensor}, ptr {given}")
    labels = [fn.label("device") for _ in entries]
    look, other = fn.label("look"), fn.label("other")
    fn.do(f"br i1 {fn.let(f'icmp eq ptr {tensor}, null')}, label %{labels[0]}, label %{look}")
    fn.start(look)
    kind = fn.field(tensor, DL_DEVICE, "i32")
    rows = zip(entries, labels, strict=True)
    cases = " ".join(f"i32 {entry.device}, label %{label}" for entry, label in rows)
    fn.do(f"switch i32 {kind}, label %{other} [ {cases} ]")
    fn.start(other)
    known = any_of([f"{e.device} ({DEVICE_NAMES.get(e.device, HOST)})" for e in entries])
    text = f"{title}: the arrays are on DLPack device type %d, expected {known}"
    fn.fail(codes.E_DEVICE, text, f"i32 {kind}")
    for entry, label, name in zip(entries, labels, names, strict=True):
        fn.start(label)
        given = "ptr %raw" if entry.runs_on_host else "ptr %raw, ptr %stream"
        fn.do(f"ret i32 {fn.let(f'call i32 @kdsl.core.{name}({given})')}")
    return "\n\n".join([*parts, fn.text()])


def validate_together(first: Entry, other: Entry) -> None:
    """Raise ExportError unless two forms of an entry take the same arguments."""
    if [_shape_of(a) for a in first.signature.args] != [_shape_of(a) for a in other.signature.args]:
        raise ExportError(
            entry=first.name,
            reason="its forms for different devices take different arguments",
            advice="build one file for each target",
        )


def _shape_of(arg: Arg) -> tuple[object, ...]:
    return arg.name, arg.kind, arg.rank, arg.unit_stride, arg.optional


def _dispatch_key(signature: Signature) -> tuple[object, ...]:
    return tuple(
        None if a.absent else (a.dtype, tuple(d if isinstance(d, int) else None for d in a.dims))
        for a in signature.args
        if a.is_array
    )


def _validate_arg(entry: str, arg: Arg) -> None:
    problem = ""
    if arg.kind not in (TENSOR, PTR, SCALAR):
        problem = f"has the unknown kind {arg.kind!r}"
    elif arg.dtype not in (SCALARS if arg.kind == SCALAR else BORDERS):
        problem = f"has the dtype {arg.dtype!r}, which cannot cross a C call"
    elif arg.rank > MAX_RANK:
        problem = f"has rank {arg.rank}; at most {MAX_RANK} is possible"
    elif arg.align < 1 or arg.align & (arg.align - 1):
        problem = f"has alignment {arg.align}, which is no power of two"
    if problem:
        raise ExportError(
            entry=entry, reason=f"argument {arg.name!r} {problem}", advice="change the signature"
        )


class _Array:
    """The loaded fields of one tensor or pointer argument, as names of IR values.

    ``null`` says whether the caller left it out; None where a check has seen to that it is there.
    """

    def __init__(self, index: int, arg: Arg, null: str | None) -> None:
        self.index, self.arg, self.null = index, arg, null
        self.dtype = self.empty = self.address = ""
        self.dims: list[str] = []
        self.strides: list[str] = []


class _Core:
    """Writes one core: checks that all specializations share, dispatch, then each one's own."""

    def __init__(self, entry: Entry, strings: Strings, name: str) -> None:
        self.entry = entry
        params = "ptr %raw" if entry.runs_on_host else "ptr %raw, ptr %stream"
        self.fn = Function(f"internal i32 @kdsl.core.{name}({params}) noinline", strings)
        self.number = ANY_NUMBER
        self.strings = strings
        self.arrays: dict[int, _Array] = {}
        self.raw: list[str] = []

    def text(self) -> str:
        fn = self.fn
        args = self.entry.signature.args
        for index in range(len(args)):
            at = fn.let(f"getelementptr i64, ptr %raw, i64 {index}")
            self.raw.append(fn.let(f"load i64, ptr {at}"))
        for index, arg in enumerate(args):
            if arg.is_array:
                self._array(index, arg)
        many = len(self.entry.specializations) > 1
        labels = [fn.label("spec") for _ in self.entry.specializations]
        if many:
            self._dispatch(labels)
        for label, spec in zip(labels, self.entry.specializations, strict=True):
            if many:
                fn.start(label)
            self._specialization(spec)
        return fn.text()

    # -- checks that do not depend on the specialization

    def _array(self, index: int, arg: Arg) -> None:
        fn, variants = self.fn, self._variants(index)
        tensor = fn.let(f"inttoptr i64 {self.raw[index]} to ptr")
        null = fn.let(f"icmp eq ptr {tensor}, null")
        given = [v for v in variants if not v.absent]
        if not given:
            text = f"is given, but this file was built with {arg.name}=none"
            self._need(index, f"or i1 {null}, false", codes.E_UNSUPPORTED, text)
            return
        array = self.arrays[index] = _Array(index, given[0], None)
        if len(given) < len(variants):
            array.null = null
            tensor = fn.let(f"select i1 {null}, ptr @kdsl.absent, ptr {tensor}")
        else:
            wanted = any_of([describe(v) for v in given])
            self._need(index, f"xor i1 {null}, true", codes.E_NULL, f"is null, expected {wanted}")
        self._device(array, tensor)
        self._dtype(array, tensor, given)
        rank = fn.field(tensor, DL_RANK, "i32")
        self._need(
            index, f"icmp eq i32 {rank}, {arg.rank}", codes.E_RANK,
            f"has rank %d, expected {arg.rank}: {describe(given[0])}", f"i32 {rank}")  # fmt: skip
        self._dims(array, tensor, given)
        self._strides(array, tensor)
        data = fn.field(tensor, DL_DATA, "ptr")
        there = fn.let(f"icmp ne ptr {data}, null")
        self._need(
            index, f"or i1 {there}, {array.empty}", codes.E_NULL, "has null data, but is not empty"
        )
        address = fn.let(f"ptrtoint ptr {data} to i64")
        array.address = fn.let(f"add i64 {address}, {fn.field(tensor, DL_OFFSET, 'i64')}")

    def _device(self, array: _Array, tensor: str) -> None:
        """Check the kind of memory; of several devices of a kind, all arrays are on one."""
        fn, index, wanted = self.fn, array.index, self.entry.device
        device = fn.field(tensor, DL_DEVICE, "i32")
        name = DEVICE_NAMES.get(wanted, HOST)
        self._need(
            index,
            f"icmp eq i32 {device}, {wanted}",
            codes.E_DEVICE,
            f"is on DLPack device type %d, expected {wanted} ({name})",
            f"i32 {device}",
        )
        if self.entry.runs_on_host:
            return
        number = fn.let(f"sext i32 {fn.field(tensor, DL_NUMBER, 'i32')} to i64")
        first = fn.let(f"icmp eq i64 {self.number}, {ANY_NUMBER}")
        same = fn.let(f"icmp eq i64 {number}, {self.number}")
        self._need(
            index, f"or i1 {first}, {same}", codes.E_DEVICE,
            "is on device %lld, an earlier tensor on device %lld",
            f"i64 {number}", f"i64 {self.number}")  # fmt: skip
        if array.null is not None:
            number = fn.let(f"select i1 {array.null}, i64 {self.number}, i64 {number}")
        self.number = number

    def _variants(self, index: int) -> list[Arg]:
        """Return this argument in every specialization, without repeats."""
        found = {taken(a): a for a in (s.signature.args[index] for s in self.entry.specializations)}
        return list(found.values())

    def _dtype(self, array: _Array, tensor: str, variants: list[Arg]) -> None:
        fn = self.fn
        array.dtype = fn.field(tensor, DL_DTYPE, "i32")
        known = list(dict.fromkeys(v.dtype for v in variants))
        good = self._any([f"icmp eq i32 {array.dtype}, {BORDERS[d].word}" for d in known])
        name = fn.let(f"call ptr @kdsl.dtype_name(i32 {array.dtype})")
        self._need(
            array.index, f"or i1 {good}, false", codes.E_DTYPE,
            f"has dtype %s, expected {any_of(known)}", f"ptr {name}")  # fmt: skip

    def _dims(self, array: _Array, tensor: str, variants: list[Arg]) -> None:
        fn, index, arg = self.fn, array.index, array.arg
        if arg.rank:
            shape = fn.field(tensor, DL_SHAPE, "ptr")
            self._need(index, f"icmp ne ptr {shape}, null", codes.E_NULL, "has a null shape")
        empty = "false"
        for axis in range(arg.rank):
            dim = fn.field(shape, 8 * axis, "i64")
            array.dims.append(dim)
            title = self._axis(arg, axis)
            self._need(
                index, f"icmp sge i64 {dim}, 0", codes.E_SHAPE, f"{title} is %lld", f"i64 {dim}"
            )
            zero = fn.let(f"icmp eq i64 {dim}, 0")
            empty = fn.let(f"or i1 {empty}, {zero}")
            extents = [v.dims[axis] for v in variants if v.kind == TENSOR]
            fixed = list(dict.fromkeys(e for e in extents if isinstance(e, int)))
            if extents and all(isinstance(e, int) for e in extents):
                good = self._any([f"icmp eq i64 {dim}, {e}" for e in fixed])
                self._need(
                    index, f"or i1 {good}, false", codes.E_SHAPE,
                    f"{title} is %lld, expected {any_of([str(e) for e in fixed])}",
                    f"i64 {dim}")  # fmt: skip
        array.empty = empty

    def _strides(self, array: _Array, tensor: str) -> None:
        fn, index, arg = self.fn, array.index, array.arg
        if not arg.rank:
            return
        row = fn.let(f"alloca [{arg.rank} x i64]")
        fn.do(f"call void @kdsl.strides(ptr {tensor}, ptr {row}, i64 {arg.rank})")
        for axis in range(arg.rank):
            stride = fn.field(row, 8 * axis, "i64")
            short = fn.let(f"icmp ule i64 {array.dims[axis]}, 1")
            title = self._axis(arg, axis)
            if axis == arg.rank - 1 and (arg.unit_stride or arg.kind == PTR):
                unit = fn.let(f"icmp eq i64 {stride}, 1")
                text = f"{title} has stride %lld, expected 1 (the last dim must be contiguous)"
                self._need(index, f"or i1 {unit}, {short}", codes.E_STRIDE, text, f"i64 {stride}")
                stride = "1"
            else:
                good = fn.let(f"icmp sge i64 {stride}, 0")
                text = f"{title} has stride %lld; negative strides are not supported"
                self._need(index, f"or i1 {good}, {short}", codes.E_STRIDE, text, f"i64 {stride}")
            array.strides.append(stride)

    # -- dispatch

    def _dispatch(self, labels: list[str]) -> None:
        fn = self.fn
        for label, spec in zip(labels, self.entry.specializations, strict=True):
            fits = [
                fn.let(test)
                for index, array in self.arrays.items()
                for test in self._tests(array, spec.signature.args[index])
            ]
            after = fn.label("next")
            fn.do(f"br i1 {self._all(fits)}, label %{label}, label %{after}")
            fn.start(after)
        self._none_fits()

    @staticmethod
    def _tests(array: _Array, arg: Arg) -> list[str]:
        """Return what must be true of an array for a specialization to take it."""
        if arg.absent:
            return [f"or i1 {array.null}, false"]
        there = [] if array.null is None else [f"xor i1 {array.null}, true"]
        return [
            *there,
            f"icmp eq i32 {array.dtype}, {BORDERS[arg.dtype].word}",
            *(
                f"icmp eq i64 {array.dims[axis]}, {extent}"
                for axis, extent in enumerate(arg.dims)
                if isinstance(extent, int)
            ),
        ]

    def _none_fits(self) -> None:
        fn = self.fn
        shown = [a for k, a in self.arrays.items() if len(self._variants(k)) > 1]
        came, values = [], []
        for array in shown:
            name = fn.let(f"call ptr @kdsl.dtype_name(i32 {array.dtype})")
            if array.null is not None:
                none = self.strings("none")
                name = fn.let(f"select i1 {array.null}, ptr {none}, ptr {name}")
                came.append(f"{array.arg.name}: %s")
                values.append(f"ptr {name}")
                continue
            came.append(f"{array.arg.name}: %s[{', '.join(['%lld'] * len(array.dims))}]")
            values += [f"ptr {name}", *(f"i64 {dim}" for dim in array.dims)]
        rows = [
            ", ".join(f"{a.arg.name}: {taken(s.signature.args[a.index])}" for a in shown)
            for s in self.entry.specializations
        ]
        rest = len(rows) - MAX_LISTED
        listed = " or ".join(f"({row})" for row in rows[:MAX_LISTED])
        more = f" and {rest} more" if rest > 0 else ""
        fn.fail(
            codes.E_UNSUPPORTED,
            f"{self.entry.name}: nothing here takes ({', '.join(came)}); "
            f"this file has {listed}{more}",
            *values,
        )

    # -- one specialization

    def _specialization(self, spec: Specialization) -> None:
        signature = spec.signature
        names = self._bind_dims(signature)
        self._check_alignment(signature)
        for index, arg in enumerate(signature.args):
            if arg.kind == SCALAR and BORDERS[arg.dtype].family != "f":
                self._check_range(index, arg)
                names.setdefault(arg.name, self.raw[index])
        for name, value in signature.consts:
            if isinstance(value, int):
                names.setdefault(name, str(int(value)))
        missing = signature.missing_dims
        for relation in signature.relations:
            if not (missing and missing.intersection(relation.names)):
                self._check_relation(relation, names)
        self._call(spec)

    def _given(self, signature: Signature) -> list[tuple[_Array, Arg]]:
        """Return the arrays that a specialization takes."""
        found = [(array, signature.args[index]) for index, array in self.arrays.items()]
        return [(array, arg) for array, arg in found if not arg.absent]

    def _bind_dims(self, signature: Signature) -> dict[str, str]:
        """Return each dim name's value; dims of one name must be equal."""
        names: dict[str, str] = {}
        holders: dict[str, _Array] = {}
        for array, arg in self._given(signature):
            for axis, dim in enumerate(arg.dims):
                if isinstance(dim, int):
                    if title := arg.dim_name(axis):
                        names[title] = str(dim)
                elif dim in holders:
                    self._same_dim(dim, array, axis, names[dim], holders[dim])
                else:
                    names[dim], holders[dim] = array.dims[axis], array
        return names

    def _same_dim(self, dim: str, array: _Array, axis: int, value: str, holder: _Array) -> None:
        extent = array.dims[axis]
        self._need(
            array.index, f"icmp eq i64 {extent}, {value}", codes.E_SHAPE,
            f"dim {dim} is %lld, but '{holder.arg.name}' has {dim} = %lld",
            f"i64 {extent}", f"i64 {value}")  # fmt: skip

    def _check_alignment(self, signature: Signature) -> None:
        fn = self.fn
        for array, arg in self._given(signature):
            align = max(arg.align, BORDERS[arg.dtype].bytes)
            low = fn.let(f"and i64 {array.address}, {align - 1}")
            good = fn.let(f"icmp eq i64 {low}, 0")
            self._need(
                array.index, f"or i1 {good}, {array.empty}", codes.E_ALIGN,
                f"starts at address 0x%llx, expected a multiple of {align} bytes",
                f"i64 {array.address}")  # fmt: skip

    def _check_range(self, index: int, arg: Arg) -> None:
        border = BORDERS[arg.dtype]
        if border.bits == 64:
            return
        low, high = border.range
        above = self.fn.let(f"icmp sge i64 {self.raw[index]}, {low}")
        below = self.fn.let(f"icmp sle i64 {self.raw[index]}, {high}")
        self._need(
            index, f"and i1 {above}, {below}", codes.E_RANGE,
            f"is %lld, expected {arg.dtype}: {low} to {high}",
            f"i64 {self.raw[index]}")  # fmt: skip

    def _check_relation(self, relation: Relation, names: dict[str, str]) -> None:
        fn, text = self.fn, relation.text
        good = RelationCompiler(self.entry.name, text, fn, names).compile()
        reads = relation.names
        came = ", ".join(f"{name} = %lld" for name in reads)
        fn.require(
            good,
            codes.E_RELATION,
            f"{self.entry.name}: arguments must satisfy {text.replace('%', '%%')}, but {came}",
            *(f"i64 {names[name]}" for name in reads),
        )

    def _call(self, spec: Specialization) -> None:
        fn = self.fn
        values = [*self._slot_values(spec.signature), *self._device_slots()]
        slots = fn.let(f"alloca [{max(1, len(values))} x i64]")
        for number, value in enumerate(values):
            at = fn.let(f"getelementptr i64, ptr {slots}, i64 {number}")
            fn.do(f"store i64 {value}, ptr {at}")
        status = fn.let(f"call i32 @{spec.symbol}(ptr {slots})")
        good = fn.let(f"icmp eq i32 {status}, 0")
        fine, bad = fn.label("fine"), fn.label("failed")
        fn.do(f"br i1 {good}, label %{fine}, label %{bad}")
        fn.start(bad)
        name = self.strings(self.entry.name)
        fn.do(f"call void @kdsl.failed(ptr {name}, i32 {status})")
        if not self.entry.runs_on_host:
            status = self._device_failure(name, status)
        fn.do(f"ret i32 {status}")
        fn.start(fine)
        fn.do("ret i32 0")

    def _device_slots(self) -> list[str]:
        """Return what an entry on a device takes besides its arguments: stream, device number."""
        if self.entry.runs_on_host:
            return []
        fn = self.fn
        unknown = fn.let(f"icmp eq i64 {self.number}, {ANY_NUMBER}")
        return [
            fn.let("ptrtoint ptr %stream to i64"),
            fn.let(f"select i1 {unknown}, i64 0, i64 {self.number}"),
        ]

    def _device_failure(self, name: str, status: str) -> str:
        """Replace the message by the device's own words; return the status that callers know."""
        buffer = self.fn.let("call ptr @kdsl.error_buffer()")
        given = f"ptr {name}, i32 {status}, ptr {buffer}, i64 {MESSAGE_BYTES}"
        return self.fn.let(f"call i32 @{FAILURE}{self.entry.device}({given})")

    def _slot_values(self, signature: Signature) -> list[str]:
        values: list[str] = []
        for index, arg in enumerate(signature.args):
            if arg.kind == SCALAR:
                values.append(self._scalar(self.raw[index], arg.dtype))
                continue
            if arg.absent:
                values += ["0"] * arg.slots
                continue
            array = self.arrays[index]
            values.append(array.address)
            if arg.kind == TENSOR:
                values += [*array.dims, *array.strides]
        return values

    def _scalar(self, raw: str, dtype: str) -> str:
        """Return the slot of a scalar; narrow floats are rounded once, to nearest even."""
        fn = self.fn
        if dtype not in ("f16", "bf16", "f32"):
            return raw
        wide = fn.let(f"bitcast i64 {raw} to double")
        bits = fn.let(f"bitcast float {fn.let(f'fptrunc double {wide} to float')} to i32")
        if dtype != "f32":
            bits = fn.let(f"call i32 @kdsl.to_{dtype}(i32 {bits})")
        return fn.let(f"zext i32 {bits} to i64")

    # -- helpers

    def _need(self, index: int, condition: str, code: int, text: str, *values: str) -> None:
        """Check one argument; one that is left out, and may be, passes."""
        arg = self.entry.signature.args[index]
        good = self.fn.let(condition)
        array = self.arrays.get(index)
        if array is not None and array.null is not None:
            good = self.fn.let(f"or i1 {good}, {array.null}")
        self.fn.require(
            good,
            code,
            f"{self.entry.name}: argument '{arg.name}' ({ordinal(index)}): {text}",
            *values,
        )

    def _any(self, tests: list[str]) -> str:
        result = self.fn.let(tests[0])
        for test in tests[1:]:
            result = self.fn.let(f"or i1 {result}, {self.fn.let(test)}")
        return result

    def _all(self, flags: list[str]) -> str:
        result = "true"
        for flag in flags:
            result = self.fn.let(f"and i1 {result}, {flag}")
        return result

    @staticmethod
    def _axis(arg: Arg, axis: int) -> str:
        name = arg.dim_name(axis) if arg.kind == TENSOR else None
        return f"dim {name}" if name else f"dim {axis}"

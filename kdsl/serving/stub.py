"""The launcher of a built file as LLVM IR text: C and TVM-FFI entries, messages, manifest.

TVM-FFI's calling convention (c_api.h): ``int f(void*, const TVMFFIAny* args, int n, TVMFFIAny*
ret)`` with 16-byte values {int32 type, int32, 8 bytes}. Its library is optional: its functions are
weak, and looked up again when first needed, for it may be loaded after this file.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

from kdsl.ir.signature import SCALAR, Arg
from kdsl.serving import codes, elf
from kdsl.serving.checks import (
    DL_DEVICE,
    FAILURE,
    choice,
    core,
    describe,
    ordinal,
    scalar_border,
    validate,
)
from kdsl.serving.dtypes import BORDERS, WORD_NAMES
from kdsl.serving.irtext import MESSAGE_BYTES, Function, Strings, array
from kdsl.serving.manifest import ABI, NOTE_TYPE, OWNER, Entry, Manifest, encode, entry_to_json
from kdsl.serving.packed import PACKED_NOTE_TYPE, Packed
from kdsl.serving.packed import encode as encode_packed

RUNTIME = Path(__file__).with_name("templates") / "launcher.ll"
DEVICE = RUNTIME.with_name("device.ll")
TVM_NONE, TVM_INT, TVM_BOOL, TVM_FLOAT, TVM_DLTENSOR, TVM_TENSOR = 0, 1, 2, 3, 7, 70
TVM_TENSOR_HEADER = 24
TVM_TYPE_NAMES = {
    0: "None", 1: "an int", 2: "a bool", 3: "a float", 4: "a pointer", 5: "a dtype", 6: "a device",
    7: "a tensor", 8: "a str", 9: "bytes", 11: "a str", 12: "bytes", 65: "a str", 66: "bytes",
    68: "a function", 69: "a shape", 70: "a tensor", 71: "a list", 72: "a dict", 75: "a list",
    76: "a dict", 78: "an int of more than 64 bits",
}  # fmt: skip


def stub_ir(manifest: Manifest, packed: Sequence[Packed] = ()) -> str:
    """Return a module that exports the manifest and every entry in it. Raises ExportError.

    ``packed`` is code for other launchers, which goes into notes.
    """
    strings = Strings()
    parts = [runtime()]
    kinds_of_memory = {entry.device for entry in manifest.entries if not entry.runs_on_host}
    if kinds_of_memory:
        parts.append(DEVICE.read_text())
    parts += [f"declare i32 @{FAILURE}{n}(ptr, i32, ptr, i64)" for n in sorted(kinds_of_memory)]
    parts += [_switch("kdsl.dtype_name", WORD_NAMES, "an unknown dtype", strings)]
    parts.append(_switch("kdsl.type_name", TVM_TYPE_NAMES, "another object", strings))
    kinds = {status.value: status.kind for status in codes.STATUSES if status.value}
    parts.append(_switch("kdsl.error_kind", kinds, "RuntimeError", strings))
    payload = manifest.encode()
    parts.append(_manifest(payload, [encode_packed(each) for each in packed]))
    symbols: dict[str, None] = {}
    for forms in manifest.by_name().values():
        for entry in forms:
            validate(entry)
            symbols |= dict.fromkeys(s.symbol for s in entry.specializations)
        entry = forms[0]
        parts.append(choice(forms, strings) if len(forms) > 1 else core(entry, strings))
        parts += [_c_entry(forms, strings), _tvm_decode(forms, strings)]
        parts += [_tvm_entry(entry.name), _tvm_metadata(entry, strings)]
    parts += [f"declare hidden i32 @{symbol}(ptr)" for symbol in symbols]
    return "\n\n".join([*parts, *strings.lines()]) + "\n"


def runtime() -> str:
    """Return the functions that every launcher has: messages, strides, rounding, TVM-FFI."""
    return RUNTIME.read_text().replace("{BYTES}", str(MESSAGE_BYTES))


def _manifest(payload: bytes, packed: Sequence[bytes]) -> str:
    notes = [elf.note(OWNER, NOTE_TYPE, payload)]
    notes += [elf.note(OWNER, PACKED_NOTE_TYPE, each) for each in packed]
    note = b"".join(notes)
    return f"""
@kdsl_manifest = constant {array(payload + bytes(1))}
@kdsl_manifest_size = constant i64 {len(payload)}
@kdsl.note = internal constant {array(note)}, section ".note.kdsl", align 4
@llvm.used = appending global [1 x ptr] [ptr @kdsl.note], section "llvm.metadata"

define i32 @kdsl_abi_version() {{
  ret i32 {ABI}
}}

define i32 @__tvm_ffi_kdsl_manifest(ptr %self, ptr %args, i32 %n, ptr %ret) {{
  %rc = call i32 @kdsl.return_text(ptr @kdsl_manifest, i64 {len(payload)}, ptr %ret)
  ret i32 %rc
}}"""


def _switch(name: str, table: dict[int, str], other: str, strings: Strings) -> str:
    """Return a function from a number to a text."""
    cases = " ".join(f"i32 {key}, label %case{key}" for key in table)
    arms = [f"case{key}:\n  ret ptr {strings(text)}" for key, text in table.items()]
    return "\n".join([
        f"define internal ptr @{name}(i32 %key) noinline readnone {{",
        f"  switch i32 %key, label %other [ {cases} ]",
        *arms,
        f"other:\n  ret ptr {strings(other)}",
        "}",
    ])  # fmt: skip


def _c_entry(forms: Sequence[Entry], strings: Strings) -> str:
    entry = forms[0]
    args = entry.signature.args
    types = [
        "ptr" if a.is_array else BORDERS[scalar_border(entry, k)].llvm for k, a in enumerate(args)
    ]
    params = [f"{kind} %a{k}" for k, kind in enumerate(types)] + ["ptr %stream"]
    fn = Function(f"i32 @kdsl_{entry.name}({', '.join(params)})", strings)
    raw = fn.let(f"alloca [{max(1, len(args))} x i64]")
    for k, (arg, kind) in enumerate(zip(args, types, strict=True)):
        value = f"%a{k}"
        if arg.is_array:
            value = fn.let(f"ptrtoint ptr {value} to i64")
        elif kind in ("float", "double"):
            wide = value if kind == "double" else fn.let(f"fpext float {value} to double")
            value = fn.let(f"bitcast double {wide} to i64")
        else:
            value = _widen(fn, value, kind, scalar_border(entry, k))
        _put(fn, raw, k, value)
    return _to_core(fn, forms, raw, "%stream")


def _takes_stream(forms: Sequence[Entry]) -> bool:
    return len(forms) > 1 or not forms[0].runs_on_host


def _to_core(fn: Function, forms: Sequence[Entry], raw: str, stream: str) -> str:
    """Close a function with the call of the core."""
    given = f"ptr {raw}, ptr {stream}" if _takes_stream(forms) else f"ptr {raw}"
    fn.do(f"ret i32 {fn.let(f'call i32 @kdsl.core.{forms[0].name}({given})')}")
    return fn.text()


def _stream(fn: Function, forms: Sequence[Entry], raw: str) -> str:
    """Return the stream that TVM-FFI has for the device of the first array."""
    first = next((k for k, arg in enumerate(forms[0].signature.args) if arg.is_array), None)
    tensor, kind = "null", str(forms[0].device)
    if first is not None:
        tensor = fn.let(f"load ptr, ptr {fn.let(f'getelementptr i64, ptr {raw}, i64 {first}')}")
    if first is not None and len(forms) > 1:
        missing = fn.let(f"icmp eq ptr {tensor}, null")
        known = fn.let(f"select i1 {missing}, ptr @kdsl.absent, ptr {tensor}")
        kind = fn.field(known, DL_DEVICE, "i32")
    return fn.let(f"call ptr @kdsl.stream(ptr {tensor}, i32 {kind})")


def _widen(fn: Function, value: str, kind: str, dtype: str) -> str:
    family = BORDERS[dtype].family
    if family == "b":
        return fn.let(f"zext i1 {fn.let(f'icmp ne {kind} {value}, 0')} to i64")
    if kind == "i64":
        return value
    return fn.let(f"{'sext' if family == 'i' else 'zext'} {kind} {value} to i64")


def _put(fn: Function, raw: str, index: int, value: str) -> None:
    fn.do(f"store i64 {value}, ptr {fn.let(f'getelementptr i64, ptr {raw}, i64 {index}')}")


def _tvm_decode(forms: Sequence[Entry], strings: Strings) -> str:
    """Turn TVM-FFI values into the core's raw arguments; trailing defaults may be left out."""
    entry = forms[0]
    args = entry.signature.args
    fn = Function(f"internal i32 @kdsl.tvm.{entry.name}(ptr %args, i32 %n)", strings)
    least = len(args)
    while least and _has_default(args[least - 1]):
        least -= 1
    wanted = str(len(args)) if least == len(args) else f"{least} to {len(args)}"
    enough = fn.let(f"icmp sge i32 %n, {least}")
    good = fn.let(f"and i1 {enough}, {fn.let(f'icmp sle i32 %n, {len(args)}')}")
    listed = ", ".join(arg.name for arg in args)
    text = f"{entry.name}: takes {wanted} arguments ({listed}), got %d"
    fn.require(good, codes.E_ARITY, text, "i32 %n")
    raw = fn.let(f"alloca [{max(1, len(args))} x i64]")
    for k, arg in enumerate(args):
        at = fn.let(f"getelementptr i8, ptr %args, i64 {16 * k}")
        if k >= least:
            given = fn.let(f"icmp sgt i32 %n, {k}")
            at = fn.let(f"select i1 {given}, ptr {at}, ptr {_default(arg, strings)}")
        decode = _tvm_tensor if arg.is_array else _tvm_scalar
        _put(fn, raw, k, decode(fn, entry, k, at))
    stream = _stream(fn, forms, raw) if _takes_stream(forms) else "null"
    return _to_core(fn, forms, raw, stream)


def _has_default(arg: Arg) -> bool:
    return arg.default is not None if arg.kind == SCALAR else arg.optional


def _default(arg: Arg, strings: Strings) -> str:
    """Return the TVM-FFI value that stands for a left out argument."""
    match arg.default:
        case None:
            data = struct.pack("<iiq", TVM_NONE, 0, 0)
        case bool(value):
            data = struct.pack("<iiq", TVM_BOOL, 0, value)
        case int(value):
            data = struct.pack("<iiq", TVM_INT, 0, value)
        case value:
            data = struct.pack("<iid", TVM_FLOAT, 0, value)
    return strings(data)


def _tvm_tensor(fn: Function, entry: Entry, index: int, at: str) -> str:
    arg = entry.signature.args[index]
    kind, payload = fn.field(at, 0, "i32"), fn.field(at, 8, "i64")
    is_view = fn.let(f"icmp eq i32 {kind}, {TVM_DLTENSOR}")
    is_object = fn.let(f"icmp eq i32 {kind}, {TVM_TENSOR}")
    is_none = fn.let(f"icmp eq i32 {kind}, {TVM_NONE}")
    good = fn.let(f"or i1 {fn.let(f'or i1 {is_view}, {is_object}')}, {is_none}")
    name = fn.let(f"call ptr @kdsl.type_name(i32 {kind})")
    text = f"{_title(entry, index)}: is %s, expected a tensor {describe(arg)}"
    fn.require(good, codes.E_TYPE, text, f"ptr {name}")
    inner = fn.let(f"add i64 {payload}, {TVM_TENSOR_HEADER}")
    address = fn.let(f"select i1 {is_object}, i64 {inner}, i64 {payload}")
    return fn.let(f"select i1 {is_none}, i64 0, i64 {address}")


def _tvm_scalar(fn: Function, entry: Entry, index: int, at: str) -> str:
    dtype = scalar_border(entry, index)
    family = BORDERS[dtype].family
    kind, payload = fn.field(at, 0, "i32"), fn.field(at, 8, "i64")
    is_int = fn.let(f"icmp eq i32 {kind}, {TVM_INT}")
    is_bool = fn.let(f"icmp eq i32 {kind}, {TVM_BOOL}")
    is_float = fn.let(f"icmp eq i32 {kind}, {TVM_FLOAT}")
    good = fn.let(f"or i1 {is_int}, {is_bool}")
    if family == "f":
        good = fn.let(f"or i1 {good}, {is_float}")
    name = fn.let(f"call ptr @kdsl.type_name(i32 {kind})")
    title = _title(entry, index)
    fn.require(good, codes.E_TYPE, f"{title}: is %s, expected {dtype}", f"ptr {name}")
    if family == "f":
        whole = fn.let(f"bitcast double {fn.let(f'sitofp i64 {payload} to double')} to i64")
        return fn.let(f"select i1 {is_float}, i64 {payload}, i64 {whole}")
    if family == "b":
        return fn.let(f"zext i1 {fn.let(f'icmp ne i64 {payload}, 0')} to i64")
    if family == "u":
        positive = fn.let(f"icmp sge i64 {payload}, 0")
        text = f"{title}: is %lld, expected {dtype}, which is not negative"
        fn.require(positive, codes.E_RANGE, text, f"i64 {payload}")
    return payload


def _title(entry: Entry, index: int) -> str:
    return f"{entry.name}: argument '{entry.signature.args[index].name}' ({ordinal(index)})"


def _tvm_entry(name: str) -> str:
    return f"""define i32 @__tvm_ffi_{name}(ptr %self, ptr %args, i32 %n, ptr %ret) {{
  %rc = call i32 @kdsl.tvm.{name}(ptr %args, i32 %n)
  %good = icmp eq i32 %rc, 0
  br i1 %good, label %ok, label %bad
ok:
  ret i32 0
bad:
  %r = call i32 @kdsl.raise(i32 %rc)
  ret i32 %r
}}"""


def _tvm_metadata(entry: Entry, strings: Strings) -> str:
    text = encode(entry_to_json(entry))
    symbol = f"__tvm_ffi__metadata_{entry.name}"
    return f"""define i32 @{symbol}(ptr %self, ptr %args, i32 %n, ptr %ret) {{
  %rc = call i32 @kdsl.return_text(ptr {strings(text)}, i64 {len(text)}, ptr %ret)
  ret i32 %rc
}}"""

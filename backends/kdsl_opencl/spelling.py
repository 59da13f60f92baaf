"""OpenCL C as a table: types, builtins, vector accesses, atomics."""

from __future__ import annotations

from kdsl.codegen.clike.spelling import PRIVATE, Spelling
from kdsl.dialects.gpu import WORKGROUP

LETTERS = "0123456789abcdef"
SIGNLESS = {"i32": "atomic", "i64": "atom"}
"""What 32- and 64-bit atomics begin with: the latter are an extension's."""
BUILTINS = {
    "addi": "add", "maxs": "max", "maxu": "max", "mins": "min", "minu": "min", "ori": "or",
    "andi": "and", "assign": "xchg",
}  # fmt: skip

# Only bytes may be read as another type: what is stored as ushort is not seen by a load of half.
HELPERS = {
    "kdsl_from_f16": """\
float kdsl_from_f16(ushort x) {
  const uchar h[2] __attribute__((aligned(2))) = {(uchar)x, (uchar)(x >> 8)};
  return vload_half(0, (const __private half *)h);
}""",
    "kdsl_to_f16": """\
ushort kdsl_to_f16(float x) {
  uchar h[2] __attribute__((aligned(2)));
  vstore_half_rte(x, 0, (__private half *)h);
  return as_ushort((uchar2)(h[0], h[1]));
}""",
} | {
    name: text
    for n in (2, 4, 8)
    for name, text in (
        (
            f"kdsl_from_f16_{n}",
            (
                f"float{n} kdsl_from_f16_{n}(ushort{n} x) {{\n"
                f"  uchar h[{2 * n}] __attribute__((aligned({2 * n})));\n"
                f"  vstore{2 * n}(as_uchar{2 * n}(x), 0, h);\n"
                f"  return vload_half{n}(0, (const __private half *)h);\n}}"
            ),
        ),
        (
            f"kdsl_to_f16_{n}",
            (
                f"ushort{n} kdsl_to_f16_{n}(float{n} x) {{\n"
                f"  uchar h[{2 * n}] __attribute__((aligned({2 * n})));\n"
                f"  vstore_half{n}_rte(x, 0, (__private half *)h);\n"
                f"  return as_ushort{n}(vload{2 * n}(0, h));\n}}"
            ),
        ),
    )
}


def _bits(word: str, text: str) -> str:
    return f"as_{word}({text})"


def _store(qualifier: str, word: str, parts: list[str], pointer: str, aligned: bool) -> str:
    del qualifier, aligned
    count = len(parts)
    return f"vstore{count}(({word}{count})({', '.join(parts)}), 0, {pointer});"


def _atomic_call(builtin: str, word: str, qualifier: str) -> str:
    return f"{builtin}((volatile {qualifier} {word} *)p, ({word})x)"


def _atomic_swap(word: str, qualifier: str, pointer: str, old: str, new: str) -> str:
    name = "atom_cmpxchg" if word == "ulong" else "atomic_cmpxchg"
    return f"{name}((volatile {qualifier} {word} *){pointer}, {old}, {new})"


def _load(qualifier: str, word: str, count: int, pointer: str, aligned: bool) -> str:
    """PoCL and others see the alignment of the pointer themselves; vload asks for none."""
    del qualifier, aligned
    return f"vload{count}(0, {pointer})"


def _pack(word: str, lanes: list[str]) -> str:
    return f"({word})({lanes[0] if len(set(lanes)) == 1 else ', '.join(lanes)})"


OPENCL = Spelling(
    name="OpenCL",
    unsigned={1: "uint", 8: "uchar", 16: "ushort", 32: "uint", 64: "ulong"},
    signed={1: "int", 8: "char", 16: "short", 32: "int", 64: "long"},
    floats={"f16": "half", "f32": "float", "f64": "double"},
    literals={1: "u", 32: "u", 64: "ul"},
    spaces={None: "__global", WORKGROUP: "__local", PRIVATE: "__private"},
    shared=lambda word, name, count, align: (
        f"__local {word} {name}[{count}] __attribute__((aligned({align})));"
    ),
    bits=_bits,
    thread="(ulong)get_local_id(0)",
    lane="(ulong)get_sub_group_local_id()",
    program=("(ulong)get_group_id(0)", "(ulong)get_group_id(1)", "(ulong)get_group_id(2)"),
    programs=("(ulong)get_num_groups(0)", "(ulong)get_num_groups(1)", "(ulong)get_num_groups(2)"),
    barrier="barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);",
    load=_load,
    part=lambda name, i: f"{name}.s{LETTERS[i]}",
    store=_store,
    vector_word=lambda word, count: f"{word}{count}",
    functions={
        "fabs": "fabs", "sqrt": "sqrt", "floor": "floor", "ceil": "ceil", "trunc": "trunc",
        "round": "round", "rint": "rint", "fma": "fma", "copysign": "copysign", "fmax": "fmax",
        "fmin": "fmin", "popcount": "popcount", "clz": "clz",
    },
    atomics={
        f"{kind}/{t}": f"{prefix}_{word}"
        for t, prefix in SIGNLESS.items()
        for kind, word in BUILTINS.items()
    },
    atomic_call=_atomic_call,
    atomic_swap=_atomic_swap,
    helpers=HELPERS,
    widths=(4, 2),
    printf="printf",
    pack=_pack,
)  # fmt: skip

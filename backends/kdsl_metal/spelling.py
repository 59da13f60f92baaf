"""The Metal Shading Language as a table: types, builtins, vector accesses, atomics."""

from __future__ import annotations

from kdsl.codegen.clike.spelling import PRIVATE, Spelling
from kdsl.dialects.gpu import WORKGROUP

LETTERS = "xyzw"
BUILTINS = {
    "addi": "add", "maxs": "max", "maxu": "max", "mins": "min", "minu": "min", "ori": "or",
    "andi": "and",
}  # fmt: skip
ATOMIC_WORDS = {"int": "atomic_int", "uint": "atomic_uint"}


def swap_helper(qualifier: str) -> str:
    """Return compare-and-swap that gives what was there; the builtin may fail for no reason."""
    return f"""\
static inline uint kdsl_swap({qualifier} uint *p, uint old, uint next) {{
  uint seen = old;
  do {{
    seen = old;
    if (atomic_compare_exchange_weak_explicit(({qualifier} atomic_uint *)p, &seen, next,
                                              memory_order_relaxed, memory_order_relaxed)) {{
      return old;
    }}
  }} while (seen == old);
  return seen;
}}"""


def _bits(word: str, text: str) -> str:
    return f"as_type<{word}>({text})"


def _packed(qualifier: str, word: str, count: int, pointer: str, aligned: bool) -> str:
    """Vectors that need no more alignment than an element has are packed ones."""
    return f"*({qualifier} {'' if aligned else 'packed_'}{word}{count} *)({pointer})"


def _load(qualifier: str, word: str, count: int, pointer: str, aligned: bool) -> str:
    text = _packed(qualifier, word, count, pointer, aligned)
    return text if aligned else f"{word}{count}({text})"


def _store(qualifier: str, word: str, parts: list[str], pointer: str, aligned: bool) -> str:
    count = len(parts)
    made = f"{word}{count}({', '.join(parts)})"
    if not aligned:
        made = f"packed_{word}{count}({made})"
    return f"{_packed(qualifier, word, count, pointer, aligned)} = {made};"


def _shuffle(word: str, value: str, lane: str) -> str:
    """Eight bytes go as two halves."""
    where = f"(ushort)({lane})"
    if word != "ulong":
        return f"simd_shuffle({value}, {where})"
    low, high = (f"simd_shuffle((uint)({value}{shift}), {where})" for shift in ("", " >> 32"))
    return f"(ulong){low} | ((ulong){high} << 32)"


def _atomic_call(builtin: str, word: str, qualifier: str) -> str:
    pointer = f"({qualifier} {ATOMIC_WORDS[word]} *)p"
    return f"{builtin}({pointer}, ({word})x, memory_order_relaxed)"


def _atomic_swap(word: str, qualifier: str, pointer: str, old: str, new: str) -> str:
    del word
    return f"kdsl_swap(({qualifier} uint *){pointer}, {old}, {new})"


METAL = Spelling(
    name="Metal",
    unsigned={1: "uint", 8: "uchar", 16: "ushort", 32: "uint", 64: "ulong"},
    signed={1: "int", 8: "char", 16: "short", 32: "int", 64: "long"},
    floats={"f16": "half", "bf16": "bfloat", "f32": "float"},
    literals={1: "u", 32: "u", 64: "ul"},
    spaces={None: "device", WORKGROUP: "threadgroup", PRIVATE: "thread"},
    bits=_bits,
    thread="(ulong)kdsl_thread",
    lane="(ulong)kdsl_lane",
    program=("(ulong)kdsl_group.x", "(ulong)kdsl_group.y", "(ulong)kdsl_group.z"),
    programs=("(ulong)kdsl_groups.x", "(ulong)kdsl_groups.y", "(ulong)kdsl_groups.z"),
    barrier="threadgroup_barrier(mem_flags::mem_device | mem_flags::mem_threadgroup);",
    shared=lambda word, name, count, align: (
        f"alignas({align}) threadgroup {word} {name}[{count}];"
    ),
    load=_load,
    part=lambda name, i: f"{name}.{LETTERS[i]}",
    store=_store,
    vector_word=lambda word, count: f"{word}{count}",
    functions={
        "fabs": "fabs", "sqrt": "precise::sqrt", "floor": "floor", "ceil": "ceil",
        "trunc": "trunc", "round": "round", "rint": "rint", "fma": "fma", "copysign": "copysign",
        "fmax": "fmax", "fmin": "fmin", "popcount": "popcount", "clz": "clz",
    },
    atomics={
        f"{kind}/i32": f"atomic_fetch_{word}_explicit" for kind, word in BUILTINS.items()
    } | {"assign/i32": "atomic_exchange_explicit"},
    atomic_call=_atomic_call,
    atomic_swap=_atomic_swap,
    widths=(4, 2),
    stored=frozenset({"f16", "bf16"}),
    shuffle=_shuffle,
    offsets=False,
)  # fmt: skip

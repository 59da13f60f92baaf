"""Lane-level modules written by hand."""

from __future__ import annotations

ENTRY = """
  "func.func"() ({{
  ^bb0({declared}):
    %grid = "arith.constant"() {{value = {grid} : index}} : () -> index
    %one = "arith.constant"() {{value = 1 : index}} : () -> index
    "kdsl.launch"(%grid, %one, %one, {names}) {{kernel = @{kernel}}} : (index, index, index, {types}) -> ()
    "func.return"() : () -> ()
  }}) {{function_type = ({types}) -> (), kdsl.entry, sym_name = "{kernel}_entry"}} : () -> ()
"""


def module(name, args, lanes, body, grid=1):
    """Return a module: a kernel with ``args`` (name -> type) and an entry that launches it."""
    declared = ", ".join(f"%{n}: {t}" for n, t in args.items())
    types = ", ".join(args.values())
    kernel = f"""
  "func.func"() ({{
  ^bb0({declared}):
{body}
    "func.return"() : () -> ()
  }}) {{function_type = ({types}) -> (), kdsl.kernel, kdsl.lanes = {lanes} : i64, sym_name = "{name}"}} : () -> ()
"""
    names = ", ".join(f"%{n}" for n in args)
    entry = ENTRY.format(declared=declared, grid=grid, names=names, kernel=name, types=types)
    return f'"builtin.module"() ({{{kernel}{entry}}}) : () -> ()\n'


TENSOR = "memref<?xf32, strided<[1]>>"
ID = '"gpu.thread_id"() {dimension = #gpu<dim x>} : () -> index'

ADD = f"""
    %t = {ID}
    %p = "kdsl.program_id"() {{axis = 0 : i64}} : () -> index
    %lanes = "arith.constant"() {{value = 256 : index}} : () -> index
    %zero = "arith.constant"() {{value = 0 : index}} : () -> index
    %base = "arith.muli"(%p, %lanes) : (index, index) -> index
    %i = "arith.addi"(%base, %t) : (index, index) -> index
    %n = "memref.dim"(%c, %zero) : ({TENSOR}, index) -> index
    %ok = "arith.cmpi"(%i, %n) {{predicate = 2 : i64}} : (index, index) -> i1
    "scf.if"(%ok) ({{
      %x = "memref.load"(%a, %i) : ({TENSOR}, index) -> f32
      %y = "memref.load"(%b, %i) : ({TENSOR}, index) -> f32
      %z = "arith.addf"(%x, %y) : (f32, f32) -> f32
      "memref.store"(%z, %c, %i) : (f32, {TENSOR}, index) -> ()
      "scf.yield"() : () -> ()
    }}, {{
    }}) : (i1) -> ()
"""


def add(grid=4):
    return module("add", {"a": TENSOR, "b": TENSOR, "c": TENSOR}, 256, ADD, grid)


SHARED = "memref<256xf32, 3>"
BARRIER = '"gpu.barrier"() : () -> ()'

REDUCE = f"""
    %t = {ID}
    %p = "kdsl.program_id"() {{axis = 0 : i64}} : () -> index
    %lanes = "arith.constant"() {{value = 256 : index}} : () -> index
    %zero = "arith.constant"() {{value = 0 : index}} : () -> index
    %one = "arith.constant"() {{value = 1 : index}} : () -> index
    %eight = "arith.constant"() {{value = 8 : index}} : () -> index
    %base = "arith.muli"(%p, %lanes) : (index, index) -> index
    %i = "arith.addi"(%base, %t) : (index, index) -> index
    %s = "kdsl.workgroup_alloc"() : () -> {SHARED}
    %x = "memref.load"(%a, %i) : ({TENSOR}, index) -> f32
    "memref.store"(%x, %s, %t) : (f32, {SHARED}, index) -> ()
    "scf.for"(%zero, %eight, %one) ({{
    ^bb0(%k: index):
      %d = "arith.shrui"(%lanes, %k) : (index, index) -> index
      %half = "arith.shrui"(%d, %one) : (index, index) -> index
      FIRST
      %ok = "arith.cmpi"(%t, %half) {{predicate = 2 : i64}} : (index, index) -> i1
      "scf.if"(%ok) ({{
        %j = "arith.addi"(%t, %half) : (index, index) -> index
        %u = "memref.load"(%s, %t) : ({SHARED}, index) -> f32
        %v = "memref.load"(%s, %j) : ({SHARED}, index) -> f32
        %w = "arith.addf"(%u, %v) : (f32, f32) -> f32
        "memref.store"(%w, %s, %t) : (f32, {SHARED}, index) -> ()
        "scf.yield"() : () -> ()
      }}, {{
      }}) : (i1) -> ()
      "scf.yield"() : () -> ()
    }}) : (index, index, index) -> ()
    %first = "arith.cmpi"(%t, %zero) {{predicate = 0 : i64}} : (index, index) -> i1
    "scf.if"(%first) ({{
      %r = "memref.load"(%s, %zero) : ({SHARED}, index) -> f32
      "memref.store"(%r, %o, %p) : (f32, {TENSOR}, index) -> ()
      "scf.yield"() : () -> ()
    }}, {{
    }}) : (i1) -> ()
"""


def reduce(grid=4, barrier=True):
    body = REDUCE.replace("FIRST", BARRIER if barrier else "")
    return module("reduce", {"a": TENSOR, "o": TENSOR}, 256, body, grid)


def shuffles(distances, mode="xor", width=32):
    """Return a kernel that writes, for each distance, what each of 64 lanes reads."""
    lines = [
        f"    %t = {ID}",
        '    %lanes = "arith.constant"() {value = 64 : index} : () -> index',
        f'    %width = "arith.constant"() {{value = {width} : i32}} : () -> i32',
        f'    %x = "memref.load"(%a, %t) : ({TENSOR}, index) -> f32',
    ]
    for i, d in enumerate(distances):
        lines += [
            f'    %d{i} = "arith.constant"() {{value = {d} : i32}} : () -> i32',
            f'    %y{i}, %v{i} = "gpu.shuffle"(%x, %d{i}, %width) {{mode = #gpu<shuffle_mode {mode}>}} : (f32, i32, i32) -> (f32, i1)',
            f'    %o{i} = "arith.constant"() {{value = {64 * i} : index}} : () -> index',
            f'    %p{i} = "arith.addi"(%o{i}, %t) : (index, index) -> index',
            f'    "memref.store"(%y{i}, %o, %p{i}) : (f32, {TENSOR}, index) -> ()',
        ]
    return module("shuffles", {"a": TENSOR, "o": TENSOR}, 64, "\n".join(lines))

"""The machine dialect as text: one instruction each, nearly always."""

from __future__ import annotations

from typing import Any

from kdsl.codegen.lowering import LoweringTable
from kdsl.dialects import lanes
from kdsl.ir.core import Op, Value
from kdsl.ir.types import element_type
from kdsl_ptx.dialect import machine
from kdsl_ptx.emit.facts import AGREED
from kdsl_ptx.emit.integers import each
from kdsl_ptx.emit.lanes import special, write_matrix_multiply
from kdsl_ptx.emit.memory import place_of, shared_base
from kdsl_ptx.emit.writer import Writer, class_of

lower = LoweringTable("the PTX back end")

AGREED.update({machine.ReduxOr, machine.SharedBase, machine.VoteAny, machine.VoteAll})

PLAIN: dict[type[Any], str] = {
    machine.FenceMbarrierInit: "fence.mbarrier_init.release.cluster",
    machine.BulkCommit: "cp.async.bulk.commit_group",
    machine.WgmmaFence: "wgmma.fence.sync.aligned",
    machine.WgmmaCommit: "wgmma.commit_group.sync.aligned",
    machine.WarpSync: "bar.warp.sync -1",
    machine.GriddepWait: "griddepcontrol.wait",
    machine.GriddepLaunch: "griddepcontrol.launch_dependents",
    lanes.CopyCommit: "cp.async.commit_group",
}  # fmt: skip
ON_BARRIER: dict[type[Any], str] = {
    machine.MbarrierArrive: "mbarrier.arrive.shared::cta.b64 _, [{0}]",
    machine.MbarrierInit: "mbarrier.init.shared::cta.b64 [{0}], {1.count}",
    machine.MbarrierExpect: "mbarrier.arrive.expect_tx.shared::cta.b64 _, [{0}], {1.bytes}",
}
FENCES = {
    "shared": "fence.proxy.async.shared::cta", "global": "fence.proxy.async.global",
    "all": "fence.proxy.async",
}  # fmt: skip
WGMMA_TYPES = {
    "bf16": "bf16", "f16": "f16", "tf32": "tf32", "f8E4M3FN": "e4m3", "f8E5M2": "e5m2", "i8": "s8",
}  # fmt: skip
ACCUMULATORS = {"f32": "f32", "f16": "f16", "i32": "s32"}
COUNTS = {1: "", 2: ".v2", 4: ".v4"}
ORDERS = {
    "weak": "", "relaxed": ".relaxed.gpu", "acquire": ".acquire.gpu", "release": ".release.gpu",
}  # fmt: skip


@lower(*PLAIN)
def plain(op: Op, w: Writer) -> None:
    w.do(PLAIN[type(op)])


# ---------------------------------------------------------------------------------------- barriers


@lower(*ON_BARRIER)
def on_barrier(op: Any, w: Writer) -> None:
    w.do(ON_BARRIER[type(op)].format(w.register(w.one(op.address), "r"), op))


@lower(machine.MbarrierWait)
def wait(op: machine.MbarrierWait, w: Writer) -> None:
    """The instruction itself sleeps a while; the loop is for long waits."""
    again, done = w.label(), w.label()
    address, parity = w.register(w.one(op.address), "r"), w.register(w.one(op.parity), "r")
    ended = w.new("p")
    w.place(again)
    w.do(f"mbarrier.try_wait.parity.shared::cta.b64 {ended}, [{address}], {parity}")
    w.do(f"@{ended} bra.uni {done}")
    w.do(f"bra.uni {again}")
    w.place(done)


@lower(machine.BarSync, machine.BarArrive)
def named_barrier(op: Any, w: Writer) -> None:
    word = "bar.sync" if isinstance(op, machine.BarSync) else "bar.arrive"
    w.do(f"{word} {w.one(op.number)}, {op.threads}")


@lower(machine.FenceProxyAsync)
def fence(op: machine.FenceProxyAsync, w: Writer) -> None:
    w.do(FENCES[op.space])


# ------------------------------------------------------------------------------------ copy engine


def _coords(op: Any, w: Writer) -> str:
    return ", ".join(w.one(c) for c in op.coords)


@lower(machine.TmaLoad)
def tma_load(op: machine.TmaLoad, w: Writer) -> None:
    target, map_ = w.register(w.one(op.target), "r"), w.one(op.map)
    barrier = w.register(w.one(op.barrier), "r")
    hint, policy = "", ""
    if op.evict != "normal":
        hint, policy = ".L2::cache_hint", f", {cache_policy(w, op.evict)}"
    word = f"cp.async.bulk.tensor.{len(op.coords)}d.shared::cluster.global.tile"
    w.do(
        f"{word}.mbarrier::complete_tx::bytes{hint} "
        f"[{target}], [{map_}, {{{_coords(op, w)}}}], [{barrier}]{policy}"
    )


def cache_policy(w: Writer, name: str) -> str:
    """Return the register of an L2 policy, made once at the kernel's start."""
    key = ("policy", name)
    found = w.terms.get(key)
    if found is None:
        found = w.terms[key] = w.new("d")
        word = f"createpolicy.fractional.L2::evict_{name}.b64"
        w.entry.append(f"\t{word} {found}, 0f3F800000;")
    return found


@lower(machine.TmaStore)
def tma_store(op: machine.TmaStore, w: Writer) -> None:
    source = w.register(w.one(op.source), "r")
    word = f"cp.async.bulk.tensor.{len(op.coords)}d.global.shared::cta.tile.bulk_group"
    w.do(f"{word} [{w.one(op.map)}, {{{_coords(op, w)}}}], [{source}]")


@lower(machine.TmaPrefetch)
def tma_prefetch(op: machine.TmaPrefetch, w: Writer) -> None:
    w.do(f"prefetch.tensormap [{w.one(op.map)}]")


@lower(machine.BulkWait)
def bulk_wait(op: machine.BulkWait, w: Writer) -> None:
    w.do(f"cp.async.bulk.wait_group{'.read' if op.read else ''} {op.pending}")


@lower(lanes.CopyAsync)
def copy_async(op: lanes.CopyAsync, w: Writer) -> None:
    """Where it is not valid, no byte is read and zeros are written."""
    source = place_of(op, w, op.source, op.source_indices)
    target = place_of(op, w, op.target, op.target_indices)
    cache = "cg" if op.bytes == 16 else "ca"
    valid = w.one(op.valid)
    size = ""
    if valid == "false":
        size = ", 0"
    elif valid != "true":
        size = f", {w.let('r', 'selp.b32', op.bytes, 0, valid)}"
    word = f"cp.async.{cache}.shared.global"
    w.do(f"{word} {target.at()}, {source.at()}, {op.bytes}{size}")


@lower(lanes.CopyWait)
def copy_wait(op: lanes.CopyWait, w: Writer) -> None:
    w.do(f"cp.async.wait_group {op.pending}")


# ------------------------------------------------------------------------------------ matrix unit


@lower(machine.Wgmma)
def wgmma(op: machine.Wgmma, w: Writer) -> None:
    """The accumulator's registers are result and operand at once."""
    made = _accumulator(op, w)
    word = (
        f"wgmma.mma_async.sync.aligned.m64n{op.n}k{machine.WGMMA_DEPTH[op.type]}."
        f"{ACCUMULATORS[op.y.type.element.text]}.{WGMMA_TYPES[op.type]}.{WGMMA_TYPES[op.type]}"
    )
    left = _braced(_fragment(op, w)) if op.in_registers else _stepped(w, op.a, op.step_a)
    tail = [str(len(op.acc))]
    if op.type != "i8":
        tail += ["1", "1"]
    if machine.WGMMA_DEPTH[op.type] == 16:
        if not op.in_registers:
            tail.append(str(int(op.transpose_a)))
        tail.append(str(int(op.transpose_b)))
    w.do(f"{word} {_braced(made)}, {left}, {_stepped(w, op.b, op.step_b)}, {', '.join(tail)}")
    w.bind_registers(op.y, made)


def _stepped(w: Writer, descriptor: Value, step: int) -> str:
    """Return a descriptor that is a step further."""
    text = w.one(descriptor)
    return w.let("d", "add.s64", text, step) if step else text


def _fragment(op: machine.Wgmma, w: Writer) -> list[str]:
    return [w.register(t, "r") for t in w.registers(op.a)]


def _accumulator(op: machine.Wgmma, w: Writer) -> list[str]:
    """Return the registers to accumulate in; a value that is read later is copied first."""
    if not op.acc:
        count = op.y.type.size * op.y.type.element.bits // 32
        return [w.new("r") for _ in range(count)]
    (acc,) = op.acc
    held = w.registers(acc)
    if op.y.type.element.bits == 32 and len(set(held)) == len(held) and w.dies([acc], op):
        return held
    made = [w.new("r") for _ in held]
    for to, source in zip(made, held, strict=True):
        w.do(f"mov.b32 {to}, {source}")
    return made


def _braced(texts: list[str]) -> str:
    return f"{{{', '.join(texts)}}}"


@lower(machine.WgmmaWait)
def wgmma_wait(op: machine.WgmmaWait, w: Writer) -> None:
    w.do(f"wgmma.wait_group.sync.aligned {op.pending}")
    for value, out in zip(op.values, op.outs, strict=True):
        w.bind_registers(out, w.registers(value))


@lower(machine.MmaSync)
def mma_sync(op: machine.MmaSync, w: Writer) -> None:
    write_matrix_multiply(op, w, op.shape)


@lower(lanes.MatrixMultiply)
def matrix_multiply(op: lanes.MatrixMultiply, w: Writer) -> None:
    """Atoms are named ``mma.<shape>``, maybe with a type behind."""
    family, shape = op.atom.split(".")[:2]
    if family != "mma":
        raise lower.refuse(op, f"there is no {op.atom}")
    write_matrix_multiply(op, w, shape)


@lower(lanes.LoadMatrix)
def load_matrix(op: lanes.LoadMatrix, w: Writer) -> None:
    place = place_of(op, w, op.source, op.indices)
    _ldmatrix(op, w, place.at())


@lower(machine.Ldmatrix)
def ldmatrix(op: machine.Ldmatrix, w: Writer) -> None:
    _ldmatrix(op, w, f"[{w.register(w.one(op.address), 'r')}]")


def _ldmatrix(op: Any, w: Writer, at: str) -> None:
    made = [w.new("r") for _ in range(op.count)]
    turned = ".trans" if op.transpose else ""
    w.do(f"ldmatrix.sync.aligned.m8n8.x{op.count}{turned}.shared.b16 {_braced(made)}, {at}")
    w.bind_words(op.y, made)


@lower(machine.Stmatrix)
def stmatrix(op: machine.Stmatrix, w: Writer) -> None:
    held = [w.register(t, "r") for t in w.words(op.value)]
    turned = ".trans" if op.transpose else ""
    at = w.register(w.one(op.address), "r")
    w.do(f"stmatrix.sync.aligned.m8n8.x{op.count}{turned}.shared.b16 [{at}], {_braced(held)}")


# ----------------------------------------------------------------------------------------- memory


@lower(machine.SharedBase)
def own_shared(op: machine.SharedBase, w: Writer) -> None:
    start = -(-w.shared_bytes // op.align) * op.align
    w.shared_bytes = start + op.bytes
    base = shared_base(w)
    w.bind(op.y, [base if start == 0 else w.let("r", "add.s32", base, start)])


def _listed(texts: list[str]) -> str:
    return texts[0] if len(texts) == 1 else _braced(texts)


def _read(op: Any, w: Writer, word: str) -> None:
    made = [w.new("r") for _ in op.results]
    at = w.register(w.one(op.address), "r" if ".shared" in word else "d")
    w.do(f"{word}{COUNTS[len(made)]}.b32 {_listed(made)}, [{at}]")
    for value, text in zip(op.results, made, strict=True):
        w.bind(value, [text])


@lower(machine.LoadShared)
def load_shared(op: machine.LoadShared, w: Writer) -> None:
    _read(op, w, "ld.shared")


@lower(machine.LoadGlobal)
def load_global(op: machine.LoadGlobal, w: Writer) -> None:
    if op.order == "constant":
        _read(op, w, "ld.global.nc")
        return
    if op.order != "weak" and len(op.results) != 1:
        raise lower.refuse(op, "an ordered access reads one word")
    _read(op, w, f"ld{ORDERS[op.order]}.global")


@lower(machine.StoreShared)
def store_shared(op: machine.StoreShared, w: Writer) -> None:
    held = [w.register(w.one(v), "r") for v in op.words]
    at = w.register(w.one(op.address), "r")
    w.do(f"st.shared{COUNTS[len(held)]}.b32 [{at}], {_listed(held)}")


@lower(machine.StoreGlobal)
def store_global(op: machine.StoreGlobal, w: Writer) -> None:
    at, value = w.register(w.one(op.address), "d"), w.register(w.one(op.value), "r")
    w.do(f"st{ORDERS[op.order]}.global.b32 [{at}], {value}")


@lower(machine.AtomicAdd)
def atomic_add(op: machine.AtomicAdd, w: Writer) -> None:
    at = w.register(w.one(op.address), "d")
    w.bind(op.y, [w.new("r")])
    made, value = w.one(op.y), w.register(w.one(op.value), "r")
    w.do(f"atom.{op.order}.gpu.global.add.u32 {made}, [{at}], {value}")


# ---------------------------------------------------------------------------- registers and warps


@lower(machine.SetMaxRegisters)
def set_max_registers(op: machine.SetMaxRegisters, w: Writer) -> None:
    way = "inc" if op.increase else "dec"
    w.do(f"setmaxnreg.{way}.sync.aligned.u32 {op.count}")


MOVES = {"p": "mov.pred", "h": "mov.b16", "r": "mov.b32", "d": "mov.b64"}


def _variable(op: Any, w: Writer, kind: str) -> str:
    found = w.variables.get(op.variable)
    if found is None:
        found = w.variables[op.variable] = [w.new(kind)]
    return found[0]


@lower(machine.VariableGet)
def variable_get(op: machine.VariableGet, w: Writer) -> None:
    kind = class_of(element_type(op.y.type))
    w.bind(op.y, [w.let(kind, MOVES[kind], _variable(op, w, kind))])


@lower(machine.VariableSet)
def variable_set(op: machine.VariableSet, w: Writer) -> None:
    kind = class_of(element_type(op.value.type))
    text = w.one(op.value)
    if kind == "p":
        text = w.register(text, "p")
    w.do(f"{MOVES[kind]} {_variable(op, w, kind)}, {text}")


@lower(machine.ReduxOr)
def redux_or(op: machine.ReduxOr, w: Writer) -> None:
    w.bind(op.y, [w.let("r", "redux.sync.or.b32", w.register(w.one(op.x), "r"), -1)])


@lower(machine.VoteAny, machine.VoteAll)
def vote(op: Any, w: Writer) -> None:
    mode = "any" if isinstance(op, machine.VoteAny) else "all"
    w.bind(op.y, [w.let("p", f"vote.sync.{mode}.pred", w.predicate(op.condition), -1)])


@lower(machine.Elect)
def elect(op: machine.Elect, w: Writer) -> None:
    made = w.new("p")
    w.do(f"elect.sync _|{made}, -1")
    w.bind(op.y, [made])


@lower(machine.Special)
def special_register(op: machine.Special, w: Writer) -> None:
    """The clock is read where it stands, the others do not change."""
    if op.register == "clock":
        w.bind(op.y, [w.let("r", "mov.u32", "%clock")])
        return
    w.bind(op.y, [special(w, op.register)])


@lower(machine.Approximate)
def approximate(op: machine.Approximate, w: Writer) -> None:
    word = machine.APPROXIMATIONS[op.function]
    w.bind(op.y, each(lambda t: w.let("r", word, w.register(t, "r")), w.loose(op.x)))

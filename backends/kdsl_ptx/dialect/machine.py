"""Instructions of the machine that no portable op stands for; one class for each family.

Shared addresses are ``i32``, global addresses, descriptors and tensor maps ``i64``. Ops with
effects stay in order. Names and meaning follow the PTX ISA.
"""

from __future__ import annotations

from typing import Any

from kdsl.dialects import rules
from kdsl.ir.define import (
    BOOL_SCALAR,
    DATA,
    FIXED_INTEGER,
    FLOAT,
    SCALAR,
    VECTOR,
    Op,
    Pure,
    ReadsMemory,
    WritesMemory,
    attribute,
    operand,
    result,
)
from kdsl.ir.types import F16, F32, I1, I32, I64, ScalarType, Type, VectorType

EFFECTS = (ReadsMemory, WritesMemory)
WORDS_OF_ACCESS = (1, 2, 4)
MAX_MAP_RANK = 5
NAMED_BARRIERS = 16
WARPGROUP = 128


def _wants(op: Op, what: str, kind: Type, *values: Any) -> None:
    for value in values:
        rules.require(op, value.type is kind, f"{value.type} as {what}, which is {kind}")


# --------------------------------------------------------------------------------------- barriers


class MbarrierInit(Op, name="ptx.mbarrier_init", traits=EFFECTS):
    """Make a barrier in shared memory that waits for ``count`` arrivals a phase."""

    address = operand(FIXED_INTEGER)
    count = attribute("int")

    def verify(self) -> None:
        _wants(self, "a shared address", I32, self.address)
        rules.require(self, 0 < self.count < 1 << 20, f"a barrier of {self.count} arrivals")


class FenceMbarrierInit(Op, name="ptx.fence_mbarrier_init", traits=EFFECTS):
    """Let the copy engine see new barriers."""


class MbarrierExpect(Op, name="ptx.mbarrier_expect", traits=EFFECTS):
    """Arrive, and let the phase wait for ``bytes`` bytes of copies too."""

    address = operand(FIXED_INTEGER)
    bytes = attribute("int")

    def verify(self) -> None:
        _wants(self, "a shared address", I32, self.address)
        rules.require(self, 0 <= self.bytes < 1 << 20, f"{self.bytes} bytes of one phase")


class MbarrierArrive(Op, name="ptx.mbarrier_arrive", traits=EFFECTS):
    """Count one arrival."""

    address = operand(FIXED_INTEGER)

    def verify(self) -> None:
        _wants(self, "a shared address", I32, self.address)


class MbarrierWait(Op, name="ptx.mbarrier_wait", traits=EFFECTS):
    """Wait for the end of the phase of this parity (0 or 1)."""

    address = operand(FIXED_INTEGER)
    parity = operand(FIXED_INTEGER)

    def verify(self) -> None:
        _wants(self, "a shared address", I32, self.address)
        _wants(self, "a parity", I32, self.parity)


class BarSync(Op, name="ptx.bar_sync", traits=EFFECTS):
    """Wait at a named barrier for ``threads`` threads."""

    number = operand(FIXED_INTEGER)
    threads = attribute("int")

    def verify(self) -> None:
        _wants(self, "a barrier's number", I32, self.number)
        rules.require(self, self.threads % 32 == 0, f"{self.threads} threads are no whole warps")


class BarArrive(Op, name="ptx.bar_arrive", traits=EFFECTS):
    """Count as arrived at a named barrier of ``threads`` threads, and go on."""

    number = operand(FIXED_INTEGER)
    threads = attribute("int")

    def verify(self) -> None:
        _wants(self, "a barrier's number", I32, self.number)
        rules.require(self, self.threads % 32 == 0, f"{self.threads} threads are no whole warps")


class WarpSync(Op, name="ptx.warp_sync", traits=EFFECTS):
    """Wait for the lanes of the warp."""


class FenceProxyAsync(Op, name="ptx.fence_proxy_async", traits=EFFECTS):
    """Order ordinary accesses before those of the copy engine and the matrix unit."""

    space = attribute("string", default="shared", choices=("shared", "global", "all"))


# ----------------------------------------------------------------------------------- copy engine


class TmaLoad(Op, name="ptx.tma_load", traits=EFFECTS):
    """Copy a box of a tensor map's tensor to shared memory; its bytes count at ``barrier``."""

    target = operand(FIXED_INTEGER)
    map = operand(FIXED_INTEGER)
    barrier = operand(FIXED_INTEGER)
    coords = operand(FIXED_INTEGER, variadic=True)
    evict = attribute("string", default="normal", choices=("normal", "first", "last"))

    def verify(self) -> None:
        _wants(self, "a shared address", I32, self.target, self.barrier)
        _verify_map(self)


class TmaStore(Op, name="ptx.tma_store", traits=EFFECTS):
    """Copy a box from shared memory; belongs to the thread's current group."""

    map = operand(FIXED_INTEGER)
    source = operand(FIXED_INTEGER)
    coords = operand(FIXED_INTEGER, variadic=True)

    def verify(self) -> None:
        _wants(self, "a shared address", I32, self.source)
        _verify_map(self)


class TmaPrefetch(Op, name="ptx.tma_prefetch", traits=EFFECTS):
    """Fetch a tensor map itself."""

    map = operand(FIXED_INTEGER)

    def verify(self) -> None:
        _wants(self, "a tensor map", I64, self.map)


def _verify_map(op: Any) -> None:
    _wants(op, "a tensor map", I64, op.map)
    _wants(op, "a coordinate", I32, *op.coords)
    fits = 1 <= len(op.coords) <= MAX_MAP_RANK
    rules.require(op, fits, f"{len(op.coords)} coordinates")


class BulkCommit(Op, name="ptx.bulk_commit", traits=EFFECTS):
    """End the thread's current group of copies."""


class BulkWait(Op, name="ptx.bulk_wait", traits=EFFECTS):
    """Wait until at most ``pending`` groups are not done; ``read``: not done reading."""

    pending = attribute("int", default=0)
    read = attribute("bool", default=False)

    def verify(self) -> None:
        rules.require(self, self.pending >= 0, f"pending = {self.pending}")


# ----------------------------------------------------------------------------------- matrix unit

WGMMA_DEPTH = {"bf16": 16, "f16": 16, "tf32": 8, "f8E4M3FN": 32, "f8E5M2": 32, "i8": 32}
"""Columns of A that one instruction takes, by element type."""


class Wgmma(Op, name="ptx.wgmma", traits=EFFECTS):
    """Issue one 64 x n product of a warpgroup: ``acc + a @ b``, ``a @ b`` without ``acc``.

    ``a``: a descriptor (i64) or a fragment in registers. ``b``: a descriptor. ``step_*`` is added
    to a descriptor, right before its use: sums kept for a loop do not fit the uniform registers.
    ``transpose_*``: the operand lies with the other axis contiguous. The accumulator is changed in
    place where nothing else reads it; nothing may touch it before ``ptx.wgmma_wait``.
    """

    a = operand(DATA)
    b = operand(FIXED_INTEGER)
    acc = operand(VECTOR, variadic=True)
    n = attribute("int")
    type = attribute("string", choices=tuple(WGMMA_DEPTH))
    transpose_a = attribute("bool", default=False)
    transpose_b = attribute("bool", default=False)
    step_a = attribute("int", default=0)
    step_b = attribute("int", default=0)
    y = result(VECTOR)

    def verify(self) -> None:
        n, y = self.n, self.y.type
        step = 16 if self.type == "i8" and n > 32 else 8
        rules.require(self, 8 <= n <= 256 and n % step == 0, f"a product of {n} columns")
        accumulators = (I32,) if self.type == "i8" else (F32, F16)
        fits = y.rank == 1 and y.size == n // 2 and y.element in accumulators
        rules.require(self, fits, f"{y} for {n} columns")
        rules.require(self, len(self.acc) <= 1, "more than one accumulator")
        _wants(self, "the accumulator", y, *self.acc)
        _wants(self, "a descriptor", I64, self.b)
        if self.in_registers:
            a = self.a.type
            bits = a.size * a.element.bits if isinstance(a, VectorType) else 0
            rules.require(self, bits == 128, f"{a} is no fragment of A")
            rules.require(self, not self.transpose_a, "A in registers is not transposed")
        if WGMMA_DEPTH[self.type] != 16:
            plain = not (self.transpose_a or self.transpose_b)
            rules.require(self, plain, f"operands of {self.type} are not transposed")

    @property
    def in_registers(self) -> bool:
        return self.a.type is not I64


class WgmmaFence(Op, name="ptx.wgmma_fence", traits=EFFECTS):
    """Order earlier accesses to registers before the next products."""


class WgmmaCommit(Op, name="ptx.wgmma_commit", traits=EFFECTS):
    """Make the products since the last commit one group."""


class WgmmaWait(Op, name="ptx.wgmma_wait", traits=EFFECTS):
    """Wait until at most ``pending`` groups are not done; gives the finished accumulators."""

    values = operand(VECTOR, variadic=True)
    pending = attribute("int", default=0)
    outs = result(VECTOR, variadic=True)

    def verify(self) -> None:
        rules.require(self, 0 <= self.pending < 8, f"pending = {self.pending}")
        given = rules.types_of(self.values)
        rules.same_types(self, "it gives", rules.types_of(self.results), given)


class MmaSync(Op, name="ptx.mma_sync", traits=(Pure,)):
    """One product of a warp, with all operands in registers; ``shape`` as ``m16n8k16``."""

    a = operand(VECTOR)
    b = operand(VECTOR)
    c = operand(VECTOR)
    shape = attribute("string", choices=("m16n8k8", "m16n8k16", "m16n8k32"))
    y = result(same_as="c")


class Ldmatrix(Op, name="ptx.ldmatrix", traits=(ReadsMemory,)):
    """Read ``count`` 8x8 matrices of 16-bit elements; lanes give the addresses of rows."""

    address = operand(FIXED_INTEGER)
    count = attribute("int", default=4)
    transpose = attribute("bool", default=False)
    y = result(VECTOR)

    def verify(self) -> None:
        _wants(self, "a shared address", I32, self.address)
        _verify_matrices(self, self.y.type)


class Stmatrix(Op, name="ptx.stmatrix", traits=EFFECTS):
    """Write 8x8 matrices of 16-bit elements; lanes give the addresses of rows."""

    address = operand(FIXED_INTEGER)
    value = operand(VECTOR)
    transpose = attribute("bool", default=False)

    @property
    def count(self) -> int:
        return int(self.value.type.size) // 2

    def verify(self) -> None:
        _wants(self, "a shared address", I32, self.address)
        _verify_matrices(self, self.value.type)


def _verify_matrices(op: Any, t: VectorType) -> None:
    fits = op.count in WORDS_OF_ACCESS and t.rank == 1 and t.element.bits == 16
    rules.require(op, fits and t.size == 2 * op.count, f"{t} for {op.count} matrices")


# --------------------------------------------------------------------------------------- memory


class SharedBase(Op, name="ptx.shared_base", traits=(Pure,)):
    """Address of ``bytes`` bytes of the kernel's shared memory, which are this op's alone."""

    bytes = attribute("int")
    align = attribute("int", default=1024)
    y = result(element=I32)

    def verify(self) -> None:
        align = self.align
        rules.require(self, 0 < align <= 1024 and align & (align - 1) == 0, f"align = {align}")


class LoadShared(Op, name="ptx.load_shared", traits=(ReadsMemory,)):
    """Read 1, 2 or 4 words at an address that is a multiple of as many."""

    address = operand(FIXED_INTEGER)
    words = result(SCALAR, variadic=True)

    def verify(self) -> None:
        _wants(self, "a shared address", I32, self.address)
        _verify_words(self, self.results)


class StoreShared(Op, name="ptx.store_shared", traits=(WritesMemory,)):
    """Write 1, 2 or 4 words at an address that is a multiple of as many."""

    address = operand(FIXED_INTEGER)
    words = operand(SCALAR, variadic=True)

    def verify(self) -> None:
        _wants(self, "a shared address", I32, self.address)
        _verify_words(self, self.words)


class LoadGlobal(Op, name="ptx.load_global", traits=EFFECTS):
    """Read 1, 2 or 4 words; ``order``: with respect to other threads of the device."""

    address = operand(FIXED_INTEGER)
    order = attribute("string", default="weak", choices=("weak", "relaxed", "acquire", "constant"))
    words = result(SCALAR, variadic=True)

    def verify(self) -> None:
        _wants(self, "an address", I64, self.address)
        _verify_words(self, self.results)


class StoreGlobal(Op, name="ptx.store_global", traits=EFFECTS):
    """Write a word, at once for all threads of the device; ``order`` as for a load."""

    address = operand(FIXED_INTEGER)
    value = operand(SCALAR)
    order = attribute("string", default="relaxed", choices=("weak", "relaxed", "release"))

    def verify(self) -> None:
        _wants(self, "an address", I64, self.address)
        _verify_words(self, [self.value])


class AtomicAdd(Op, name="ptx.atomic_add", traits=EFFECTS):
    """Add to a word of global memory; gives what was there."""

    address = operand(FIXED_INTEGER)
    value = operand(FIXED_INTEGER)
    order = attribute("string", default="relaxed", choices=("relaxed", "release", "acq_rel"))
    y = result(same_as="value")

    def verify(self) -> None:
        _wants(self, "an address", I64, self.address)
        _wants(self, "the value", I32, self.value)


def _verify_words(op: Op, words: Any) -> None:
    rules.require(op, len(words) in WORDS_OF_ACCESS, f"{len(words)} words")
    for word in words:
        fits = isinstance(word.type, ScalarType) and word.type.bits == 32
        rules.require(op, fits, f"{word.type} is no word")


# -------------------------------------------------------------------------- registers and warps


class SetMaxRegisters(Op, name="ptx.set_max_registers", traits=EFFECTS):
    """Change how many registers each thread of the warpgroup has."""

    count = attribute("int")
    increase = attribute("bool")

    def verify(self) -> None:
        fits = 24 <= self.count <= 256 and self.count % 8 == 0
        rules.require(self, fits, f"{self.count} registers")


class VariableGet(Op, name="ptx.variable_get", traits=EFFECTS):
    """Read a register that changes over time, named ``variable``."""

    variable = attribute("string")
    y = result(SCALAR)


class VariableSet(Op, name="ptx.variable_set", traits=EFFECTS):
    """Change a register that ``ptx.variable_get`` reads."""

    value = operand(SCALAR)
    variable = attribute("string")


class ReduxOr(Op, name="ptx.redux_or", traits=EFFECTS):
    """Combine a word of all lanes of the warp; of equal words, the same word, known to be equal."""

    x = operand(FIXED_INTEGER)
    y = result(same_as="x")

    def verify(self) -> None:
        _wants(self, "the value", I32, self.x)


class VoteAny(Op, name="ptx.vote_any", traits=EFFECTS):
    """Whether the condition holds in any lane of the warp."""

    condition = operand(BOOL_SCALAR)
    y = result(element=I1)


class VoteAll(Op, name="ptx.vote_all", traits=EFFECTS):
    """Whether the condition holds in all lanes of the warp."""

    condition = operand(BOOL_SCALAR)
    y = result(element=I1)


class Elect(Op, name="ptx.elect", traits=EFFECTS):
    """True in one lane of the warp."""

    y = result(element=I1)


SPECIALS = ("tid.x", "laneid", "warpid", "ctaid.x", "nctaid.x", "clock", "smid", "cluster_ctarank")


class Special(Op, name="ptx.special", traits=(ReadsMemory,)):
    """A special register."""

    register = attribute("string", choices=SPECIALS)
    y = result(element=I32)


class GriddepWait(Op, name="ptx.griddep_wait", traits=EFFECTS):
    """Wait until the launches that this one depends on are done and what they wrote is seen."""


class GriddepLaunch(Op, name="ptx.griddep_launch", traits=EFFECTS):
    """Let launches that depend on this one start."""


APPROXIMATIONS = {
    "exp2": "ex2.approx.ftz.f32", "log2": "lg2.approx.ftz.f32", "tanh": "tanh.approx.f32",
    "sin": "sin.approx.ftz.f32", "cos": "cos.approx.ftz.f32", "reciprocal": "rcp.approx.ftz.f32",
    "rsqrt": "rsqrt.approx.ftz.f32", "sqrt": "sqrt.approx.ftz.f32",
}  # fmt: skip
"""The instruction of each function; subnormals count as zero."""


class Approximate(Op, name="ptx.approximate", traits=(Pure,)):
    """A function by its approximate instruction, where the kernel allows that."""

    x = operand(FLOAT)
    function = attribute("string", choices=tuple(APPROXIMATIONS))
    y = result(same_as="x")

    def verify(self) -> None:
        element = getattr(self.x.type, "element", self.x.type)
        rules.require(self, element is F32, f"{self.x.type} where f32 is wanted")

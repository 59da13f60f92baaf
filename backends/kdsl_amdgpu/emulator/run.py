"""Running a kernel over a grid: batches of workgroups in step, branches, barriers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from kdsl.errors import EmulationError, KdslError
from kdsl_amdgpu.emulator import crosslane, packed, scalar, vector
from kdsl_amdgpu.emulator.access import Machine, maker, smallest_shared
from kdsl_amdgpu.emulator.crosslane import Relative, relative_mode, relative_move
from kdsl_amdgpu.emulator.matrix import matrix_multiply
from kdsl_amdgpu.emulator.memory import POISON_BYTE, AccessError, Memory, Shared
from kdsl_amdgpu.emulator.program import Instruction, Program
from kdsl_amdgpu.emulator.scalar import Step
from kdsl_amdgpu.emulator.state import (
    ACCUMULATORS,
    TRAP,
    U32,
    VCC,
    Array,
    Waves,
    unknown,
    vector_register,
)  # fmt: skip
from kdsl_amdgpu.metadata import Kernel

LANES_AT_ONCE = 8192
STEP_LIMIT = 50_000_000
"""Instructions of a batch, after which a kernel counts as one that never ends."""
SKIPPED = (
    "s_wait", "s_nop", "s_delay_alu", "s_clause", "s_sleep", "s_setprio", "s_set_inst_prefetch",
    "s_sendmsg",
    "s_barrier_signal", "buffer_gl0_inv", "buffer_gl1_inv", "buffer_inv", "buffer_wbl2",
    "global_inv", "global_wb", "s_code_end", "s_setreg", "s_denorm_mode", "s_round_mode",
    "s_inst_prefetch", "s_ttracedata", "s_icache_inv", "s_dcache", "s_prefetch", "global_wbinv",
    "s_wakeup", "v_nop", "global_prefetch", "s_singleuse",
)  # fmt: skip
"""Beginnings of instructions that have no effect here: waits, hints, caches, modes."""
BARRIERS = ("s_barrier", "s_barrier_wait")
ENDS = ("s_endpgm", "s_endpgm_saved")


@dataclass(slots=True)
class Report:
    """What a run did: instructions counted once for each wave."""

    waves: int = 0
    instructions: int = 0


def condition(word: str, w: Waves) -> Array:
    """Return which waves take a branch."""
    kind = word.removeprefix("s_cbranch_")
    if kind in ("scc0", "scc1"):
        return w.scc == (kind == "scc1")
    bits = w.mask if kind.startswith("exec") else w.scalar_mask(VCC)
    return (bits != 0) if kind.endswith("nz") else (bits == 0)


class Emulator:
    """A kernel ready to run: its steps, and the memory that they touch."""

    def __init__(self, program: Program, kernel: Kernel, memory: Memory) -> None:
        self.program = program
        self.kernel = kernel
        self.memory = memory
        self.width = 32 if kernel.descriptor.wave32 else 64
        self.lanes = int(kernel.facts[".max_flat_workgroup_size"])
        self.waves = -(-self.lanes // self.width)
        self.unit = smallest_shared(program.instructions)
        self.machine = Machine(memory, Shared(1, kernel.descriptor.lds_bytes, self.unit))
        self.scratch_bytes = kernel.descriptor.scratch_bytes
        self.relative: Relative | None = None
        self.steps = [self._step(ins) for ins in program.instructions]
        self.registers = self._register_count()
        self.report = Report()

    # ----------------------------------------------------------------------------------- decoding

    def _step(self, ins: Instruction) -> Step | None:
        """Return what an instruction does, None for control flow."""
        word = ins.word
        if word in BARRIERS or word in ENDS or word.startswith(("s_cbranch", "s_branch")):
            return None
        if word.startswith(SKIPPED):
            return _nothing
        if word.startswith("s_set_gpr_idx"):
            self.relative = relative_mode(ins)
            return _nothing
        if ins.pair:
            return self._dual(ins)
        try:
            return self._decoded(ins)
        except KdslError:
            raise
        except (ValueError, IndexError, AssertionError, TypeError, KeyError) as problem:
            raise unknown(ins) from problem

    def _decoded(self, ins: Instruction) -> Step:
        word = ins.word
        if self.relative is not None and word.startswith("v_"):
            return relative_move(ins, self.relative)
        for table in (crosslane.ROWS, packed.ROWS, vector.ROWS, scalar.ROWS):
            make = table.get(word)
            if make is not None:
                step = make(ins)
                return crosslane.dpp_step(ins, step) if "dpp" in ins.encoding else step
        if word.startswith(("v_mfma", "v_wmma")):
            return matrix_multiply(ins, self.program.chip)
        make_access = maker(word)
        if make_access is None:
            raise unknown(ins)
        return make_access(ins, self.machine)

    def _dual(self, ins: Instruction) -> Step:
        """Both halves read their sources before either writes."""
        first, second = (self._decoded(half) for half in ins.pair)
        target = vector_register(ins.pair[0].operands[0])
        assert target is not None

        def step(w: Waves) -> None:
            before = w.v[target].copy()
            first(w)
            made = w.v[target].copy()
            w.v[target] = before
            second(w)
            w.v[target] = made

        return step

    def _register_count(self) -> int:
        accumulators = int(self.kernel.facts.get(".agpr_count", 0))
        plain = int(self.kernel.facts[".vgpr_count"])
        return ACCUMULATORS + accumulators if accumulators else max(plain, 1)

    # ------------------------------------------------------------------------------------ running

    def run(
        self,
        grid: tuple[int, int, int],
        arguments: int,
        failed: Callable[[], bool] = lambda: False,
    ) -> None:
        """Run every workgroup; ``arguments`` is the argument segment's address.

        ``failed``: whether an assertion of the kernel did not hold; its waves may end early.
        """
        total = grid[0] * grid[1] * grid[2]
        batch = max(1, LANES_AT_ONCE // self.lanes)
        for first in range(0, total, batch):
            numbers = np.arange(first, min(total, first + batch))
            with np.errstate(all="ignore"):
                self._batch(numbers, grid, arguments, failed)

    def _batch(
        self,
        numbers: Array,
        grid: tuple[int, int, int],
        arguments: int,
        failed: Callable[[], bool],
    ) -> None:
        self.machine.shared = Shared(numbers.size, self.kernel.descriptor.lds_bytes, self.unit)
        self.machine.scratch = np.full(
            (numbers.size, self.waves, self.width, self.scratch_bytes), POISON_BYTE, np.uint8
        )
        ready = [self._start(numbers, grid, arguments)]
        waiting: list[Waves] = []
        while ready or waiting:
            if not ready:
                ready = self._meet(waiting, failed)
                waiting = []
            w = self._until_stop(ready.pop(), ready)
            if w is not None:
                waiting.append(w)

    def _start(self, numbers: Array, grid: tuple[int, int, int], arguments: int) -> Waves:
        """Return the waves of workgroups with the registers that the hardware sets."""
        d = self.kernel.descriptor
        w = Waves(numbers.size * self.waves, self.width, self.registers)
        w.group = np.repeat(np.arange(numbers.size), self.waves)
        w.number = np.tile(np.arange(self.waves), numbers.size)
        lane = w.number[:, None] * self.width + np.arange(self.width)
        w.v[0] = lane.astype(U32)
        w.active = lane < self.lanes
        w.full = bool(w.active.all())
        at = 4 if d.scratch_registers else 0
        w.s[at], w.s[at + 1] = arguments & 0xFFFFFFFF, arguments >> 32
        ids = (
            numbers % grid[0],
            numbers // grid[0] % grid[1],
            numbers // (grid[0] * grid[1]),
        )
        spread = [np.repeat(i, self.waves).astype(U32) for i in ids]
        if self.program.chip.family == "rdna4":
            w.s[TRAP + 4 + 9] = spread[0]
            w.s[TRAP + 4 + 7] = spread[1] | spread[2] << U32(16)
        else:
            place = d.user_registers
            for asked, value in zip(d.group_ids, spread, strict=True):
                if asked:
                    w.s[place] = value
                    place += 1
        self.report.waves += w.count
        return w

    def _until_stop(self, w: Waves, ready: list[Waves]) -> Waves | None:
        """Run to a barrier (the waves are returned) or the end; parting waves go to ``ready``."""
        steps, instructions = self.steps, self.program.instructions
        pc, done = w.pc, 0
        count = w.count
        try:
            while True:
                step = steps[pc]
                done += 1
                if step is not None:
                    step(w)
                    pc += 1
                    continue
                ins = instructions[pc]
                if ins.word in ENDS:
                    return None
                if ins.word in BARRIERS:
                    w.pc = pc + 1
                    if self._complete(w):
                        self.machine.shared.passed(np.unique(w.group))
                        pc += 1
                        continue
                    return w
                pc = self._branch(w, pc, ins, ready)
                w = ready.pop()
                self.report.instructions += done * count
                self._limit()
                count, done = w.count, 0
        except AccessError as problem:
            raise self._error(instructions[pc], str(problem)) from None
        finally:
            self.report.instructions += done * count

    def _limit(self) -> None:
        if self.report.instructions > STEP_LIMIT * max(1, self.report.waves):
            raise self._error(self.program.instructions[-1], "it does not end")

    def _branch(self, w: Waves, pc: int, ins: Instruction, ready: list[Waves]) -> int:
        """Push the waves that go on (and before them those that part); return where they are."""
        target = self.program.labels[ins.operands[0]]
        if ins.word == "s_branch":
            ready.append(w)
            return target
        takes = condition(ins.word, w)
        if takes.all():
            ready.append(w)
            return target
        if not takes.any():
            ready.append(w)
            return pc + 1
        jumps, stays = w.part(takes), w.part(~takes)
        jumps.pc, stays.pc = target, pc + 1
        # Those behind go first, so that they may catch up.
        first, second = (jumps, stays) if jumps.pc < stays.pc else (stays, jumps)
        ready.append(second)
        ready.append(first)
        return first.pc

    def _complete(self, w: Waves) -> bool:
        """Whether every workgroup of these waves is here with all its waves."""
        counts = np.bincount(w.group)
        return bool(((counts == 0) | (counts == self.waves)).all())

    def _meet(self, waiting: list[Waves], failed: Callable[[], bool]) -> list[Waves]:
        """Let the waves that wait at a barrier go on, joined where they are at one place."""
        here = np.bincount(np.concatenate([w.group for w in waiting]))
        short = (here != 0) & (here != self.waves)
        if short.any() and not failed():
            ins = self.program.instructions[waiting[0].pc - 1]
            missing = self.waves - int(here[short.argmax()])
            what = f"{missing} of {self.waves} waves ended while others wait at this barrier"
            raise self._error(ins, what)
        self.machine.shared.passed(np.flatnonzero(here))
        places = sorted({w.pc for w in waiting})
        return [Waves.merged([w for w in waiting if w.pc == pc]) for pc in places]

    def _error(self, ins: Instruction, what: str) -> EmulationError:
        return EmulationError(kernel=self.program.name, line=ins.line, text=ins.text, what=what)


def _nothing(w: Waves) -> None:
    """Do nothing: waits, hints, caches and modes are not modelled."""

"""The text of one LLVM function while it is written: names, blocks, and places before loops.

Address arithmetic that does not change in a loop is written in front of it, and once: the writer
knows at which loop depth each value is defined, and every loop leaves a place for such lines.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from kdsl.codegen.llvm.types import Spelling
from kdsl.ir.core import Value


@dataclass(slots=True)
class Buffer:
    """A memref while code is written: address, sizes, strides in elements; text or numbers.

    ``pointer`` is the type of the address, which says in which address space it is.
    """

    base: str
    sizes: list[str | int]
    strides: list[str | int]
    pointer: str = "ptr"

    @property
    def suffix(self) -> str:
        """How overloaded intrinsics name the pointer's type."""
        return "p" + (self.pointer[len("ptr addrspace(") : -1] or "0")


@dataclass(slots=True)
class Scope:
    """A loop's body (or the function's): lines to write before it, and terms known inside it."""

    before: list[str]
    terms: dict[tuple[object, ...], str] = field(default_factory=dict)


class FunctionWriter:
    """Writes one function from top to bottom; ``lines`` may hold lists, which are flattened."""

    def __init__(self, spelling: Spelling, options: Options, metadata: list[str]) -> None:
        self.spelling = spelling
        self.options = options
        self.metadata = metadata
        self.entry: list[str] = []
        self.lines: list[str | list[str]] = []
        self.names: dict[Value, str] = {}
        self.buffers: dict[Value, Buffer] = {}
        self.depths: dict[str, int] = {}
        self.scopes: list[Scope] = [Scope(self.entry)]
        self.block = "entry"
        self._count = 0
        self._block_terms: dict[tuple[object, ...], str] = {}
        self.failures: list[str] = []

    # ---------------------------------------------------------------------------------- names

    def fresh(self) -> str:
        """Return a new value name."""
        self._count += 1
        return f"%v{self._count}"

    def label(self) -> str:
        """Return a new block label."""
        self._count += 1
        return f"b{self._count}"

    def name(self, value: Value) -> str:
        """Return how an operand is written."""
        return self.names[value]

    def define(self, value: Value) -> str:
        """Return a new name for a result."""
        self._count += 1
        made = f"%v{self._count}"
        self.names[value] = made
        self.depths[made] = len(self.scopes) - 1
        return made

    def bind(self, value: Value, text: str) -> None:
        """Let a value be written as ``text``: an existing name or a literal."""
        self.names[value] = text
        if text not in self.depths:
            self.depths[text] = len(self.scopes) - 1 if text.startswith("%") else 0

    def typed(self, value: Value) -> str:
        """Return an operand with its type."""
        return f"{self.spelling.type(value.type)} {self.names[value]}"

    # ---------------------------------------------------------------------------------- lines

    def do(self, text: str) -> None:
        """Write an instruction without a result."""
        self.lines.append(f"  {text}")

    def let(self, text: str) -> str:
        """Write an instruction and return its result's name."""
        self._count += 1
        made = f"%v{self._count}"
        self.lines.append(f"  {made} = {text}")
        self.depths[made] = len(self.scopes) - 1
        return made

    def result(self, value: Value, text: str) -> None:
        """Write the instruction that computes ``value``."""
        self._count += 1
        made = f"%v{self._count}"
        self.names[value] = made
        self.depths[made] = len(self.scopes) - 1
        self.lines.append(f"  {made} = {text}")

    def in_entry(self, text: str) -> str:
        """Write an instruction in the entry block, where stack buffers belong."""
        made = self.fresh()
        self.entry.append(f"  {made} = {text}")
        self.depths[made] = 0
        return made

    def start(self, label: str) -> None:
        """Begin a block."""
        self.lines.append(f"{label}:")
        self.block = label
        self._block_terms = {}

    def loop_mark(self) -> int:
        """Return a new loop's metadata: widening and unrolling were done before."""
        at = len(self.metadata)
        self.metadata.append(f"distinct !{{!{at}, !1, !2}}")
        return at

    def jump(self, label: str) -> None:
        self.lines.append(f"  br label %{label}")

    def branch(self, condition: str, then: str, other: str) -> None:
        self.lines.append(f"  br i1 {condition}, label %{then}, label %{other}")

    def later(self) -> list[str]:
        """Leave a place for lines that are known later (a loop's phis)."""
        place: list[str] = []
        self.lines.append(place)
        return place

    def text(self) -> str:
        """Return the body: the entry block's lines, then the rest."""
        flat: list[str] = []
        for line in self.lines:
            if isinstance(line, str):
                flat.append(line)
            else:
                flat.extend(line)
        return "\n".join([*self.entry, *flat])

    # ------------------------------------------------------------------------- loop invariants

    def open_scope(self) -> None:
        """Enter a loop: what is written here later comes before it."""
        place: list[str] = []
        self.lines.append(place)
        self.scopes.append(Scope(place))

    def close_scope(self) -> None:
        self.scopes.pop()

    def depth(self, *texts: str | int) -> int:
        """Return the innermost loop depth that any of these operands is defined at."""
        depths = self.depths
        return max((depths.get(t, 0) for t in texts if isinstance(t, str)), default=0)

    def term(self, form: str, *operands: str | int) -> str:
        """Return ``form`` of the operands, computed once and outside of every loop that allows it.

        Only for instructions without effects that never trap.
        """
        depth = self.depth(*operands)
        key = (form, *operands)
        here = len(self.scopes) - 1
        if depth == here:
            # Defined in this very body, maybe inside a branch: shared within the block only.
            found = self._block_terms.get(key)
            if found is None:
                found = self._block_terms[key] = self.let(form.format(*operands))
            return found
        scope = self.scopes[depth + 1]
        found = scope.terms.get(key)
        if found is None:
            found = self.fresh()
            scope.before.append(f"  {found} = {form.format(*operands)}")
            scope.terms[key] = found
            self.depths[found] = depth
        return found


FIRST_METADATA = (
    "!{i32 1}",
    '!{!"llvm.loop.unroll.disable"}',
    '!{!"llvm.loop.vectorize.enable", i1 false}',
)


@dataclass(frozen=True)
class Options:
    """What differs between LLVM targets.

    ``native_minmax``: the target has instructions with the meaning of llvm.maxnum and llvm.maximum.
    ``bit_masks``: lane masks live in mask registers.
    """

    native_minmax: bool = True
    bit_masks: bool = False

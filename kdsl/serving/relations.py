"""Compile relations over dims and integers to LLVM IR, with Python's meaning of // and %."""

from __future__ import annotations

import ast
from collections.abc import Mapping

from kdsl.errors.artifacts import ExportError
from kdsl.serving.irtext import Function

COMPARISONS: dict[type[ast.cmpop], str] = {
    ast.Eq: "eq", ast.NotEq: "ne", ast.Lt: "slt", ast.LtE: "sle", ast.Gt: "sgt", ast.GtE: "sge",
}  # fmt: skip
ARITHMETIC: dict[type[ast.operator], str] = {ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul"}


class RelationCompiler:
    """Turn one relation into an i1; ``guards`` collects conditions that make it false."""

    def __init__(self, entry: str, text: str, fn: Function, names: Mapping[str, str]) -> None:
        self.entry, self.source, self.fn, self.names = entry, text, fn, names
        self.guards: list[str] = []

    def compile(self) -> str:
        """Return the name of an i1. Raises ExportError for what relations cannot say."""
        try:
            tree = ast.parse(self.source, mode="eval").body
        except SyntaxError:
            raise self._refuse("is no expression") from None
        result = self._truth(tree)
        for guard in self.guards:
            result = self.fn.let(f"and i1 {result}, {guard}")
        return result

    def _truth(self, node: ast.expr) -> str:
        match node:
            case ast.Compare(left, ops, rights):
                parts, low = [], self._number(left)
                for op, right in zip(ops, rights, strict=True):
                    if type(op) not in COMPARISONS:
                        raise self._refuse("uses a comparison that is not one of == != < <= > >=")
                    high = self._number(right)
                    parts.append(self.fn.let(f"icmp {COMPARISONS[type(op)]} i64 {low}, {high}"))
                    low = high
                return self._join("and", parts)
            case ast.BoolOp(op, values):
                word = "and" if isinstance(op, ast.And) else "or"
                return self._join(word, [self._truth(value) for value in values])
            case ast.UnaryOp(ast.Not(), inner):
                return self.fn.let(f"xor i1 {self._truth(inner)}, true")
        raise self._refuse("is no comparison")

    def _join(self, word: str, parts: list[str]) -> str:
        result = parts[0]
        for part in parts[1:]:
            result = self.fn.let(f"{word} i1 {result}, {part}")
        return result

    def _number(self, node: ast.expr) -> str:
        match node:
            case ast.Constant(int(value)) if abs(value) < 1 << 63:
                return str(int(value))
            case ast.Name(name) if name in self.names:
                return self.names[name]
            case ast.Name(name):
                raise self._refuse(f"reads {name!r}, which is no dim, integer scalar or constant")
            case ast.UnaryOp(ast.USub(), inner):
                return self.fn.let(f"sub i64 0, {self._number(inner)}")
            case ast.BinOp(left, op, right) if type(op) in ARITHMETIC:
                a, b = self._number(left), self._number(right)
                return self.fn.let(f"{ARITHMETIC[type(op)]} i64 {a}, {b}")
            case ast.BinOp(left, ast.Mod() | ast.FloorDiv() as op, right):
                return self._divide(self._number(left), self._number(right), op)
        raise self._refuse(
            f"holds {ast.unparse(node)!r}; only + - * // % on integers are understood"
        )

    def _divide(self, a: str, b: str, op: ast.operator) -> str:
        """Floor division; 0 and -1 never reach the machine's divider, which would trap."""
        fn = self.fn
        nonzero = fn.let(f"icmp ne i64 {b}, 0")
        self.guards.append(nonzero)
        minus = fn.let(f"icmp eq i64 {b}, -1")
        ordinary = fn.let(f"icmp ult i64 {fn.let(f'add i64 {b}, 1')}, 2")
        safe = fn.let(f"select i1 {ordinary}, i64 1, i64 {b}")
        rest = fn.let(f"srem i64 {a}, {safe}")
        inexact = fn.let(f"icmp ne i64 {rest}, 0")
        signs = fn.let(f"icmp slt i64 {fn.let(f'xor i64 {rest}, {safe}')}, 0")
        adjust = fn.let(f"and i1 {inexact}, {signs}")
        if isinstance(op, ast.Mod):
            return fn.let(
                f"select i1 {adjust}, i64 {fn.let(f'add i64 {rest}, {safe}')}, i64 {rest}"
            )
        quotient = fn.let(f"sdiv i64 {a}, {safe}")
        floor = fn.let(f"sub i64 {quotient}, {fn.let(f'zext i1 {adjust} to i64')}")
        return fn.let(f"select i1 {minus}, i64 {fn.let(f'sub i64 0, {a}')}, i64 {floor}")

    def _refuse(self, why: str) -> ExportError:
        return ExportError(
            entry=self.entry,
            reason=f"the relation {self.source!r} {why}",
            advice="write relations as comparisons of integer expressions of dims",
        )

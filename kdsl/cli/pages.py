"""The generated pages of docs/: errors, settings, ops."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from inspect import cleandoc
from typing import Any

from kdsl.cli.explain import summary_of
from kdsl.errors import KdslError, catalogue
from kdsl.settings import all_settings

NOTICE = "<!-- Written by `kdsl docs`; edit {source} instead. -->"
FAMILIES = {
    "KD01": "The kernel's text, found while tracing",
    "KD02": "Modules: verifier, parser, interpreter",
    "KD03": "Passes and pipelines",
    "KD04": "Targets and back ends",
    "KD05": "Arguments of a call, status of a run",
    "KD06": "Built files: linking, reading, loading",
    "KD07": "Settings, commands, building, the cache",
    "KD09": "Mistakes of kdsl itself",
}


def errors_page() -> str:
    """Return docs/errors.md."""
    lines = ["# Errors", "", NOTICE.format(source="the classes in `kdsl/errors/`"), ""]
    lines += [
        "Every message that kdsl gives has a code. `kdsl explain CODE` shows one of these entries.",
        "",
    ]
    family = ""
    for error in own_errors():
        if error.code[:4] != family:
            family = error.code[:4]
            lines += [f"## {family}xx: {FAMILIES[family]}", ""]
        lines += _error_entry(error)
    return _page(lines)


def own_errors() -> list[type[KdslError]]:
    """Return the errors of kdsl itself; back ends document their own."""
    return [error for error in catalogue() if error.__module__.startswith("kdsl.")]


def _error_entry(error: type[KdslError]) -> list[str]:
    lines = [f"### {error.code} {error.__name__}", "", summary_of(error), ""]
    lines += ["```text", f"error[{error.code}]: {error.message}"]
    if error.hint:
        lines.append(f"  = help: {error.hint}")
    return [*lines, "```", "", cleandoc(error.explanation), ""]


def settings_page() -> str:
    """Return docs/settings.md."""
    lines = ["# Settings", "", NOTICE.format(source="the descriptors in `kdsl/settings.py`"), ""]
    lines += [
        "Environment variables are read when they are used. In code:",
        '`with kd.settings.override(verify="passes"): ...`, for the whole process.',
        "",
        "| variable | default | meaning |",
        "| --- | --- | --- |",
    ]
    for setting in all_settings():
        default = setting.shown or "empty"
        lines.append(f"| `{setting.variable}` | {default} | {setting.doc} |")
    return _page(lines)


def ops_page() -> str:
    """Return docs/ops.md."""
    lines = ["# Ops", "", NOTICE.format(source="the classes in `kdsl/dialects/`"), ""]
    dialect = ""
    for op in declared_ops():
        if op.name.partition(".")[0] != dialect:
            dialect = op.name.partition(".")[0]
            lines += [f"## {dialect}", ""]
        lines += _op_entry(op)
    return _page(lines)


def declared_ops() -> Iterator[type[Any]]:
    """Yield the ops of every dialect by name."""
    import kdsl.dialects.all as _declared  # noqa: F401 - importing declares the ops
    from kdsl.ir.define import REGISTRY

    for name in sorted(REGISTRY):
        if REGISTRY[name].__module__.startswith("kdsl.dialects."):
            yield REGISTRY[name]


def _op_entry(op: type[Any]) -> list[str]:
    lines = [f"### {op.name}", "", cleandoc(op.__doc__ or ""), ""]
    rows = [
        *(("operand", o.name, _type_words(o)) for o in op.operand_fields),
        *(("result", r.name, _type_words(r)) for r in op.result_fields),
        *(("attribute", a.name, _attribute_words(a)) for a in op.attribute_fields.values()),
    ]
    if rows:
        lines += ["| | name | type |", "| --- | --- | --- |"]
        lines += [f"| {kind} | `{name}` | {words} |" for kind, name, words in rows]
        lines.append("")
    traits = ", ".join(sorted(trait.name for trait in op.traits))
    return [*lines, f"Traits: {traits}.", ""] if traits else lines


def _type_words(declared: Any) -> str:
    words = declared.constraint.words
    element = getattr(declared, "element", None)
    if declared.same_as is not None:
        words = f"as `{declared.same_as}`" + ("" if element is None else f", with `{element}`")
    elif element is not None:
        words = f"`{element}`"
    return f"any number, {words}" if declared.variadic else words


def _attribute_words(declared: Any) -> str:
    words = str(declared.kind)
    if declared.choices:
        words = " or ".join(f'`"{choice}"`' for choice in declared.choices)
    return words if declared.is_required else f"{words}, `{declared.default!r}` when absent"


def _page(lines: list[str]) -> str:
    return "\n".join(lines).rstrip("\n") + "\n"


PAGES: dict[str, Callable[[], str]] = {
    "errors.md": errors_page,
    "ops.md": ops_page,
    "settings.md": settings_page,
}
"""File in docs/ -> the function that makes its text."""

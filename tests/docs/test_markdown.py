"""The documents hold together: links lead somewhere, examples run."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from kdsl.errors import KdslError

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([ROOT / "README.md", *ROOT.glob("docs/**/*.md")])
LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE = re.compile(r"^```.*?^```$|^ {4}[^\n]*$|`[^`\n]*`", re.MULTILINE | re.DOTALL)
FENCE = re.compile(r"^```python *(?P<options>[^\n]*)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)

EXECUTED = [ROOT / "docs" / "language.md", ROOT / "README.md"]
"""Every python block in these runs, in order, each document in one namespace."""

EXPECTED_ERROR = re.compile(r"raises (KD\d{4})")


@dataclass(frozen=True)
class Block:
    path: Path
    line: int
    options: str
    code: str


def blocks_of(path):
    text = path.read_text(encoding="utf-8")
    return [
        Block(path, text.count("\n", 0, m.start("code")) + 1, m["options"], m["code"])
        for m in FENCE.finditer(text)
    ]


def anchors(path):
    """GitHub's anchors of a document's headings."""
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            title = line.lstrip("#").strip().lower().replace("`", "")
            yield re.sub(r"[^\w\- ]", "", title).replace(" ", "-")


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(path):
    broken = []
    for target in LINK.findall(CODE.sub("", path.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        found = (path.parent / file).resolve() if file else path
        if not found.exists() or (anchor and anchor not in set(anchors(found))):
            broken.append(target)
    assert not broken


def run_block(block, namespace, tmp_path):
    """Run a block as a file, so that kernels in it have source."""
    name = f"{block.path.stem}_{block.line}.py"
    path = tmp_path / name
    path.write_text(block.code, encoding="utf-8")
    code = compile(block.code, str(path), "exec", dont_inherit=True)
    exec(code, namespace)  # noqa: S102 - our own documents


def code_raised_by(block, namespace, tmp_path):
    """Run a block; return the code of the error that it ends with."""
    try:
        run_block(block, namespace, tmp_path)
    except KdslError as error:
        print(error)
        return error.code
    except Exception as error:
        raise AssertionError(f"{block.path.name}:{block.line}: {error!r}") from error
    return None


@pytest.mark.parametrize("path", EXECUTED, ids=lambda p: p.name)
def test_examples_run_in_order(path, tmp_path, monkeypatch):
    """A block marked ``raises KD0106`` must raise just that; one marked ``sketch`` is not run."""
    monkeypatch.chdir(tmp_path)
    namespace = {"__name__": f"examples_of_{path.stem}"}
    for block in blocks_of(path):
        if block.options == "sketch":
            continue
        expected = EXPECTED_ERROR.fullmatch(block.options)
        assert expected or not block.options, f"{path.name}:{block.line}: {block.options!r}?"
        raised = code_raised_by(block, namespace, tmp_path)
        assert raised == (expected[1] if expected else None), f"{path.name}:{block.line}"

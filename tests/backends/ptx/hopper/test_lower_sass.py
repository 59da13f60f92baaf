"""The machine code of lowered kernels: registers, spills, and what the steady loop consists of.

Needs ptxas; what is read from machine code needs nvdisasm, too.
"""

import re
import subprocess
from collections import Counter
from functools import cache

import pytest

from kdsl.library.attention import attention
from kdsl.library.linear import matmul
from kdsl.library.rope_attention import rope_attention
from kdsl.passes.legalize import Legalize
from kdsl.passes.manager import Pipeline, run_pipeline
from kdsl.passes.pipelines import SIMPLIFY
from kdsl.testing.judges import require_found
from kdsl_ptx.assemble import with_ptxas
from kdsl_ptx.backend import BACKEND
from kdsl_ptx.emit import device_text
from kdsl_ptx.report import resources
from kdsl_ptx.tools import find_tool
from tests.backends.ptx.hopper.programs import HOPPER, traced

LOWER = Pipeline("lower", (BACKEND.pipeline, Legalize(BACKEND.legal), SIMPLIFY))
TILES = {64: (192, 128), 96: (128, 128), 128: (128, 128), 192: (128, 96), 256: (128, 80)}
REGISTERS = {64: 128, 96: 168, 128: 168, 192: 168, 256: 168}
"""At entry: 65536 divided by the threads."""
BY_HAND = {
    64: {"HGMMA": 12, "MUFU": 66, "FMNMX": 68, "float": 164, "F2FP": 32, "SHFL": 4, "all": 407},
    96: {"HGMMA": 14, "MUFU": 66, "FMNMX": 68, "float": 180, "F2FP": 32, "SHFL": 4, "all": 421},
    128: {"HGMMA": 16, "MUFU": 66, "FMNMX": 68, "float": 196, "F2FP": 32, "SHFL": 4, "all": 438},
    192: {"HGMMA": 18, "MUFU": 50, "FMNMX": 52, "float": 196, "F2FP": 24, "SHFL": 4, "all": 443},
    256: {"HGMMA": 21, "MUFU": 42, "FMNMX": 44, "float": 212, "F2FP": 20, "SHFL": 4, "all": 456},
}
"""Instructions of a turn, by head dimension, in kernels that were scheduled by hand."""
CLASSES = {"FFMA": "float", "FMUL": "float", "FADD": "float"}
TOLERANCE = 0.05
INSTRUCTION = re.compile(
    r"^\s*/\*[0-9a-f]{4,6}\*/\s+(?:@!?U?P\w+\s+)?([A-Z][A-Z0-9_]*)[A-Z0-9_.]*(.*)"
)
LABEL = re.compile(r"^\.(L_x_\d+):")
TARGET = re.compile(r"\(\.(L_x_\d+)\)")


@cache
def image_of(kernel, **values):
    module = traced(kernel, **values)
    run_pipeline(LOWER, module, HOPPER)
    return require_found("ptxas", with_ptxas(device_text(module, HOPPER), HOPPER))


def attention_image(size, causal=True):
    rows, keys = TILES[size]
    return image_of(attention, T="bf16", D=size, CAUSAL=causal, BM=rows, BN=keys)


def matrix_kernel(image):
    """Return the resources of the only kernel with matrix products."""
    (found,) = [r for name, r in resources(image.log).items() if "blocks" in name]
    return found


def machine_code(image, tmp_path):
    """Return the disassembly, cut by kernel."""
    tool = require_found("nvdisasm", find_tool("nvdisasm"))
    path = tmp_path / "image.cubin"
    path.write_bytes(image.data)
    done = subprocess.run([tool, "-c", path], capture_output=True, text=True, check=True)
    parts = re.split(r"^\.text\.([\w$]+):", done.stdout, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def loops(text):
    """Return the instructions of each loop as (word, rest)."""
    code, places = [], {}
    for line in text.splitlines():
        if label := LABEL.match(line):
            places[label[1]] = len(code)
        elif found := INSTRUCTION.match(line):
            code.append((found[1], found[2]))
    for end, (word, rest) in enumerate(code):
        to = TARGET.search(rest) if word == "BRA" else None
        if to and places[to[1]] <= end:
            yield code[places[to[1]] : end + 1]


def steady_loop(text, products):
    """Count the instructions of the shortest loop with so many products."""
    counted = [Counter(word for word, _ in loop) for loop in loops(text)]
    count = min((c for c in counted if c["HGMMA"] >= products), key=lambda c: c.total())
    found = Counter()
    for word, n in count.items():
        found[CLASSES.get(word, word)] += n
    found["all"] = count.total()
    return found


@pytest.mark.judge
@pytest.mark.parametrize("causal", [True, False], ids=["causal", "full"])
@pytest.mark.parametrize("size", TILES)
def test_attention_fits_its_registers_and_keeps_products_in_flight(size, causal):
    found = matrix_kernel(attention_image(size, causal))
    assert found.registers == REGISTERS[size]
    assert (found.spill_stores, found.spill_loads, found.stack) == (0, 0, 0)
    assert [a for a in found.advisories if not a.startswith("C7519")] == []


@pytest.mark.judge
@pytest.mark.parametrize("size", TILES)
def test_the_steady_loop_of_attention_is_as_short_as_one_written_by_hand(size, tmp_path):
    (text,) = machine_code(attention_image(size), tmp_path).values()
    found = steady_loop(text, BY_HAND[size]["HGMMA"])
    for word, count in BY_HAND[size].items():
        assert abs(found[word] - count) <= TOLERANCE * count, (word, found)
    assert found["LDL"] == found["STL"] == found["R2UR"] == found["WARPSYNC"] == 0


@pytest.mark.judge
def test_products_of_a_gemm_stand_back_to_back(tmp_path):
    image = image_of(matmul, X="bf16", W="bf16", BM=128, BN=256, BK=64)
    (text,) = machine_code(image, tmp_path).values()
    found = steady_loop(text, 4)
    assert found["HGMMA"] == 4
    assert found["WARPGROUP"] == 2  # one arrive, one wait
    assert found["R2UR"] == found["BAR"] == 0
    assert found["all"] < 50


@pytest.mark.judge
@pytest.mark.parametrize("interleaved", [True, False], ids=["interleaved", "halves"])
def test_queries_are_rotated_in_registers(interleaved):
    image = image_of(rope_attention, T="bf16", D=128, R=64, BM=128, BN=128, INTERLEAVED=interleaved)
    found = matrix_kernel(image)
    assert (found.spill_stores, found.stack) == (0, 0)
    assert [a for a in found.advisories if not a.startswith("C7519")] == []


@pytest.mark.judge
@pytest.mark.parametrize("option", [{"SOFTCAP": 30.0}, {"WINDOW": 512}, {"T": "f16"}], ids=str)
def test_options_of_attention_do_not_spill(option):
    values = {"T": "bf16", "D": 128, "BM": 128, "BN": 128, **option}
    found = matrix_kernel(image_of(attention, **values))
    assert (found.spill_stores, found.stack) == (0, 0)
    assert found.advisories == []

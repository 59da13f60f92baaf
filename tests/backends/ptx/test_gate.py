"""Code that spills or serializes matrix products does not get through."""

from __future__ import annotations

import re
import subprocess
from collections import Counter

import pytest

from kdsl.errors import SerializedMatrixError, SpillError, UnevenCodeError
from kdsl.testing.judges import require_found
from kdsl_ptx import gate, report
from kdsl_ptx.assemble import Image, checked_facts
from kdsl_ptx.machine_code import instruction_counts
from kdsl_ptx.tools import find_tool
from tests.backends.ptx.modules import assembled, code_of, kernel

MANY = """
    %v = "vector.load"(%a, %t) : (memref<?xf32>, index) -> vector<64xf32>
    "gpu.barrier"() : () -> ()
    "vector.store"(%v, %b, %t) : (vector<64xf32>, memref<?xf32>, index) -> ()
"""
EARLY = """
    %i = "arith.constant"() <{value = 0 : index}> : () -> index
    "ptx.wgmma_fence"() : () -> ()
    %y = "ptx.wgmma"(%d, %d) <{n = 16 : i64, type = "bf16"}> : (i64, i64) -> vector<8xf32>
    "ptx.wgmma_commit"() : () -> ()
    "vector.store"(%y, %p, %i) : (vector<8xf32>, memref<?xf32>, index) -> ()
    %c = "ptx.wgmma_wait"(%y) : (vector<8xf32>) -> vector<8xf32>
    "vector.store"(%c, %p, %i) : (vector<8xf32>, memref<?xf32>, index) -> ()
"""
BUFFERS = "%a: memref<?xf32>, %b: memref<?xf32>"


def judged(module):
    text = code_of(module).text
    return checked_facts(text, assembled(text))


def test_a_kernel_that_spills_is_refused_by_name_and_schedule():
    plan = ', ptx.max_registers = 32 : i64, ptx.schedule = "stages=3"'
    with pytest.raises(SpillError) as caught:
        judged(kernel(BUFFERS, MANY, attributes=plan))
    assert "k (schedule stages=3): " in caught.value.summary
    assert "bytes are spilled" in caught.value.summary
    assert "smaller tiles" in caught.value.advice


def test_the_same_kernel_with_enough_registers_passes():
    facts = judged(kernel(BUFFERS, MANY))
    (found,) = facts["resources"]
    assert found["kernel"] == "k"
    assert 64 < found["registers"] < 128
    assert found["spill_stores"] == found["stack"] == 0
    assert any("takes" in line for line in facts["accesses"])


def test_an_accumulator_that_is_read_in_flight_is_refused():
    with pytest.raises(SerializedMatrixError, match="C7517"):
        judged(kernel("%p: memref<?xf32>, %d: i64", EARLY))


ROUND = """
    %c0 = "arith.constant"() <{value = 0 : index}> : () -> index
    %c1 = "arith.constant"() <{value = 1 : index}> : () -> index
    %z = "arith.constant"() <{value = dense<0.0> : vector<8xf32>}> : () -> vector<8xf32>
    %r, %o = "scf.for"(%c0, %n, %c1, %z, %z) ({
    ^bb0(%i: index, %a: vector<8xf32>, %b: vector<8xf32>):
      "ptx.wgmma_fence"() : () -> ()
      %x = "ptx.wgmma"(%d, %d, %a) <{n = 16 : i64, type = "bf16"}> : (i64, i64, vector<8xf32>) -> vector<8xf32>
      "ptx.wgmma_commit"() : () -> ()
      "ptx.wgmma_fence"() : () -> ()
      %y = "ptx.wgmma"(%d, %d, %b) <{n = 16 : i64, type = "bf16"}> : (i64, i64, vector<8xf32>) -> vector<8xf32>
      "ptx.wgmma_commit"() : () -> ()
      %w, %v = "ptx.wgmma_wait"(%x, %y) <{pending = PENDING : i64}> : (vector<8xf32>, vector<8xf32>) -> (vector<8xf32>, vector<8xf32>)
      %s = "arith.mulf"(%v, %v) : (vector<8xf32>, vector<8xf32>) -> vector<8xf32>
      "scf.yield"(%w, %s) : (vector<8xf32>, vector<8xf32>) -> ()
    }) : (index, index, index, vector<8xf32>, vector<8xf32>) -> (vector<8xf32>, vector<8xf32>)
    "vector.store"(%r, %p, %c0) : (vector<8xf32>, memref<?xf32>, index) -> ()
    "vector.store"(%o, %p, %c1) : (vector<8xf32>, memref<?xf32>, index) -> ()
"""


def test_a_wait_for_too_few_groups_serializes_and_is_refused():
    args = "%p: memref<?xf32>, %d: i64, %n: index"
    assert judged(kernel(args, ROUND.replace("PENDING", "0")))["resources"]
    with pytest.raises(SerializedMatrixError, match=r"C75(14|17)"):
        judged(kernel(args, ROUND.replace("PENDING", "1")))


def test_a_product_that_is_waited_for_passes():
    late = EARLY.replace(
        '"vector.store"(%y, %p, %i) : (vector<8xf32>, memref<?xf32>, index) -> ()', ""
    )
    assert judged(kernel("%p: memref<?xf32>, %d: i64", late))["assembler"] == "ptxas"


def test_a_kernel_that_prints_may_have_a_stack():
    facts = judged(kernel("%n: index", '"kdsl.print"(%n) <{format = "{}"}> : (index) -> ()'))
    assert facts["assembler"] == "ptxas"


ADVISORY = "ptxas info    : ({}) Potential Performance Loss: {} in the function 'k'"


@pytest.mark.parametrize(
    ("code", "advice"), [("C7512", "accumulators fit"), ("C7514", "before its accumulator")]
)
def test_every_advisory_about_products_is_an_error(code, advice):
    log = ADVISORY.format(code, "wgmma.mma_async instructions are serialized")
    with pytest.raises(SerializedMatrixError) as caught:
        gate.check("", report.resources(log))
    assert advice in caught.value.advice


def test_a_fence_that_the_assembler_adds_is_harmless():
    gate.check("", report.resources(ADVISORY.format("C7519", "warpgroup.arrive is injected")))


PRODUCT = ".visible .entry k(\n\twgmma."


@pytest.mark.parametrize(
    ("word", "count", "refused"),
    [("R2UR", 20, False), ("R2UR", 21, True), ("WARPSYNC", 1, True), ("MOV", 99, False)],
)
def test_uneven_code_around_products_is_refused(monkeypatch, word, count, refused):
    monkeypatch.setattr(gate, "instruction_counts", lambda _: {"k": Counter({word: count})})
    gate.check_machine_code(".visible .entry k(\n\tadd.f32", b"")  # nothing to stop there
    if not refused:
        gate.check_machine_code(PRODUCT, b"")
        return
    with pytest.raises(UnevenCodeError, match=f"{count} {word}"):
        gate.check_machine_code(PRODUCT, b"")


DISASSEMBLED = re.compile(
    r"^\s+/\*[0-9a-f]{4,6}\*/\s+(?:@!?U?P\w+\s+)?(R2UR|WARPSYNC)\b", re.MULTILINE
)
UNEVEN = """
    "ptx.wgmma_fence"() : () -> ()
    %e = "arith.index_cast"(%t) : (index) -> i64
    %f = "arith.addi"(%e, %d) : (i64, i64) -> i64
    %y = "ptx.wgmma"(%f, %f) <{n = 16 : i64, type = "bf16"}> : (i64, i64) -> vector<8xf32>
    "ptx.wgmma_commit"() : () -> ()
    %c = "ptx.wgmma_wait"(%y) : (vector<8xf32>) -> vector<8xf32>
    "vector.store"(%c, %p, %t) : (vector<8xf32>, memref<?xf32>, index) -> ()
"""


def test_instructions_are_counted_as_a_disassembler_counts_them(tmp_path):
    tool = require_found("nvdisasm", find_tool("nvdisasm"))
    image = assembled(code_of(kernel("%p: memref<?xf32>, %d: i64", UNEVEN)).text)
    path = tmp_path / "k.cubin"
    path.write_bytes(image.data)
    text = subprocess.run([tool, "-c", path], capture_output=True, text=True, check=True).stdout
    wanted = Counter(DISASSEMBLED.findall(text))
    assert wanted["R2UR"] >= 2
    found = instruction_counts(image.data)["k"]
    assert {k: n for k, n in found.items() if n} == wanted


LOG = """
ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function 'a$b' for 'sm_90a'
ptxas info    : Function properties for a$b
    72 bytes stack frame, 80 bytes spill stores, 88 bytes spill loads
ptxas info    : Used 168 registers, used 16 barriers, 72 bytes cumulative stack size, 40 bytes smem, 600 bytes cmem[0], 8 bytes cmem[2]
"""


def test_the_assemblers_log_is_read_in_full():
    found = report.resources(LOG)["a$b"]
    assert (found.registers, found.barriers, found.shared, found.constant) == (168, 16, 40, 608)
    assert (found.stack, found.spill_stores, found.spill_loads) == (72, 80, 88)


def test_accesses_are_counted_from_the_text():
    text = code_of(kernel(BUFFERS, MANY)).text
    assert report.access_report(text) == ["k: accesses: 64 ld.global.b32; 64 st.global.b32"]
    assert isinstance(Image(b"", "", "driver").log, str)

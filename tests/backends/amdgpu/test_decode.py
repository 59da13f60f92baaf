"""Every instruction of emitted code, read by a decoder made from AMD's own documents."""

from __future__ import annotations

import importlib.util
import struct
import sys
from pathlib import Path

import pytest

from kdsl.compiler import stages
from kdsl.ir.parser import parse
from kdsl.testing.library_cases import library_cases, matrix_cases
from kdsl_amdgpu import elf
from kdsl_amdgpu.assemble import generate
from kdsl_amdgpu.emit import emit
from kdsl_amdgpu.features import chip_of
from kdsl_amdgpu.quality import kernel_lines

pytestmark = pytest.mark.judge
decoder = pytest.importorskip("tinygrad.renderer.amd", reason="no tinygrad here")

spec = importlib.util.spec_from_file_location("samples", Path(__file__).with_name("samples.py"))
samples = importlib.util.module_from_spec(spec)
spec.loader.exec_module(samples)

UNKNOWN = {
    "buffer_gl0_inv",
    "buffer_inv",
    "v_mfma_f32_16x16x16bf16_1k",
    "v_mfma_f32_32x32x8bf16_1k",
}
"""What the decoder's tables lack (version 0.14.0); each has 8 bytes."""
PADDING = {0xBF800000, 0xBF9F0000}
"""s_nop and s_code_end, which fill up to a loop's aligned start and a function's end."""
RENAMED = {
    "v_madmk_f32": "v_fmamk_f32",
    "v_madak_f32": "v_fmaak_f32",
    "v_mad_mix_f32": "v_fma_mix_f32",
    "v_mad_mixlo_f16": "v_fma_mixlo_f16",
    "v_mad_mixhi_f16": "v_fma_mixhi_f16",
}
"""Names that changed from one generation to the next without a new encoding."""


def code_of(data, name):
    """Return the bytes of a function of a relocatable object."""
    made = elf.read_elf(data)
    symbol = made.by_name[name]
    section = made.sections[symbol.section].data
    return section[symbol.value : symbol.value + symbol.size]


def plain(word):
    """Return a mnemonic without its encoding, its dual-issue mark and underscores."""
    word = RENAMED.get(word, word).replace("v_dual_", "v_")
    for ending in ("_e32", "_e64", "_dpp", "_sdwa"):
        word = word.removesuffix(ending)
    return word.replace("_", "")


def decoded(code, lines, family):
    """Return how many instructions were read; each must have the name that LLVM prints."""
    at = count = 0
    for line in lines:
        word = line.split()[0]
        if word in UNKNOWN:
            at += 8
            continue
        while word != "s_nop" and struct.unpack_from("<I", code, at)[0] in PADDING:
            at += 4
        instruction = decoder.decode_inst(code[at:] + bytes(16), family)
        at += instruction.size()
        count += 1
        name = getattr(instruction, "op_name", "").lower()
        assert not name or "::" in line or plain(name) == plain(word), f"{line} is {instruction}"
    rest = code[at:]
    assert len(rest) % 4 == 0
    assert not set(struct.unpack(f"<{len(rest) // 4}I", rest)) - PADDING, "code is left"
    return count


def texts(target):
    """Yield emitted text: hand-written kernels, then one kernel in seven of the library."""
    for sample in (samples.add(), samples.reduce(), samples.shuffles(range(32))):
        yield emit(parse(sample), target).text
    for case in [*library_cases(), *matrix_cases()][::7]:
        found = None
        for _, module in stages(case.module(target), target):
            found = module
        yield emit(found, target).text


@pytest.mark.slow
def test_an_independent_decoder_reads_every_instruction(target):
    family, count, left_out = chip_of(target).family, 0, set()
    for text in texts(target):
        code = generate(text, target)
        for name in code.kernels:
            lines = kernel_lines(code.assembly, name)
            left_out |= UNKNOWN & {line.split()[0] for line in lines}
            count += decoded(code_of(code.relocatable, name), lines, family)
    if left_out:
        print(f"the decoder lacks {', '.join(sorted(left_out))}", file=sys.stderr)
    assert count > 2000


def test_the_decoder_reads_a_kernel_as_llvm_prints_it(target):
    code = generate(emit(parse(samples.reduce()), target).text, target)
    lines = kernel_lines(code.assembly, "reduce")
    count = decoded(code_of(code.relocatable, "reduce"), lines, chip_of(target).family)
    assert count == len(lines)


def test_a_changed_bit_of_the_code_is_seen(target):
    code = generate(emit(parse(samples.add()), target).text, target)
    lines = kernel_lines(code.assembly, "add")
    data = bytearray(code_of(code.relocatable, "add"))
    at = next(i for i, line in enumerate(lines) if line.startswith("v_add_f32"))
    family = chip_of(target).family
    place = 0
    for _ in range(at):
        place += decoder.decode_inst(bytes(data[place:]) + bytes(16), family).size()
    data[place + 3] ^= 0x0A
    with pytest.raises((AssertionError, ValueError)):
        decoded(bytes(data), lines, family)

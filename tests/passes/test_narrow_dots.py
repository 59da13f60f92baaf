"""Products take the 16-bit tiles that their operands were widened from."""

from __future__ import annotations

from kdsl.testing.filecheck import filecheck

ARGS = "%a: tensor<8x4x{t}>, %b: tensor<16x4x{u}>, %c: tensor<8x16xf32>"
BODY = """
    %x = "arith.extf"(%a) : (tensor<8x4x{t}>) -> tensor<8x4xf32>
    %y = "arith.extf"(%b) : (tensor<16x4x{u}>) -> tensor<16x4xf32>
    %z = "kdsl.transpose"(%y) {{permutation = array<i64: 1, 0>}} : (tensor<16x4xf32>) -> tensor<4x16xf32>
    %d = "kdsl.dot"(%x, %z, %c) : (tensor<8x4xf32>, tensor<4x16xf32>, tensor<8x16xf32>) -> tensor<8x16xf32>
"""


def narrowed(after, left, right):
    kinds = {"t": left, "u": right}
    return after("narrow-dots", ARGS.format(**kinds), BODY.format(**kinds), "%d: tensor<8x16xf32>")


def test_a_transpose_between_is_no_obstacle(after):
    filecheck(
        narrowed(after, "bf16", "bf16"),
        """
        CHECK-NOT: arith.extf
        CHECK: %[[T:.*]] = "kdsl.transpose"(%b)
        CHECK: "kdsl.dot"(%a, %[[T]], %c) : (tensor<8x4xbf16>, tensor<4x16xbf16>, tensor<8x16xf32>)
        CHECK-NOT: arith.extf
        """,
    )


def test_operands_of_two_types_stay_wide(after):
    assert "(tensor<8x4xf32>, tensor<4x16xf32>, tensor<8x16xf32>)" in narrowed(after, "bf16", "f16")

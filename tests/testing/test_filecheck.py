from __future__ import annotations

import pytest

from kdsl.settings import settings
from kdsl.testing.filecheck import MismatchError, filecheck, golden

TEXT = """
%0 = "arith.mulf"(%x, %y)
%1 = "arith.addf"(%0, %x)
"""


def test_lines_that_match_pass():
    filecheck(
        TEXT,
        """
        CHECK:      [[P:%.*]] = "arith.mulf"
        CHECK-NEXT: "arith.addf"([[P]], %x)
        CHECK-NOT:  "math.fma"
        """,
    )


def test_a_missing_line_is_shown_with_the_text():
    with pytest.raises(MismatchError, match=r"arith\.addf") as caught:
        filecheck(TEXT, 'CHECK: "math.fma"')
    assert "math.fma" in str(caught.value)


def test_a_forbidden_line_fails():
    with pytest.raises(MismatchError):
        filecheck(TEXT, 'CHECK: mulf\nCHECK-NOT: "arith.addf"')


def test_a_captured_name_must_be_the_same_one():
    with pytest.raises(MismatchError):
        filecheck(TEXT, 'CHECK: [[P:%.*]] = "arith.mulf"\nCHECK: "arith.addf"(%x, [[P]])')


def test_checks_without_a_check_line_fail():
    with pytest.raises(MismatchError, match="No check strings"):
        filecheck(TEXT, "CHEKC: mulf")


def test_a_golden_file_is_compared_and_accepted(tmp_path):
    path = tmp_path / "deep" / "k.ll"
    with settings.override(accept=False), pytest.raises(MismatchError, match="does not exist"):
        golden("a\n", path)
    with settings.override(accept=True):
        golden("a\n", path)
    with settings.override(accept=False):
        golden("a\n", path)
        with pytest.raises(MismatchError, match=r"\+b"):
            golden("b\n", path)

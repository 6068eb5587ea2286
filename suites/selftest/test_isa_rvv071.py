"""The RVV 0.7.1 pass encodes as binutils does, and says what it does not know."""

from pathlib import Path

import pytest

from harness.errors import BadRequest
from harness.isa.rvv071 import encode, translate

# One `WORD mnemonic operands` a line, assembled by GNU binutils 2.44 with -march=rv64gc_xtheadvector.
ENCODINGS = [line.split(" ", 2) for line in (Path(__file__).parent / "data/rvv071_encodings.txt").read_text().splitlines()]


def test_encodings_are_those_of_binutils():
    wrong = [line for line in ENCODINGS if encode(line[1], line[2]) != int(line[0], 16)]

    assert [] == wrong


def test_prefix_labels_and_comments():
    text = "1: th.vfmacc.vf v8, fa0, v4 # acc\n    addi a0, a0, 1\n#@block compute\n    vle.v v4, (a1)"

    assert [
        "1: .word 0xb2455457 # vfmacc.vf v8, fa0, v4",
        "    addi a0, a0, 1",
        "#@block compute",
        "    .word 0x0205f207 # vle.v v4, (a1)",
    ] == translate(text).split("\n")


@pytest.mark.parametrize(
    ("line", "words"),
    {
        "vle32.v v4, (a1)": "vle32.v is of RVV 1.0; in 0.7.1 write vlw.v or vle.v",
        "vsetvli t0, a0, e32, m1, ta, ma": "ta is of RVV 1.0",
        "vfmac.vf v8, fa0, v4": "did you mean vfmsac.vf or vfmacc.vf",
        "vfmacc.vf v8, v4, fa0": "v4 where a floating-point register belongs",
        "vadd.vi v8, v4, 16": "16 is not between -16 and 15",
        "vle.v v4, 8(a1)": "vector addresses have no offset",
        "vadd.vv v8, v4": "2 operands instead of 3",
    }.items(),
)
def test_errors_name_the_line(line, words):
    with pytest.raises(BadRequest) as refused:
        translate(f"nop\n{line}")

    assert "line 2: " in str(refused.value)
    assert words in str(refused.value)

"""What the NEON module says of a line: registers, memory, and what does not belong into a block."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import generators.emit
from generators.parts import standalone
from harness.isa import Address, Memory, load_isa
from harness.order import apply, find_blocks, legal_moves

NEON = load_isa("neon")
SCRIPT = standalone((Path(next(iter(generators.emit.__path__))) / "neon.py").read_text())


@pytest.mark.parametrize(
    ("line", "reads", "writes"),
    [
        ("fmla v1.4s, v2.4s, v3.s[1]", {"v1", "v2", "v3"}, {"v1"}),
        ("fadd v1.4s, v2.4s, v3.4s", {"v2", "v3"}, {"v1"}),
        ("fmadd s0, s1, s2, s3", {"v1", "v2", "v3"}, {"v0"}),
        ("mov v0.s[1], w3", {"v0", "x3"}, {"v0"}),
        ("movi v0.4s, #0", set(), {"v0"}),
        ("add x1, x1, #64", {"x1"}, {"x1"}),
        ("subs w6, w6, #1", {"x6"}, {"x6", "flags"}),
        ("cmp x1, xzr", {"x1"}, {"flags"}),
        ("csel x0, x1, x2, eq", {"x1", "x2", "flags"}, {"x0"}),
        ("tbl v0.16b, {v1.16b, v2.16b}, v3.16b", {"v1", "v2", "v3"}, {"v0"}),
    ],
)
def test_registers_of_a_line(line: str, reads: set[str], writes: set[str]):
    parsed = NEON.parse(line)

    assert (reads, writes, Memory.NONE, False) == (set(parsed.reads), set(parsed.writes), parsed.memory, parsed.unknown)


@pytest.mark.parametrize(
    ("line", "reads", "writes", "displacement", "size"),
    [
        ("ldp q0, q1, [x2, #32]", {"x2"}, {"v0", "v1"}, 32, 32),
        ("ldr q0, [x2], #16", {"x2"}, {"v0", "x2"}, 0, 16),
        ("str s0, [x2, #-4]!", {"v0", "x2"}, {"x2"}, -4, 4),
        ("ld1 {v0.4s-v3.4s}, [x1], x5", {"x1", "x5"}, {"v0", "v1", "v2", "v3", "x1"}, 0, 64),
        ("ld1 {v0.s}[2], [x1]", {"v0", "x1"}, {"v0"}, 0, 4),
        ("ld1r {v0.4s}, [x1]", {"x1"}, {"v0"}, 0, 4),
        ("st1 {v0.2s}, [x1]", {"v0", "x1"}, set(), 0, 8),
        ("ldrsw x0, [x1, #8]", {"x1"}, {"x0"}, 8, 4),
    ],
)
def test_accesses(line: str, reads: set[str], writes: set[str], displacement: int, size: int):
    parsed = NEON.parse(line)
    (base,) = {term for term, _ in parsed.address.terms}

    assert (reads, writes) == (set(parsed.reads), set(parsed.writes))
    assert Address(terms=((base, 1),), displacement=displacement, bytes=size) == parsed.address


def test_register_offsets():
    scaled, extended = NEON.parse("ldr s0, [x1, x2, lsl #2]"), NEON.parse("ldr s0, [x1, w2, sxtw #2]")

    assert Address(terms=(("x1", 1), ("x2", 4)), displacement=0, bytes=4) == scaled.address
    assert (None, {"x1", "x2"}) == (extended.address, set(extended.reads))


@pytest.mark.parametrize("line", ["b.ne .Lloop", "cbz x0, .Lend", "ret", "bl f", ".p2align 4", "loop:"])
def test_control_is_refused_by_name(line: str):
    with pytest.raises(ValueError, match=r"branch|call or return|directive|label"):
        NEON.parse(line)


@pytest.mark.parametrize("line", ["msr fpcr, x0", "dc zva, x0", "ldxr x0, [x1]", "fmla v32.4s, v0.4s, v1.4s", "frob x0"])
def test_what_is_not_known_is_a_barrier(line: str):
    assert NEON.parse(line).unknown


def test_the_expert_s_blocks_are_understood_and_can_move():
    given = {"vector_bits": 128, "mr": 8, "nr": 12, "unroll": 2, "prefetch_b": 8, "roles": ["compute"]}
    done = subprocess.run([sys.executable, "-c", SCRIPT], input=json.dumps([given]), capture_output=True, text=True, check=True)
    text = json.loads(done.stdout)[0][0]["text"]
    block = find_blocks(text, NEON)["compute"]
    moves = legal_moves(block)

    assert not [instruction.text for instruction in block.instructions if instruction.unknown]
    assert text != apply(text, [moves[0]], NEON)

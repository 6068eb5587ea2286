"""What the RISC-V module says of a line, how far register groups reach, and that reordered kernels stay right."""

import json
import subprocess
import sys
from pathlib import Path
from random import Random

import numpy as np
import pytest

import generators.emit
from generators.generator import Expert
from generators.parts import standalone
from harness.build import Builder
from harness.isa import Address, Memory, load_isa
from harness.isa.lines import split_operands
from harness.isa.rvv071 import V
from harness.kernel import Candidate
from harness.operators.gemm import GemmSpec
from harness.order import apply, find_blocks, legal_moves
from harness.runners.arena import Placement
from harness.target import load_target
from harness.verify import exact_operands, verify_exact

RISCV = load_isa("riscv")
ONE, TWO, FOUR = (RISCV.within(f"vsetvli t0, a0, e32, m{lmul}, ta, ma\n") for lmul in (1, 2, 4))
SCRIPT = standalone((Path(next(iter(generators.emit.__path__))) / "rvv.py").read_text())


@pytest.mark.parametrize(
    ("line", "reads", "writes"),
    [
        ("vfmacc.vf v8, fa0, v4", {"v8", "f10", "v4", "vtype"}, {"v8"}),
        ("vfmacc.vv v8, v2, v4", {"v8", "v2", "v4", "vtype"}, {"v8"}),
        ("th.vfmacc.vv v8, v2, v4", {"v8", "v2", "v4", "vtype"}, {"v8"}),
        ("vfmv.v.f v3, ft1", {"v3", "f1", "vtype"}, {"v3"}),
        ("vadd.vi v1, v2, 3, v0.t", {"v0", "v1", "v2", "vtype"}, {"v1"}),
        ("vmv.x.s a0, v3", {"v3", "vtype"}, {"x10"}),
        ("vsetvli t0, a1, e32, m1, ta, ma", {"x11", "vtype"}, {"x5", "vtype"}),
        ("addi sp, sp, -16", {"x2"}, {"x2"}),
        ("fmadd.s ft0, ft1, ft2, ft3", {"f1", "f2", "f3"}, {"f0"}),
        ("fmadd.h ft0, ft1, ft2, ft3", {"f1", "f2", "f3"}, {"f0"}),
        ("fcvt.s.h fa0, fa1", {"f11"}, {"f10"}),
        ("vfncvt.f.f.w v8, v2", {"v8", "v9", "v2", "v3", "vtype"}, {"v8", "v9"}),
        ("add a0, zero, a1", {"x11"}, {"x10"}),
        ("li t1, 0x10", set(), {"x6"}),
        ("nop", set(), set()),
    ],
)
def test_registers_of_a_line(line: str, reads: set[str], writes: set[str]):
    parsed = ONE.parse(line)

    assert (reads, writes, Memory.NONE, False) == (set(parsed.reads), set(parsed.writes), parsed.memory, parsed.unknown)


@pytest.mark.parametrize(
    ("isa", "line", "written"),
    [
        (ONE, "vfadd.vv v8, v2, v4", "v8"),
        (TWO, "vfadd.vv v8, v2, v4", "v8 v9"),
        (FOUR, "vfadd.vv v8, v12, v4", "v8 v9 v10 v11"),
        (FOUR, "vadd.vv v2, v2, v4", "v2 v3"),
        (TWO, "vfwmacc.vf v8, fa0, v4", "v8 v9 v10 v11"),
        (RISCV, "vfadd.vv v16, v2, v4", "v16 v17 v18 v19 v20 v21 v22 v23"),
        (ONE, "vlseg2e32.v v3, (a1)", "v3 v4 v5 v6 v7 v8 v9 v10"),
        (ONE, "vmv4r.v v4, v8", "v4 v5 v6 v7"),
    ],
)
def test_groups_reach_as_far_as_any_vsetvli_makes_them(isa, line: str, written: str):
    assert set(written.split()) == set(isa.parse(line).writes)


@pytest.mark.parametrize(
    ("line", "reads", "writes", "memory"),
    [
        ("flw fa0, -8(a1)", {"x11"}, {"f10"}, Memory.LOAD),
        ("sd ra, 0(sp)", {"x1", "x2"}, set(), Memory.STORE),
        ("prefetch.r 64(a0)", {"x10"}, set(), Memory.PREFETCH),
        ("vle32.v v3, (a2)", {"v3", "x12", "vtype"}, {"v3"}, Memory.LOAD),
        ("vlw.v v3, (a2)", {"v3", "x12", "vtype"}, {"v3"}, Memory.LOAD),
        ("vsse.v v3, (a2), t0", {"v3", "x12", "x5", "vtype"}, set(), Memory.STORE),
        ("vse32.v v3, (a2), v0.t", {"v3", "v0", "x12", "vtype"}, set(), Memory.STORE),
    ],
)
def test_accesses(line: str, reads: set[str], writes: set[str], memory: Memory):
    parsed = ONE.parse(line)

    assert (reads, writes, memory, False) == (set(parsed.reads), set(parsed.writes), parsed.memory, parsed.unknown)


def test_scalar_places_are_known():
    assert Address(terms=(("x11", 1),), displacement=-8, bytes=4) == ONE.parse("flw fa0, -8(a1)").address


@pytest.mark.parametrize("line", ["csrr t0, vl", "fsrm t0", "vsetvl t0, t1, t2", "vfrob.vv v1, v2, v3", "amoadd.w t0, t1, (a0)"])
def test_what_is_not_known_is_a_barrier(line: str):
    assert ONE.parse(line).unknown


@pytest.mark.parametrize("line", ["bnez t0, 1b", "j loop", "ret", "call f", ".p2align 4", "loop:"])
def test_control_is_refused_by_name(line: str):
    with pytest.raises(ValueError, match=r"branch|call or return|directive|label"):
        ONE.parse(line)


def printed(features: list[str], **parameters: int) -> str:
    """Return the compute kernel that the expert's script prints."""
    given = {"vector_bits": 128, "features": features, "roles": ["compute"], "unroll": 2, "splat": 0, "ahead": 1, **parameters}
    done = subprocess.run([sys.executable, "-c", SCRIPT], input=json.dumps([given]), capture_output=True, text=True, check=True)
    return json.loads(done.stdout)[0][0]["text"]


@pytest.mark.parametrize("features", [["rv64gc", "v"], ["rv64gc", "xtheadvector"]])
def test_every_line_of_our_kernels_is_known(features):
    text = printed(features, mr=7, nr=8, lmul=2)
    blocks = find_blocks(text, RISCV)

    assert [] == [line.text for line in blocks["compute"].instructions if line.unknown]
    assert legal_moves(blocks["compute"])


def test_a_load_stays_between_the_users_of_its_register():
    text = printed(["rv64gc", "v"], mr=4, nr=8, lmul=2, ahead=0)
    block = find_blocks(text, RISCV)["compute"]
    loads = [i for i, line in enumerate(block.instructions) if line.mnemonic.startswith("vle")]
    uses = [i for i, line in enumerate(block.instructions) if line.mnemonic.startswith("vfmacc")]
    last = max(i for i in uses if i < loads[1])

    assert all(move.to > last for move in legal_moves(block) if move.source == loads[1])


@pytest.mark.parametrize("name", ["c906", "c910", "k1"])
def test_reordered_kernels_that_ask_ahead_are_right(bench, name):
    """On pages whose neighbours may not be read: what is asked for ahead ends where the panels and C do."""
    target, author, rng = load_target(name), Expert(), Random(7)
    spec = GemmSpec(m=33, n=37, k=59, beta=1.0)
    sketch = author.sketches(target, spec)[0]
    builder = Builder(target, sketch, author.kernel_script(target, sketch), bench.toolchain, bench.sandbox, trusted=True)
    asking = {"prefetch_a": 16, "prefetch_b": 8, "prefetch_c": 32}
    start = Candidate.of(sketch.name, {**author.start_points(target, spec, sketch)[0], **asking})
    text = builder.texts(start)["compute"].text
    assert "lw x0" in text
    moves = []
    for _ in range(12):
        block = find_blocks(apply(text, moves, RISCV), RISCV)["compute"]
        moves.append(rng.choice(legal_moves(block)))
    (item,) = builder.build([Candidate.of(sketch.name, dict(start.values), moves)])
    with bench.worker(target) as worker:
        verdict = verify_exact(worker, item, spec, exact_operands(spec, np.random.default_rng(3)), Placement.END)

    assert verdict.ok, str(verdict)


def test_the_table_of_vector_registers_is_the_assemblers():
    assert [f"v{n}" for n in range(32)] == split_operands(", ".join(V))

"""An emulated candidate meets the same guards, and fails with the same verdicts, as a native one."""

import os
import signal
from threading import Timer

import numpy as np
import pytest

from generators.generator import Expert
from harness.kernel import Candidate, KernelText
from harness.machine import Machine
from harness.operators.gemm import GemmSpec
from harness.record import Outcome, Verdict
from harness.runners.arena import Arena, Placement
from harness.runners.emulated import PATIENCE
from harness.runners.native import NativeObject
from harness.store import Store
from harness.target import load_target
from harness.toolchain import Toolchain
from harness.verify import exact_operands, real_operands

SPEC = GemmSpec(m=5, n=7, k=3)
A, B, C = "ld t0, 0(a0)", "ld t0, 8(a0)", "ld t0, 16(a0)"
DONE = "li a0, 0\nret"
FAULTS = {
    "read past the end of A": (f"{A}\nlw t1, 60(t0)\n{DONE}", Placement.END, Outcome.BOUNDS, "A, 0 bytes past"),
    "read before B": (f"{B}\nlw t1, -4(t0)\n{DONE}", Placement.START, Outcome.BOUNDS, "B, 4 bytes before"),
    "write past the end of C": (f"{C}\nsw x0, 140(t0)\n{DONE}", Placement.END, Outcome.BOUNDS, "C, 0 bytes past"),
    "write to an input": (f"{A}\nsw x0, 0(t0)\n{DONE}", Placement.END, Outcome.BOUNDS, "A at byte 0"),
    "vector past the end": (
        f"{A}\nli t1, 16\nvsetvli t1, t1, e32, m4, ta, ma\nvle32.v v0, (t0)\n{DONE}",
        Placement.END,
        Outcome.BOUNDS,
        "A, 0 bytes past its end in opw_run+0xa, vector load",
    ),
    "null pointer": (f"lw t1, 0(x0)\n{DONE}", Placement.END, Outcome.CRASH, "no operand (address 0x0)"),
    "beyond guest memory": (f"li t0, -8\nld t1, 0(t0)\n{DONE}", Placement.END, Outcome.CRASH, "0xfffffffffffffff8"),
    "illegal instruction": (".word 0x0000007f", Placement.END, Outcome.CRASH, "opw_run+0x0, encoded 0x0000007f"),
    "odd register of a group": (
        f"vsetvli t1, x0, e32, m2, ta, ma\nvadd.vv v1, v2, v4\n{DONE}",
        Placement.END,
        Outcome.CRASH,
        "illegal instruction in opw_run+0x4, vadd.vv, encoded 0x022200d7",
    ),
    "endless loop": ("1: j 1b", Placement.END, Outcome.TIMEOUT, "not done within"),
    "breakpoint": (f".word 0x00100073\n{DONE}", Placement.END, Outcome.CRASH, "breakpoint"),
    "system call": (f"li a7, 64\n.word 0x00000073\n{DONE}", Placement.END, Outcome.CRASH, "system call 64"),
    "clobbered s0": (f"li s0, 0\n{DONE}", Placement.END, Outcome.ABI, "s0"),
    "clobbered fs0": (f"fmv.w.x fs0, x0\n{DONE}", Placement.END, Outcome.ABI, "fs0"),
    "rounding mode": (f"li t0, 1\nfsrm t0\n{DONE}", Placement.END, Outcome.ABI, "frm"),
    "failure code": ("li a0, 3\nret", Placement.END, Outcome.CRASH, "returned 3"),
    "jump into data": (f"{A}\njr t0", Placement.END, Outcome.CRASH, "no code"),
    "stack overflow": ("opw_again: addi sp, sp, -2032\nsd x0, 0(sp)\nj opw_again", Placement.END, Outcome.CRASH, "no operand"),
}


@pytest.fixture(scope="module")
def emulated():
    return load_target("c908")


@pytest.fixture
def guest(bench, emulated):
    with bench.worker(emulated) as worker:
        yield worker


def assembled(bench, target, body: str) -> NativeObject:
    text = f".text\n.globl opw_run\n.type opw_run, @function\nopw_run:\n{body}\n"
    kernel = KernelText(name="opw_run", role="whole", signature="opw_run", text=text)
    # Past the screen, which refuses some of these by name: the runner has to hold on its own.
    (built,) = bench.toolchain._assemble_files([{"x": kernel}], Machine.of(target), False).values()
    assert not isinstance(built, Verdict), str(built)
    return NativeObject(name="asm", libraries=(built,))


def called(worker, item: NativeObject, placement: Placement = Placement.END) -> Verdict:
    with Arena(SPEC, placement) as arena:
        arena.fill(exact_operands(SPEC, np.random.default_rng(0)))
        with worker.open(item, arena) as session:
            return session.call(0.002)


@pytest.mark.parametrize("name", FAULTS)
def test_fault_has_a_name(name, bench, emulated, guest):
    body, placement, outcome, words = FAULTS[name]
    verdict = called(guest, assembled(bench, emulated, body), placement)

    assert outcome == verdict.outcome
    assert words in verdict.reason


def test_foreign_object_is_a_verdict(bench, guest, objects):
    verdict = called(guest, objects.assembly("xor eax, eax\nret"))

    assert Outcome.COMPILE == verdict.outcome
    assert "not a shared object for RV64GC" in verdict.reason


def test_vector_version_decides(bench, guest):
    old = load_target("c910")
    item = assembled(bench, old, f"{A}\nli t1, 4\nvsetvli t1, t1, e32, m1\nvlw.v v8, (t0)\n{DONE}")
    with bench.worker(old) as worker:
        verdicts = called(worker, item), called(guest, item)

    assert verdicts[0].ok
    assert "illegal instruction" in verdicts[1].reason


def test_halves_are_for_machines_that_have_them(bench, emulated, guest):
    item = assembled(bench, emulated, f"{A}\nflh fa0, 0(t0)\n{DONE}")
    with bench.worker(load_target("c910")) as worker:
        verdicts = called(guest, item), called(worker, item)

    assert verdicts[0].ok
    assert "illegal instruction in opw_run+0x4, flh" in verdicts[1].reason


def test_modelled_time_is_repeatable(bench, emulated, guest):
    item = assembled(bench, emulated, f"li t0, 1000\n1: addi t0, t0, -1\nbnez t0, 1b\n{DONE}")
    with Arena(SPEC, Placement.END) as arena:
        arena.fill(exact_operands(SPEC, np.random.default_rng(0)))
        with guest.open(item, arena) as session:
            first, second = (session.time(timeout_s=1, samples=5) for _ in range(2))

    assert first == second
    assert 1 == len(first.cpu_s)


@pytest.mark.parametrize("name", ["a76", "k1"])
def test_modelled_time_is_the_same_whatever_was_built_with_it(name, bench, tmp_path):
    """Kernels are assembled many a file; which of them share one depends on what the store held and who came first."""
    target = load_target(name)
    spec, author = GemmSpec(m=24, n=40, k=33), Expert()
    (sketch,) = (one for one in author.sketches(target, spec) if one.name == "gemm_packed")
    points = [{**author.start_points(target, spec, sketch)[0], "pack_a": 1, "pack_b": 1, "unroll": unroll} for unroll in (2, 4, 8)]
    wanted, *others = (Candidate.of(sketch.name, point) for point in points)
    times = []
    for count in range(1 + len(others)):
        with Store.open(tmp_path / str(count)) as store:
            builder = bench.builder(target, sketch, author.kernel_script(target, sketch), spec, trusted=True)
            builder._toolchain = Toolchain(store, bench.sandbox)
            *_, item = builder.build([*others[:count], wanted])
            with bench.worker(target) as worker, Arena(spec, Placement.ALIGNED) as arena:
                arena.fill(real_operands(spec, np.random.default_rng(0)))
                with worker.open(item, arena) as session:
                    times += session.time(timeout_s=1, samples=1).cpu_s

    assert [times[0]] * len(times) == times


def test_call_is_not_late_because_everything_was_stopped(bench, emulated, guest):
    """By a debugger, a paused container, a suspended machine; a tuning would believe the verdict for good."""
    item = assembled(bench, emulated, f"li t0, 5000000\n1: addi t0, t0, -1\nbnez t0, 1b\n{DONE}")
    limit_s = 0.9
    with Arena(SPEC, Placement.END) as arena, guest.open(item, arena) as session:
        stop = Timer(0.03, lambda: os.killpg(guest._process.pid, signal.SIGSTOP))
        let_go = Timer(0.03 + 1.1 * limit_s, lambda: os.killpg(guest._process.pid, signal.SIGCONT))
        stop.start(), let_go.start()
        verdict = session.call(limit_s / PATIENCE)

    let_go.join()
    assert verdict.ok, str(verdict)

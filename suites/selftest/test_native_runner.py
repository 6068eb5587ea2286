"""The guarded runner turns every way to fail into a verdict that says what happened and where."""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from harness.errors import BadRequest, RunnerError
from harness.measure import contradiction
from harness.operators.gemm import GemmSpec
from harness.record import Outcome, Verdict
from harness.runners.arena import Arena, Placement
from harness.runners.native import NativeObject, NativeWorker, Timing
from harness.verify import exact_operands

ROOT = Path(__file__).parents[2]
SPEC = GemmSpec(m=5, n=7, k=3)
DIMS = tuple(SPEC.dims())
A, B, C = "mov rcx, [rdi]", "mov rcx, [rdi + 8]", "mov rcx, [rdi + 16]"
DONE = "xor eax, eax\nret"

FAULTS = {
    "read past the end of A": (f"{A}\nmov eax, [rcx + 60]\n{DONE}", Placement.END, Outcome.BOUNDS, "A, 0 bytes past"),
    "read before B": (f"{B}\nmov eax, [rcx - 4]\n{DONE}", Placement.START, Outcome.BOUNDS, "B, 4 bytes before"),
    "write past the end of C": (
        f"{C}\nmov dword ptr [rcx + 140], 0\n{DONE}",
        Placement.END,
        Outcome.BOUNDS,
        "C, 0 bytes past",
    ),
    "write to an input": (f"{A}\nmov dword ptr [rcx], 0\n{DONE}", Placement.END, Outcome.BOUNDS, "A at byte 0"),
    "null pointer": (f"xor ecx, ecx\nmov eax, [rcx]\n{DONE}", Placement.END, Outcome.CRASH, "no operand"),
    "illegal instruction": ("ud2", Placement.END, Outcome.CRASH, "opw_run+0x0, encoded 0f 0b"),
    "endless loop": ("1: jmp 1b", Placement.END, Outcome.TIMEOUT, "0.3 s"),
    "breakpoint": (f".byte 0xcc\n{DONE}", Placement.END, Outcome.CRASH, "breakpoint"),
    "division by zero": (f"xor ecx, ecx\nxor edx, edx\ndiv ecx\n{DONE}", Placement.END, Outcome.CRASH, "arithmetic"),
    "clobbered rbx": (f"xor ebx, ebx\n{DONE}", Placement.END, Outcome.ABI, "rbx"),
    "clobbered r15": (f"xor r15d, r15d\n{DONE}", Placement.END, Outcome.ABI, "r15"),
    "direction flag": (f"std\n{DONE}", Placement.END, Outcome.ABI, "direction flag"),
    "flush to zero": (
        f"push 0xffc0\nldmxcsr [rsp]\npop rcx\n{DONE}",
        Placement.END,
        Outcome.ABI,
        "MXCSR",
    ),
    "x87 control word": (
        f"sub rsp, 8\nmov word ptr [rsp], 0x27f\nfldcw [rsp]\nadd rsp, 8\n{DONE}",
        Placement.END,
        Outcome.ABI,
        "x87 control word",
    ),
    "MMX without emms": (f"pxor mm0, mm0\n{DONE}", Placement.END, Outcome.ABI, "x87 stack"),
    "alignment check": (
        f"pushfq\nor dword ptr [rsp], 0x40000\npopfq\n{DONE}",
        Placement.END,
        Outcome.ABI,
        "alignment-check flag",
    ),
    "other arguments for later calls": (
        f"mov qword ptr [rdi + 64], 0\n{DONE}",
        Placement.END,
        Outcome.BOUNDS,
        "opw_args or opw_tunables at byte 64",
    ),
    "other tunables for later calls": (f"mov qword ptr [rsi], 0\n{DONE}", Placement.END, Outcome.BOUNDS, "opw_tunables"),
    "encoded system call": (f"mov eax, 41\n.byte 0x0f, 0x05\n{DONE}", Placement.END, Outcome.CRASH, "system call 41"),
    "exit": ("mov eax, 231\nxor edi, edi\n.byte 0x0f, 0x05", Placement.END, Outcome.CRASH, "process died"),
    "failure code": ("mov eax, 3\nret", Placement.END, Outcome.CRASH, "returned 3"),
    "stack overflow": ("opw_again: sub rsp, 8\ncall opw_again\nret", Placement.END, Outcome.CRASH, "no operand"),
}


def run(worker: NativeWorker, item: NativeObject, placement: Placement, timeout_s: float = 0.3) -> Verdict:
    with Arena(SPEC, placement) as arena:
        arena.fill(exact_operands(SPEC, np.random.default_rng(0)))
        with worker.open(item, arena) as session:
            return session.call(timeout_s)


@pytest.mark.parametrize("name", FAULTS)
def test_fault_has_a_name(name, worker, objects):
    body, placement, outcome, words = FAULTS[name]
    item = objects.assembly(body)
    assert isinstance(item, NativeObject), str(item)
    verdict = run(worker, item, placement)

    assert outcome == verdict.outcome
    assert words in verdict.reason


def test_worker_survives_every_fault(worker, objects):
    good = objects.assembly(DONE)
    for body, placement, *_ in FAULTS.values():
        run(worker, objects.assembly(body), placement)

    assert run(worker, good, Placement.END).ok


def test_missing_symbol_is_a_verdict(worker, objects):
    library = objects.assembly(DONE).libraries[0]
    item = NativeObject(name="x", libraries=(library,), kernels=((0, "no_such_kernel"),))

    assert run(worker, item, Placement.END).outcome == Outcome.COMPILE


def test_library_that_is_no_library_is_a_verdict(worker, tmp_path):
    (tmp_path / "junk file.so").write_bytes(b"not an object")
    verdict = run(worker, NativeObject(name="x", libraries=(tmp_path / "junk file.so",)), Placement.END)

    assert verdict.outcome == Outcome.COMPILE
    assert "junk file.so" in verdict.reason


def test_operands_that_no_memory_holds_are_refused_before_any_is_taken():
    with pytest.raises(BadRequest, match=r"sgemm-99999999x8x99999999: its operands take .* ask for a smaller shape"):
        Arena(GemmSpec(m=99999999, n=8, k=99999999), Placement.END)


def test_workspace_is_guarded(worker, objects):
    item = objects.c(
        """
        size_t opw_workspace(const struct opw_args *a, const struct opw_tunables *t) { (void)a; (void)t; return 128; }
        int opw_run(const struct opw_args *a, const struct opw_tunables *t, void *w)
        { (void)a; (void)t; ((volatile float *)w)[32] = 1.0f; return 0; }
        """,
        DIMS,
    )
    verdict = run(worker, item, Placement.END)

    assert verdict.outcome == Outcome.BOUNDS
    assert "workspace, 0 bytes past its end" in verdict.reason


def test_workspace_comes_poisoned(worker, objects):
    item = objects.c(
        """
        size_t opw_workspace(const struct opw_args *a, const struct opw_tunables *t) { (void)a; (void)t; return 64; }
        int opw_run(const struct opw_args *a, const struct opw_tunables *t, void *w)
        { (void)a; (void)t; float x = *(volatile float *)w; return x == x; }
        """,
        DIMS,
    )

    assert run(worker, item, Placement.END).ok


def test_padding_between_rows_is_the_callers(worker, objects):
    spec = GemmSpec(m=2, n=3, k=1, ldc=5)
    item = objects.c(
        """
        int opw_run(const struct opw_args *a, const struct opw_tunables *t, void *w)
        { (void)t; (void)w; float *c = a->operand[2]; for (int i = 0; i < 8; i++) c[i] = 0; return 0; }
        """,
        DIMS,
    )
    with Arena(spec, Placement.END) as arena:
        arena.fill(exact_operands(spec, np.random.default_rng(0)))
        with worker.open(item, arena) as session:
            assert session.call(1).ok

        assert arena.trespass() == "C at byte 12 of 32"


def test_outputs_come_poisoned_and_inputs_intact(worker, objects):
    operands = exact_operands(SPEC, np.random.default_rng(3))
    with Arena(SPEC, Placement.END) as arena:
        arena.fill(operands)
        with worker.open(objects.assembly(DONE), arena) as session:
            session.call(1)

        assert np.isnan(arena.view("C")).all()
        assert np.array_equal(operands["A"], arena.view("A"))


def test_samples_in_which_the_clock_stood_still_do_not_count(worker, objects, monkeypatch):
    item = objects.assembly("xor eax, eax\nret")
    with Arena(SPEC, Placement.ALIGNED) as arena, worker.open(item, arena) as session:
        reply = {"status": "ok", "calls": 2, "samples": [[800, 900, 0], [0, 900, 0], [1000, 1100, 1]], "outside_cpu_ns": 2000}
        monkeypatch.setattr(type(session), "_request", lambda *_: reply)
        timing = session.time(timeout_s=5, samples=3)
        reply["samples"] = [[0, 900, 0]]
        stopped = session.time(timeout_s=5, samples=1)

    assert timing.taken_s == pytest.approx((4e-7, 5e-7))
    assert timing.wall_s == pytest.approx((4.5e-7, 5.5e-7))
    assert timing.switches == (0, 1)
    assert stopped.taken_s == (0.0,)


def test_timing_takes_what_it_says(worker, objects):
    item = objects.assembly("mov ecx, 1000000\n1: dec ecx\njnz 1b\nxor eax, eax\nret")
    with Arena(SPEC, Placement.ALIGNED) as arena:
        arena.fill(exact_operands(SPEC, np.random.default_rng(0)))
        with worker.open(item, arena) as session:
            begin = time.monotonic()
            timing = session.time(timeout_s=5, samples=1000, sample_s=1e-3, budget_s=0.05)
            elapsed = time.monotonic() - begin

    assert 0.04 < elapsed < 2.0
    assert 5e-5 < min(timing.cpu_s) < 5e-3
    assert contradiction(timing).ok


@pytest.mark.parametrize(("samples", "outside_s"), [((1e-6,), 0.5), ((1e-3,) * 20, 0.045)])
def test_falsified_samples_contradict_the_cpu_time(samples, outside_s):
    timing = Timing(calls=1, cpu_s=samples, wall_s=samples, switches=(0,) * len(samples), outside_cpu_s=outside_s)

    assert contradiction(timing).outcome == Outcome.SUSPICIOUS


def test_a_first_call_may_be_slow():
    """Measured: a bf16 GEMM of 2048^3 in AMX tiles whose warm-up call took 2.6 times as long as the one timed."""
    timing = Timing(calls=1, cpu_s=(0.0188,), wall_s=(0.0188,), switches=(0,), outside_cpu_s=0.0675)

    assert contradiction(timing).ok


def test_a_lost_worker_is_one_sentence(bench, objects):
    with bench.worker() as worker, Arena(SPEC, Placement.END) as arena:
        arena.fill(exact_operands(SPEC, np.random.default_rng(0)))
        session = worker.open(objects.assembly(DONE), arena)
        worker._process.kill()

        with pytest.raises(RunnerError, match="stopped answering"):
            session.call(1)

        with worker.open(objects.assembly(DONE), arena) as again:
            assert again.call(1).ok


STOPS_WHO_ASKED = """#!/bin/sh
read line
kill -STOP $PPID
sleep 0.9
kill -CONT $PPID
sleep 0.05
echo '{"status": "ok"}'
"""
ASKS = "import sys; from pathlib import Path; from harness.runners.native import NativeWorker as W; print(W(Path(sys.argv[1])).request('', 0.7))"


def test_reply_is_not_late_because_everything_was_stopped(tmp_path):
    worker = tmp_path / "worker"
    worker.write_text(STOPS_WHO_ASKED)
    worker.chmod(0o755)
    done = subprocess.run([sys.executable, "-c", ASKS, str(worker)], cwd=ROOT, capture_output=True, text=True, check=False)

    assert "{'status': 'ok'}" == done.stdout.strip(), done.stderr


def test_sessions_are_limited(worker, objects):
    with Arena(SPEC, Placement.END) as arena:
        arena.fill(exact_operands(SPEC, np.random.default_rng(0)))
        item = objects.assembly(DONE)
        sessions = [worker.open(item, arena) for _ in range(16)]

        with pytest.raises(RunnerError, match="16 sessions"):
            worker.open(item, arena)

        assert all(session.call(1).ok for session in sessions)


def test_an_evaluation_costs_less_than_a_millisecond(worker, objects):
    item = objects.assembly(DONE)
    run(worker, item, Placement.END)
    costs = []
    with Arena(SPEC, Placement.END) as arena:
        arena.fill(exact_operands(SPEC, np.random.default_rng(0)))
        for _ in range(50):
            begin = time.process_time()
            with worker.open(item, arena) as session:
                session.call(1)
            costs.append(time.process_time() - begin)

    assert sorted(costs)[25] < 1e-3

"""The guarded runner on AArch64: every way to fail is a verdict, as on x86-64 (test_native_runner)."""

import platform
from collections.abc import Iterator

import numpy as np
import pytest

from harness.errors import RunnerError
from harness.kernel import KernelText
from harness.machine import Machine
from harness.operators.gemm import GemmSpec
from harness.record import Outcome, Verdict
from harness.runners.arena import Arena, Placement
from harness.runners.native import NativeObject, NativeWorker
from harness.sandbox.protections import Protections
from harness.store import Store, default_store
from harness.verify import exact_operands
from harness.workbench import Workbench

pytestmark = pytest.mark.skipif(
    platform.machine() != "aarch64", reason="runs A64 code: run it on AArch64 Linux, or in a root for QEMU (docs/boards.md)"
)
FILTERS = Protections.detect().seccomp
SPEC = GemmSpec(m=5, n=7, k=3)
MACHINE = Machine(triple="aarch64-linux-gnu", c_flags=("-march=armv8-a",), assembler_flags=(), comment="//")
DONE = "mov w0, #0\nret"
FAULTS = {
    "read past the end of A": (f"ldr x9, [x0]\nldr w10, [x9, #60]\n{DONE}", Outcome.BOUNDS, "A, 0 bytes past"),
    "write past the end of C": (f"ldr x9, [x0, #16]\nstr wzr, [x9, #140]\n{DONE}", Outcome.BOUNDS, "C, 0 bytes past"),
    "write to an input": (f"ldr x9, [x0]\nstr wzr, [x9]\n{DONE}", Outcome.BOUNDS, "A at byte 0"),
    "null pointer": (f"mov x9, #0\nldr w10, [x9]\n{DONE}", Outcome.CRASH, "no operand"),
    "illegal instruction": (".word 0\n", Outcome.CRASH, "opw_run+0x0, encoded 00 00 00 00"),
    "endless loop": ("1: b 1b", Outcome.TIMEOUT, "2 s"),
    "breakpoint": (f".word 0xd4200000\n{DONE}", Outcome.CRASH, "breakpoint"),
    "clobbered x19": (f"mov x19, #0\n{DONE}", Outcome.ABI, "x19"),
    "clobbered frame pointer": (f"mov x29, #0\n{DONE}", Outcome.ABI, "x29"),
    "clobbered d8": (f"movi v8.2d, #0\n{DONE}", Outcome.ABI, "d8"),
    "clobbered d15": (f"movi v15.2d, #0\n{DONE}", Outcome.ABI, "d15"),
    "stack pointer": (f"sub sp, sp, #32\n{DONE}", Outcome.ABI, "the stack pointer"),
    "flush to zero": (f"mov x9, #0x1000000\nmsr fpcr, x9\n{DONE}", Outcome.ABI, "FPCR"),
    "upper halves are free": (f"mov v8.d[1], xzr\nmov x18, #0\n{DONE}", Outcome.OK, ""),
    "other arguments for later calls": (f"str xzr, [x0, #64]\n{DONE}", Outcome.BOUNDS, "opw_args or opw_tunables at byte 64"),
    "other tunables for later calls": (f"str xzr, [x1]\n{DONE}", Outcome.BOUNDS, "opw_tunables"),
    "failure code": ("mov w0, #3\nret", Outcome.CRASH, "returned 3"),
    "stack overflow": ("opw_again: sub sp, sp, #16\nstr x30, [sp]\nbl opw_again\nret", Outcome.CRASH, "no operand"),
}


@pytest.fixture(scope="module")
def unsafe() -> Iterator[Workbench]:
    """Everything runs, even where QEMU has no filters of system calls."""
    with Store.open(default_store() / "selftest") as store:
        yield Workbench(store, allow_unsafe=True)


@pytest.fixture(scope="module")
def worker(unsafe: Workbench) -> Iterator[NativeWorker]:
    with unsafe.worker(timed=False) as started:
        yield started


def whole(bench: Workbench, body: str) -> NativeObject:
    text = f".text\n.globl opw_run\n.type opw_run, %function\nopw_run:\n{body}\n"
    kernel = KernelText(name="opw_run", role="whole", signature="opw_run", text=text)
    (built,) = bench.toolchain.assemble([kernel], MACHINE, trusted=True).values()
    assert not isinstance(built, Verdict), str(built)
    return NativeObject(name="asm", libraries=(built,))


def run(worker: NativeWorker, item: NativeObject, placement: Placement = Placement.END) -> Verdict:
    with Arena(SPEC, placement) as arena:
        arena.fill(exact_operands(SPEC, np.random.default_rng(0)))
        with worker.open(item, arena) as session:
            return session.call(2)


@pytest.mark.parametrize("name", FAULTS)
def test_fault_has_a_name(name: str, unsafe: Workbench, worker: NativeWorker) -> None:
    body, outcome, words = FAULTS[name]
    verdict = run(worker, whole(unsafe, body))

    assert outcome == verdict.outcome, str(verdict)
    assert words in verdict.reason


def test_what_lies_before_an_operand_is_named(unsafe: Workbench, worker: NativeWorker) -> None:
    verdict = run(worker, whole(unsafe, f"ldr x9, [x0, #8]\nldur w10, [x9, #-4]\n{DONE}"), Placement.START)

    assert (verdict.outcome, "B, 4 bytes before" in verdict.reason) == (Outcome.BOUNDS, True)


@pytest.mark.skipif(not FILTERS, reason="this kernel, or QEMU, filters no system calls; run it under Linux with CONFIG_SECCOMP_FILTER")
def test_a_system_call_is_named(unsafe: Workbench, worker: NativeWorker) -> None:
    verdict = run(worker, whole(unsafe, f"mov x8, #198\n.word 0xd4000001\n{DONE}"))

    assert (verdict.outcome, "system call 198" in verdict.reason) == (Outcome.CRASH, True)


@pytest.mark.skipif(FILTERS, reason="this kernel filters system calls; run it under QEMU (docs/boards.md)")
def test_without_filters_nothing_runs_unless_asked_for(bench: Workbench, unsafe: Workbench) -> None:
    item = whole(unsafe, DONE)
    with bench.worker(timed=False) as strict, pytest.raises(RunnerError, match=r"filters no system calls .* --unsafe"):
        run(strict, item)

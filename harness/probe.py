"""Measure the machine: FMA peak, core clock and whether the core is shared, from loops that run like any candidate."""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import ClassVar

from harness.build import names_header
from harness.dtype import DType
from harness.errors import RunnerError
from harness.machine import Machine
from harness.measure import Watch
from harness.operator import Operand
from harness.record import Verdict
from harness.runners.arena import Arena, Placement
from harness.runners.native import NativeObject, NativeWorker, Session
from harness.target import Target
from harness.toolchain import NATIVE, Toolchain

TURNS = 20_000
"""About 100 us of FMAs: long against a clock read, short against a slice."""


WORK = {
    0: 24,
    1: 24,
    512: 24 * 32,
    256: 12 * 16,
    64512: 24 * 16,
    64256: 12 * 8,
    8512: 24 * 128,
    16512: 24 * 64,
    8016: 6 * 32768 // 8,
    16016: 6 * 16384 // 8,
    32512: 24 * 64,
    32256: 12 * 32,
}
"""
Operations (cycles of kind 0) of one turn, by kind of loop.

0: dependent multiplies; 1: independent additions; 512 and 256: fp32 FMAs of that many bits; 64...: fp64 FMAs;
8512: vpdpbusd; 16512: vdpbf16ps; 8016 and 16016: AMX tiles of int8 and bf16, of zeros, which go faster than other
numbers; 32...: vpmaddwd, without the addition a product needs beside it.
"""


def peak_kind(target: Target, dtype: DType) -> int:
    """Return the loop that no kernel of a dtype can outrun: of the widest instruction that the machine multiplies it with."""
    bits, features = int(target.vector_bits.value), target.features if target.vector_bits.value == 512 else ()
    match dtype:
        case DType.F64:
            return 64000 + bits
        case DType.I8 if "amx_int8" in features:
            return 8016
        case DType.BF16 if "amx_bf16" in features:
            return 16016
        case DType.I8:
            return 8512 if "avx512_vnni" in features else 32000 + bits
        case DType.BF16 if "avx512_bf16" in features:
            return 16512
    return bits


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeSpec:
    """A loop without operands; enough of an `OperatorSpec` for the runner."""

    kind: int
    threads: int = 1
    """How many run the loop side by side; the chain of multiplies runs alone."""
    """A key of `WORK`."""
    operator: ClassVar[str] = "probe"
    dtype: ClassVar[DType] = DType.F32

    def operands(self) -> tuple[Operand, ...]:
        """Return none."""
        return ()

    def dims(self) -> Mapping[str, int]:
        """Return which loop and how many turns."""
        return {"kind": self.kind, "turns": TURNS}

    def scalars(self) -> tuple[float, ...]:
        """Return none."""
        return ()

    @property
    def work(self) -> int:
        """Return operations (peaks), cycles (kind 0) or additions (kind 1) of one call."""
        alone = WORK[self.kind] * TURNS
        return alone * self.threads if self.kind else alone


def probe_object(toolchain: Toolchain) -> NativeObject:
    """Build the probe."""
    names = names_header(("kind", "turns"))
    built = toolchain.compile_c((NATIVE / "probe.c").read_text(), names, Machine.x86("x86-64"), trusted=True)
    if isinstance(built, Verdict):
        raise RunnerError(f"the machine probe does not build: {built}")
    return NativeObject(name="probe", libraries=(built,), trusted=True)


def open_probe(worker: NativeWorker, item: NativeObject, kind: int) -> tuple[Session, ProbeSpec]:
    """Open a session on one loop; the caller closes it."""
    spec = ProbeSpec(kind=kind, threads=worker.threads)
    with Arena(spec, Placement.ALIGNED) as arena:
        return worker.open(item, arena), spec


def open_watch(stack: ExitStack, worker: NativeWorker, item: NativeObject) -> Watch:
    """Return a watch over the core; the stack closes it."""
    session, _ = open_probe(worker, item, 1)
    return Watch(stack.enter_context(session))


def rates(worker: NativeWorker, item: NativeObject, kind: int, slices: int = 5) -> list[float]:
    """Return rates of a loop in operations (or cycles) a second of the worker's clock, one each sample of a few slices of 5 ms."""
    session, spec = open_probe(worker, item, kind)
    with session:
        timings = [session.time(timeout_s=10, samples=50, budget_s=0.005) for _ in range(slices)]
    if not all(timings):
        raise RunnerError(f"the machine probe {kind} failed: {session.verdict}")
    return [spec.work / sample for timing in timings for sample in timing.taken_s]

"""
Evaluate and verify on a GPU: operands are drawn on the device, so that a large case costs its run and no transfer.

While tuning, outputs on sparse whole numbers (whose sums are exact in any order) must equal those of a reference bit
for bit: cuBLAS's where it serves, else those of our own first guess. A winner's answers are checked by the host too.
The winner is verified on the host as on a CPU, on a case of its kind that numpy can compute, and on its fringes.
"""

from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from math import inf
from statistics import median

from harness import sampling
from harness.baselines import Baseline
from harness.case import Case
from harness.cuda.build import CudaObject
from harness.evaluate import Evaluation
from harness.measure import below_floor
from harness.operator import OperatorSpec
from harness.record import Outcome, Verdict
from harness.runners.cuda import CudaSession, CudaWorker, DeviceProblem
from harness.target import Target
from harness.verify import Verification, timeout_s, verify

SPARSE = 4
"""One element in four is -1 or 1: sums of 16384 products stay below 256, exact even in bf16."""
SLICE_S = 0.02
SAMPLES = 5
OK = Verdict(outcome=Outcome.OK)
HOST_FLOPS = 4e9
"""What numpy computes in a moment; a larger case is shrunk for the check on the host."""
KEPT = {"gemm": 640, "conv2d": 24}
"""Sizes up to here stay; of larger ones a remainder that is as odd as theirs is added."""


class CudaEvaluator:
    """Checks and times one candidate after another on operands that stay on the device."""

    waited_s = 0.0

    def __init__(self, worker: CudaWorker, case: Case, reference: CudaObject, peak_gflops: Callable[[], float]) -> None:
        self._spec, self._peak_gflops = case.spec, peak_gflops()
        self._worker = worker
        self._exact = DeviceProblem(spec=case.spec, sparse=SPARSE)
        self._real = DeviceProblem(spec=case.spec)
        self._reference = worker.open(reference, self._exact)

    def close(self) -> None:
        """Let the reference go."""
        self._reference.close()

    def evaluate(self, item: CudaObject) -> Evaluation:
        """Compare with the reference, then time in bursts; the median is the cost."""
        with self._worker.open(item, self._exact) as session:
            verdict = session.matches(self._reference, timeout_s(self._spec))
        if not verdict.ok:
            return Evaluation(verdict=verdict)
        with self._worker.open(item, self._real) as session:
            timing = session.time(timeout_s=timeout_s(self._spec), samples=SAMPLES, budget_s=SLICE_S, collect=False)
            if timing is None:
                return Evaluation(verdict=session.verdict)
        verdict = below_floor(min(timing.cpu_s), self._spec.least_flops, self._peak_gflops)
        return Evaluation(verdict=verdict, samples_s=timing.cpu_s, cost_s=median(timing.cpu_s) if verdict.ok else inf)


def verify_on_gpu(worker: CudaWorker, item: CudaObject, spec: OperatorSpec, tunables: dict[str, int], seed: int) -> Verification:
    """Verify as on a CPU: the spec, or one of its kind that the host can compute, and its neighbours."""
    return verify(worker, item, shrunk(spec), tunables, seed)


def shrunk(spec: OperatorSpec) -> OperatorSpec:
    """Return the spec itself, or a smaller one with the same remainders of its sizes, where numpy would take long."""
    if spec.flops <= HOST_FLOPS:
        return spec
    if spec.operator not in KEPT:
        return sampling.shrunk(spec, HOST_FLOPS)
    most = KEPT[spec.operator]
    names = {"gemm": ("m", "n", "k"), "conv2d": ("n", "h", "w")}[spec.operator]
    sizes = {name: getattr(spec, name) for name in names}
    odd = 64 if spec.operator == "gemm" else 8
    small = {name: size if size <= most else most + size % odd for name, size in sizes.items()}
    if spec.operator == "conv2d":
        small["n"] = min(sizes["n"], 2)
    tight = {field.name: 0 for field in fields(spec) if field.name in ("lda", "ldb", "ldc")}
    return replace(spec, **small, **tight)


def reference_item(peers: Mapping[str, Baseline], target: Target, case: Case, fallback: Callable[[], CudaObject]) -> CudaObject:
    """Return what answers are compared with: a library that serves the case and loads quickly, else our own first guess."""
    for peer in peers.values():
        if getattr(peer, "quick", False) and peer.offers(case) and peer.unavailable(case, target) is None:
            return peer.build(None, target, case)
    return fallback()


def timed(session: CudaSession, spec: OperatorSpec, *, burst: bool, samples: int, budget_s: float) -> tuple[float, dict[str, float]]:
    """Return the median of a slice and the sensors after it; infinity where the session failed."""
    timing = session.time(timeout_s=timeout_s(spec), samples=samples, budget_s=budget_s, burst=burst, collect=False)
    return (median(timing.cpu_s), dict(session.sensors)) if timing else (inf, {})

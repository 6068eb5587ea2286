"""
Run another GPU's kernels, to see that they are right: `python -m benchmarks.gpu.through_ptx a100`.

Every sketch that serves a case on the target is compiled at its start points to PTX of the target's architecture
(``compute_80``), which the driver of whatever newer GPU is there compiles for itself. Each is verified as a winner is:
exact, rounding, fringes, guards. Nothing is timed: how fast such a kernel is here says nothing of the target. 1 where one is wrong.
"""

import argparse
from dataclasses import replace

from benchmarks import finish
from benchmarks.gpu.check import CASES, start_items
from harness.cuda.build import CudaObject
from harness.cuda.compiler import CudaCompiler
from harness.cuda.evaluate import verify_on_gpu
from harness.dtype import DType
from harness.kernel import Candidate
from harness.operator import OperatorSpec
from harness.operators.gemm import GemmSpec
from harness.record import Verdict
from harness.runners.cuda import CudaWorker
from harness.store import Store, default_store
from harness.target import Target, load_target
from harness.verify import FRESH_SEED

LAYOUTS = tuple(
    GemmSpec(m=1000, n=516, k=333, dtype=dtype, trans_a=trans_a, trans_b=trans_b, alpha=0.5, beta=2.0)
    for dtype in (DType.F16, DType.F32)
    for trans_a in (False, True)
    for trans_b in (False, True)
)
"""Every pair of transposes at a size that no tile divides."""
STARTS = 2
"""Start points of each sketch."""


def portable(target: Target) -> Target:
    """Return the target with PTX for its compiler's output."""
    arch = target.toolchain["arch"]
    return replace(target, toolchain={**target.toolchain, "arch": arch.replace("sm_", "compute_")})


def verdict_of(worker: CudaWorker, spec: OperatorSpec, candidate: Candidate, item: CudaObject | Verdict) -> tuple[Verdict, int]:
    """Verify one; return the verdict and how many specs were run."""
    if isinstance(item, Verdict):
        return item, 0
    checked = verify_on_gpu(worker, item, spec, dict(candidate.values), FRESH_SEED)
    return checked.verdict, checked.specs


def main() -> int:
    """Verify one after another; 1 where one is wrong."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu.through_ptx", description=__doc__)
    parser.add_argument("target", help="a target that is not here, as a100")
    parser.add_argument("--starts", type=int, default=STARTS, help="start points of each sketch and case")
    options = parser.parse_args()
    right = wrong = 0
    with Store.open(default_store()) as store:
        target = portable(load_target(options.target))
        compiler = CudaCompiler(store, target.toolchain["arch"])
        with CudaWorker(compiler) as worker:
            print(f"{compiler.name} on {worker.hello()['properties']['name']}: verified, not timed")
            for spec in (*CASES, *LAYOUTS):
                for candidate, item in start_items(target, spec, store, options.starts):
                    verdict, specs = verdict_of(worker, spec, candidate, item)
                    right, wrong = right + verdict.ok, wrong + (not verdict.ok)
                    print(f"{spec.slug:60} {candidate.sketch:24} {specs:3} specs {verdict}", flush=True)
    print(f"{right} right, {wrong} wrong")
    return int(wrong > 0 or not right)


if __name__ == "__main__":
    finish(main)

"""
How many evaluations a second a tuning makes, checks included: once with every kernel to build, once from the cache.

    python -m benchmarks.evaluation_rate 512x512x512

The store is a fresh one in a temporary folder, so the first tuning builds everything but the worker; the second has
another seed and meets mostly kernels that are built. Printed for each: evaluations, the seconds they took together
(building, checking, timing and recording), their rate, the median and largest cost of one, and how long was spent on
waiting for others to leave the core, which is in none of these figures.
"""

import argparse
import tempfile
from pathlib import Path
from statistics import median

from benchmarks import finish
from generators.generator import Expert
from harness.case import Case
from harness.operators.gemm import GemmSpec
from harness.store import Store
from harness.tune import Budget, Tuner
from harness.workbench import Workbench


def main() -> None:
    """Tune one shape twice."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.evaluation_rate", description=__doc__.splitlines()[1])
    parser.add_argument("shape", nargs="?", default="512x512x512", metavar="MxNxK")
    parser.add_argument("--evals", type=int, default=96)
    options = parser.parse_args()
    m, n, k = (int(size) for size in options.shape.split("x"))
    case = Case(target="host", spec=GemmSpec(m=m, n=n, k=k))
    with tempfile.TemporaryDirectory(prefix="opwright-rate-") as place, Store.open(Path(place)) as store:
        bench = Workbench(store)
        bench.target("host")
        for seed, name in enumerate(("cold", "warm")):
            run = store.begin_run(["evaluation_rate"], {})
            budget = Budget(evaluations=options.evals, seconds=120.0)
            Tuner(bench, case, Expert(), run=run, budget=budget, seed=seed).run()
            records = store.records(run=run, kind="evaluation")
            waited_s = [record.facts["waited_s"] for record in records]
            costs = [record.seconds - waited for record, waited in zip(records, waited_s, strict=True)]
            print(
                f"{name}: {len(costs)} evaluations in {sum(costs):.2f} s, {len(costs) / sum(costs):.1f} a second; "
                f"median {median(costs) * 1e3:.0f} ms, largest {max(costs) * 1e3:.0f} ms; waited {sum(waited_s):.2f} s"
            )


if __name__ == "__main__":
    finish(main)

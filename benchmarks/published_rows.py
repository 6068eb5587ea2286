"""
Predicted against published: run a baseline under a target's timing model at the sizes somebody measured on a board.

    python -m benchmarks.published_rows a76 --largest 1024

Prints predicted and published GFLOP/s with the error of each row, in full runs. A shape with more multiply-adds than
the cube of `--largest` is named as not run. The library is verified first; a wrong one gets no figure.
"""

import argparse
import tomllib
from pathlib import Path

import numpy as np

from harness.baselines import Baseline
from harness.case import Case
from harness.compare import FRESH_SEED, verify_baseline
from harness.operators.gemm import GemmSpec
from harness.runners.arena import Arena, Placement
from harness.store import Store, default_store
from harness.target import Target
from harness.verify import real_operands, timeout_s
from harness.workbench import Workbench

ROWS = Path(__file__).with_name("published_rows.toml")
LINE = "{:24}{:>11}{:>11}{:>9}"


def predict(bench: Workbench, target: Target, baseline: Baseline, spec: GemmSpec) -> tuple[float, str]:
    """Return the modelled GFLOP/s of a baseline, and the library's version and core; raise `ValueError` if it is wrong."""
    item = baseline.build(bench.toolchain, target, Case(target=target.name, spec=spec))
    with bench.worker(target) as worker, Arena(spec, Placement.ALIGNED) as arena:
        small = GemmSpec(m=65, n=70, k=130)
        verdict = verify_baseline(worker, item, small)
        arena.fill(real_operands(spec, np.random.default_rng(FRESH_SEED)))
        with worker.open(item, arena) as session:
            timing = session.time(timeout_s=timeout_s(spec), samples=1) if verdict.ok else None
            if timing is None:
                raise ValueError(str(verdict if not verdict.ok else session.verdict))
            return spec.flops / timing.cpu_s[0] / 1e9, session.describe


def main() -> None:
    """Print one table a published row."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("target")
    parser.add_argument("--largest", type=int, default=512, help="run shapes up to this one cubed (default 512)")
    chosen = parser.parse_args()
    rows = [row for row in tomllib.loads(ROWS.read_text())["row"] if row["target"] == chosen.target]
    with Store.open(default_store()) as store:
        bench = Workbench(store)
        target = bench.target(chosen.target)
        for row in rows:
            baseline = bench.baselines(target)[row["library"]]
            print(f"{row['library']} on {chosen.target}, modelled; published: {row['source']}")
            print(LINE.format("m x n x k", "predicted", "published", "error"))
            for m, n, k, published in row["published"]:
                shape = f"{m} x {n} x {k}"
                if m * n * k > chosen.largest**3:
                    print(LINE.format(shape, "not run", published, ""))
                    continue
                predicted, library = predict(bench, target, baseline, GemmSpec(m=m, n=n, k=k))
                error = f"{(predicted / published - 1) * 100:+.1f}%"
                print(LINE.format(shape, f"{predicted:.2f}", published, error), f"  {library}", flush=True)


if __name__ == "__main__":
    main()

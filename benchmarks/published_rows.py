"""
Predicted against published: run a baseline under a target's timing model at the sizes somebody measured on a board.

    python -m benchmarks.published_rows a76 --largest 1024

Prints predicted and published GFLOP/s with the error of each row, from whole runs. A shape with more multiply-adds than
the cube of `--largest` is named as not run, or sampled with `--sampled` (`harness.sampling`). The library is verified
first; a wrong one gets no figure.
"""

import argparse
import tomllib
from math import inf
from pathlib import Path

from harness.baselines import Baseline
from harness.case import Case
from harness.library_times import time_sample
from harness.operators.gemm import GemmSpec
from harness.sampling import MEASURED_FLOPS, sample
from harness.store import Store, default_store
from harness.target import Target
from harness.verify import verify_library
from harness.workbench import Workbench

ROWS = Path(__file__).with_name("published_rows.toml")
LINE = "{:24}{:>11}{:>11}{:>9}"


def predict(bench: Workbench, target: Target, baseline: Baseline, spec: GemmSpec, limit_flops: float) -> tuple[float, str]:
    """Return the modelled GFLOP/s of a baseline, and the library's version and core; raise `ValueError` if it is wrong."""
    item = baseline.build(bench.toolchain, target, Case(target=target.name, spec=spec))
    with bench.worker(target) as worker:
        verdict = verify_library(worker, item, GemmSpec(m=65, n=70, k=130))
        if verdict.ok:
            verdict, seconds, describe = time_sample(worker, item, sample(spec, limit_flops))
    if not verdict.ok:
        raise ValueError(str(verdict))
    return spec.flops / seconds / 1e9, describe


def main() -> None:
    """Print one table a published row."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("target")
    parser.add_argument("--largest", type=int, default=512, help="run shapes up to this one cubed (default 512)")
    parser.add_argument("--sampled", action="store_true", help="sample what is larger")
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
                whole = m * n * k <= chosen.largest**3
                if not whole and not chosen.sampled:
                    print(LINE.format(shape, "not run", published, ""))
                    continue
                predicted, library = predict(
                    bench, target, baseline, GemmSpec(m=m, n=n, k=k), inf if whole else MEASURED_FLOPS
                )
                error = f"{(predicted / published - 1) * 100:+.1f}%"
                print(LINE.format(shape, f"{predicted:.2f}", published, error), f"  {library}{'' if whole else ' sampled'}", flush=True)


if __name__ == "__main__":
    main()

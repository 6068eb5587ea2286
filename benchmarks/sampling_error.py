"""
How wrong sampling is: shapes run whole and sampled under the same model, the library and our first guess.

    python -m benchmarks.sampling_error c908 --shapes 1024x1536x1024 1536x1024x2048 --share 0.25

`--share` is the part of a shape's operations that the sample may cost, about what large shapes get in a comparison.
"""

import argparse

from benchmarks.emulator_speed import first_guess
from harness.case import Case
from harness.library_times import time_sample
from harness.operators.gemm import GemmSpec
from harness.sampling import Point, Sample, sample
from harness.store import Store, default_store
from harness.workbench import Workbench

LINE = "{:18}{:12}{:>14}{:>14}{:>9}  {}"


def main() -> None:
    """Print one line a shape and contender."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sampling_error", description=__doc__.splitlines()[1])
    parser.add_argument("target")
    parser.add_argument("--shapes", nargs="+", default=["1024x1536x1024", "1536x1024x2048"], metavar="MxNxK")
    parser.add_argument("--share", type=float, default=0.25)
    chosen = parser.parse_args()
    print(LINE.format("m x n x k", "code", "whole", "sampled", "error", "sampled at"))
    with Store.open(default_store()) as store:
        bench = Workbench(store)
        target = bench.target(chosen.target)
        for shape in chosen.shapes:
            m, n, k = (int(size) for size in shape.split("x"))
            spec = GemmSpec(m=m, n=n, k=k)
            whole, points = Sample(points=(Point(spec=spec, weight=1.0),)), sample(spec, chosen.share * spec.flops)
            case = Case(target=target.name, spec=spec)
            library = bench.baselines(target)["openblas"].build(bench.toolchain, target, case)
            for name, item in (("openblas", library), ("first guess", first_guess(bench, target, spec))):
                (_, whole_s, _), (_, sampled_s, _) = (time_sample(bench, target, item, s) for s in (whole, points))
                rates = (f"{spec.flops / seconds / 1e9:.2f} GFLOP/s" for seconds in (whole_s, sampled_s))
                at = " ".join(slug.removeprefix("sgemm-").split("-")[0] for slug in points.slugs)
                print(LINE.format(shape, name, *rates, f"{(whole_s / sampled_s - 1) * 100:+.1f}%"[:9], at), flush=True)


if __name__ == "__main__":
    main()

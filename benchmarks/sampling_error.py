"""
How wrong sampling is: shapes run whole and sampled under the same model, the library and our first guess.

    python -m benchmarks.sampling_error c908 --shapes 1024x1536x1024 1536x1024x2048 --share 0.25
    python -m benchmarks.sampling_error a76 --shapes "conv 3x3 64->128 at 112x112 batch 2" --share 0.25

A shape is M x N x K of a GEMM, or a sentence. `--share` is the part of a shape's operations that the sample may cost, about what large shapes get in a comparison.
"""

import argparse
import re

from benchmarks import finish
from benchmarks.emulator_speed import first_guess
from harness.case import Case
from harness.library_times import time_sample
from harness.operator import OperatorSpec
from harness.operators.gemm import GemmSpec
from harness.prompt import parse_prompt
from harness.sampling import Point, Sample, sample
from harness.store import Store, default_store
from harness.workbench import Workbench

LINE = "{:42}{:12}{:>14}{:>14}{:>9}  {}"


def spec_of(shape: str) -> OperatorSpec:
    """Read a shape: M x N x K, or what a prompt says."""
    if sizes := re.fullmatch(r"(\d+)x(\d+)x(\d+)", shape):
        m, n, k = map(int, sizes.groups())
        return GemmSpec(m=m, n=n, k=k)
    return parse_prompt(f"fp32 {shape} on this machine").spec


def main() -> None:
    """Print one line a shape and contender."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sampling_error", description=__doc__.splitlines()[1])
    parser.add_argument("target")
    parser.add_argument("--shapes", nargs="+", default=["1024x1536x1024", "1536x1024x2048"], metavar="SHAPE")
    parser.add_argument("--share", type=float, default=0.25)
    chosen = parser.parse_args()
    print(LINE.format("shape", "code", "whole", "sampled", "error", "sampled at"))
    with Store.open(default_store()) as store:
        bench = Workbench(store)
        target = bench.target(chosen.target)
        for shape in chosen.shapes:
            spec = spec_of(shape)
            whole, points = Sample(points=(Point(spec=spec, weight=1.0),)), sample(spec, chosen.share * spec.flops)
            case = Case(target=target.name, spec=spec)
            library = bench.baselines(target)["openblas"].build(bench.toolchain, target, case)
            for name, item in (("openblas", library), ("first guess", first_guess(bench, target, spec))):
                (_, whole_s, _), (_, sampled_s, _) = (time_sample(bench, target, item, s) for s in (whole, points))
                rates = (f"{spec.flops / seconds / 1e9:.2f} GFLOP/s" for seconds in (whole_s, sampled_s))
                error = f"{(whole_s / sampled_s - 1) * 100:+.1f}%"
                print(LINE.format(shape, name, *rates, error, " ".join(points.slugs)), flush=True)


if __name__ == "__main__":
    finish(main)

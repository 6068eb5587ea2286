"""
Predicted against published: a library under a target's timing model at the sizes somebody measured on a board.

    python -m benchmarks.published_rows a76

Prints predicted and published GFLOP/s, the error of each row, and the error under the other memory models, from the
times that comparisons use (`harness.library_times`): shipped, kept, or computed now, large shapes sampled. With
`--whole N` a GEMM of at most N cubed multiply-adds is run whole under the published memory. The library is verified
first; a wrong one gets no figure.
"""

import argparse
import tomllib
from collections.abc import Iterator, Mapping
from math import inf
from pathlib import Path
from typing import Any

from benchmarks import finish
from harness.baselines import ModelledBaseline
from harness.case import Case
from harness.errors import HarnessError
from harness.library_times import LibraryTime, library_time
from harness.modelled import Question, questions
from harness.operator import OperatorSpec
from harness.operators import operators
from harness.operators.gemm import GemmSpec
from harness.sampling import sample
from harness.store import Store, default_store
from harness.workbench import Workbench

ROWS = Path(__file__).with_name("published_rows.toml")
LINE = "{:48}{:>11}{:>11}{:>9}  {}"


def published(target: str) -> Iterator[Mapping[str, Any]]:
    """Yield the rows of a target."""
    yield from (row for row in tomllib.loads(ROWS.read_text())["row"] if row["target"] == target)


def specs_of(row: Mapping[str, Any]) -> list[tuple[OperatorSpec, float]]:
    """Return what a row was measured at, with its GFLOP/s: GEMMs by their sizes, convolutions in the paper's order."""
    if row.get("operator") == "conv2d":
        return list(zip(operators()["conv2d"].shape_sets["paper"], row["published"], strict=True))
    return [(GemmSpec(m=m, n=n, k=k), gflops) for m, n, k, gflops in row["published"]]


def asked(baseline: ModelledBaseline, case: Case, bench: Workbench, whole: int) -> list[Question]:
    """Return the question of a row, then that of the other memories; the first one whole where it is small enough."""
    measured, *others = questions(baseline, case, bench.target(case.target))
    if case.spec.flops <= 2 * whole**3:
        measured = Question(
            baseline=baseline, case=case, target=measured.target, memory=measured.memory, points=sample(case.spec, inf)
        )
    return [measured, *(one for one in others if one.memory != measured.memory)]


def error(found: LibraryTime, spec: OperatorSpec, gflops: float) -> str:
    """Return how far a prediction is off."""
    return f"{(spec.flops / found.seconds / 1e9 / gflops - 1) * 100:+.1f}%"


def main() -> None:
    """Print one table a published row."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.published_rows", description=__doc__.splitlines()[1])
    parser.add_argument("target")
    parser.add_argument("--whole", type=int, default=0, metavar="N", help="run GEMMs up to N cubed whole")
    parser.add_argument("--operator", choices=("gemm", "conv2d"), help="only these rows")
    parser.add_argument("--published-memory", action="store_true", help="leave the other memory models out")
    chosen = parser.parse_args()
    with Store.open(default_store()) as store:
        bench = Workbench(store)
        for row in published(chosen.target):
            if chosen.operator and chosen.operator != row.get("operator", "gemm"):
                continue
            baseline = bench.baselines(bench.target(chosen.target))[row["library"]]
            print(f"{row['library']} on {chosen.target}, modelled; published: {row['source']}")
            print(LINE.format("shape", "predicted", "published", "error", "under other memories"))
            for spec, gflops in specs_of(row):
                every = asked(baseline, Case(target=chosen.target, spec=spec), bench, chosen.whole)
                every = every[:1] if chosen.published_memory else every
                try:
                    first, *others = [library_time(bench, one) for one in every]
                except HarnessError as refused:
                    raise SystemExit(str(refused)) from None
                if first.verdict != "OK":
                    raise SystemExit(f"{row['library']}: {first.verdict}")
                told = "; ".join(f"{one.memory} {error(one, spec, gflops)}" for one in others)
                predicted = f"{spec.flops / first.seconds / 1e9:.2f}"
                print(LINE.format(spec.slug, predicted, gflops, error(first, spec, gflops), told), flush=True)


if __name__ == "__main__":
    finish(main)

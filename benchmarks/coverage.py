"""
What is served on a target, and right there: operator, regime and layout by element type.

    python -m benchmarks.coverage                    # this machine, verified: fringes, NaN and infinity, rounding
    python -m benchmarks.coverage a76 k1 --list      # only the names of the sketches, nothing is built

A cell holds the sketches that serve it, at their start points; those whose verdict is not OK are named with it, and a
blank is a hole. ``n/a``: the operator itself refuses the element type. Exit status 1 where something served is not OK.
"""

import argparse
import sys
from collections.abc import Iterator
from functools import cached_property

from benchmarks import finish
from generators.generator import Expert
from harness.errors import BadRequest, TargetUnavailable
from harness.kernel import Candidate
from harness.operator import OperatorSpec
from harness.prompt import parse_prompt
from harness.record import Verdict
from harness.store import Store, default_store
from harness.target import Target
from harness.verify import verify
from harness.workbench import Workbench

DTYPES = ("fp32", "fp64", "bf16", "fp16", "int8")
GEMMS = {
    "square": "96x80x112",
    "small": "16x16x16",
    "few rows": "8x200x150",
    "few columns": "200x8x150",
    "short sums": "150x200x8",
    "matrix-vector": "1x300x200",
    "odd": "127x129x131",
    "transposed": "70x90x110 tt",
    "scaled, wide rows": "50x60x70 beta 1 lda 80 ldb 70 ldc 64",
}
CONVS = {
    "3x3": "3x3 20->24 at 14x14",
    "1x1": "1x1 40->24 at 14x14",
    "strided, epilogue, prepacked": "5x5 20->24 at 15x13, stride 2, bias, relu, prepacked",
    "dilated": "3x3 20->24 at 14x14, dilation 2",
    "grouped": "3x3 20->24 at 14x14, groups 4",
    "depthwise": "depthwise 3x3 40->40 at 14x14, bias, relu",
}
SENTENCES = {
    **{("gemm", regime, ""): f"GEMM {rest}" for regime, rest in GEMMS.items()},
    ("batched_gemm", "small", ""): "batched GEMM 5x20x30x40",
    ("batched_gemm", "one B, transposed", ""): "batched GEMM 3x40x30x50 nt one b",
    **{("conv2d", regime, layout): f"conv {rest}, {layout}" for regime, rest in CONVS.items() for layout in ("nchw", "nhwc")},
}
"""By operator, regime and layout: a sentence, to which the element type is put before."""


class Coverage:
    """The cells of one target."""

    def __init__(self, bench: Workbench, target: Target, *, build: bool) -> None:
        self.bench, self.target, self.build = bench, target, build
        self.author = Expert()
        self.failed = 0

    @cached_property
    def worker(self):
        """Return the process that runs candidates; it ends with this one."""
        return self.bench.worker(self.target, timed=False)

    def rows(self) -> Iterator[list[str]]:
        """Yield operator, regime, layout and a cell for each element type."""
        for place, sentence in SENTENCES.items():
            yield [*place, *(self.cell(f"{dtype} {sentence}") for dtype in DTYPES)]

    def cell(self, sentence: str) -> str:
        """Return what serves a sentence, and how it fared."""
        try:
            spec = parse_prompt(sentence).spec
        except BadRequest:
            return "n/a"
        try:
            sketches = self.author.sketches(self.target, spec)
        except TargetUnavailable:
            return ""
        short = {sketch.name: sketch.name.removeprefix(f"{spec.operator}_") for sketch in sketches}
        if not self.build:
            return " ".join(short.values())
        verdicts = {sketch.name: self.verdict(sketch, spec) for sketch in sketches}
        self.failed += sum(not verdict.ok for verdict in verdicts.values())
        return " ".join(short[name] if verdict.ok else f"{short[name]}:{verdict}" for name, verdict in verdicts.items())

    def verdict(self, sketch, spec: OperatorSpec) -> Verdict:
        """Build a sketch at its first start and verify it as a tuned operator is."""
        point = {**sketch.start, **next(iter(self.author.start_points(self.target, spec, sketch)), {})}
        script = self.author.kernel_script(self.target, sketch)
        builder = self.bench.builder(self.target, sketch, script, spec, trusted=True)
        (item,) = builder.build([Candidate.of(sketch.name, point)])
        return item if isinstance(item, Verdict) else verify(self.worker, item, spec, point, seed=1).verdict


def table(rows: list[list[str]]) -> str:
    """Return rows as Markdown."""
    head = ["operator", "regime", "layout", *DTYPES]
    lines = [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)]
    return "\n".join(lines)


def main() -> None:
    """Print a table for each target."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.coverage", description=__doc__.splitlines()[1])
    parser.add_argument("targets", nargs="*", default=["host"])
    parser.add_argument("--list", action="store_true", help="only say what serves; build and run nothing")
    chosen = parser.parse_args()
    failed = 0
    with Store.open(default_store()) as store:
        bench = Workbench(store)
        for name in chosen.targets:
            coverage = Coverage(bench, bench.target(name), build=not chosen.list)
            rows = list(coverage.rows())
            holes = sum(cell == "" for row in rows for cell in row[3:])
            print(f"{name}: {' '.join(coverage.target.features)}\n\n{table(rows)}\n")
            print(f"{name}: {holes} holes, {coverage.failed} failed", flush=True)
            failed += coverage.failed
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    finish(main)

"""
Record a table: measure every point of a small space, so that searches can be judged without a machine.

    python -m benchmarks.record_table 512x512x512 --out benchmarks/tables
    python -m benchmarks.record_table 256x256x256 --target k1

The space is a coarse cut through the GEMM sketch's tunables (`AXES`; large shapes take `LARGE_AXES`). Each point is
measured as a tuning evaluation is, while the core is ours, in passes of which the median counts.
"""

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from random import Random
from statistics import median

from benchmarks import finish
from benchmarks.tables import Table, save_table
from generators.generator import Expert
from harness.build import Builder
from harness.case import Case
from harness.errors import RunnerError
from harness.evaluate import Evaluation, Evaluator
from harness.kernel import Candidate, Sketch, Tunable
from harness.operators.gemm import GemmSpec
from harness.probe import open_watch
from harness.record import Verdict
from harness.runners.arena import Arena, Placement
from harness.runners.native import NativeObject
from harness.store import Store, default_store
from harness.target import Target
from harness.workbench import Workbench

AXES: Mapping[str, Sequence[int]] = {
    "mr": (6, 8, 9, 12, 14),
    "nr": (32, 48, 64),
    "unroll": (4,),
    "prefetch_b": (8,),
    "prefetch_a": (0,),
    "prefetch_c": (1,),
    "kc": (128, 256, 512),
    "mc": (224,),
    "nc": (128, 256, 4096),
    "pack_a": (0, 1),
    "pack_b": (0, 1),
    "a_once": (0, 1),
    "inner": (0, 1),
}
LARGE_AXES: Mapping[str, Sequence[int]] = {**AXES, "nc": (256, 512, 4096), "pack_b": (1,)}
RISCV_AXES: Mapping[str, Sequence[int]] = {
    "mr": (4, 6, 8, 12, 14),
    "nr": (8, 16, 24, 32),
    "unroll": (4,),
    "lmul": (1, 2),
    "splat": (0,),
    "ahead": (0, 1),
    "kc": (64, 128, 256),
    "mc": (56, 224),
    "nc": (64, 128, 256),
    "pack_a": (1,),
    "pack_b": (1,),
    "a_once": (1,),
    "inner": (0, 1),
}
SKETCH = "gemm_packed"
LARGE_FLOPS = 1e9
TIMES_INTERRUPTED = 10
PASSES = 3
"""Every point is measured so often, in passes over the whole space; the median of its costs counts."""


def coarse(sketch: Sketch, axes: Mapping[str, Sequence[int]]) -> tuple[Tunable, ...]:
    """Return the sketch's tunables cut down to the values of `axes` that they have."""
    return tuple(_cut(tunable, axes[tunable.name]) for tunable in sketch.tunables)


def _cut(tunable: Tunable, wanted: Sequence[int]) -> Tunable:
    values = tuple(sorted({min(tunable.values, key=lambda value: abs(value - w)) for w in wanted}))
    return replace(tunable, values=values, start=min(values, key=lambda value: abs(value - tunable.start)))


def axes_for(target: Target, spec: GemmSpec) -> Mapping[str, Sequence[int]]:
    """Return the values that make up the coarse space."""
    if target.isa == "riscv":
        return RISCV_AXES
    return LARGE_AXES if spec.flops > LARGE_FLOPS else AXES


def record(bench: Workbench, case: Case, limit: int | None) -> Table:
    """Measure the whole space of one case; `limit` keeps a random part of it. A model is asked once, a machine `PASSES` times."""
    expert, spec = Expert(), case.spec
    target = bench.target(case.target)
    full = next(sketch for sketch in expert.sketches(target, spec) if sketch.name == SKETCH)
    axes = coarse(full, axes_for(target, spec))
    points = [
        dict(zip([axis.name for axis in axes], values, strict=True)) for values in product(*(a.values for a in axes))
    ]
    points = [point for point in points if full.legal(point)]
    Random(0).shuffle(points)
    points = points[:limit]
    candidates = [Candidate.of(full.name, point) for point in points]
    script = expert.kernel_script(target, full)
    builder = Builder(target, full, script, bench.toolchain, bench.sandbox, trusted=True)
    items = builder.build(candidates)
    costs: list[list[float]] = [[] for _ in points]
    left = TIMES_INTERRUPTED
    while _unmeasured(bench, case, items, costs):
        left -= 1
        if not left:
            raise RunnerError(f"{case.slug}: the worker died {TIMES_INTERRUPTED} times; record on a quieter machine")
    starts = expert.start_points(target, spec, replace(full, tunables=axes))
    return Table(
        case=case.slug,
        axes=axes,
        costs={tuple(point[a.name] for a in axes): median(found) for point, found in zip(points, costs, strict=True)},
        starts=tuple(starts),
        machine=bench.machine_facts(target),
        recorded=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _unmeasured(
    bench: Workbench, case: Case, items: Sequence[NativeObject | Verdict], costs: Sequence[list[float]]
) -> bool:
    """Measure what lacks measurements; return whether a worker that died (or a suspended machine) left some over."""
    target, begin = bench.target(case.target), time.monotonic()
    with ExitStack() as stack:
        worker = stack.enter_context(bench.worker(target))
        arena = stack.enter_context(Arena(case.spec, Placement.ALIGNED))
        watch = None if worker.repeatable else open_watch(stack, worker, bench.probe)
        evaluator = Evaluator(worker, arena, case, lambda: bench.peak_gflops(target), seed=0, watch=watch)
        for turn in range(1 if worker.repeatable else PASSES):
            for number, item in enumerate(items):
                if len(costs[number]) > turn:
                    continue
                try:
                    result = Evaluation(verdict=item) if isinstance(item, Verdict) else evaluator.evaluate(item)
                except RunnerError:
                    return True
                costs[number].append(result.cost_s)
                if number % 200 == 0:
                    print(f"pass {turn}: {number} of {len(items)}, {time.monotonic() - begin:.0f} s", file=sys.stderr)
    return False


def main() -> None:
    """Record the shapes named on the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.record_table", description=__doc__.splitlines()[1])
    parser.add_argument("shapes", nargs="+", metavar="MxNxK")
    parser.add_argument("--target", default="host")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "tables")
    parser.add_argument("--limit", type=int, help="record only so many random points")
    options = parser.parse_args()
    with Store.open(default_store()) as store:
        bench = Workbench(store)
        for shape in options.shapes:
            m, n, k = (int(size) for size in shape.split("x"))
            table = record(bench, Case(target=options.target, spec=GemmSpec(m=m, n=n, k=k)), options.limit)
            save_table(table, options.out / f"{table.case}.json.gz")
            print(
                f"{table.case}: {len(table.costs)} points, best {table.best_s * 1e3:.3f} ms, {table.within(0.03)} within 3%"
            )


if __name__ == "__main__":
    finish(main)

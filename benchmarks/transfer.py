"""
What similar shapes are worth: `python -m benchmarks.transfer [--seed 1] [--draws 6] [--skip 0] [--seconds 8] [--share 0.25]`.

The anchors (GEMM's sets ``small``, ``odd``, part of ``skinny`` and ``smoke``, one of A and one of B transposed) are tuned once
and stay in the store. Then, for
shapes drawn at random: an operator taken over as it is, one tuned from the analytical model's points and one tuned from the
neighbours' points with a share of that one's evaluations take turns over the same memory. Prints for each shape how fast
the first and the last are, the tuning from the model counting as 1.
"""

import argparse
from contextlib import ExitStack
from dataclasses import replace

import numpy as np

from benchmarks import finish
from generators.generator import Expert
from harness.case import Case
from harness.compare import rebuild
from harness.errors import HarnessError
from harness.kernel import Author
from harness.measure import interleave, undisturbed
from harness.operators import drawn, operators
from harness.operators.gemm import GemmSpec
from harness.probe import open_watch
from harness.record import Record
from harness.runners.arena import Arena, Placement
from harness.runners.native import NativeObject
from harness.stats import geometric_mean, paired_ratio
from harness.store import Store, default_store
from harness.transfer import Neighbourly, neighbours, untuned
from harness.tune import Budget, Tuner
from harness.verify import real_operands, timeout_s
from harness.workbench import Workbench

SETS = operators()["gemm"].shape_sets
TRANSPOSED = tuple(GemmSpec(m=192, n=192, k=192, trans_a=a, trans_b=not a) for a in (True, False))
ANCHORS = (*SETS["small"], *SETS["odd"], *SETS["smoke"][:2], *SETS["skinny"][::3], *TRANSPOSED)


class Named(Expert):
    """The expert under a name of its own: what it tunes is nobody else's."""

    def __init__(self, name: str) -> None:
        self.name = f"transfer-{name}"


class Study:
    """One invocation."""

    def __init__(self, bench: Workbench, seconds: float, share: float) -> None:
        self._bench, self._share, self._budget = bench, share, Budget(evaluations=96, seconds=seconds)
        self._run = bench.store.begin_run(["benchmarks.transfer"], {})
        self._anchors = Named("anchors")

    def tune_anchors(self) -> None:
        """Tune what the store does not hold yet."""
        for spec in ANCHORS:
            case = Case(target="host", spec=spec)
            if self._bench.store.tuned(self._bench.identity(case, self._anchors)) is None:
                print(f"anchor {spec.slug}: {self._tune(case, self._anchors).facts['evaluations']} evaluations", flush=True)

    def study(self, spec: GemmSpec, number: int) -> tuple[float, float]:
        """Print one shape's line; return the speed of the untuned and of the tuning from neighbours over the cold one's."""
        case = Case(target="host", spec=spec)
        near = neighbours(self._bench, case, self._anchors)
        taken = untuned(self._bench, case, self._anchors, run=self._run)
        cold, warm = Named(f"cold-{self._run}"), Named(f"warm-{self._run}")
        records = {"cold": self._tune(case, cold)}
        fewer = replace(self._budget, evaluations=max(1, round(self._share * records["cold"].facts["evaluations"])))
        records["warm"] = self._tune(case, Neighbourly(warm, near), fewer)
        items = {"untuned": taken.item}
        for name, author in (("cold", cold), ("warm", warm)):
            item = rebuild(self._bench, case, author, records[name])
            if not isinstance(item, NativeObject):
                raise HarnessError(f"{spec.slug}: {item}")
            items[name] = item
        ratios = self._ratios(spec, {**items, "again": items["cold"]})
        needed = {name: record.facts["evaluations"] for name, record in records.items()}
        print(
            f"{number:2} {spec.slug}: untuned {ratios['untuned']:.2f}, from neighbours {ratios['warm']:.2f}, control {ratios['again']:.2f};"
            f" {needed['cold']} evaluations, {needed['warm']} from neighbours; {taken.record.facts['origin']}",
            flush=True,
        )
        return ratios["untuned"], ratios["warm"]

    def _tune(self, case: Case, author: Author, budget: Budget | None = None) -> Record:
        return Tuner(self._bench, case, author, run=self._run, budget=budget or self._budget).run()

    def _ratios(self, spec: GemmSpec, items: dict[str, NativeObject]) -> dict[str, float]:
        with ExitStack() as stack:
            worker = stack.enter_context(self._bench.worker(self._bench.target("host")))
            arena = stack.enter_context(Arena(spec, Placement.ALIGNED))
            arena.fill(real_operands(spec, np.random.default_rng(5)))
            sessions = {name: stack.enter_context(worker.open(item, arena)) for name, item in items.items()}
            watch = open_watch(stack, worker, self._bench.probe)
            slices = interleave(sessions, timeout_s=timeout_s(spec), watch=watch, patience_s=4.0)
        chosen = undisturbed(slices)
        cold = slices["cold"].only(chosen).seconds
        return {name: paired_ratio(found.only(chosen).seconds, cold).ratio for name, found in slices.items()}


def main() -> None:
    """Tune the anchors, then study the drawn shapes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--draws", type=int, default=6)
    parser.add_argument("--skip", type=int, default=0, help="leave out the first of them")
    parser.add_argument("--seconds", type=float, default=8.0, help="of each tuning")
    parser.add_argument("--share", type=float, default=0.25, help="of the cold tuning's evaluations for the other")
    options = parser.parse_args()
    with Store.open(default_store() / "transfer") as store:
        study = Study(Workbench(store), options.seconds, options.share)
        study.tune_anchors()
        shapes = list(enumerate(drawn(operators()["gemm"], options.seed, options.draws)))[options.skip :]
        found = [study.study(spec, number) for number, spec in shapes]
    as_it_is, warm = (geometric_mean(column) for column in zip(*found, strict=True))
    print(f"geometric means over {len(found)} shapes: untuned {as_it_is:.2f}, from neighbours {warm:.2f} with {options.share:.0%} of the evaluations")


if __name__ == "__main__":
    finish(main)

"""
The goals for targets without a board, one line each: what was asked, what it is now, met or missed.

    pytest suites/ -k "k1 and gemm" --shapes paper
    python -m benchmarks.cross_goals k1 --speed

The model's errors come from the shipped library times; ratios, and how long that took, from the latest measurements in
this store; speeds are run now where `--speed` asks for them. A shape that was not measured is said to be missing, and
counts as missed. All figures are modelled; published ones are the boards' that `benchmarks/published_rows.toml` names.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from benchmarks import finish
from benchmarks.emulator_speed import speeds
from benchmarks.published_rows import published, specs_of
from harness.case import Case
from harness.library_times import shipped_times
from harness.modelled import PUBLISHED
from harness.operator import Operator
from harness.operators import operators
from harness.operators.gemm import GemmSpec
from harness.record import Record
from harness.sampling import MEASURED_FLOPS, sample
from harness.stats import geometric_mean
from harness.store import Store, default_store
from harness.target import Target
from harness.workbench import Workbench

TARGETS = ("a72", "a76", "c906", "c908", "c910", "k1")
WITHIN = {"a76": 0.10}
"""Largest error of a modelled library that the issue asks for; elsewhere `WITHIN_ELSEWHERE`."""
WITHIN_ELSEWHERE = 0.25
MINUTES = 15.0
FUNCTIONAL_MIPS, TIMED_MIPS = 150.0, 40.0
LINE = "{:8}{:46}{:>38}{:>20}  {}"


@dataclass(frozen=True, slots=True)
class Goal:
    """One line."""

    asked: str
    found: str
    wanted: str
    met: bool


def validation(target: str) -> Iterator[Goal]:
    """Yield the model's errors on published rows of a library, from its shipped times."""
    shipped = {(one.library, one.spec, one.timed_at): one for one in shipped_times(target) if one.memory == PUBLISHED}
    for row in published(target):
        specs = specs_of(row)
        keys = [(row["library"], spec.slug, tuple(sample(spec, MEASURED_FLOPS).slugs)) for spec, _ in specs]
        known = [(spec, shipped.get(key), gflops) for key, (spec, gflops) in zip(keys, specs, strict=True)]
        errors = [spec.flops / found.seconds / 1e9 / gflops - 1 for spec, found, gflops in known if found]
        if not errors:
            continue
        limit, worst = WITHIN.get(target, WITHIN_ELSEWHERE), max(errors, key=abs)
        found = f"{min(errors):+.0%} to {max(errors):+.0%}, {len(errors)} of {len(specs)} rows"
        yield Goal(f"{row['library']} as published, {row.get('operator', 'gemm')}", found, f"within {limit:.0%}", abs(worst) <= limit)


def against_libraries(bench: Workbench, target: Target, operator: Operator) -> Iterator[Goal]:
    """Yield what the latest measurements say of the paper's shapes."""
    specs = operator.shape_sets.get("paper", ())
    rivals = {name for name, one in bench.baselines(target).items() if one.rival(target)}
    latest: dict[str, Record] = {}
    for spec in specs:
        case = Case(target=target.name, spec=spec)
        for record in bench.store.records(kind="measurement", case=case.slug):
            if record.verdict.ok and "throughput_gflops" in record.facts:
                latest[spec.slug] = record
    compared = {
        slug: [peer["throughput_gflops"] for name, peer in record.facts["peers"].items() if name in rivals and "ratio" in peer]
        for slug, record in latest.items()
    }
    compared = {slug: peers for slug, peers in compared.items() if peers}
    said = f"{len(compared)} of {len(specs)} shapes compared"
    asked = f"{operator.name}: no library is faster"
    if not compared:
        yield Goal(asked, said, "all at least 1.00", False)
        return
    ours = {slug: latest[slug].facts["throughput_gflops"] for slug in compared}
    ratios = {slug: ours[slug] / max(compared[slug]) for slug in compared}
    whole = len(compared) == len(specs)
    yield Goal(asked, f"{min(ratios.values()):.2f} to {max(ratios.values()):.2f}, {said}", "all at least 1.00", whole and min(ratios.values()) >= 1)
    memories = [ratio for slug in compared for peers in latest[slug].facts["memory_models"].values() for ratio in peers.values()]
    if memories:
        found = f"{min(memories):.2f} to {max(memories):.2f}, mean {geometric_mean(memories):.2f}"
        yield Goal(f"{operator.name}: nor under another memory", found, "all at least 1.00", whole and min(memories) >= 1)
    peak = latest[next(iter(compared))].facts["peak_gflops"]
    mine, theirs = geometric_mean(list(ours.values())), geometric_mean([max(peers) for peers in compared.values()])
    closed = (mine - theirs) / (peak - theirs)
    found = f"{closed:.0%}: {theirs:.1f} to {mine:.1f} of {peak:.1f}"
    yield Goal(f"{operator.name}: half of the gap to the peak is closed", found, "at least 50%", whole and closed >= 0.5)


def minutes(store: Store, target: str) -> Iterator[Goal]:
    """Yield how long the last whole run of the paper's GEMMs took."""
    for run in store.runs():
        asked = " ".join(run.argv)
        if run.finished and target in asked and "gemm" in asked and "paper" in asked:
            took = (datetime.fromisoformat(run.finished) - datetime.fromisoformat(run.created)).total_seconds() / 60
            found = f"{took:.1f} min, {run.cases} cases, {run.evaluations} tried"
            yield Goal("the paper's GEMM shapes in one run", found, f"{MINUTES:.0f} min", run.cases >= 8 and took <= MINUTES)
            return


def speed(bench: Workbench, target: Target) -> Iterator[Goal]:
    """Yield how fast the emulator is, run now."""
    for name, functional, timed in speeds(bench, target, GemmSpec(m=384, n=384, k=384)):
        yield Goal(f"emulator, {name}", f"{functional:.0f} MIPS", f"{FUNCTIONAL_MIPS:.0f} MIPS", functional >= FUNCTIONAL_MIPS)
        yield Goal(f"emulator with the model, {name}", f"{timed:.0f} MIPS", f"{TIMED_MIPS:.0f} MIPS", timed >= TIMED_MIPS)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cross_goals", description=__doc__.splitlines()[1])
    parser.add_argument("targets", nargs="*", default=TARGETS, metavar="TARGET")
    parser.add_argument("--speed", action="store_true", help="run the emulators too")
    chosen = parser.parse_args()
    print(LINE.format("target", "asked", "found", "wanted", ""))
    met = count = 0
    with Store.open(default_store()) as store:
        bench = Workbench(store)
        for target in map(bench.target, chosen.targets):
            goals = [*validation(target.name), *minutes(store, target.name)]
            for name in ("gemm", "conv2d"):
                goals += against_libraries(bench, target, operators()[name])
            goals += speed(bench, target) if chosen.speed else ()
            for goal in goals:
                print(LINE.format(target.name, goal.asked, goal.found, goal.wanted, "met" if goal.met else "missed"), flush=True)
            met, count = met + sum(goal.met for goal in goals), count + len(goals)
    print(f"{met} of {count} met")


if __name__ == "__main__":
    finish(main)

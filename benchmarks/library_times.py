"""
What libraries take on the emulated targets, for those who cannot run them: writes harness/baselines/modelled/TARGET.jsonl.

    python -m benchmarks.library_times k1 --shapes smoke paper

Computes what no line of the file answers for the model as it is now, drops lines of another model or library once their
successor is there, and prints how each time moved. Every line is written when it is known, so a run may be stopped and
started again. A library that cannot be had is left out, and named with the remedy in the end.
"""

import argparse
from collections.abc import Iterator

from benchmarks import finish
from harness.case import Case
from harness.errors import BaselineUnavailable, HarnessError
from harness.library_times import SHIPPED, LibraryTime, Question, library_time, shipped_times, to_json
from harness.modelled import questions
from harness.operators import operators
from harness.store import Store, default_store
from harness.workbench import Workbench

Name = tuple[str, str, str, tuple[str, ...]]
"""Spec, library, memory and where it is timed."""
LINE = "{:44}{:12}{:30}{:>12}{:>9}  {}"


def asked(bench: Workbench, chosen: argparse.Namespace) -> Iterator[Question]:
    """Yield what comparisons of the chosen shapes ask, the published memory first."""
    target = bench.target(chosen.target)
    specs = [
        spec
        for name, operator in operators().items()
        for shapes in chosen.shapes
        if name in chosen.operator
        for spec in operator.shape_sets.get(shapes, ())
    ]
    cases = [Case(target=target.name, spec=spec) for spec in dict.fromkeys(specs)]
    offers = [(b, case) for b in bench.baselines(target).values() for case in cases if b.offers(case)]
    every = [questions(baseline, case, target) for baseline, case in offers]
    yield from (first for first, *_ in every)
    yield from (one for _, *others in every for one in others)


def current(times: dict[Name, LibraryTime], wanted: list[Question]) -> dict[Name, LibraryTime]:
    """Return the times without those of the wanted specs that no comparison asks for any more."""
    specs, keys = {one.case.spec.slug for one in wanted}, {one.key for one in wanted}
    return {name: one for name, one in times.items() if one.spec not in specs or one.key in keys}


def write(target: str, times: dict[Name, LibraryTime]) -> None:
    """Write the file of a target, in a steady order."""
    SHIPPED.mkdir(exist_ok=True)
    lines = [to_json(times[name]) + "\n" for name in sorted(times)]
    (SHIPPED / f"{target}.jsonl").write_text("".join(lines))


def main() -> None:
    """Print one line a time: what it was, what it is."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.library_times", description=__doc__.splitlines()[1])
    parser.add_argument("target")
    parser.add_argument("--shapes", nargs="+", default=["smoke", "paper"], metavar="SET")
    parser.add_argument("--operator", nargs="+", default=["gemm", "conv2d"], metavar="NAME")
    chosen = parser.parse_args()
    print(LINE.format("spec", "library", "memory", "ms", "moved", "core"))
    with Store.open(default_store()) as store:
        bench = Workbench(store)
        times = {(t.spec, t.library, t.memory, t.timed_at): t for t in shipped_times(chosen.target)}
        wanted = list(asked(bench, chosen))
        refusals: dict[str, None] = {}
        for question in wanted:
            try:
                found = library_time(bench, question)
            except BaselineUnavailable as refused:
                refusals[str(refused)] = None
                continue
            except HarnessError as refused:
                raise SystemExit(str(refused)) from None
            name = (found.spec, found.library, found.memory, found.timed_at)
            if not found.final:
                raise SystemExit(f"{found.spec}, {found.memory}: {found.verdict}; run it again when less else runs here")
            before, times[name] = times.get(name), found
            write(chosen.target, times)
            moved = f"{(found.seconds / before.seconds - 1) * 100:+.1f}%" if before else "new"
            said = found.facts.get("core", found.verdict)
            print(LINE.format(found.spec, found.library, found.memory, f"{found.seconds * 1e3:.3f}", moved, said), flush=True)
        write(chosen.target, current(times, wanted))
    if refusals:
        raise SystemExit("\n".join(refusals))


if __name__ == "__main__":
    finish(main)

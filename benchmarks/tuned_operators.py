"""
Ship what was tuned for the emulated targets: writes harness/tuned/TARGET.jsonl from the winners of this store.

    pytest suites/ -k "k1 and gemm" --shapes paper
    python -m benchmarks.tuned_operators k1
    python -m benchmarks.tuned_operators k1 --show
    python -m benchmarks.tuned_operators k1 --again

`--show` writes nothing; each line says whether the operator is of the sources as they are, or stale. `--again` is for an
emulator whose text changed, or a target's file that learnt a feature: what is stale for the model or the machine alone is
checked and timed as its tuning did, and is of today's if it takes no longer than it took; under 3% is the same. A winner
is looked up by identity, so it is found wherever the source is; it is verified and timed anew before it is reported.
Lines of the file stay where the store has no winner for their case.
"""

import argparse
import json
from dataclasses import replace
from functools import partial

from benchmarks import finish
from generators.generator import Expert
from harness.case import Case
from harness.compare import rebuild
from harness.operators import spec_from_json
from harness.record import Record, Verdict
from harness.runners.arena import Arena, Placement
from harness.sampled import open_evaluator
from harness.store import Store, default_store
from harness.tuned import FOLDER, lines
from harness.workbench import Workbench

SAME = 0.03


def changed(bench: Workbench, record: Record) -> list[str]:
    """Return what has changed since an operator was tuned; of another machine it is not even found."""
    now = bench.fingerprints(Expert(), _case(record))
    names = [name for name, value in now.items() if record.facts["fingerprints"].get(name) != value]
    return names + ["machine"] * (bench.identity(_case(record), Expert()) != record.identity)


def shown(bench: Workbench, record: Record) -> str:
    """Return a shipped operator's case, and why it is stale."""
    return f"{record.case} (stale: {', '.join(names)})" if (names := changed(bench, record)) else record.case


def again(bench: Workbench, record: Record) -> Record:
    """Return an operator as one of today's model and machine, if they are all that changed and it takes no longer."""
    if not (names := changed(bench, record)) or not {*names} <= {"model", "machine"}:
        return record
    case, author, target = _case(record), Expert(), bench.target(record.target)
    item = rebuild(bench, case, author, record)
    if isinstance(item, Verdict):
        print(f"{record.case}: {item}")
        return record
    with bench.worker(target) as worker, Arena(case.spec, Placement.ALIGNED) as arena:
        peak = partial(bench.peak_gflops, target, case.threads, case.spec.dtype)
        evaluator = open_evaluator(worker, arena, case, peak, seed=record.facts["search"]["seed"])
        found = evaluator.evaluate(item)
        evaluator.close()
    moved = found.cost_s / record.best_s - 1
    print(f"{record.case}: {found.verdict}, {100 * moved:+.2f}%")
    if not found.verdict.ok or moved >= SAME:
        return record
    facts = record.facts | {"fingerprints": bench.fingerprints(author, case), "machine": bench.machine_facts(target)}
    return replace(record, samples_s=(found.cost_s,), identity=bench.identity(case, author), facts=facts)


def winners(store: Store, target: str) -> list[Record]:
    """Return the store's own winners of a target."""
    tried = store.records(kind="evaluation")
    identities = {one.identity for one in tried if one.target == target and one.author == "expert"}
    return [found for one in identities if (found := store.tuned(one)) is not None and found.verdict.ok]


def _case(record: Record) -> Case:
    return Case(target=record.target, spec=spec_from_json(record.spec))


def main() -> None:
    """Print what a target's file holds."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tuned_operators", description=__doc__.splitlines()[1])
    parser.add_argument("target")
    way = parser.add_mutually_exclusive_group()
    way.add_argument("--show", action="store_true", help="write nothing; say what is stale")
    way.add_argument("--again", action="store_true", help="time what is stale for the model or machine alone; what takes no longer is stale no more")
    chosen = parser.parse_args()
    path = FOLDER / f"{chosen.target}.jsonl"
    before = path.read_text().splitlines() if path.exists() else []
    records = [Record.from_json(json.loads(line)) for line in before]
    with Store.open(default_store()) as store:
        bench = Workbench(store)
        if chosen.again:
            records = [again(bench, record) for record in records]
        elif not chosen.show:
            records = list({record.case: record for record in (*records, *winners(store, chosen.target))}.values())
        if not chosen.show:
            path.write_text("".join(f"{text}\n" for text in lines(records)))
        print("\n".join(shown(bench, record) for record in records))


if __name__ == "__main__":
    finish(main)

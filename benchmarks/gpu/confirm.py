"""
Verify and time shipped winners again where scripts or tools changed since: `python -m benchmarks.gpu.confirm h100 OUT`.

Nothing is tuned: each stays the point it was, built with today's scripts, verified as a fresh winner is (exact, rounding,
fringes, guards) and timed. ``OUT/tuned.jsonl`` holds those that are right, with today's fingerprints, for
`python -m benchmarks.gpu.keep`; one that is wrong now is named. ``--limit`` seconds, what was not reached is counted.
A second one with ``--compile`` beside it compiles into the same store what the first will need.
"""

import argparse
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import finish
from benchmarks.gpu.sets import Restricted
from harness.case import Case
from harness.compare import rebuild
from harness.cuda.evaluate import verify_on_gpu
from harness.kernel import Candidate
from harness.operators import spec_from_json
from harness.record import Record, Verdict
from harness.runners.cuda import CudaWorker, DeviceProblem
from harness.store import Store, default_store
from harness.tuned import everything, lines
from harness.verify import FRESH_SEED
from harness.workbench import Workbench

SAMPLES, SLICE_S, LIMIT_S = 20, 0.1, 60


def author_of(record: Record) -> Restricted:
    """Return who tuned it: the expert, or the expert with some of its sketches."""
    _, _, only = record.author.partition(" ")
    return Restricted(tuple(only.split("+")) if only else ())


def stale(bench: Workbench, records: list[Record]) -> list[tuple[Record, Case, Restricted]]:
    """Return the winners that other scripts or tools than today's made, with case and author."""
    found = [(one, Case(target=one.target, spec=spec_from_json(one.spec)), author_of(one)) for one in records]
    return [entry for entry in found if entry[0].facts["fingerprints"] != bench.fingerprints(entry[2], entry[1])]


def confirmed(bench: Workbench, worker: CudaWorker, record: Record, case: Case, author: Restricted) -> Record:
    """Return the winner as it is today; its verdict says what is wrong with it, if anything is."""
    item = rebuild(bench, case, author, record)
    if isinstance(item, Verdict):
        return replace(record, verdict=item)
    checked = verify_on_gpu(worker, item, case.spec, dict(Candidate.from_json(record.candidate).values), FRESH_SEED)
    with worker.open(item, DeviceProblem(spec=case.spec)) as session:
        timing = session.time(timeout_s=LIMIT_S, samples=SAMPLES, budget_s=SLICE_S, collect=False)
    verdict = checked.verdict if timing else session.verdict
    facts = record.facts | {"residual": checked.residual, "specs_verified": checked.specs, "fingerprints": bench.fingerprints(author, case)}
    created = datetime.now(UTC).isoformat(timespec="milliseconds")
    return replace(record, verdict=verdict, samples_s=timing.cpu_s if timing else (), facts=facts, created=created)


def compile_all(bench: Workbench, entries: list[tuple[Record, Case, Restricted]]) -> int:
    """Build what is to be confirmed and no more; return 0."""
    for record, case, author in entries:
        item = rebuild(bench, case, author, record)
        plan = item if isinstance(item, Verdict) else item.resolve(case.spec)
        if not isinstance(plan, Verdict):
            item.compiled(case.spec, plan.roles)
    return 0


def main() -> int:
    """Confirm one after another; 1 where one is wrong."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu.confirm", description=__doc__)
    parser.add_argument("target")
    parser.add_argument("out", type=Path)
    parser.add_argument("--limit", type=float, default=540)
    parser.add_argument("--operator", default="", help="conv2d, gemm; all where it is left out")
    parser.add_argument("--compile", action="store_true")
    options = parser.parse_args()
    begin, right, wrong = time.monotonic(), [], 0
    options.out.mkdir(parents=True, exist_ok=True)
    with Store.open(default_store()) as store:
        bench = Workbench(store, allow_unsafe=False)
        shipped = [one for one in everything() if one.target == options.target and options.operator in ("", one.spec["operator"])]
        old = stale(bench, shipped)
        if options.compile:
            return compile_all(bench, old)
        with bench.worker(bench.target(options.target)) as worker:
            for reached, entry in enumerate(old):
                if time.monotonic() - begin > options.limit:
                    print(f"not reached in {options.limit:.0f} s: {len(old) - reached} of {len(old)}")
                    break
                found = confirmed(bench, worker, *entry)
                print(f"{found.case:60} {found.verdict} at {time.monotonic() - begin:.0f} s", flush=True)
                wrong += not found.verdict.ok
                right += [found] * found.verdict.ok
                (options.out / "tuned.jsonl").write_text("".join(text + "\n" for text in lines(right)))
    print(f"{len(shipped) - len(old)} of {len(shipped)} are of today's scripts; {len(right)} confirmed, {wrong} wrong")
    return int(wrong > 0)


if __name__ == "__main__":
    finish(main)

"""
One command: build, check, tune or take what is tuned, time, print the table.

`python -m benchmarks.gpu --sets paper-fp16,decode --limit 540` fits a ten-minute run: sets are taken in order until the
time is over, and what was not reached is named. `conv-fp16-32=7x7+14x14` takes the cases of a set that have such words. Results go to ``--out``: `rows.jsonl` (everything measured) and
`tuned.jsonl` (winners, to become harness/tuned/NAME.jsonl).
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import finish
from benchmarks.gpu.keep import fastest
from benchmarks.gpu.sets import Restricted, Set, all_sets, chosen_set
from generators.generator import Expert
from harness.case import Case
from harness.compare import rebuild
from harness.cuda.compare import APART, compare_on_gpu
from harness.cuda.evaluate import verify_on_gpu
from harness.cuda.tune import CudaTuner
from harness.errors import HarnessError
from harness.kernel import Candidate
from harness.operator import OperatorSpec
from harness.record import Record, Verdict
from harness.stats import geometric_mean, median
from harness.store import Store
from harness.tune import Budget
from harness.tuned import lines, shipped
from harness.verify import FRESH_SEED, Verification
from harness.workbench import Workbench, spec_key


class Run:
    """One invocation."""

    def __init__(self, bench: Workbench, options: argparse.Namespace) -> None:
        self._bench, self._options = bench, options
        self._target = bench.target(options.target)
        self._begin = time.monotonic()
        self._run = bench.store.begin_run(["benchmarks.gpu"], {})
        self._worker = bench.worker(self._target)
        self.winners: list[Record] = []
        self.rows: list[dict] = []

    def close(self) -> None:
        """End the device process."""
        self._worker.close()

    def left_s(self) -> float:
        """Return the seconds left."""
        return self._options.limit - (time.monotonic() - self._begin)

    def measure(self, chosen: Set, spec: OperatorSpec) -> None:
        """Tune or look up, verify, compare; print a line."""
        case, author = Case(target=self._options.target, spec=spec), Restricted(chosen.sketches)
        begin = time.monotonic()
        record, fresh = self._tuned(case, author)
        item = rebuild(self._bench, case, author, record)
        if isinstance(item, Verdict):
            raise HarnessError(f"{case.slug}: {item}")
        values = dict(Candidate.from_json(record.candidate).values)
        checked = verified(record) if fresh else verify_on_gpu(self._worker, item, spec, values, FRESH_SEED)
        asked = self._options.peers.split(",")
        baselines = {name: one for name, one in self._bench.serving(case).items() if asked == [""] or name in asked}
        empty = Record(
            kind="measurement", case=case.slug, run=self._run, target=case.target, spec=spec_key(spec),
            author=author.name, verdict=checked.verdict, identity=record.identity, candidate=record.candidate, clock="cuda",
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            facts={"residual": checked.residual, "specs_verified": checked.specs},
        )  # fmt: skip
        choices = {"rounds": self._options.rounds, "sustained": self._options.sustained}
        found = compare_on_gpu(self._worker, item, self._target, case, baselines, empty, **choices)
        self._bench.store.add(found)
        self.rows.append({"set": chosen.name, "seconds": time.monotonic() - begin, **found.to_json()})
        print(line(found), flush=True)
        self.write()

    def write(self) -> None:
        """Write what was measured so far, so that a run that is killed leaves it."""
        folder = self._options.out
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in self.rows))
        (folder / "tuned.jsonl").write_text("".join(text + "\n" for text in lines(self.winners)))

    def _tuned(self, case: Case, author: Expert) -> tuple[Record, bool]:
        """Return the winner, and whether it was tuned just now."""
        identity = self._bench.identity(case, author)
        known = self._bench.store.tuned(identity) or shipped(identity)
        fresh = known is None or self._options.retune
        if fresh:
            budget = Budget(evaluations=self._options.tune_evals, seconds=self._options.tune_seconds)
            known = CudaTuner(self._bench, case, author, run=self._run, budget=budget).run()
        self.winners.append(known)
        return known, fresh


def verified(record: Record) -> Verification:
    """Return what a winner's tuning found when it verified it."""
    return Verification(verdict=record.verdict, residual=record.facts["residual"], specs=record.facts["specs_verified"])


@contextmanager
def compiling_ahead(options: argparse.Namespace) -> Iterator[None]:
    """Compile start points in a process of its own while the GPU measures; only for a GPU that is named."""
    if not options.ahead or options.target == "cuda":
        yield
        return
    command = [sys.executable, "-m", "benchmarks.gpu.ahead", options.target, options.sets, str(options.store), *["retune"] * options.retune]
    with subprocess.Popen(command) as process:
        try:
            yield
        finally:
            process.kill()


def line(found: Record) -> str:
    """Return one row: speed, ratio to every library, sustained ratio to the best, error, verdict, tile."""
    facts = found.facts
    peers = {name: one for name, one in facts.get("peers", {}).items() if "ratio" in one}
    ratios = " ".join(f"{name} {one['ratio']:.3f}" for name, one in peers.items())
    sustained = [one["sustained_ratio"] for one in peers.values() if "sustained_ratio" in one]
    tile = " ".join(f"{key}={value}" for key, value in found.candidate["values"].items())
    time_us = median(found.samples_s) * 1e6 if found.samples_s else float("nan")
    aa = facts.get("a_a", {}).get("ratio", float("nan"))
    errors = facts.get("errors", {})
    error = " errors " + " ".join(f"{name} {one['max_error']:.2e}" for name, one in errors.items() if one) if errors else ""
    best = min((one["ratio"] for one in peers.values()), default=float("nan"))
    apart = min((one.get("ratio_apart", one["ratio"]) for one in peers.values()), default=float("nan"))
    return (
        f"{found.case:58} {time_us:9.1f} us {facts.get('throughput_gflops', 0) / 1e3:7.1f} TFLOP/s  best {best:.3f} ({ratios}) apart {apart:.3f}"
        f" sustained {min(sustained, default=float('nan')):.3f} a/a {aa:.3f} residual {facts.get('residual', 0):.2f}{error}"
        f" {found.verdict if not found.verdict.ok else ''} {found.candidate['sketch']} {tile}"
    )


def geomean(values: Sequence[float]) -> float:
    """Return the geometric mean; not a number where there is none."""
    return geometric_mean(values) if values else float("nan")


def apart_s(row: dict) -> float:
    """Return a row's seconds where no launch begins before the end of the one before."""
    return median(row["facts"].get("every_round_s", {}).get(APART) or row["samples_s"])


def summary(rows: Sequence[dict], sets: Sequence[Set], fastest: Mapping[tuple[str, str], float]) -> list[str]:
    """
    Return a line a set: cases measured, geometric means, the lowest, the goal.

    "apart": no launch before the end of the one before; "strict": apart, and against the fastest time of a library in any run.
    """
    texts = [f"{'set':16} {'cases':>7} {'best peer':>10} {'lowest':>7} {'apart':>7} {'strict':>7} {'sustained':>10}  goal; by library"]
    for one in sets:
        own = [row for row in rows if row["set"] == one.name and row["verdict"]["outcome"] == "ok"]
        peers = [{name: p for name, p in row["facts"].get("peers", {}).items() if "ratio" in p} for row in own]
        best = [min(p["ratio"] for p in entry.values()) for entry in peers if entry]
        apart = [min(p.get("ratio_apart", p["ratio"]) for p in entry.values()) for entry in peers if entry]
        strict = [fastest[one.name, row["case"]] / apart_s(row) for row in own if (one.name, row["case"]) in fastest]
        long = [min(p["sustained_ratio"] for p in e.values() if "sustained_ratio" in p) for e in peers if any("sustained_ratio" in p for p in e.values())]
        names = sorted({name for entry in peers for name in entry})
        each = " ".join(f"{name} {geomean([e[name]['ratio'] for e in peers if name in e]):.3f}" for name in names)
        texts.append(
            f"{one.name:16} {len(own):3}/{len(one.specs):3} {geomean(best):10.3f} {min(best, default=float('nan')):7.3f} {geomean(apart):7.3f} {geomean(strict):7.3f}"
            f" {geomean(long):10.3f}  {one.goal}; {each}"
        )
    return texts


def main() -> int:
    """Parse, run, print, write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--sets", default=",".join(all_sets()), help=f"of {', '.join(all_sets())}; NAME=WORD+WORD: some cases")
    parser.add_argument("--target", default="cuda", help="h100, h200 or cuda (whatever is here)")
    parser.add_argument("--limit", type=float, default=540, help="seconds, all in all")
    parser.add_argument("--tune-evals", type=int, default=96)
    parser.add_argument("--tune-seconds", type=float, default=10)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--peers", default="", help="libraries to compare with, as cublas,cublaslt; all where it is left out")
    parser.add_argument("--sustained", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--retune", action="store_true")
    parser.add_argument("--ahead", action=argparse.BooleanOptionalAction, default=True, help="compile while the GPU measures")
    parser.add_argument("--store", type=Path, default=Path(".opwright"))
    parser.add_argument("--show", type=Path, metavar="FILE", help="print the table of kept rows instead of measuring")
    parser.add_argument("--out", type=Path, default=Path("gpu-results"))
    options = parser.parse_args()
    sets = [chosen_set(text) for text in options.sets.split(",")]
    if options.show:
        rows = [json.loads(text) for text in options.show.read_text().splitlines()]
        print("\n".join(line(Record.from_json(row)) for row in rows))
        shown = [one for one in sets if any(row["set"] == one.name for row in rows)]
        print("\n".join(summary(rows, shown, fastest(options.show))))
        return 0
    with Store.open(options.store) as store, compiling_ahead(options):
        try:
            run, missed = Run(Workbench(store, allow_unsafe=False), options), []
        except HarnessError as missing:  # no such GPU here
            raise SystemExit(str(missing)) from None
        try:
            for chosen in sets:
                for spec in chosen.specs:
                    if run.left_s() < 0:
                        missed.append(spec.slug)
                        continue
                    try:
                        run.measure(chosen, spec)
                    except HarnessError as failure:
                        print(f"{spec.slug}: {failure}", flush=True)
        finally:
            run.close()
        print("\n".join(summary(run.rows, sets, {})))
        if missed:
            print(f"not reached in {options.limit:.0f} s: {len(missed)} cases, {missed[0]} to {missed[-1]}")
    return 0


if __name__ == "__main__":
    finish(main)

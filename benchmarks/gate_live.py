"""
Gate equal code for real, again and again, and count what the gate says.

    python -m benchmarks.gate_live --seconds 55          adds to this machine's count, from where the last call stopped
    nice python -m benchmarks.gate_live --gates 600      until it holds so many, however often it is interrupted
    python -m benchmarks.gate_live --gates 300 --out b.json   a count of its own: for another machine, or beside another run
    python -m benchmarks.gate_live --show [FILE ...]     the sum of several, by machine; without files, of all that are kept

Each gate measures the operator and the same operator as its own reference in a fresh process, and repeats that as the
gate asks, exactly as `pytest --gate` does; every state other than SAME is kept with its message.
The count is written after every gate, and a line says how far it is. A gate whose worker died or was stopped (a
suspended machine) gives no answer; it is counted as interrupted and done again.
Runs side by side belong on processors of their own: `taskset -c 0-3 python -m benchmarks.gate_live ... --out a.json`.
"""

import argparse
import re
import sys
import time
from math import inf
from pathlib import Path

from benchmarks.gate_count import FOLDER, Count, held, load, summary
from benchmarks.gate_samples import Measured, build, measure, specs
from benchmarks.gate_simulation import record, reference_of
from harness.errors import HarnessError, RunnerError
from harness.operator import OperatorSpec
from harness.record import Record
from harness.runners.native import NativeObject
from harness.store import Store, default_store
from harness.workbench import Workbench
from reports.gate import Finding, judge
from reports.gate_rules import Rules, load_rules


def main() -> None:
    """Add gates for as long as was asked, or print the sum of the counts."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gate_live", description=__doc__.splitlines()[1])
    parser.add_argument("--seconds", type=float, help="how long to go on (55)")
    parser.add_argument("--gates", type=int, help="go on until the count holds so many")
    parser.add_argument("--out", type=Path, help=f"the count to add to (one named after the processor in {FOLDER.name}/)")
    parser.add_argument("--show", type=Path, nargs="*", metavar="FILE", help="print the sum of counts; take no gates")
    options = parser.parse_args()
    try:
        if options.show is None:
            seconds = options.seconds if options.seconds is not None else inf if options.gates else 55.0
            with Store.open(default_store()) as store:
                options.show = [_add(Workbench(store), options.out, seconds, options.gates or inf)]
        print("\n".join(summary([load(path) for path in options.show or sorted(FOLDER.glob("*.json"))])))
    except HarnessError as error:
        raise SystemExit(str(error)) from None
    except KeyboardInterrupt:
        raise SystemExit("interrupted; every gate that was finished is kept") from None


def _add(bench: Workbench, path: Path | None, seconds: float, most: float) -> Path:
    """Gate one case after another, keep every answer at once, and return the count's file."""
    facts = bench.machine_facts(bench.target("host"))
    machine = f"{facts['cpu']}, {facts['cores']} core{'s' if facts['cores'] != 1 else ''}"
    path = path or FOLDER / f"{re.sub(r'[^a-z0-9]+', '-', machine.lower()).strip('-')}.json"
    with held(path, machine) as count:
        items = [(spec, build(bench, spec)) for spec in specs()]
        rules, begin_s, before = load_rules(), time.monotonic(), count.gates
        while time.monotonic() < begin_s + seconds and count.gates < most:
            spec, item = items[count.gates % len(items)]
            try:
                count.add(*_gate(bench, spec, item, rules, len(items)))
            except RunnerError:
                count.interrupted += 1
            count.save(path)
            print(_progress(count, count.gates - before, time.monotonic() - begin_s, most), file=sys.stderr, flush=True)
    return path


def _gate(bench: Workbench, spec: OperatorSpec, item: NativeObject, rules: Rules, cases: int) -> tuple[Finding, int]:
    """Gate a case against itself once; return what the gate says, and after how many measurements."""
    measured: list[Measured] = []

    def again() -> Record:
        measured.append(measure(bench, spec, item, probes=False))
        return record(measured[-1], False, 1.0)

    return judge(again(), reference_of(measured), rules, cases=cases, again=again), len(measured)


def _progress(count: Count, done: int, took_s: float, most: float) -> str:
    """Return how far it is: ``12 of 600 gates, 12 SAME, 1.5 s a gate, about 15 min left``."""
    each_s = took_s / max(done, 1)
    of, left = (f" of {most:.0f}", f", about {(most - count.gates) * each_s / 60:.0f} min left") if most < inf else ("", "")
    return f"{count.gates}{of} gates, {count.found()}, {each_s:.1f} s a gate{left}"


if __name__ == "__main__":
    main()

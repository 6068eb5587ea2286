"""
Gate equal code for real, again and again, and count what the gate says.

    python -m benchmarks.gate_live --seconds 55         goes on where the last call stopped
    nice python -m benchmarks.gate_live --gates 600     until there are so many, however often it is interrupted

Each gate measures the operator and the same operator as its own reference in a fresh process, and repeats that as the
gate asks, exactly as `pytest --gate` does; every state other than SAME is kept with its message.
The count is written after every gate, and a line says how far it is. A gate whose worker died or was stopped (a suspended machine) gives no answer; it
is counted as interrupted and done again.
"""

import argparse
import json
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from math import inf
from pathlib import Path

from benchmarks.gate_samples import Measured, build, measure, specs
from benchmarks.gate_simulation import record, reference_of
from harness.errors import RunnerError
from harness.operator import OperatorSpec
from harness.record import Record
from harness.runners.native import NativeObject
from harness.store import Store, default_store
from harness.workbench import Workbench
from reports.gate import Finding, State, judge
from reports.gate_rules import load_rules

RESULTS = Path(__file__).parent / "gate_live.json"


def main() -> None:
    """Add gates for as long as was asked, then print the count of all."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gate_live", description=__doc__.splitlines()[1])
    parser.add_argument("--seconds", type=float, help="how long to go on; 0 prints what there is (55)")
    parser.add_argument("--gates", type=int, help="go on until there are so many")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    seconds = options.seconds if options.seconds is not None else inf if options.gates else 55.0
    count = Count.load(options.out)
    if seconds:
        with Store.open(default_store()) as store:
            _gates(Workbench(store), count, time.monotonic() + seconds, options.gates or inf)
    print(count)


def _gates(bench: Workbench, count: "Count", until_s: float, most: float) -> None:
    """Gate one case after another and keep every answer at once."""
    items = [(spec, build(bench, spec)) for spec in specs()]
    rules = load_rules()
    count.machine = bench.machine_facts(bench.target("host"))["cpu"]
    begin_s, before = time.monotonic(), count.states.total()
    while time.monotonic() < until_s and count.states.total() < most:
        spec, item = items[count.states.total() % len(items)]
        measured: list[Measured] = []

        def again(spec: OperatorSpec = spec, item: NativeObject = item, measured: list[Measured] = measured) -> Record:
            measured.append(measure(bench, spec, item, probes=False))
            return record(measured[-1], False, 1.0)

        try:
            first = again()
            finding = judge(first, reference_of(measured), rules, cases=len(items), again=again)
        except RunnerError:
            count.interrupted += 1
        else:
            count.add(finding, len(measured))
        count.save()
        done, took_s = count.states.total() - before, time.monotonic() - begin_s
        left = f", about {(most - count.states.total()) * took_s / max(done, 1) / 60:.0f} min left" if most < inf else ""
        print(f"{count.brief(most)}, {took_s / max(done, 1):.1f} s a gate{left}", file=sys.stderr, flush=True)


@dataclass(slots=True, kw_only=True)
class Count:
    """What all calls found so far."""

    path: Path
    states: Counter[str]
    measurements: int = 0
    interrupted: int = 0
    notable: list[str] = field(default_factory=list)
    """The messages of gates that did not say SAME."""
    machine: str = ""

    @classmethod
    def load(cls, path: Path) -> "Count":
        """Read a count, or begin one."""
        kept = json.loads(path.read_text()) if path.exists() else {}
        return cls(path=path, states=Counter(kept.pop("states", {})), **kept)

    def add(self, finding: Finding, measurements: int) -> None:
        """Take in one gate."""
        self.states[finding.state] += 1
        self.measurements += measurements
        if finding.state is not State.SAME:
            self.notable.append(finding.message)

    def save(self) -> None:
        """Write the count; whoever is killed meanwhile leaves the older one."""
        kept = {name: getattr(self, name) for name in ("states", "measurements", "interrupted", "notable", "machine")}
        fresh = self.path.with_suffix(".new")
        fresh.write_text(json.dumps(kept, indent=1) + "\n")
        fresh.replace(self.path)

    def brief(self, most: float) -> str:
        """Return how far it is: ``12 of 600 gates, 12 SAME``."""
        of = f" of {most:.0f}" if most < inf else ""
        found = ", ".join(f"{count} {state}" for state, count in self.states.most_common())
        return f"{self.states.total()}{of} gates, {found or 'none yet'}"

    def __str__(self) -> str:
        found = ", ".join(f"{count} {state}" for state, count in self.states.most_common())
        done = f"{self.states.total()} gates of equal code, {self.measurements} measurements, {self.machine}: {found}"
        return f"{done}; {self.interrupted} interrupted" if self.interrupted else done


if __name__ == "__main__":
    main()

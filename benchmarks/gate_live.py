"""
Gate equal code for real, again and again, and count what the gate says.

    python -m benchmarks.gate_live --seconds 55         goes on where the last call stopped

Each gate measures the operator and the same operator as its own reference in a fresh process, and repeats that as the
gate asks, exactly as `pytest --gate` does; every state other than SAME is kept with its message.
"""

import argparse
import json
import time
from collections import Counter
from pathlib import Path

from benchmarks.gate_samples import Measured, build, measure, specs
from benchmarks.gate_simulation import record, reference_of
from harness.operator import OperatorSpec
from harness.record import Record
from harness.runners.native import NativeObject
from harness.store import Store, default_store
from harness.workbench import Workbench
from reports.gate import State, judge
from reports.gate_rules import load_rules

RESULTS = Path(__file__).parent / "gate_live.json"


def main() -> None:
    """Add gates for as long as was asked, then print the count of all."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gate_live", description=__doc__.splitlines()[1])
    parser.add_argument("--seconds", type=float, default=55.0, help="how long to go on; 0 prints what there is")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    kept = json.loads(options.out.read_text()) if options.out.exists() else {"states": {}, "measurements": 0, "notable": []}
    states: Counter[str] = Counter(kept["states"])
    with Store.open(default_store()) as store:
        bench = Workbench(store)
        items = [(spec, build(bench, spec)) for spec in specs()]
        rules, deadline = load_rules(), time.monotonic() + options.seconds
        while time.monotonic() < deadline:
            spec, item = items[states.total() % len(items)]
            measured: list[Measured] = []

            def again(spec: OperatorSpec = spec, item: NativeObject = item, measured: list[Measured] = measured) -> Record:
                measured.append(measure(bench, spec, item))
                return record(measured[-1], False, 1.0)

            first = again()
            finding = judge(first, reference_of(measured), rules, cases=len(items), again=again)
            kept["measurements"] += len(measured)
            states[finding.state] += 1
            if finding.state is not State.SAME:
                kept["notable"].append(finding.message)
        kept |= {"states": dict(states), "machine": bench.machine_facts(bench.target("host"))["cpu"]}
    options.out.write_text(json.dumps(kept, indent=1) + "\n")
    found = ", ".join(f"{count} {state}" for state, count in states.most_common())
    print(f"{states.total()} gates of equal code, {kept['measurements']} measurements, {kept['machine']}: {found}")


if __name__ == "__main__":
    main()

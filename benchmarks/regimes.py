"""
Goals of the native CPU regimes beside what was reached: `python -m benchmarks.regimes`.

Reads `docs/performance/native/*.jsonl`, measurements that are kept with the tree, and judges them by regimes.toml. Of a
case that was measured more than once the last counts, not the best: the last that had the peers a goal is about. `--store` judges this store's measurements instead;
`--keep FILE` adds them to a file, so:

    pytest suites/test_throughput.py --operator conv2d --shapes unet --tune-seconds 8
    python -m benchmarks.regimes --keep docs/performance/native/mymachine.jsonl
"""

import argparse
import json
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.operators import operators
from harness.prompt import parse_prompt
from harness.record import Record
from harness.stats import geometric_mean
from harness.store import Store, default_store
from reports.load import Case, case_of
from reports.reference import read_records

GOALS = Path(__file__).with_suffix(".toml")
KEPT = Path(__file__).parents[1] / "docs" / "performance" / "native"
FACTS = ("throughput_gflops", "peak_gflops", "peak_fraction", "residual", "a_a", "machine", "threads", "tuning_s", "evaluations", "flops")
PEER = ("verdict", "version", "core", "threads", "ratio", "ratio_low", "ratio_high", "throughput_gflops")


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One goal of one regime, and how far it was reached."""

    regime: str
    goal: str
    reached: str
    verdict: str
    """``met``, ``missed``, ``not measured``, or what the cases measured so far come to."""
    measured: str


Cases = Mapping[str, Sequence[Case]]
"""By id, the measurements of one machine, the last one first."""


def judged(cases: Cases) -> Iterable[Line]:
    """Yield every goal."""
    for goal in tomllib.loads(GOALS.read_text())["goal"]:
        wanted = list(dict.fromkeys(f"host-{spec.slug}" for spec in _specs(goal)))
        found = {name: [case for case in cases[name] if case.ok] for name in wanted if name in cases}
        for against in goal["against"]:
            ratios = {name: ratio for name, tried in found.items() if (ratio := _ratio(tried, against["peers"]))}
            name = f"x {' or '.join(against['peers'])}"
            if "mean" in against:
                yield _line(goal["regime"], f"{name}, mean", against["mean"], geometric_mean, ratios, len(wanted))
            if "each" in against:
                yield _line(goal["regime"], f"{name}, each", against["each"], min, ratios, len(wanted))
        if "peak" in goal:
            least, work = goal["peak"]["least"], goal["peak"]["from_flops"]
            wanted = [spec for spec in _specs(goal) if spec.flops >= work]
            large = {name: tried[0] for name, tried in found.items() if tried and (tried[0].flops or 0) >= work}
            shares = {name: case.peak_fraction for name, case in large.items() if case.peak_fraction}
            yield _line(goal["regime"], "share of the FMA loop, each", least, min, shares, len(wanted))


def _specs(goal: Mapping[str, Any]) -> list[Any]:
    sets = operators()[goal["operator"]].shape_sets
    return [spec for name in goal.get("sets", ()) for spec in sets[name]] + [parse_prompt(text).spec for text in goal.get("prompts", ())]


def _ratio(tried: Sequence[Case], peers: Sequence[str]) -> float | None:
    """Return throughput ours over the fastest of some peers; "best" needs more than OpenBLAS to be of them."""
    for case in tried:
        right = {peer.name: peer.ratio for peer in case.peers if peer.ok and peer.ratio}
        if peers == ["best"] and set(right) - {"openblas"}:
            return min(right.values())
        if known := [right[name] for name in peers if name in right]:
            return min(known)
    return None


def _line(regime: str, name: str, goal: float, measure: Any, values: Mapping[str, float], wanted: int) -> Line:
    if not values:
        return Line(regime=regime, goal=f"{name} {goal:.2f}", reached="-", verdict="not measured", measured=f"0 of {wanted}")
    reached = measure(list(values.values()))
    worst = min(values, key=lambda name: values[name])
    verdict = "met" if reached >= goal else "missed"
    return Line(
        regime=regime,
        goal=f"{name} {goal:.2f}",
        reached=f"{reached:.2f}" + (f" ({worst.removeprefix('host-')})" if measure is min else ""),
        verdict=verdict if len(values) == wanted or (measure is min and verdict == "missed") else f"{verdict} so far",
        measured=f"{len(values)} of {wanted}",
    )


def by_machine(records: Iterable[Record]) -> dict[str, dict[str, list[Case]]]:
    """Return by machine the measurements of each case, one thread, the last one first."""
    found: dict[str, dict[str, list[Case]]] = {}
    for record in sorted(records, key=lambda record: record.created, reverse=True):
        if record.target == "host" and record.kind == "measurement" and record.facts.get("threads", 1) == 1:
            machine = record.facts.get("machine", {})
            known = [name for name in ("avx512_vnni", "amx_bf16") if name in machine.get("features", ())]
            cases = found.setdefault(f"{machine.get('cpu', 'unknown')}; {', '.join(known)}", {})
            cases.setdefault(record.case, []).append(case_of(record))
    return found


def trimmed(record: Record) -> Record:
    """Return a record without samples, artefacts and paths: what a table needs."""
    facts = {name: record.facts[name] for name in FACTS if name in record.facts}
    peers = record.facts.get("peers", {})
    facts["peers"] = {name: {key: peer[key] for key in PEER if key in peer} for name, peer in peers.items()}
    return replace(record, samples_s=(), facts=facts, run="", identity="")


def kept(records: Iterable[Record]) -> list[str]:
    """Return lines of a file: of each case, machine and set of peers the last measurement, in order of time."""

    def what(record: Record) -> tuple[object, ...]:
        return (record.case, record.facts.get("machine", {}).get("cpu"), *sorted(record.facts.get("peers", {})))

    last = {what(record): record for record in sorted(records, key=lambda record: record.created)}
    ordered = sorted(last.values(), key=lambda record: record.created)
    return [json.dumps(trimmed(record).to_json(), sort_keys=True) for record in ordered]


def goal_cases() -> set[str]:
    """Return the ids of every case that some goal is about."""
    goals = tomllib.loads(GOALS.read_text())["goal"]
    return {f"host-{spec.slug}" for goal in goals for spec in _specs(goal)}


def show(records: Sequence[Record]) -> None:
    """Print a table for each machine."""
    features = {goal["regime"]: goal["feature"] for goal in tomllib.loads(GOALS.read_text())["goal"] if "feature" in goal}
    for machine, cases in by_machine(records).items():
        controls = [bound for tried in cases.values() for case in tried if case.a_a for bound in (case.a_a.low, case.a_a.high)]
        print(f"{machine}; {len(cases)} cases; A/A {min(controls):.3f} to {max(controls):.3f}" if controls else machine)
        print("\n| regime | goal | reached | | measured |\n|---|---|---|---|---|")
        for line in judged(cases):
            missing = features.get(line.regime, "") not in machine
            verdict = f"this machine has no {features[line.regime]}" if missing else line.verdict
            print(f"| {line.regime} | {line.goal} | {line.reached} | {verdict} | {line.measured} |")
        print()


def show_rows(records: Sequence[Record], words: str) -> None:
    """Print the last measurement of each case whose id has the words, with every library's ratio."""
    for machine, cases in by_machine(records).items():
        chosen = {name: tried[0] for name, tried in cases.items() if words in name}
        peers = sorted({peer.name for case in chosen.values() for peer in case.peers})
        print(f"{machine}\n\n| case | GFLOP/s | of peak |{''.join(f' x {name} |' for name in peers)} A/A |")
        print(f"|---|---|---|{'---|' * len(peers)}---|")
        for name, case in sorted(chosen.items()):
            ratios = {p.name: f"{p.ratio:.2f} [{p.ratio_low:.2f}, {p.ratio_high:.2f}]" for p in case.peers if p.ok and p.ratio}
            control = f"{case.a_a.low:.2f} to {case.a_a.high:.2f}" if case.a_a else ""
            speed = f"{case.throughput_gflops:.1f} | {100 * case.peak_fraction:.0f}%"
            print(f"| {name.removeprefix('host-')} | {speed} | {' | '.join(ratios.get(peer, '') for peer in peers)} | {control} |")
        print()


def main() -> None:
    """Print the table, or keep measurements."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.regimes", description=__doc__.splitlines()[1])
    parser.add_argument("--store", action="store_true", help="judge this store's measurements")
    parser.add_argument("--keep", type=Path, metavar="FILE", help="add this store's measurements to a file of records")
    parser.add_argument("--rows", metavar="WORDS", help="print the cases whose id has these words, as sgemm- or sconv-")
    chosen = parser.parse_args()
    records = [record for path in sorted(KEPT.glob("*.jsonl")) for record in read_records(path)]
    if chosen.store or chosen.keep:
        with Store.open(default_store()) as store:
            measured = [record for record in store.records(kind="measurement") if record.case in goal_cases()]
        records = measured
    if chosen.keep:
        before = read_records(chosen.keep) if chosen.keep.exists() else []
        chosen.keep.parent.mkdir(parents=True, exist_ok=True)
        chosen.keep.write_text("".join(f"{line}\n" for line in kept([*before, *measured])))
    if chosen.rows is None:
        show(records)
    else:
        show_rows(records, chosen.rows)


if __name__ == "__main__":
    main()

"""
Goals of the native CPU regimes beside what was reached: `python -m benchmarks.regimes`.

Reads `docs/performance/native/*.jsonl`, measurements that are kept with the tree, and judges them by regimes.toml. Of a
case that was measured more than once the last counts, not the best: the last that had the peers a goal is about. The
README shows what it prints. `--rows WORDS` prints the cases one by one. `--store` judges this store's measurements instead;
`--keep FILE` adds them to a file, so:

    pytest suites/test_throughput.py --operator conv2d --shapes unet --tune-seconds 8
    python -m benchmarks.regimes --keep docs/performance/native/mymachine.jsonl
"""

import argparse
import json
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import finish
from harness.errors import HarnessError
from harness.operators import operators, spec_from_json
from harness.prompt import parse_prompt
from harness.record import Record
from harness.stats import geometric_mean
from harness.store import Store, default_store
from reports.load import Case, case_of
from reports.reference import read_records

GOALS = Path(__file__).with_suffix(".toml")
KEPT = Path(__file__).parents[1] / "docs" / "performance" / "native"
FACTS = ("throughput_gflops", "peak_gflops", "peak_fraction", "residual", "a_a", "machine", "threads", "tuning_s", "evaluations", "flops", "imbalance")
PEER = ("verdict", "version", "core", "threads", "ratio", "ratio_low", "ratio_high", "throughput_gflops")


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One goal of one regime, and how far it was reached."""

    regime: str
    goal: str
    reached: str
    verdict: str
    """``met``, ``missed``, ``not measured``, what the cases measured so far come to, or nothing where no goal is set."""
    measured: str
    least: str = ""
    """The case that decides what holds for each."""


Cases = Mapping[str, Sequence[Case]]
"""By id, the measurements of one machine, the last one first."""


def judged(cases: Cases) -> Iterable[Line]:
    """Yield every goal."""
    for goal in tomllib.loads(GOALS.read_text())["goal"]:
        wanted = list(dict.fromkeys(f"host-{spec.slug}" for spec in _specs(goal)))
        found = {name: [case for case in cases[name] if case.ok] for name in wanted if name in cases}
        for against in goal["against"]:
            ratios = {name: ratio for name, tried in found.items() if (ratio := _ratio(tried, against["peers"]))}
            line = partial(_line, goal["regime"], f"x {' or '.join(against['peers'])}", values=ratios, wanted=len(wanted))
            if "each" not in against or "mean" in against:
                yield line("mean", against.get("mean"))
            if "each" in against:
                yield line("each", against["each"])
        if "peak" in goal:
            least, work = goal["peak"]["least"], goal["peak"]["from_flops"]
            wanted = [spec for spec in _specs(goal) if spec.flops >= work]
            large = {name: tried[0] for name, tried in found.items() if tried and (tried[0].flops or 0) >= work}
            shares = {name: case.peak_fraction for name, case in large.items() if case.peak_fraction}
            yield _line(goal["regime"], "share of the FMA loop", "each", least, values=shares, wanted=len(wanted))


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


def _line(regime: str, name: str, kind: str, goal: float | None, *, values: Mapping[str, float], wanted: int) -> Line:
    """Judge the geometric mean of the values, or each of them, that is the least."""
    name = f"{name}, {kind}" + (f" {goal:.2f}" if goal else "")
    if not values:
        return Line(regime=regime, goal=name, reached="-", verdict="not measured", measured=f"0 of {wanted}")
    least = min(values, key=lambda name: values[name])
    reached = values[least] if kind == "each" else geometric_mean(list(values.values()))
    verdict = "" if goal is None else "met" if reached >= goal else "missed"
    final = not verdict or len(values) == wanted or (kind == "each" and verdict == "missed")
    return Line(
        regime=regime,
        goal=name,
        reached=f"{reached:.2f}",
        verdict=verdict if final else f"{verdict} so far",
        measured=f"{len(values)} of {wanted}",
        least=least.removeprefix("host-") if kind == "each" else "",
    )


def by_machine(records: Iterable[Record], threads: bool = False) -> dict[str, dict[str, list[Case]]]:
    """Return by machine the measurements of each case, the last one first: of one thread, or of several."""
    found: dict[str, dict[str, list[Case]]] = {}
    for record in sorted(records, key=lambda record: record.created, reverse=True):
        if record.target == "host" and record.kind == "measurement" and (record.facts.get("threads", 1) > 1) == threads:
            cases = found.setdefault(machine_of(record), {})
            cases.setdefault(record.case, []).append(case_of(record))
    return found


def machine_of(record: Record) -> str:
    """Name the machine: what its processor calls itself, and what tells it from others that call themselves the same."""
    machine = record.facts.get("machine", {})
    known = [name for name in ("avx512_vnni", "amx_bf16") if name in machine.get("features", ())]
    return f"{machine.get('cpu', 'unknown')}; {', '.join(known)}"


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
    """Return the ids of every case of a regime, on one thread."""
    goals = tomllib.loads(GOALS.read_text())["goal"]
    return {f"host-{spec.slug}" for goal in goals for spec in _specs(goal)}


def table(records: Sequence[Record]) -> Iterable[str]:
    """Yield the lines of what is printed: the machines, the regimes with a column for each machine, several threads."""
    machines, letters = by_machine(records), {}
    features = {goal["regime"]: goal["feature"] for goal in tomllib.loads(GOALS.read_text())["goal"] if "feature" in goal}
    for letter, machine in zip("ABCDEFGH", sorted(machines), strict=False):
        letters[machine] = letter
        yield f"- {letter}: {_facts(machine, [record for record in records if machine_of(record) == machine])}"
    lines = {machine: list(judged(machines[machine])) for machine in letters}
    yield ""
    yield f"| regime | goal | {' | '.join(letters.values())} |"
    yield f"|---|---|{'---|' * len(letters)}"
    for row in zip(*lines.values(), strict=True):
        cells = [_cell(line, machine, features) for machine, line in zip(letters, row, strict=True)]
        yield f"| {row[0].regime} | {row[0].goal} | {' | '.join(cells)} |"
    yield ""
    for machine, letter in letters.items():
        yield f"- Least on {letter}: {'; '.join(f'{line.reached} {line.least}' for line in lines[machine] if line.least)}."
    yield from _threads(records, letters)


def _facts(machine: str, records: Sequence[Record]) -> str:
    """Return what is known of a machine and of what was measured there."""
    facts = [record.facts.get("machine", {}) for record in records]
    caches = ", ".join(f"L{cache['level']} {cache['bytes'] >> 10} KiB" for cache in facts[-1].get("caches", ()))
    clocks = [fact["clock_hz"] / 1e9 for fact in facts if "clock_hz" in fact]
    dates = sorted(record.created[:16].replace("T", " ") for record in records)
    controls = [case.a_a for record in records if (case := case_of(record)).a_a]
    versions = {f"{peer.name} {peer.version}" for record in records for peer in case_of(record).peers if peer.version}
    parts = [machine, caches, f"{min(clocks):.1f} to {max(clocks):.1f} GHz" if clocks else "", f"{dates[0]} to {dates[-1]} UTC"]
    if controls:
        parts.append(f"A/A {min(one.low for one in controls):.2f} to {max(one.high for one in controls):.2f}")
    return "; ".join(filter(None, [*parts, ", ".join(sorted(versions))]))


def _cell(line: Line, machine: str, features: Mapping[str, str]) -> str:
    if features.get(line.regime, "") not in machine:
        return f"no {features[line.regime]}"
    counted, wanted = line.measured.split(" of ")
    some = "" if counted in ("0", wanted) else f"({line.measured})"
    return " ".join(filter(None, [line.reached.strip("-"), line.verdict, some]))


def _threads(records: Sequence[Record], letters: Mapping[str, str]) -> Iterable[str]:
    """Yield the cases that were measured on several threads, beside the same on one."""
    alone, several = by_machine(records), by_machine(records, threads=True)
    if not several:
        return
    yield ""
    yield "| case on several threads | machine | GFLOP/s | x one thread | x best peer | busiest thread over the mean | A/A |"
    yield "|---|---|---|---|---|---|---|"
    for machine, cases in sorted(several.items()):
        for name, (case, *_) in sorted(cases.items()):
            (one, *_) = alone.get(machine, {}).get(name.partition("-threads-")[0], [None])
            over = f"{case.throughput_gflops / one.throughput_gflops:.2f}" if one else ""
            best = f"{case.best.ratio:.2f} {case.best.name}" if case.best else ""
            control = f"{case.a_a.low:.2f} to {case.a_a.high:.2f}" if case.a_a else ""
            spread = f"{case.imbalance:.2f}" if case.imbalance else ""
            cells = [name.removeprefix("host-"), letters.get(machine, machine), f"{case.throughput_gflops:.0f}", over, best, spread, control]
            yield f"| {' | '.join(cells)} |"


def rows(records: Sequence[Record], words: str) -> Iterable[str]:
    """Yield the last measurement of each case whose id has the words, with every library's ratio."""
    moved = {record.case: _least_bytes(record) for record in records}
    for machine, cases in by_machine(records).items():
        chosen = {name: tried[0] for name, tried in cases.items() if words in name}
        peers = sorted({peer.name for case in chosen.values() for peer in case.peers})
        yield machine
        yield ""
        yield f"| case | GFLOP/s | of peak | GB/s |{''.join(f' x {name} |' for name in peers)} A/A |"
        yield f"|---|---|---|---|{'---|' * len(peers)}---|"
        for name, case in sorted(chosen.items()):
            ratios = {p.name: f"{p.ratio:.2f} [{p.ratio_low:.2f}, {p.ratio_high:.2f}]" for p in case.peers if p.ok and p.ratio}
            control = f"{case.a_a.low:.2f} to {case.a_a.high:.2f}" if case.a_a else ""
            rate = f"{moved[name] / case.flops * case.throughput_gflops:.1f}" if case.ok and moved[name] and case.flops else ""
            speed = f"{case.throughput_gflops:.1f} | {100 * case.peak_fraction:.0f}% | {rate}" if case.ok else f"{case.verdict} | |"
            yield f"| {name.removeprefix('host-')} | {speed} | {' | '.join(ratios.get(peer, '') for peer in peers)} | {control} |"
        yield ""


def _least_bytes(record: Record) -> int | None:
    """Return what has to be moved however large the caches are; None for a spec of another version."""
    try:
        return spec_from_json(record.spec).least_bytes
    except HarnessError:
        return None


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
            wanted = goal_cases()
            measured = [record for record in store.records(kind="measurement") if record.case.partition("-threads-")[0] in wanted]
        records = measured
    if chosen.keep:
        before = read_records(chosen.keep) if chosen.keep.exists() else []
        chosen.keep.parent.mkdir(parents=True, exist_ok=True)
        chosen.keep.write_text("".join(f"{line}\n" for line in kept([*before, *measured])))
    print("\n".join(table(records) if chosen.rows is None else rows(records, chosen.rows)))


if __name__ == "__main__":
    finish(main)

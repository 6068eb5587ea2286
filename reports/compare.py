"""Compare two runs case by case, whatever came of it; `reports.gate` decides, this only shows."""

from collections.abc import Sequence
from dataclasses import dataclass

from harness.record import Record
from reports.gate import Finding, State, judge_all
from reports.gate_rules import Rules
from reports.load import Case, case_of
from reports.reference import Reference
from reports.wording import MISSING, peer_names, throughput, times

HEADER = ("case", "GFLOP/s before", "now", "change", "state")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One case of two runs."""

    finding: Finding
    before: Case | None
    now: Case | None


def compare_runs(now: Reference, before: Reference, rules: Rules) -> list[Row]:
    """Return a row for every case of either run."""
    return [
        Row(
            finding=finding,
            before=_case(before.records.get(finding.case)),
            now=_case(now.records.get(finding.case)),
        )
        for finding in judge_all(now, before, rules)
    ]


def _case(record: Record | None) -> Case | None:
    return None if record is None else case_of(record)


def comparison(rows: Sequence[Row]) -> list[list[str]]:
    """Return the table's cells, the header first: throughputs, change, ratio to each peer before and now, state."""
    peers = peer_names(case for row in rows for case in (row.before, row.now) if case)
    table = [[*HEADER[:4], *(f"x {peer} {when}" for peer in peers for when in ("before", "now")), HEADER[4]]]
    for row in rows:
        cases = (row.before, row.now)
        ratios = [_short(times(case, peer)) if case else MISSING for peer in peers for case in cases]
        figures = [throughput(case) if case else MISSING for case in cases]
        table.append([row.finding.case, *figures, _change(row.finding), *ratios, str(row.finding.state)])
    return table


def summary(rows: Sequence[Row], before: Reference, now: Reference) -> str:
    """Return one sentence: how many cases are how."""
    counts = {state: sum(row.finding.state is state for row in rows) for state in State}
    found = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    return f"{now.name} against {before.name}: {found}"


def _short(ratio: str) -> str:
    return ratio.split(" [")[0]


def _change(finding: Finding) -> str:
    """Return the change of throughput: seconds went up by 5%, throughput is down to 1/1.05."""
    return MISSING if finding.slowdown is None else f"{100 * (1 / finding.slowdown - 1):+.1f}%"


"""The gate, a comparison and a history as text: for a terminal, and as Markdown that fits a comment."""

from collections.abc import Sequence
from itertools import pairwise

from reports.compare import Row, comparison, summary
from reports.gate import State
from reports.history import History, levels
from reports.reference import Reference
from reports.render_markdown import escape
from reports.render_terminal import lay_out
from reports.wording import MISSING, clock_title, gflops, moment

NOTE = (
    "change: of rounds in turns with the earlier machine code where the store still had it, so that\n"
    "it need not agree with the two columns before it, which hold each run's own time of day"
)
COMMENT_ROWS = 200
"""GitHub takes 65,536 characters in a comment: about this many rows."""


def gate_text(rows: Sequence[Row], before: Reference, now: Reference) -> str:
    """Return a sentence for every case that is not SAME, the gravest first, then the count."""
    return "\n".join([*[f"{row.finding.state}: {row.finding.message}" for row in _notable(rows)], summary(rows, before, now)])


def gate_markdown(rows: Sequence[Row], before: Reference, now: Reference) -> str:
    """Return the verdict, what is not SAME, and the whole comparison folded away."""
    passed = all(row.finding.passes for row in rows)
    lines = [f"## Opwright gate: {'passed' if passed else 'FAILED'}", "", escape(summary(rows, before, now)), ""]
    lines += [f"- **{row.finding.state}** {escape(row.finding.message)}" for row in _notable(rows)[:COMMENT_ROWS]]
    table = "\n".join(_markdown_table(comparison(rows[:COMMENT_ROWS])))
    rest = f"\n{len(rows) - COMMENT_ROWS} more cases are left out.\n" if len(rows) > COMMENT_ROWS else ""
    lines += ["", "<details><summary>all cases</summary>", "", table, rest, "</details>"]
    return "\n".join(lines)


def comparison_text(rows: Sequence[Row], before: Reference, now: Reference) -> str:
    """Return a row a case in aligned columns."""
    columns = [list(column) for column in zip(*comparison(rows), strict=True)]
    return "\n".join([summary(rows, before, now), "", *lay_out(columns), "", NOTE])


def comparison_markdown(rows: Sequence[Row], before: Reference, now: Reference) -> str:
    """Return the same as a Markdown table."""
    return "\n".join([escape(summary(rows, before, now)), "", *_markdown_table(comparison(rows)), "", NOTE.replace("\n", " ")])


def history_text(one: History) -> str:
    """Return a case's runs, oldest first; a new level is announced above the run it begins with."""
    clock = clock_title(one.points[0].case.clock)
    table = [["run", "started", "GFLOP/s", one.what, "verdict"]]
    for point in one.points:
        value = MISSING if point.value is None else f"{point.value:.3f}"
        speed = gflops(point.case.throughput_gflops) if point.case.ok else MISSING
        table.append([point.run, moment(point.created), speed, value, point.case.verdict])
    head, *lines = lay_out([list(column) for column in zip(*table, strict=True)])
    stretches = levels(one)
    for (_, _, old), (start, _, new) in reversed(list(pairwise(stretches))):
        lines.insert(start, f"-- change: {one.what} from {old:.3f} to {new:.3f} ({100 * (new / old - 1):+.1f}%)")
    return "\n".join([f"{one.case}, {clock}", head, *lines])


def _notable(rows: Sequence[Row]) -> list[Row]:
    order = (State.SLOW, State.REFUSED, State.NOT_MEASURED, State.AMBIGUOUS, State.FAST)
    return sorted((row for row in rows if row.finding.state in order), key=lambda row: order.index(row.finding.state))


def _markdown_table(table: Sequence[Sequence[str]]) -> list[str]:
    head, *rows = ([escape(cell) for cell in row] for row in table)
    alignment = ["---", *["---:"] * (len(head) - 2), "---"]
    return [f"| {' | '.join(row)} |" for row in (head, alignment, *rows)]

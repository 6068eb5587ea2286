"""Markdown for an issue or a pull request: the terminal's table as pipes."""

import re
from collections.abc import Sequence

from reports.load import Case, Report
from reports.wording import (
    by_clock,
    clock_title,
    command_line,
    has_rivals,
    moment,
    notes,
    of_peak,
    parameters,
    peer_names,
    reasons,
    throughput,
    times,
    times_best,
)
from reports.wording import residual as residual_text
from reports.wording import verdict as verdict_text


def render_markdown(report: Report) -> str:
    """Return a run as a Markdown document."""
    lines = [f"## Opwright run {escape(report.run.id)}", "", f"Started {escape(moment(report.run.created))}.", ""]
    for clock, cases in by_clock(report.cases).items():
        lines += [f"### {escape(clock_title(clock))}", "", *_table(cases), ""]
        lines += [f"- {escape(sentence)}" for sentence in (*reasons(cases), *notes(cases))]
        lines.append("")
    if report.run.argv:
        lines += ["### How to reproduce", "", f"    {command_line(report.run.argv)}", ""]
    return "\n".join(lines)


def escape(text: str) -> str:
    """Return text that Markdown shows as it is, also within a table cell."""
    return re.sub(r"([\\`*_\[\]|~#])", r"\\\1", text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _table(cases: Sequence[Case]) -> list[str]:
    names = peer_names(cases)
    best = ["x best"] if has_rivals(cases) else []
    header = ["case", "GFLOP/s", "% of peak", *best, *(f"x {name}" for name in names), "residual", "verdict", "candidate"]
    alignment = ["---", *["---:"] * (len(header) - 3), "---", "---"]
    return [_row([escape(cell) for cell in header]), _row(alignment), *(_case_row(case, names, bool(best)) for case in cases)]


def _case_row(case: Case, names: Sequence[str], best: bool) -> str:
    cells = [
        case.id,
        throughput(case),
        of_peak(case),
        *([times_best(case)] if best else []),
        *(times(case, name) for name in names),
        residual_text(case.residual),
        verdict_text(case),
        parameters(case.candidate),
    ]
    return _row([escape(cell) for cell in cells])


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"

"""The result tables of the HTML page: one for each clock, a row a case, its code one click away."""

from collections.abc import Mapping, Sequence

from reports.load import Case
from reports.markup import Markup, cells, tag
from reports.page_code import code_links
from reports.wording import (
    by_clock,
    clock_title,
    has_rivals,
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


def result_tables(cases: Sequence[Case], texts: Mapping[str, str]) -> Markup:
    """Return the tables with their notes; the script puts its filters before the first."""
    parts = [tag("h2", "Results", id="results")] if cases else []
    for clock, group in by_clock(cases).items():
        parts += [
            tag("h3", clock_title(clock)),
            tag("div", _table(group, texts), class_="scroll", tabindex=0, role="region", aria_label=clock_title(clock)),
            tag("ul", *[tag("li", sentence, class_="not-ok") for sentence in reasons(group)], class_="notes"),
            tag("ul", *[tag("li", sentence) for sentence in notes(group)], class_="notes"),
        ]
    return tag("section", *parts)


def _table(cases: Sequence[Case], texts: Mapping[str, str]) -> Markup:
    names = peer_names(cases)
    best = has_rivals(cases)
    header = ["case", "GFLOP/s", "% of peak", *(["× best"] if best else []), *(f"× {name}" for name in names), "residual"]
    heads = [tag("th", text, scope="col") for text in header]
    heads += [tag("th", text, scope="col", class_="left") for text in ("verdict", "code", "candidate")]
    rows = [_row(case, names, best, texts) for case in cases]
    return tag("table", tag("thead", tag("tr", *heads)), tag("tbody", *rows), class_="results")


def _row(case: Case, names: Sequence[str], best: bool, texts: Mapping[str, str]) -> Markup:
    figures = [
        throughput(case),
        of_peak(case),
        *([times_best(case)] if best else []),
        *(times(case, name) for name in names),
        residual_text(case.residual),
    ]
    kinds = "|".join(str(value or "-") for value in (case.target, case.operator, case.dtype, case.verdict))
    return tag(
        "tr",
        tag("th", case.id, scope="row"),
        cells(figures),
        tag("td", verdict_text(case), class_="ok" if case.ok else "not-ok"),
        tag("td", *code_links(case, texts)),
        tag("td", parameters(case.candidate)),
        data_kinds=kinds,
    )

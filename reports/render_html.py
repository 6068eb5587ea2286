"""
One HTML page a run: table, plots, history, code and how to reproduce it.

The page is a single file, so it opens from a mail or a build server's artefacts. Its security policy allows one script,
ours by its digest, and forbids the page to load anything, whatever text a record brought along. Without the script
everything can still be read; it adds filters, sorting and commands to copy.
"""

from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Any

from reports.history import History
from reports.load import Case, Report, Search, clean
from reports.markup import Markup, tag
from reports.page_code import code_section
from reports.page_script import SCRIPT, SCRIPT_DIGEST, embedded
from reports.page_style import STYLE
from reports.page_table import result_tables
from reports.plot_history import history_caption, history_plot
from reports.plot_ratio import ratio_plot
from reports.plot_replay import replay_plot
from reports.plot_roofline import roofline_plot
from reports.plot_search import search_plot
from reports.plot_throughput import throughput_plot
from reports.replays import Replay
from reports.wording import (
    by_clock,
    clock_title,
    command_line,
    counted,
    gflops,
    mean_ratio,
    moment,
    peer_names,
    percent,
    threads,
)

POLICY = f"default-src 'none'; style-src 'unsafe-inline'; script-src '{SCRIPT_DIGEST}'"
PLOTTED = 150
"""Cases a bar or ratio plot shows; the table has them all."""


def render_html(
    report: Report,
    histories: Sequence[History] = (),
    texts: Mapping[str, str] | None = None,
    replays: Sequence[Replay] = (),
) -> str:
    """Return the page of a run; ``texts`` are sketches, scripts and assembly by their path in the store."""
    code = texts or {}
    title = f"Opwright run {report.run.id}"
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", title),
        tag("style", Markup(STYLE)),
    )
    body = [_header(report), result_tables(report.cases, code), _throughputs(report.cases), _ratios(report.cases)]
    body += [_rooflines(report.cases), _searches(report.searches), _replays(replays), _histories(histories)]
    body += [_machine(report.cases), _reproduce(report), code_section(report.cases, code)]
    body += [embedded(report, histories, replays), tag("script", Markup(SCRIPT))]
    return f"<!doctype html>\n{tag('html', head, tag('body', tag('main', *body)), lang='en')}\n"


def _header(report: Report) -> Markup:
    correct = sum(case.ok for case in report.cases)
    tiles = [("cases right", f"{correct} of {len(report.cases)}")]
    for clock, cases in by_clock(report.cases).items():
        for name in peer_names(cases):
            if mean := mean_ratio(cases, name):
                over = counted(mean[1], "case")
                tiles.append((f"times {name}, geometric mean of {over}, {clock} clock", f"{mean[0]:.2f}×"))
        fractions = [case.peak_fraction for case in cases if case.ok and case.peak_fraction is not None]
        if fractions:
            kind = "modelled peak" if clock == "model" else "measured peak"
            tiles.append((f"of {kind}, median, {clock} clock", f"{percent(median(fractions))}%"))
    return tag(
        "header",
        tag("p", "Opwright", class_="kicker"),
        tag("h1", f"Run {report.run.id}"),
        tag(
            "p",
            f"Started {moment(report.run.created)}" + ("" if report.run.finished else "; it did not finish"),
            class_="soft",
        ),
        tag("dl", *[tag("div", tag("dt", name), tag("dd", value)) for name, value in tiles], class_="tiles"),
    )


def _throughputs(cases: Sequence[Case]) -> Markup:
    groups: dict[tuple[Any, ...], list[Case]] = {}
    for case in cases:
        if case.throughput_gflops is not None:
            groups.setdefault((case.target, case.dtype, case.threads, case.clock), []).append(case)
    parts = [tag("h2", "Throughput against peak")] if groups else []
    for (target, dtype, count, clock), group in groups.items():
        title = ", ".join(filter(None, (target, dtype, threads(count), clock_title(clock))))
        peers = [(f"peer-{index % 4}", name) for index, name in enumerate(peer_names(group))]
        parts.append(tag("h3", title))
        parts.append(
            _figure(
                throughput_plot(group[:PLOTTED]),
                f"GFLOP/s by shape. Whiskers span 80% of the single rounds.{_left_out(group)}",
                [("ours", "opwright"), *peers, ("peak", "modelled peak" if clock == "model" else "peak")],
            )
        )
    return tag("section", *parts)


def _ratios(cases: Sequence[Case]) -> Markup:
    groups = {
        clock: group
        for clock, group in by_clock(cases).items()
        if any(case.ok and peer.ok and (peer.ratio or 0) > 0 for case in group for peer in case.peers)
    }
    parts = [tag("h2", "Against the peers")] if groups else []
    for clock, group in groups.items():
        parts.append(tag("h3", clock_title(clock)))
        parts.append(
            _figure(
                ratio_plot(group[:PLOTTED]),
                "Ratio of throughputs on a logarithmic axis: right of 1 ours is faster. Lines are 95% intervals of the "
                f"median over paired rounds; small circles are the same code against itself.{_left_out(group)}",
                [
                    ("faster", "faster"),
                    ("slower", "slower"),
                    ("same", "same or undecided"),
                    ("band", "within 3%: same"),
                ],
            )
        )
    return tag("section", *parts)


def _left_out(cases: Sequence[Case]) -> str:
    more = len(cases) - PLOTTED
    return f" The first {PLOTTED} cases; the table has {more} more." if more > 0 else ""


def _rooflines(cases: Sequence[Case]) -> Markup:
    groups: dict[tuple[Any, ...], list[Case]] = {}
    for case in cases:
        if case.ok and case.flops and case.least_bytes and case.throughput_gflops and case.peak_gflops:
            groups.setdefault((case.target, case.dtype, case.threads, case.clock), []).append(case)
    parts = [tag("h2", "Roofline")] if groups else []
    for (target, dtype, count, clock), group in groups.items():
        title = ", ".join(filter(None, (target, dtype, threads(count), clock_title(clock))))
        caption = (
            "Operations a byte that must move even with an unlimited cache, against GFLOP/s; both axes logarithmic. The "
            f"line is the {'modelled' if clock == 'model' else 'median measured'} peak; no bandwidth was measured, so "
            "none is drawn."
        )
        parts += [tag("h3", title), _figure(roofline_plot(group), caption, [("ours", "opwright"), ("peak", "peak")])]
    return tag("section", *parts)


def _histories(histories: Sequence[History]) -> Markup:
    if not histories:
        return Markup("")
    figures = [
        tag("figure", tag("h3", one.case), history_plot(one), tag("figcaption", history_caption(one)))
        for one in histories
    ]
    intro = "A dot is one run, oldest on the left; a line is the median between two change points, which are marked."
    return tag("section", tag("h2", "History"), tag("p", intro, class_="soft"), tag("div", *figures, class_="searches"))


def _searches(searches: Sequence[Search]) -> Markup:
    if not searches:
        return Markup("")
    figures = []
    for search in searches:
        figures.append(tag("figure", tag("h3", search.case), search_plot(search), tag("figcaption", _progress(search))))
    intro = "A dot is one evaluation, the line the best so far, × a candidate that failed; the ring was chosen."
    return tag(
        "section",
        tag("h2", "Search progress"),
        tag("p", intro + " Winners are measured again, so the table's figures differ.", class_="soft"),
        tag("div", *figures, class_="searches"),
    )


def _replays(replays: Sequence[Replay]) -> Markup:
    parts = [tag("h2", "Searches compared")] if replays else []
    for replay in replays:
        source = "modelled costs" if replay.modelled else "measurements"
        intro = (
            f"Best speed so far against evaluations, {counted(replay.seeds, 'seed')} each on a table of {replay.points} recorded"
            f" {source}: the line is the median, the band least to most, the bar above the table's best; {replay.note}."
        )
        figures = [tag("figure", tag("h3", label), replay_plot(replay, label)) for label in replay.curves]
        parts += [tag("h3", replay.case), tag("p", intro, class_="soft"), tag("div", *figures, class_="searches")]
    return tag("section", *parts)


def _progress(search: Search) -> str:
    failed = sum(e.speed is None for e in search.evaluations)
    unit = f"{search.unit}, modelled" if search.clock == "model" else search.unit
    ending = "" if search.winner else "; the tuning did not end, the same command resumes it"
    good = [e for e in search.evaluations if e.speed is not None]
    if not good:
        return f"{counted(len(search.evaluations), 'evaluation')}, all failed{ending}"
    best = max(good, key=lambda e: e.speed)
    return f"{gflops(best.speed)} {unit} at evaluation {best.sequence}; {len(good)} ran, {failed} failed{ending}"


def _figure(plot: Markup, caption: str, legend: Iterable[tuple[str, str]]) -> Markup:
    entries = [tag("li", tag("i", class_=kind), text) for kind, text in legend]
    return tag("figure", tag("ul", *entries, class_="legend"), plot, tag("figcaption", caption))


def _machine(cases: Sequence[Case]) -> Markup:
    machines = {clean(case.machine): (case.target, case.machine) for case in cases if case.machine}
    parts = [tag("h2", "Machine")] if machines else []
    for target, machine in machines.values():
        parts += [tag("h3", target) if len(machines) > 1 else Markup(""), _facts(machine)]
    return tag("section", *parts)


def _facts(facts: Mapping[str, Any]) -> Markup:
    rows = [tag("dt", name.replace("_", " ")) + tag("dd", _words(value)) for name, value in facts.items()]
    return tag("dl", *[Markup(row) for row in rows], class_="facts")


def _words(value: Any) -> str:
    """Return a fact as text: lists with commas, mappings as pairs."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_words(part)}" for name, part in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_words(part) for part in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _reproduce(report: Report) -> Markup:
    parts = [tag("h2", "How to reproduce")]
    if command := command_line(report.run.argv):
        one = f"{command} -k CASE"
        parts += [tag("pre", tag("code", command)), tag("p", "One case alone, by the name in its row:", class_="soft")]
        parts.append(tag("pre", tag("code", one, id="one-case")))
    searches = dict.fromkeys(f"{case.author}, search {_words(case.search)}" for case in report.cases if case.search)
    fingerprints = {clean(case.fingerprints): case.fingerprints for case in report.cases if case.fingerprints}
    facts = dict(report.run.facts)
    if searches:
        facts["author and search"] = list(searches)
    parts.append(_facts(facts))
    parts += [tag("h3", "Fingerprints of what the operators depend on")] if fingerprints else []
    parts += [_facts(prints) for prints in fingerprints.values()]
    return tag("section", *parts)

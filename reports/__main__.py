"""Reports of what was measured, and the regression gate between two runs: `python -m reports --help`."""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from harness.errors import BadRequest, HarnessError
from harness.store import Store, default_store
from reports.compare import Row, compare_runs
from reports.export_csv import render_csv
from reports.export_json import render_json
from reports.export_junit import render_junit
from reports.gate import exit_code, judge_all
from reports.gate_rules import load_rules
from reports.history import load_histories
from reports.load import Report, load_report
from reports.merge import merge
from reports.paper.ours import Measured
from reports.paper.section import render
from reports.paper.tables import TABLES
from reports.reference import Reference, load_reference, measurements
from reports.render_gate import comparison_markdown, comparison_text, gate_markdown, gate_text, history_text
from reports.render_markdown import render_markdown
from reports.render_terminal import terminal_table
from reports.wording import counted, moment

EXIT_UNUSABLE = 2
"""Of the gate, whose 1 is SLOW: a reference or rules that cannot be read, as for a mistyped option."""
PAGES = Path(__file__).parent / "out"

EXAMPLES = """\
examples:
  python -m reports table                      the last run, as pytest showed it
  python -m reports list                       the runs there are
  python -m reports html                       one page with plots; says where it is
  python -m reports html --out /tmp/run.html --run 20261121-214500-a1b2
  python -m reports markdown --run 202611      a unique beginning of an id will do
  python -m reports json | jq '.[].peers.openblas.ratio'
  python -m reports gate last~1 last           is the last run slower? exit 1 SLOW, 6 NOT MEASURED, 7 refused
  python -m reports compare last~1 last --markdown
  python -m reports records > baseline.jsonl   a reference for `pytest --gate baseline.jsonl`
  python -m reports history 'host-sgemm-*'     each case across runs, change points marked
  python -m reports paper table1               the paper's table 1 beside what was measured here
  python -m reports merge ../board/.opwright   records of another machine into this store

Records come from `pytest suites/ -k host`; they are kept in $OPWRIGHT_STORE, or .opwright in the project.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return the exit status."""
    options = _parser().parse_args(argv)
    sys.stdout.reconfigure(errors="replace")
    try:
        with Store.open(options.store) as store:
            answer = options.command(store, options)
            text, status = answer if isinstance(answer, tuple) else (answer, 0)
            print(text)
            sys.stdout.flush()
            return status
    except HarnessError as error:
        print(f"reports: {error}", file=sys.stderr)
        return EXIT_UNUSABLE if options.command is _gate else 1
    except BrokenPipeError:  # the reader had enough, as in `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m reports",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--store", type=Path, default=default_store(), metavar="DIR", help="records to read")
    of_two = argparse.ArgumentParser(add_help=False, parents=[common])
    of_two.add_argument("before", metavar="A", help="the reference: a run (last, last~1, an id) or a file of records")
    of_two.add_argument("now", metavar="B", nargs="?", default="last", help="what is held against it (last)")
    of_two.add_argument("--rules", type=Path, metavar="FILE", help="thresholds by case (reports/gate_rules.toml)")
    of_two.add_argument("--markdown", action="store_true", help="for a comment on a pull request")
    of_run = argparse.ArgumentParser(add_help=False, parents=[common])
    of_run.add_argument("--run", default="last", metavar="ID", help="last, or a unique beginning of a run's id")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, function, parents, text in (
        ("table", _table, of_run, "the table that pytest ends with"),
        ("list", _list, common, "runs with their date, cases and id"),
        ("json", _json, of_run, "a JSON array, one object a case"),
        ("markdown", _markdown, of_run, "tables for an issue or a pull request"),
        ("html", _html, of_run, "one self-contained page with plots"),
        ("csv", _csv, of_run, "a row a case and peer, for a spreadsheet"),
        ("junit", _junit, of_run, "JUnit XML for a build server"),
        ("records", _records, of_run, "the run's measurements as JSON Lines: a reference for the gate"),
        ("gate", _gate, of_two, "hold B against A; the exit status is 1 for SLOW, 6 NOT MEASURED, 7 refused"),
        ("compare", _compare, of_two, "a row a case, before and now; the exit status is 0 whatever it shows"),
        ("history", _history, common, "each case across runs, with change points"),
        ("paper", _paper, common, "the paper's tables, printed figures beside ours"),
        ("merge", _merge, common, "add the records of other stores or files to this store"),
    ):
        command = commands.add_parser(name, parents=[parents], help=text, description=text)
        command.set_defaults(command=function)
        if name == "html":
            command.add_argument("--out", type=Path, metavar="FILE", help="where to write it (reports/out/RUN.html)")
        if name == "junit":
            command.add_argument("--gate", metavar="REF", help="add the findings against this reference")
        if name == "history":
            command.add_argument("pattern", nargs="?", default="*", metavar="PATTERN", help="case ids, as in 'host-*'")
        if name == "paper":
            command.add_argument("tables", nargs="*", metavar="TABLE", help=f"of {', '.join(TABLES)} (all)")
        if name == "merge":
            command.add_argument("sources", nargs="+", type=Path, metavar="SOURCE", help="a store's directory or a file")
    return parser


def _measured(store: Store, run: str) -> Report:
    """Load a run that has something to put into a table."""
    report = load_report(store, run)
    if not report.cases:
        tried = sum(len(search.evaluations) for search in report.searches)
        found = (
            f"only {counted(tried, 'evaluation')} of a tuning: its command resumes it"
            if tried
            else "it ended before any"
        )
        raise BadRequest(f"run {report.run.id} has no measurement, {found}")
    return report


def _table(store: Store, options: argparse.Namespace) -> str:
    report = _measured(store, options.run)
    return "\n".join([f"run {report.run.id}, started {moment(report.run.created)}", "", *terminal_table(report.cases)])


def _list(store: Store, options: argparse.Namespace) -> str:
    store.resolve_run("last")
    rows = [("started", "cases", "evaluations", "run")]
    rows += [(moment(run.created), str(run.cases), str(run.evaluations), run.id) for run in store.runs()]
    return "\n".join(f"{when:<23}  {cases:>5}  {tried:>11}  {run}" for when, cases, tried, run in rows)


def _json(store: Store, options: argparse.Namespace) -> str:
    return render_json(load_report(store, options.run).cases)


def _markdown(store: Store, options: argparse.Namespace) -> str:
    return render_markdown(_measured(store, options.run))


def _csv(store: Store, options: argparse.Namespace) -> str:
    report = load_report(store, options.run)
    return render_csv(report.run.id, report.cases)


def _junit(store: Store, options: argparse.Namespace) -> str:
    report = load_report(store, options.run)
    if options.gate is None:
        return render_junit(report)
    now, before = load_reference(options.run, store), load_reference(options.gate, store)
    return render_junit(report, judge_all(now, before, load_rules()))


def _records(store: Store, options: argparse.Namespace) -> str:
    run = _measured(store, options.run).run.id
    return "\n".join(json.dumps(record.to_json(), separators=(",", ":")) for record in measurements(store, run))


def _gate(store: Store, options: argparse.Namespace) -> tuple[str, int]:
    rows, before, now = _rows(store, options)
    findings = [row.finding for row in rows]
    render = gate_markdown if options.markdown else gate_text
    return render(rows, before, now), exit_code(findings)


def _compare(store: Store, options: argparse.Namespace) -> str:
    rows, before, now = _rows(store, options)
    return (comparison_markdown if options.markdown else comparison_text)(rows, before, now)


def _rows(store: Store, options: argparse.Namespace) -> tuple[list[Row], Reference, Reference]:
    before, now = (load_reference(text, store) for text in (options.before, options.now))
    return compare_runs(now, before, load_rules(options.rules)), before, now


def _history(store: Store, options: argparse.Namespace) -> str:
    histories = load_histories(store, options.pattern)
    if not histories:
        raise BadRequest(f"no measurement of a case like {options.pattern!r}; `python -m reports table` shows what there is")
    return "\n\n".join(history_text(one) for one in histories)


def _paper(store: Store, options: argparse.Namespace) -> str:
    unknown = [name for name in options.tables if name not in TABLES]
    if unknown:
        raise BadRequest(f"the paper has no {unknown[0]!r} here; choose of {', '.join(TABLES)}")
    measured = Measured(store)
    return render([section for name in options.tables or TABLES for section in TABLES[name](store, measured)])


def _merge(store: Store, options: argparse.Namespace) -> str:
    return "\n".join(merge(store, options.sources))


def _html(store: Store, options: argparse.Namespace) -> str:
    from reports.page import render_page

    run = store.resolve_run(options.run)
    out = options.out or PAGES / f"{run}.html"
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(render_page(store, run), encoding="utf-8")
    except OSError as error:
        raise HarnessError(f"cannot write {out} ({error.strerror}): choose another file with --out") from None
    return str(out)


if __name__ == "__main__":
    sys.exit(main())

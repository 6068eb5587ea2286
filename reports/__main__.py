"""Reports of what was measured: `python -m reports --help`."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from harness.errors import BadRequest, HarnessError
from harness.store import Store, default_store
from reports.export_json import render_json
from reports.load import Report, load_report
from reports.render_html import render_html
from reports.render_markdown import render_markdown
from reports.render_terminal import terminal_table
from reports.wording import counted, moment

PAGES = Path(__file__).parent / "out"

EXAMPLES = """\
examples:
  python -m reports table                      the last run, as pytest showed it
  python -m reports list                       the runs there are
  python -m reports html                       one page with plots; says where it is
  python -m reports html --out /tmp/run.html --run 20261121-214500-a1b2
  python -m reports markdown --run 202611      a unique beginning of an id will do
  python -m reports json | jq '.[].peers.openblas.ratio'

Records come from `pytest suites/ -k host`; they are kept in $OPWRIGHT_STORE, or .opwright in the project.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return the exit status."""
    options = _parser().parse_args(argv)
    sys.stdout.reconfigure(errors="replace")
    try:
        with Store.open(options.store) as store:
            print(options.command(store, options))
            sys.stdout.flush()
    except HarnessError as error:
        print(f"reports: {error}", file=sys.stderr)
        return 1
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
    of_run = argparse.ArgumentParser(add_help=False, parents=[common])
    of_run.add_argument("--run", default="last", metavar="ID", help="last, or a unique beginning of a run's id")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, function, parents, text in (
        ("table", _table, of_run, "the table that pytest ends with"),
        ("list", _list, common, "runs with their date, cases and id"),
        ("json", _json, of_run, "a JSON array, one object a case"),
        ("markdown", _markdown, of_run, "tables for an issue or a pull request"),
        ("html", _html, of_run, "one self-contained page with plots"),
    ):
        command = commands.add_parser(name, parents=[parents], help=text, description=text)
        command.set_defaults(command=function)
        if name == "html":
            command.add_argument("--out", type=Path, metavar="FILE", help="where to write it (reports/out/RUN.html)")
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


def _html(store: Store, options: argparse.Namespace) -> str:
    report = load_report(store, options.run)
    out = options.out or PAGES / f"{report.run.id}.html"
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(render_html(report), encoding="utf-8")
    except OSError as error:
        raise HarnessError(f"cannot write {out} ({error.strerror}): choose another file with --out") from None
    return str(out)


if __name__ == "__main__":
    sys.exit(main())

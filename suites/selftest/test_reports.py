"""Reports show what records hold, whole, escaped and in one width."""

import json
import math
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.record import Outcome, Verdict
from harness.store import Run, Store
from reports import __main__ as command
from reports.load import Report, case_of, load_report
from reports.page_script import SCRIPT, SCRIPT_DIGEST
from reports.render_html import render_html
from reports.render_markdown import render_markdown
from suites.selftest.report_records import ALL, FACTS, FAILED, PEER, RECORD, evaluation

ROOT = Path(__file__).resolve().parents[2]
HOSTILE = "<script>alert(1)</script><img src=http://e.vil/x>\" onload='x' \x1b[31m\x00\ud800\u202e | `x` & ]]> --><!--"


@pytest.fixture
def store(tmp_path):
    """Open an empty store."""
    with Store.open(tmp_path / "store") as opened:
        yield opened


@pytest.fixture
def run(store):
    """Store a run with a case of each sort and the evaluations of a tuning."""
    name = store.begin_run(["/usr/bin/pytest", "suites/", "-k", "host and gemm"], {"python": "3.11"})
    for sequence in range(1, 6):
        store.add(evaluation(name, sequence))
    for record in ALL:
        store.add(replace(record, run=name))
    store.finish_run(name)
    return name


def report_of(records):
    """Return a report without a store."""
    entry = Run(id="r", created="2026-11-21T21:45:00", finished="", argv=("pytest",), facts={}, cases=1, evaluations=0)
    return Report(run=entry, cases=tuple(case_of(record) for record in records), searches=())


def reports(*arguments):
    """Run the command as a user does."""
    return subprocess.run(
        [sys.executable, "-m", "reports", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env=os.environ | {"PYTHONIOENCODING": "ascii"},
    )


# JSON


def test_json_has_exactly_the_promised_keys(store, run):
    """Programs read these; later versions only add."""
    found = json.loads(reports("json", "--store", store.path).stdout)

    assert [record.case for record in ALL] == [case["id"] for case in found]
    assert found[0] == {
        "id": "host-sgemm-512x512x512",
        "target": "host",
        "operator": "gemm",
        "dtype": "fp32",
        "threads": 1,
        "clock": "cpu",
        "author": "expert",
        "verdict": "OK",
        "throughput_gflops": 183.0,
        "peak_gflops": 236.0,
        "peak_fraction": 0.7754,
        "residual": 0.06,
        "evaluations": 50,
        "tuning_s": 2.5,
            "accounts": {},
        "best": "openblas",
        "peers": {
            "openblas": {
                "version": "0.3.31",
                "core": "SkylakeX",
                "throughput_gflops": 154.0,
                "ratio": 1.19,
                "ratio_low": 1.17,
                "ratio_high": 1.21,
            }
        },
    }
    assert all(list(found[0]) == list(case) for case in found)
    assert (found[3]["throughput_gflops"], found[3]["peers"], found[3]["verdict"]) == (None, {}, "OK")


def test_what_is_not_a_number_is_null():
    """Infinity, text and booleans never become figures, so the JSON stays JSON."""
    facts = {"residual": math.inf, "throughput_gflops": "fast", "threads": True, "peers": [], "a_a": {"ratio": 1}}
    case = case_of(replace(RECORD, facts=facts))

    assert (case.residual, case.throughput_gflops, case.threads, case.peers, case.a_a) == (None, None, None, (), None)


# Markdown and HTML


def test_markdown_holds_the_same_figures(store, run):
    """The table, its notes and the command."""
    text = render_markdown(load_report(store))

    assert (
        r"| host-sgemm-512x512x512 | 183.0 | 77.5 | 1.19 \[1.17, 1.21\] | 0.06 | OK | gemm\_packed: mr 6, nr 64 |"
        in text
    )
    assert "    pytest suites/ -k 'host and gemm'" in text
    assert "### clock model: modelled by a timing model, not measured" in text


def test_markdown_keeps_hostile_text_in_its_cell():
    """Pipes, backticks and tags of a record are text."""
    facts = FACTS | {"peers": {HOSTILE: PEER}}
    lines = render_markdown(report_of([replace(RECORD, case=HOSTILE, facts=facts)])).splitlines()
    rows = [line for line in lines if line.startswith("| ")]

    assert len(rows) == 3
    assert len({len(re.findall(r"(?<!\\)\|", row)) for row in rows}) == 1
    assert not any("<" in line for line in lines)


def test_the_page_is_self_contained_and_well_formed(store, run):
    """One script of ours, no network; sorts of plot, each with a label for those who cannot see it."""
    page = render_html(load_report(store))
    root = ElementTree.fromstring(page.removeprefix("<!doctype html>"))
    plots = [svg for svg in root.iter("svg") if svg.get("role") == "img"]

    assert not {"link", "img", "iframe", "object"} & {element.tag for element in root.iter()}
    assert not re.search(r"https?://|@import|url\(|src=|href=\"[^#]", page)
    assert ["", "application/json"] == sorted(element.get("type", "") for element in root.iter("script"))
    assert f"script-src '{SCRIPT_DIGEST}'" in page.replace("&#x27;", "'")
    assert {"Throughput", "Ratio", "Roofline", "Search"} == {svg.get("aria-label").split()[0] for svg in plots}
    assert "prefers-color-scheme: dark" in page
    assert "width=device-width" in page


def test_drawing_leaves_nothing_outside_the_store_and_nothing_of_itself(store, run, tmp_path):
    """The library that plots writes its list of fonts where the records are; its stand-in colours and ids are gone."""
    home = {"HOME": str(tmp_path / "home"), "OPWRIGHT_STORE": str(store.path)}
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("MPL", "XDG"))} | home
    words = [sys.executable, "-m", "reports", "html", "--out", str(tmp_path / "page.html")]
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)

    assert (0, "") == (done.returncode, done.stderr)
    assert not (tmp_path / "home").exists()
    assert any((store.path / "matplotlib").iterdir())
    assert not re.search("#c0ffe|group-[0-9]|DejaVu Sans'|clip-path", (tmp_path / "page.html").read_text())


def test_without_the_library_that_plots_there_is_one_sentence(store, run, tmp_path):
    """The table is still there."""
    (tmp_path / "matplotlib.py").write_text("raise ImportError('not here')")
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    words = [sys.executable, "-m", "reports", "html", "--store", str(store.path)]
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)

    assert 1 == done.returncode
    assert done.stderr.startswith("reports: the page's plots are drawn by Matplotlib")
    assert "pip install -r requirements.lock" in done.stderr


def test_the_page_shows_figures_reasons_candidate_and_command(store, run):
    """Everything the terminal says, and how to get it again."""
    page = render_html(load_report(store))

    for text in ("1.19 [1.17, 1.21]", "77.5", "row 3 is off", "gemm_packed: mr 6, nr 64", "A processor", "3 of 4"):
        assert text in page
    assert "pytest suites/ -k &#x27;host and gemm&#x27;" in page


def test_the_search_plot_has_a_mark_for_every_evaluation(store, run):
    """Four ran, one crashed; the tooltip says why."""
    page = render_html(load_report(store))
    root = ElementTree.fromstring(page.removeprefix("<!doctype html>"))
    plots = {svg.get("aria-label"): [title.text for title in svg.iter("title")] for svg in root.iter("svg")}
    told = plots["Search progress of host-sgemm-512x512x512: 5 evaluations, speed in GFLOP/s"]

    assert ["1", "2", "3", "4", "5"] == sorted(sentence.split(":")[0].split()[1] for sentence in told)
    assert "evaluation 3: CRASH illegal instruction (gemm_packed: mr 3, nr 64)" in page
    assert "at evaluation 5; 4 ran, 1 failed" in page


@settings(max_examples=12)
@given(text=st.text(min_size=1), ratio=st.floats(1e-3, 1e3), speed=st.floats(1e-6, 1e6))
def test_no_text_or_figure_breaks_the_page(text, ratio, speed):
    """What a model wrote is data: in the page, its tooltips and its labels."""
    text += HOSTILE
    peers = {text: PEER | {"ratio": ratio, "ratio_low": -ratio, "version": text, "throughput_gflops": speed}}
    facts = FACTS | {"peers": peers, "machine": {text: text}, "throughput_gflops": speed, "search": {"name": text}}
    candidate = {"sketch": text, "values": {text: 1}, "moves": []}
    verdict = Verdict(outcome=Outcome.WRONG, reason=text)
    good = replace(RECORD, case=text, facts=facts, candidate=candidate, author=text, target=text)
    page = render_html(report_of([good, replace(FAILED, verdict=verdict, facts=facts)]))
    root = ElementTree.fromstring(page.removeprefix("<!doctype html>"))

    data, script = root.iter("script")

    assert not {"img"} & {element.tag for element in root.iter()}
    assert SCRIPT == script.text
    assert 2 == len(json.loads(data.text)["cases"])
    page.encode()


def test_a_tuning_of_failures_and_a_single_evaluation_can_be_plotted(store):
    """Edges of a plot: nothing ran, or only once."""
    run = store.begin_run([], {})
    store.add(replace(evaluation(run, 3), case="a", identity="a"))
    store.add(replace(evaluation(run, 1), case="b", identity="b"))
    page = render_html(load_report(store))

    assert "1 evaluation, all failed; the tuning did not end" in page
    ElementTree.fromstring(page.removeprefix("<!doctype html>"))


# Loading


def test_a_tuning_spread_over_two_runs_is_one_search(store):
    """A killed tuning and its resumption are shown together, another tuning of the same operator is not."""
    first = store.begin_run([], {})
    for sequence in (1, 2):
        store.add(evaluation(first, sequence))
        store.add(evaluation(first, sequence, tuning="another seed"))
    second = store.begin_run([], {})
    store.add(evaluation(second, 4))
    store.add(replace(RECORD, run=second))
    (search,) = load_report(store, second).searches

    assert [e.sequence for e in search.evaluations] == [1, 2, 4]
    assert pytest.approx(2 * 512**3 * 4 / 2e-3 / 1e9) == search.evaluations[-1].speed


def test_a_case_measured_twice_in_a_run_is_one_row(store):
    """The last measurement counts."""
    run = store.begin_run([], {})
    for throughput in (1.0, 2.0):
        store.add(replace(RECORD, run=run, facts=FACTS | {"throughput_gflops": throughput}))

    assert [case.throughput_gflops for case in load_report(store).cases] == [2.0]


# The command


@pytest.mark.parametrize("name", ["table", "list", "json", "markdown", "html"])
def test_no_records_yet_is_one_sentence(tmp_path, capsys, name):
    """It says what to run, and makes no directory."""
    assert command.main([name, "--store", str(tmp_path / "none")]) == 1
    assert ("", f"reports: no records yet in {tmp_path}/none: make some with `pytest suites/ -k host`\n") == tuple(
        capsys.readouterr()
    )
    assert not (tmp_path / "none").exists()


def test_an_unknown_run_is_answered_with_the_known_ones(store, run):
    """A sentence on stderr, nothing on stdout."""
    found = reports("json", "--run", "19990101", "--store", store.path)

    assert (found.returncode, found.stdout) == (1, "")
    assert f"reports: there is no run '19990101'; choose last, {run}\n" == found.stderr


def test_a_run_that_was_killed_before_measuring_says_so(store, capsys):
    """Its evaluations are not lost, and the sentence says how they are used."""
    run = store.begin_run([], {})
    store.add(evaluation(run, 1))

    assert command.main(["table", "--store", str(store.path)]) == 1
    assert (
        f"run {run} has no measurement, only 1 evaluation of a tuning: its command resumes it"
        in capsys.readouterr().err
    )
    assert command.main(["json", "--store", str(store.path)]) == 0
    assert capsys.readouterr().out == "[]\n"


def test_runs_are_listed_with_date_cases_and_id(store, run, capsys):
    """What `--run` takes."""
    command.main(["list", "--store", str(store.path)])
    heading, row = capsys.readouterr().out.splitlines()

    assert heading.split() == ["started", "cases", "evaluations", "run"]
    assert ["UTC", "4", "5", run] == row.split()[2:]


def test_html_goes_where_it_was_sent(store, run, tmp_path, capsys, monkeypatch):
    """The command prints the path; without `--out` the name is the run's."""
    monkeypatch.setattr(command, "PAGES", tmp_path / "out")
    command.main(["html", "--store", str(store.path), "--out", str(tmp_path / "a" / "page.html")])
    command.main(["html", "--store", str(store.path), "--run", run[:8]])

    assert [f"{tmp_path}/a/page.html", f"{tmp_path}/out/{run}.html"] == capsys.readouterr().out.splitlines()
    assert (tmp_path / "a" / "page.html").read_text() == (tmp_path / "out" / f"{run}.html").read_text()


def test_a_page_that_cannot_be_written_is_one_sentence(store, run, tmp_path):
    """No traceback for a mistyped path."""
    (tmp_path / "file").write_text("")
    found = reports("html", "--store", store.path, "--out", tmp_path / "file" / "page.html")

    assert found.returncode == 1
    assert found.stderr.startswith(f"reports: cannot write {tmp_path}/file/page.html (")
    assert "Traceback" not in found.stderr


def test_a_plain_terminal_and_a_closed_pipe_are_no_error(store, run):
    """A reader that has seen enough, on a terminal without Unicode."""
    store.add(replace(RECORD, run=run, case="host-größe-512"))
    found = reports("table", "--store", store.path)
    piped = subprocess.run(
        f"{sys.executable} -m reports json --store {store.path} | head -c 1",
        shell=True,
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )

    assert (found.returncode, found.stderr) == (0, "")
    assert (piped.stdout, piped.stderr) == ("[", "")


def test_help_teaches_with_examples():
    """The first thing a user reads."""
    found = reports("--help")

    assert found.returncode == 0
    for text in ("python -m reports html --out", "OPWRIGHT_STORE", "pytest suites/ -k host"):
        assert text in found.stdout

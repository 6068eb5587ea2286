"""compare, history, CSV, JUnit, merge and the paper: what `python -m reports` gives outside pytest."""

import csv
import io
import json
import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.operators.gemm import GemmSpec
from harness.store import Store
from reports import __main__ as command
from reports.history import change_points, load_histories
from reports.page import render_page
from reports.paper.ours import Measured
from reports.paper.printed import FOOTNOTES, platforms, printed
from reports.paper.tables import TABLES
from reports.replays import REPLAY
from suites.selftest.report_records import FACTS, FAILED, RECORD


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path / "store") as opened:
        yield opened


def measured(store, ratio=1.19, **fields):
    """Store a run of one measurement and return its id."""
    run = store.begin_run(["pytest"], {})
    facts = FACTS | {"peers": {"openblas": FACTS["peers"]["openblas"] | {"ratio": ratio}}}
    store.add(replace(RECORD, run=run, facts=facts, **fields))
    return run


def reports(store, capsys, *words):
    status = command.main([*words, "--store", str(store.path)])
    return status, capsys.readouterr().out


# Two runs


def test_gate_and_compare_hold_two_runs_against_each_other(store, capsys):
    measured(store)
    slow = tuple(1.5 * sample for sample in RECORD.samples_s * 10)
    measured(store, samples_s=RECORD.samples_s * 10)
    measured(store, samples_s=slow)

    assert (0, True) == (lambda status, out: (status, "1 SAME" in out))(*reports(store, capsys, "gate", "last~2", "last~1"))
    status, out = reports(store, capsys, "gate", "last~1", "last")
    assert (1, True) == (status, "SLOW: host-sgemm-512x512x512: 2.25 ms against 1.5 ms" in out)
    status, out = reports(store, capsys, "gate", "last~1", "--markdown")
    assert "## Opwright gate: FAILED" in out
    status, out = reports(store, capsys, "compare", "last~1")
    assert (0, True) == (status, "-33.3%" in out)


def test_the_gate_has_its_own_status_for_what_cannot_be_read(store, capsys):
    measured(store)

    assert 2 == command.main(["gate", "nowhere.jsonl", "--store", str(store.path)])
    assert "there is no reference file" in capsys.readouterr().err


def test_records_of_a_run_are_a_reference(store, capsys, tmp_path):
    measured(store)
    (tmp_path / "base.jsonl").write_text(reports(store, capsys, "records")[1])

    assert 0 == reports(store, capsys, "gate", str(tmp_path / "base.jsonl"))[0]


# History


def test_a_step_is_a_change_point_and_noise_is_none():
    level = [1.0, 1.01, 0.99, 1.0, 1.01, 1.0, 0.99, 1.0]

    assert [8] == change_points([*level, *(1.1 * value for value in level)])
    assert [8, 16] == change_points([*level, *(1.1 * v for v in level), *level])
    assert [] == change_points(level * 2)
    assert [] == change_points([1.0, 2.0, 1.0])


@settings(max_examples=50)
@given(st.lists(st.floats(0.99, 1.01), min_size=1, max_size=40))
def test_changes_under_three_per_cent_are_never_marked(values):
    assert [] == change_points(values)


def test_a_history_marks_the_run_with_which_the_ratio_changed(store, capsys):
    for ratio in [1.2] * 8 + [1.0] * 8:
        measured(store, ratio)
    measured(store, target="elsewhere")
    first, second = load_histories(store)
    lines = reports(store, capsys, "history", "host-*")[1].splitlines()

    assert ((8,), 16, 1) == (first.changes, len(first.points), len(second.points))
    assert "-- change: ratio to openblas from 1.200 to 1.000 (-16.7%)" == lines[10]


# Exports


def test_csv_has_a_row_a_peer_and_no_formulas(store, capsys):
    measured(store)
    store.add(replace(RECORD, run=store.last_run(), case="=1+1", facts={}))
    rows = list(csv.DictReader(io.StringIO(reports(store, capsys, "csv")[1])))

    assert ["host-sgemm-512x512x512", "'=1+1"] == [row["id"] for row in rows]
    assert ("openblas", "1.19", "183.0") == (rows[0]["peer"], rows[0]["peer_ratio"], rows[0]["throughput_gflops"])
    assert ("", "") == (rows[1]["peer"], rows[1]["throughput_gflops"])


def test_junit_counts_wrong_results_and_the_gate(store, capsys):
    measured(store)
    run = measured(store, samples_s=tuple(2 * sample for sample in RECORD.samples_s * 10))
    store.add(replace(FAILED, run=run))
    root = ElementTree.fromstring(reports(store, capsys, "junit", "--gate", "last~1")[1].split("\n", 1)[1])

    assert ("2", "WRONG") == (root.get("tests"), root[1].find("failure").get("type"))
    assert "AMBIGUOUS" in root[0].find("system-out").text  # the reference has three samples


def test_merging_adds_what_is_new_and_keeps_last(store, capsys, tmp_path):
    with Store.open(tmp_path / "other") as other:
        theirs = measured(other, target="board")
    ours = measured(store)
    first = reports(store, capsys, "merge", str(tmp_path / "other"))[1]
    again = reports(store, capsys, "merge", str(tmp_path / "other"))[1]

    assert "1 records of 1 runs, 1 of them new" in first
    assert "0 of them new" in again
    assert [ours, theirs] == [run.id for run in store.runs()]
    assert ours == store.resolve_run("last")


def test_a_merged_winner_is_found_only_where_there_is_none(store, tmp_path):
    winner = replace(RECORD, kind="winner", identity="known")
    mine = replace(winner, author="mine")
    store.put_tuned("known", mine)
    store.adopt([], [winner, replace(winner, identity="new")])

    assert ("mine", "expert") == (store.tuned("known").author, store.tuned("new").author)


# The paper


def test_printed_sizes_are_converted():
    """The paper prints m, k, n: 16384, 8192, 1280 is n = 1280."""
    (a100,) = [block for block in platforms() if block.name == "a100"]

    assert (16384, 1280, 8192) == a100.shapes[4]
    assert all(len(figures) == 8 for block in platforms() for figures in block.rows.values())


def test_the_footnotes_say_what_the_data_says():
    blocks = {block.name: block for block in platforms()}
    costs = printed()["table3"]["a100"]["ours"][1]

    assert blocks["c910"].rows["openblas"][4:] == blocks["k1"].rows["openblas"][4:]
    assert "paste error" in FOOTNOTES["k1"]
    assert not any(costs in figures for figures in blocks["a100"].rows.values())
    assert str(costs) in FOOTNOTES["a100"]


def test_table_1_sets_ours_beside_the_printed_figures_with_its_clock(store, capsys):
    spec = {"operator": "gemm", **GemmSpec(m=512, n=512, k=512).to_json()}
    measured(store, spec=spec, target="c910", clock="model")
    out = reports(store, capsys, "paper", "table1")[1]

    assert "| printed: openblas " in out
    assert "183.0 (model)" in out
    assert "clock of our rows: model" in out
    assert "needs a key" in out


def test_every_row_of_the_paper_has_a_figure_or_a_reason(store):
    for name, table in TABLES.items():
        for section in table(store, Measured(store)):
            assert any("ours" in note or "needs" in note for note in section.notes), (name, section.title)


def test_an_unknown_table_is_one_sentence(store, capsys):
    assert 1 == command.main(["paper", "table9", "--store", str(store.path)])
    assert "choose of table1, table2" in capsys.readouterr().err


def test_figure_3b_is_the_median_over_seeds(store, capsys):
    from fixtures.tables import replayed
    from suites.selftest.test_search_replay import tiny_table

    store.add(replayed(tiny_table(), store.begin_run([], {}), seeds=5))
    out = reports(store, capsys, "paper", "fig3b")[1]

    assert "over 5 seeds" in out
    assert 3 == out.count("MCTS")


def test_the_page_draws_every_search_with_its_band(store):
    facts = {"budgets": [1, 5, 20], "best_share": {"naive": [[0.5, 0.8, 1.0], [0.7, 0.9, 1.0], [0.6, 0.7, 1.0]]}, "best_gflops": 80.0}
    run = store.begin_run([], {})
    store.add(replace(RECORD, run=run, kind=REPLAY, case="fig3b-x", target="k1", facts=facts | {"points": 9, "note": "a note"}))
    store.add(replace(RECORD, run=run, kind=REPLAY, case="broken", facts=facts | {"budgets": [5, 1, 20]}))
    page = ElementTree.fromstring(render_page(store, run).removeprefix("<!doctype html>"))
    (plot,) = [one for one in page.iter("svg") if (one.get("aria-label") or "").startswith("Replay")]
    told = [title.text for title in plot.iter("title")]
    data = json.loads(next(one.text for one in page.iter("script") if one.get("type") == "application/json"))
    (band,) = [path.get("d") for path in plot.iter("path") if "opacity: 0.2" in path.get("style", "")]
    heights = [float(place.split()[1]) for place in re.findall(r"[ML] ([-\d. ]+)", band)][:6]
    least, most = heights[:3], heights[:2:-1]

    assert "Replay of naive on fig3b-x: GFLOP/s over evaluations, median and spread of 3 seeds" == plot.get("aria-label")
    assert [{"case": "fig3b-x", "budgets": [1, 5, 20], "share of best": facts["best_share"]}] == data["replays"]
    assert "1 evaluation: 48.0 [40.0, 56.0] GFLOP/s" in told
    assert "5 evaluations: 64.0 [56.0, 72.0] GFLOP/s" in told
    assert least == sorted(least, reverse=True), "the lower edge rises: up is less, as on every screen"
    assert least[2] == most[2], "at the last budget all seeds have found the best"
    assert all(low > high for low, high in zip(least[:2], most[:2], strict=True))

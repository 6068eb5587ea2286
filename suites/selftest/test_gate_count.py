"""Counts of gated equal code: kept after every gate, refused elsewhere, added up by machine."""

from dataclasses import replace
from math import inf

import pytest

from benchmarks import gate_count, gate_live
from benchmarks.gate_count import Count, held, load, summary
from harness import compare
from harness.errors import BadRequest, StoreError
from harness.operators.gemm import GemmSpec
from harness.stats import median
from reports.gate import Finding, State


def gated(count, *states):
    for state in states:
        count.add(Finding(case="a", state=state, message=f"a: {state}"), 1 if state is State.SAME else 5)
    return count


def counted(*states, machine="one", way=None):
    return gated(Count(machine=machine, way=way or gate_count.way()), *states)


def test_a_count_goes_on_where_it_was_left(tmp_path):
    for _ in range(2):
        with held(tmp_path / "a.json", "one") as count:
            gated(count, State.SAME, State.SLOW).save(tmp_path / "a.json")
    left = load(tmp_path / "a.json")

    assert (4, 2, 12) == (left.gates, left.wrong, left.measurements)
    assert ["a: SLOW"] * 2 == left.notable


def test_counts_of_several_machines_are_added_up():
    first, *machines, notable = summary([counted(*[State.SAME] * 9), counted(State.SAME, State.FAST, machine="two")])

    assert "11 gates of equal code, 15 measurements: 10 SAME, 1 FAST; 1 wrong, so 0.23% to 41.28% of all gates (95%)" == first
    assert ["  one: 9 gates of equal code, 9 measurements: 9 SAME"] == machines[:1]
    assert "two: 2 gates" in machines[1]
    assert "  a: FAST" == notable


def test_an_earlier_way_is_shown_and_not_added():
    total, line, earlier = summary([counted(State.SAME), counted(State.SLOW, way="another")])

    assert total.startswith("1 gates of equal code, 1 measurements: 1 SAME; 0 wrong")
    assert "1 SAME" in line
    assert "1 SLOW, in an earlier way: not added" in earlier


@pytest.mark.parametrize(("kept", "why"), [({"machine": "two"}, "counts gates of two, and this is one"), ({"way": "x"}, "another way")])
def test_a_count_of_something_else_is_refused(tmp_path, kept, why):
    replace(counted(State.SAME), **kept).save(tmp_path / "a.json")

    with pytest.raises(BadRequest, match=why), held(tmp_path / "a.json", "one"):
        pass


def test_two_runs_do_not_write_one_count(tmp_path):
    with held(tmp_path / "a.json", "one"), pytest.raises(StoreError, match="busy"), held(tmp_path / "a.json", "one"):
        pass


def test_another_decision_is_another_way(monkeypatch):
    before = gate_count.way()
    monkeypatch.setattr(gate_count, "DECIDES", (*gate_count.DECIDES, median))

    assert before != gate_count.way()


@pytest.mark.parametrize("text", ["", "[1]", '{"states": {}}', '{"states": {}, "machine": "one", "way": "x", "more": 1}'])
def test_a_file_that_is_no_count_is_named(tmp_path, monkeypatch, text):
    (tmp_path / "a.json").write_text(text)
    monkeypatch.setattr("sys.argv", ["gate_live", "--show", str(tmp_path / "a.json")])

    with pytest.raises(SystemExit, match="is not a count of benchmarks"):
        gate_live.main()


def test_gates_are_added_until_there_are_so_many(tmp_path, bench, monkeypatch, capsys):
    monkeypatch.setattr(gate_live, "specs", lambda: [GemmSpec(m=32, n=32, k=32)])
    for patience in ("SERIES_S", "SERIES_CALLS", "PATIENCE_S"):  # how quiet the machine is matters to the answer only
        monkeypatch.setattr(compare, patience, 0)
    path = gate_live._add(bench, tmp_path / "a.json", inf, 1)
    gate_live._add(bench, path, inf, 2)

    assert 2 == load(path).gates
    assert "2 of 2 gates" in capsys.readouterr().err

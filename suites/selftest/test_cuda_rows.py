"""Kept results of GPUs: newest of a case, every session's time of a library, and the table that is printed of them."""

import json
import sys
from pathlib import Path

import pytest

from benchmarks.gpu import __main__ as benchmark
from benchmarks.gpu import keep
from benchmarks.gpu.keep import fastest, peer_times
from benchmarks.gpu.sets import all_sets

CASE = f"h100-{all_sets()['ragged'].specs[0].slug}"


def row(created, ours_s, theirs_s, outcome="ok"):
    peers = {"cublas": {"samples_s": [theirs_s] * 3}, "cudnn": {"verdict": "UNAVAILABLE"}}
    return {"set": "ragged", "case": CASE, "target": "h100", "created": created, "samples_s": [ours_s], "verdict": {"outcome": outcome}, "facts": {"peers": peers}}


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """Return a function that takes a session's rows and returns the file they are kept in."""
    monkeypatch.setattr(keep, "FOLDER", tmp_path)

    def take(number, *rows):
        out = tmp_path / f"out{number}"
        out.mkdir()
        (out / "rows.jsonl").write_text("".join(json.dumps(one) + "\n" for one in rows))
        monkeypatch.setattr(sys, "argv", ["keep", str(tmp_path / "rows" / "h100.jsonl"), str(out)])
        (tmp_path / "rows").mkdir(exist_ok=True)
        assert 0 == keep.main()
        return tmp_path / "rows" / "h100.jsonl"

    return take


def test_the_newest_row_of_a_case_stays_and_a_failed_one_is_left_out(kept):
    kept(1, row("a", 3e-6, 4e-6))
    path = kept(2, row("b", 2e-6, 6e-6), row("c", 1e-6, 1e-6, outcome="wrong"))
    assert [2e-6] == [one["samples_s"][0] for one in keep.read(path)]


def test_a_slow_day_of_a_library_is_no_gain(kept):
    """The fastest time of any session is what the strict ratio is held against."""
    kept(1, row("a", 3e-6, 4e-6))
    path = kept(2, row("b", 2e-6, 6e-6))
    assert {("ragged", CASE): 4e-6} == fastest(path)
    assert 2 == len(keep.read(keep.peers_path(path)))


def test_a_library_that_was_not_timed_has_no_line():
    assert ["cublas"] == [one["peer"] for one in peer_times([row("a", 3e-6, 4e-6)])]


@pytest.mark.parametrize("gpu", ["h100", "h200"])
def test_the_table_of_the_kept_rows_is_printed(gpu, monkeypatch, capsys):
    """One line a row, then one a set that has rows: what docs/performance/gpu.md holds."""
    path = Path(__file__).parents[2] / "docs" / "performance" / "gpu" / f"{gpu}.jsonl"
    monkeypatch.setattr(sys, "argv", ["benchmarks.gpu", "--show", str(path)])
    assert 0 == benchmark.main()
    printed, rows = capsys.readouterr().out.splitlines(), keep.read(path)
    assert len(rows) + 1 + len({one["set"] for one in rows}) == len(printed)
    assert [] == [line for line in printed[len(rows) + 1 :] if "/" not in line.split()[1]]

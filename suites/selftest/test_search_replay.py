"""Recorded tables and their replay: the format round-trips, the figures are right, the report is reproducible."""

import gzip
import json
from itertools import product
from math import inf

import pytest

from benchmarks.search_replay import CONTESTANTS, GRID, Contestant, main, quantile, replay
from benchmarks.tables import Table, load_table, load_tables, save_table
from harness.errors import BadRequest
from harness.kernel import Tunable, TunableKind


def tiny_table(case: str = "host-sgemm-64x64x64", bottom: int = 3) -> Table:
    """6 x 5 x 2 points, one failed, one illegal; the start is the corner."""
    axes = (
        Tunable(name="kc", kind=TunableKind.RUNTIME, values=(64, 128, 192, 256, 320, 384), start=64),
        Tunable(name="mr", kind=TunableKind.KERNEL, values=(4, 6, 8, 10, 12), start=4),
        Tunable(name="order", kind=TunableKind.SKETCH, values=(0, 2), start=0, ordered=False),
    )
    costs = {
        (64 * (kc + 1), 4 + 2 * mr, order): 1e-3
        * (1 + 0.06 * abs(kc - bottom) + 0.1 * abs(mr - 2) + 0.2 * (order == 0))
        for kc, mr, order in product(range(6), range(5), (0, 2))
    }
    costs[128, 8, 2] = inf
    del costs[64, 12, 2]
    return Table(case=case, axes=axes, costs=costs, starts=({"kc": 64, "mr": 4, "order": 0},), machine={"cores": 2})


def local() -> Contestant:
    return next(contestant for contestant in CONTESTANTS if contestant.label == "local")


def test_a_saved_table_loads_as_it_was(tmp_path):
    """Failures stay failures, illegal points stay illegal, equal tables are equal files."""
    for name in ("a.json.gz", "b.json.gz"):
        save_table(tiny_table(), tmp_path / name)

    assert [tiny_table(), tiny_table()] == load_tables(tmp_path)
    assert (tmp_path / "a.json.gz").read_bytes() == (tmp_path / "b.json.gz").read_bytes()


def test_the_format_is_as_documented(tmp_path):
    """Keys are ranks; null is a failure; an absent key is illegal."""
    save_table(tiny_table(), tmp_path / "t.json.gz")
    data = json.loads(gzip.decompress((tmp_path / "t.json.gz").read_bytes()))

    assert {"case", "machine", "recorded", "axes", "starts", "table"} == set(data)
    assert {"name": "order", "kind": "sketch", "ordered": False, "values": [0, 2]} == data["axes"][2]
    assert data["table"]["1,2,1"] is None
    assert "0,4,1" not in data["table"]
    assert 1e-3 == data["table"]["3,2,1"]


@pytest.mark.parametrize("text", ["", "{}", '{"axes": 3}', "[1, 2]"])
def test_a_broken_table_ends_in_a_sentence(tmp_path, text):
    """The file is named."""
    (tmp_path / "t.json.gz").write_bytes(gzip.compress(text.encode()))

    with pytest.raises(BadRequest, match=r"t\.json\.gz is not a recorded table"):
        load_table(tmp_path / "t.json.gz")


def test_a_table_counts_its_good_points():
    """One point is best, two more are within 6%."""
    table = tiny_table()

    assert (1, 3, 1e-3) == (table.within(0.03), table.within(0.0601), table.best_s)


def test_replay_counts_from_the_first_evaluation():
    """A start at the bottom is reached with one evaluation, an unreachable goal counts as the cap."""
    at_bottom = Table(
        case="c", axes=tiny_table().axes, costs=tiny_table().costs, starts=({"kc": 256, "mr": 8, "order": 2},)
    )

    assert (1, 1, 1) == replay(at_bottom, local(), 50, 0.0, 7)
    assert (1, 1, 1) == replay(tiny_table(), local(), 1, 0.0, 7)
    assert 1 < replay(tiny_table(), local(), 50, 0.0, 7)[1] < 50


def test_noise_disturbs_what_is_told_but_not_the_judgement():
    """The same seed gives the same replay, and noise another."""
    quiet, noisy, again = (replay(tiny_table(), local(), 58, noise, 1) for noise in (0.0, 0.2, 0.2))

    assert noisy == again
    assert quiet != noisy


@pytest.mark.parametrize(("share", "expected"), [(0.5, 5), (0.9, 9), (1.0, 10)])
def test_quantiles_are_values_that_occurred(share, expected):
    """Nearest rank."""
    assert expected == quantile(range(10, 0, -1), share)


def test_the_grid_contains_the_constants_in_use():
    """Leaving a table out judges a choice that could have been the one in use."""
    from harness.search.local import Constants

    assert Constants() in GRID


def test_the_report_names_every_search_and_is_reproducible(tmp_path, capsys):
    """Two runs print the same lines, the pooled and the left-out row among them."""
    save_table(tiny_table(), tmp_path / "a.json.gz")
    save_table(tiny_table("host-sgemm-96x96x96", bottom=1), tmp_path / "b.json.gz")
    arguments = ["--tables", str(tmp_path), "--seeds", "4", "--cap", "60", "--jobs", "1"]

    codes = [main(arguments), main(arguments)]
    lines = capsys.readouterr().out.splitlines()

    assert [0, 0] == codes
    assert lines[: len(lines) // 2] == lines[len(lines) // 2 :]
    assert {c.label for c in CONTESTANTS} <= {line[2:30].strip() for line in lines}
    assert any("local, table left out" in line for line in lines)


def test_no_tables_is_a_sentence(tmp_path, capsys):
    """Exit code 2, the folder and the remedy on standard error."""
    assert 2 == main(["--tables", str(tmp_path)])
    assert "no recorded tables in" in capsys.readouterr().err

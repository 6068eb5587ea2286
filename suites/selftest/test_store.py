"""The store gives back what it was given: records, tunings to resume, operators, runs, artefacts."""

import json
import shutil
import sqlite3
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harness.errors import BadRequest
from harness.kernel import Candidate
from harness.record import Outcome, Record, Verdict
from harness.store import Store, default_store, tuning_key

ROOT = Path(__file__).resolve().parents[2]
OK = Verdict(outcome=Outcome.OK)
CANDIDATE = Candidate.of("packed", {"mr": 6, "nr": 64})
RECORD = Record(
    kind="evaluation",
    case="host-sgemm-64x64x64",
    run="20261121-214500-a1b2",
    target="host",
    spec={"m": 64},
    author="expert",
    verdict=OK,
    identity="id",
    candidate=CANDIDATE.to_json(),
    samples_s=(1.5e-3, 2.5e-3),
    created="2026-11-21T21:45:00+00:00",
)


@pytest.fixture
def store(tmp_path):
    """Open an empty store."""
    with Store.open(tmp_path / "store") as opened:
        yield opened


# Records


def test_a_record_comes_back_as_it_was(store):
    """Nothing of a record is lost or altered."""
    store.add(RECORD)

    assert store.records() == [RECORD]


def test_the_same_record_again_is_ignored(store):
    """A writer that repeats itself after a doubt does no harm."""
    number = store.add(RECORD)

    assert number == store.add(RECORD)
    assert store.records() == [RECORD]


def test_records_are_filtered_by_everything_given(store):
    """Each filter narrows, and together they narrow further."""
    other = replace(RECORD, run="other", kind="measurement")
    store.add(RECORD)
    store.add(other)

    assert [other] == store.records(run="other")
    assert store.records(kind="evaluation", identity="id", case=RECORD.case) == [RECORD]
    assert store.records(run="other", kind="evaluation") == []


def test_a_record_without_a_date_gets_one(store):
    """Records are dated by the store, in UTC."""
    store.add(replace(RECORD, created=""))

    assert store.records()[0].created.endswith("+00:00")


def test_numbers_of_numpy_and_text_of_any_kind_are_stored(store):
    """Facts hold what measuring code and models produce, lone surrogates and NaN included."""
    store.add(replace(RECORD, facts={"a": np.float32(0.5), "b": np.arange(3), "c": "\ud800\x00'", "d": float("inf")}))

    assert {"a": 0.5, "b": [0, 1, 2], "c": "\ud800\x00'", "d": float("inf")} == store.records()[0].facts


def test_reading_an_absent_store_creates_nothing(store):
    """Asking is free: no directory appears."""
    assert (
        store.records(),
        store.tuned("id"),
        store.last_run(),
        store.runs(),
        store.evaluations("id", "t"),
    ) == ([], None, None, [], {})
    assert not store.path.exists()


def test_the_default_store_is_in_the_project_unless_the_environment_says_otherwise(monkeypatch):
    """`$OPWRIGHT_STORE` wins."""
    monkeypatch.delenv("OPWRIGHT_STORE", raising=False)
    assert default_store() == ROOT / ".opwright"

    monkeypatch.setenv("OPWRIGHT_STORE", "/somewhere/else")
    assert Path("/somewhere/else") == default_store()


# Tuned operators and resumed tunings


def test_the_latest_tuned_operator_wins_and_earlier_ones_are_kept(store):
    """Look-up is by identity alone; history is not lost."""
    first, second = (replace(RECORD, kind="winner", sequence=number) for number in (1, 2))
    store.put_tuned("id", first)
    store.put_tuned("id", second)

    assert second == store.tuned("id")
    assert [first, second] == store.records(kind="winner")
    assert store.tuned("another") is None


def test_an_earlier_winner_can_win_again(store):
    """Going back to an operator is not mistaken for a repetition."""
    first, second = (replace(RECORD, kind="winner", sequence=number) for number in (1, 2))
    for record in (first, second, first):
        store.put_tuned("id", record)

    assert first == store.tuned("id")


def test_a_winner_record_alone_does_not_change_what_is_tuned(store):
    """Only `put_tuned` decides."""
    store.add(replace(RECORD, kind="winner"))

    assert store.tuned("id") is None


def test_a_killed_tuning_finds_its_evaluations(store):
    """Answers come back by candidate key, in order, the first answer of each, and of this tuning only."""
    key = tuning_key({"script": "abc"}, {"name": "mcts", "seed": 1})
    other = tuning_key({"script": "abc"}, {"name": "mcts", "seed": 2})
    later = Candidate.of("packed", {"mr": 8, "nr": 48})
    second = replace(RECORD, sequence=2, candidate=later.to_json(), facts={"tuning": key})
    first = replace(RECORD, sequence=1, facts={"tuning": key})
    repeated = replace(RECORD, sequence=3, samples_s=(9.0,), facts={"tuning": key})
    for record in (second, first, repeated, replace(RECORD, facts={"tuning": other})):
        store.add(record)

    assert [(CANDIDATE.key, first), (later.key, second)] == list(store.evaluations("id", key).items())


# Runs


def test_runs_are_listed_newest_first_with_what_they_measured(store):
    """A run knows its command, its cases and whether it ended."""
    first, second = store.begin_run(["pytest", "-k", "host"], {"cpu": "x"}), store.begin_run([], {})
    store.add(replace(RECORD, run=first, kind="measurement"))
    store.add(replace(RECORD, run=first))
    store.finish_run(first)
    newest, oldest = store.runs()

    assert (second, "") == (newest.id, newest.finished)
    assert (first, ("pytest", "-k", "host"), {"cpu": "x"}, 1, 1) == (
        oldest.id,
        oldest.argv,
        oldest.facts,
        oldest.cases,
        oldest.evaluations,
    )
    assert oldest.finished >= oldest.created


def test_last_is_the_newest_run_that_made_records(store):
    """A run that measured nothing does not hide the one that did."""
    first = store.begin_run([], {})
    store.add(replace(RECORD, run=first))
    store.begin_run([], {})

    assert first == store.last_run() == store.resolve_run("last")


def test_a_unique_beginning_names_a_run(store):
    """Ids are typed by people; what is unclear is answered with the choices."""
    run = store.begin_run([], {})
    other = store.begin_run([], {})
    store.add(replace(RECORD, run=run))

    assert run == store.resolve_run(run) == store.resolve_run(run[:-1] if run[:-1] != other[:-1] else run)
    with pytest.raises(BadRequest, match=f"there is no run 'x'; choose last, {other}, {run}"):
        store.resolve_run("x")
    with pytest.raises(BadRequest, match="begins 2 runs"):
        store.resolve_run("20")


def test_without_records_the_message_says_how_to_make_some(store):
    """The first thing a new user meets."""
    with pytest.raises(BadRequest, match=r"no records yet in .*: make some with `pytest suites/ -k host`"):
        store.resolve_run("last")


# Artefacts


def test_an_artefact_is_found_by_what_it_was_built_from(store):
    """Same content, same file; the build key leads to it after the store was closed."""
    path = store.put_artefact(b"object", ".so", keys=["inputs"])
    store.close()

    assert path == store.put_artefact(b"object", ".so")
    assert (path, b"object", path.parent.name) == (store.artefact("inputs"), path.read_bytes(), path.name[:2])
    assert store.artefact("other") is None


def test_a_damaged_artefact_counts_as_absent_and_is_replaced(store):
    """What no longer is what its name says is never loaded."""
    path = store.put_artefact(b"object", ".so", keys=["inputs"])
    path.write_bytes(b"objecT")

    assert store.artefact("inputs") is None
    assert path == store.put_artefact(b"object", ".so", keys=["inputs"]) == store.artefact("inputs")
    path.unlink()
    assert store.artefact("inputs") is None


# The directory


def test_the_database_holds_plain_json(store):
    """Other tools can read a store with nothing but SQLite."""
    store.add(RECORD)
    (text,) = sqlite3.connect(store.database).execute("SELECT json FROM records").fetchone()

    assert Record.from_json(json.loads(text)) == RECORD


def test_a_store_can_be_moved(store, tmp_path):
    """Artefact paths are relative to the store."""
    store.put_artefact(b"object", keys=["inputs"])
    store.close()
    shutil.move(store.path, tmp_path / "moved")

    assert Store(tmp_path / "moved").artefact("inputs").read_bytes() == b"object"

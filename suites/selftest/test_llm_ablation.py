"""The ablation with a language model replays from its transcripts: each seed from its own answers, nothing asked anew."""

import pytest

from benchmarks.llm_ablation import BUDGETS, CALLS, MODELS, SEEDS, TABLES, TRANSCRIPTS, cold, curves, start
from benchmarks.search_replay import CONTESTANTS
from benchmarks.tables import load_table
from generators.llm.transcript import read


@pytest.fixture(scope="module", params=TABLES, ids=range(len(TABLES)))
def table(request):
    return load_table(request.param)


def test_every_search_gets_the_same_seeds_and_budgets(table):
    found, said = curves(table, None, CONTESTANTS[:1])

    assert set(MODELS) < set(found)
    assert {SEEDS} == {len(seeds) for seeds in found.values()}
    assert {len(BUDGETS)} == {len(curve) for seeds in found.values() for curve in seeds}
    assert all(curve == sorted(curve) for seeds in found.values() for curve in seeds), "a best speed got worse"
    assert SEEDS * len(MODELS) == len(said)
    assert all(f"{CALLS} calls" in line for line in said), "a transcript lacks answers"


@pytest.mark.parametrize("history", ["history", "blind"])
def test_answers_are_kept_for_their_own_seed_and_variant(table, history):
    header, answers = read(TRANSCRIPTS / f"{table.case}-{history}.jsonl")
    wanted = {(f"{table.case}-{history}-seed-{seed}", call) for seed in range(SEEDS) for call in range(CALLS)}

    assert CALLS <= 10
    assert wanted == {(case, number) for case, _, number in answers}
    assert "none of the paper's" in header["answered_by"]


def test_every_seed_starts_in_the_slower_half(table):
    costs = sorted(table.costs.values())
    starts = [start(table, seed) for seed in range(SEEDS)]
    (first,) = cold(table, 0).starts

    assert all(table.costs[tuple(one.values())] >= costs[len(costs) // 2] for one in starts)
    assert dict(first.values) == starts[0]

"""Operators that ship for emulated targets: what is stale for the model alone is timed again, nothing else is believed."""

from dataclasses import replace

import pytest

from benchmarks.tuned_operators import again, changed, shown
from generators.generator import Expert
from harness.case import Case
from harness.operators.gemm import GemmSpec
from harness.tune import Budget, Tuner

CASE = Case(target="a76", spec=GemmSpec(m=24, n=16, k=20))


@pytest.fixture(scope="module")
def winner(bench):
    run = bench.store.begin_run(["test"], {})
    return Tuner(bench, CASE, Expert(), run=run, budget=Budget(evaluations=2, seconds=60)).run()


def of_another(winner, name):
    """A winner of another model, say, which took the same."""
    fingerprints = winner.facts["fingerprints"] | {name: "another"}
    return replace(winner, facts=winner.facts | {"fingerprints": fingerprints})


def test_an_operator_that_takes_the_same_is_of_the_new_model(bench, winner):
    stale = of_another(winner, "model")

    assert f"{CASE.slug} (stale: model)" == shown(bench, stale)
    assert CASE.slug == shown(bench, again(bench, stale))


def test_one_that_takes_another_time_stays_stale(bench, winner):
    stale = replace(of_another(winner, "model"), samples_s=(winner.best_s / 1.1,))

    assert ["model"] == changed(bench, again(bench, stale))


def test_one_of_another_machine_is_found_on_this_one(bench, winner):
    stale = replace(winner, identity="another")

    assert ["machine"] == changed(bench, stale)
    assert winner.identity == again(bench, stale).identity


def test_one_of_another_script_is_not_timed(bench, winner, capsys):
    stale = of_another(of_another(winner, "model"), "author")

    assert stale is again(bench, stale)
    assert "" == capsys.readouterr().out

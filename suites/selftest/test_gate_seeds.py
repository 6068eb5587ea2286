"""The gate of re-tuning: ratios seed by seed, their median and an exact test."""

import pytest

from harness.compare import REFERENCE
from harness.record import Outcome, Record, Verdict
from reports.gate import State
from reports.gate_seeds import by_seed, judge_seeds, sign_flip

CASE = "host-sgemm-64x64x64"


def record(seed: int, slowdown: float, run: str) -> Record:
    reference = [1e-3, 1.1e-3, 1.2e-3]
    facts = {
        "search": {"seed": seed},
        "rounds_s": {REFERENCE: reference},
        "reference": {"kind": "retuned", "run": "old", "created": ""},
    }
    return Record(
        kind="retuned", case=CASE, run=run, target="host", spec={}, author="expert", verdict=Verdict(outcome=Outcome.OK),
        samples_s=tuple(slowdown * value for value in reference), facts=facts,
    )


def judged(slowdowns: list[float], cases: int = 1):
    now = by_seed([record(seed, value, "new") for seed, value in enumerate(slowdowns)], CASE)
    before = by_seed([record(seed, 1.0, "old") for seed in range(len(slowdowns))], CASE)
    return judge_seeds(CASE, now, before, 0.03, cases)


@pytest.mark.parametrize(
    ("slowdowns", "state"),
    [
        ([1.08, 1.07, 1.09, 1.06, 1.10, 1.07, 1.08], State.SLOW),
        ([0.93, 0.92, 0.94, 0.90, 0.93, 0.91, 0.95], State.FAST),
        ([1.01, 0.99, 1.02, 1.00, 0.98, 1.01, 1.00], State.SAME),
        ([1.20, 0.85, 1.18, 0.90, 1.15, 1.06, 0.80], State.AMBIGUOUS),
    ],
)
def test_seeds_tell_slow_from_lucky(slowdowns, state):
    finding = judged(slowdowns)

    assert state is finding.state, finding.message
    assert finding.passes is (state is not State.SLOW)


def test_one_unlucky_seed_is_no_slowdown():
    assert judged([1.4, 1.0, 1.0, 1.01, 0.99, 1.0, 1.0]).state is State.SAME


def test_too_few_seeds_prove_nothing_and_the_message_says_so():
    finding = judged([1.1, 1.1, 1.1], cases=6)

    assert finding.state is State.AMBIGUOUS
    assert "more --seeds" in finding.message


def test_without_a_common_seed_nothing_was_measured():
    before = by_seed([record(1, 1.0, "old")], CASE)
    finding = judge_seeds(CASE, by_seed([record(0, 1.0, "new")], CASE), before, 0.03, 1)

    assert finding.state is State.NOT_MEASURED
    assert not finding.passes


def test_sign_flips_are_counted_exactly():
    assert sign_flip([1.1, 1.1, 1.1]) == pytest.approx(1 / 8)
    assert sign_flip([1.1, 0.9]) == 0.5
    assert sign_flip([1.5] * 7) == pytest.approx(2**-7)

"""Statistics: intervals that cover, comparisons that need both an effect and evidence."""

import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.stats import Change, compare, geometric_mean, median, paired_ratio

SAMPLES = st.lists(st.floats(1e-6, 1e3), min_size=1, max_size=30)


def noisy(seed, centre_s, rounds=25, spread=0.01):
    """Draw samples around a median."""
    return centre_s * np.random.default_rng(seed).normal(1, spread, rounds)


def test_median_of_even_and_odd():
    """The middle, or the mean of the two in the middle."""
    assert (median([3, 1, 2]), median([4, 1, 3, 2])) == (2.0, 2.5)


def test_geometric_mean_cancels_a_ratio_with_its_inverse():
    """Twice as fast and twice as slow is the same speed."""
    assert math.isclose(1.0, geometric_mean([2.0, 0.5]))


@given(SAMPLES)
def test_geometric_mean_lies_within_the_ratios(ratios):
    """A mean is between the least and the greatest."""
    assert min(ratios) * (1 - 1e-9) <= geometric_mean(ratios) <= max(ratios) * (1 + 1e-9)


@given(SAMPLES, st.floats(0.1, 10))
def test_a_constant_factor_is_found_exactly(ours_s, factor):
    """Where every round says the same, there is nothing to doubt, whatever the drift."""
    found = paired_ratio(ours_s, [factor * sample for sample in ours_s])

    assert pytest.approx((factor, factor, factor)) == (found.ratio, found.low, found.high)


def test_a_ratio_above_one_means_that_ours_is_faster():
    """Throughput ours over theirs is seconds theirs over ours."""
    assert paired_ratio([1.0, 1.0], [2.0, 2.0]).ratio == 2.0


def test_pairing_cancels_a_drifting_clock():
    """A clock that doubles half-way changes no ratio."""
    drift = np.linspace(1, 2, 40)
    found = paired_ratio(drift * noisy(1, 1e-3, 40), drift * noisy(2, 1.1e-3, 40))

    assert 1.08 < found.low <= found.ratio <= found.high < 1.12


def test_the_interval_covers_the_truth_as_often_as_it_says():
    """Of 200 experiments about 95% hold the true ratio: 90% to 99% allows for chance."""
    found = [paired_ratio(noisy(seed, 1.0), noisy(1000 + seed, 1.05)) for seed in range(200)]
    covering = sum(one.low <= 1.05 <= one.high for one in found)

    assert 180 <= covering <= 198


def test_the_same_samples_give_the_same_interval():
    """A report made twice is the same report."""
    ours_s, theirs_s = noisy(1, 1.0), noisy(2, 1.0)

    assert paired_ratio(ours_s, theirs_s) == paired_ratio(ours_s, theirs_s)


def test_rounds_without_a_partner_are_refused():
    """Unequal numbers of rounds were not interleaved."""
    with pytest.raises(ValueError, match="3 rounds of ours cannot be paired with 2"):
        paired_ratio([1, 1, 1], [1, 1])


@pytest.mark.parametrize("samples", [[], [0.0], [-1.0], [float("nan")], [float("inf")]])
def test_what_is_no_time_is_refused(samples):
    """A failed measurement never becomes a figure."""
    for function in (median, geometric_mean):
        with pytest.raises(ValueError, match="positive finite"):
            function(samples)


@pytest.mark.parametrize(
    ("theirs_s", "expected"), [(1.10, Change.FAST), (0.90, Change.SLOW), (1.02, Change.SAME), (1.0, Change.SAME)]
)
def test_an_effect_with_evidence_is_named(theirs_s, expected):
    """Below 3% it is the same, however sure one may be."""
    assert expected is compare(noisy(1, 1.0), noisy(2, theirs_s))


def test_an_effect_that_chance_explains_is_ambiguous():
    """Medians 10% apart among samples 40% apart prove nothing."""
    assert Change.AMBIGUOUS is compare([1.0, 1.4, 0.8, 1.2, 0.9], [1.1, 1.5, 0.9, 1.3, 1.05])


def test_three_samples_are_too_few():
    """Complete separation of three against three is chance one time in ten, ties or not."""
    assert Change.AMBIGUOUS is compare([1.0] * 3, [2.0] * 3)
    assert Change.FAST is compare([1.0] * 4, [2.0] * 4)


def test_the_least_effect_can_be_chosen():
    """A quieter clock may claim less."""
    assert Change.FAST is compare(noisy(1, 1.0, spread=0.001), noisy(2, 1.02, spread=0.001), least_effect=0.01)


@given(SAMPLES, SAMPLES)
def test_exchanging_the_sides_exchanges_the_answer(ours_s, theirs_s):
    """Faster one way is slower the other way."""
    opposite = {Change.FAST: Change.SLOW, Change.SLOW: Change.FAST}
    found = compare(ours_s, theirs_s)

    assert opposite.get(found, found) is compare(theirs_s, ours_s)


def test_equal_code_is_rarely_called_different():
    """In 300 A/A comparisons with 2% noise none passes both conditions."""
    found = {compare(noisy(seed, 1.0, spread=0.02), noisy(1000 + seed, 1.0, spread=0.02)) for seed in range(300)}

    assert found <= {Change.SAME, Change.AMBIGUOUS}


def test_importing_the_module_does_not_import_scipy():
    """It takes most of a second, and most uses never compare."""
    script = "import sys, harness.stats; sys.exit('scipy.stats' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0

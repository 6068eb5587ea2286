"""
Statistics of samples: medians, paired ratios with an interval, and the answer to "is it faster?".

A ratio is throughput ours over theirs, so above 1 we are faster.
Pure functions; what is random has a fixed seed, so the same samples give the same figures.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

SAME_WITHIN = 0.03
"""Effects below this are "same": A/A controls on an ordinary machine stay within 1-2%."""

LEAST_SAMPLES = 4
"""On a side: with three against three even complete separation is chance one time in ten."""

RESAMPLES = 2000
SEED = 20261121


class Change(StrEnum):
    """What two sample sets say about each other."""

    FAST = "FAST"
    SLOW = "SLOW"
    SAME = "SAME"
    AMBIGUOUS = "AMBIGUOUS"
    """The medians differ, but chance explains it: measure again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """A ratio of throughputs with its 95% interval."""

    ratio: float
    low: float
    high: float


def median(samples: Sequence[float]) -> float:
    """Return the median; raise `ValueError` for no samples."""
    return float(np.median(_positive(samples)))


def geometric_mean(ratios: Sequence[float]) -> float:
    """Return the mean for ratios, in which 2 and 1/2 cancel; raise `ValueError` for none."""
    return math.exp(float(np.mean(np.log(_positive(ratios)))))


def paired_ratio(ours_s: Sequence[float], theirs_s: Sequence[float]) -> Ratio:
    """
    Return the median of the per-round ratios of two interleaved measurements.

    Round i of both must have run side by side, so that a drift of the clock cancels.
    The interval is the percentile bootstrap of the median (Efron & Tibshirani, An Introduction to the Bootstrap,
    1993, chapter 13); rounds count as independent.
    Raise `ValueError` when the numbers of rounds differ.
    """
    ours, theirs = _positive(ours_s), _positive(theirs_s)
    if ours.size != theirs.size:
        raise ValueError(f"{ours.size} rounds of ours cannot be paired with {theirs.size} of theirs")
    ratios = theirs / ours
    drawn = np.random.default_rng(SEED).integers(0, ratios.size, (RESAMPLES, ratios.size))
    low, high = np.percentile(np.median(ratios[drawn], axis=1), (2.5, 97.5))
    return Ratio(ratio=float(np.median(ratios)), low=float(low), high=float(high))


def compare(
    ours_s: Sequence[float], theirs_s: Sequence[float], *, least_effect: float = SAME_WITHIN, alpha: float = 0.05
) -> Change:
    """
    Return whether ours is faster than theirs, from samples that need not be paired.

    Two conditions together: the medians differ by ``least_effect`` or more, and a two-sided rank test (Mann & Whitney,
    1947, which assumes no distribution) finds a difference at level ``alpha``.
    With fewer than `LEAST_SAMPLES` a side a difference is never more than ambiguous.
    """
    ours, theirs = _positive(ours_s), _positive(theirs_s)
    ratio = float(np.median(theirs) / np.median(ours))
    if max(ratio, 1 / ratio) < 1 + least_effect:
        return Change.SAME
    if min(ours.size, theirs.size) < LEAST_SAMPLES or _rank_test(ours, theirs) >= alpha:
        return Change.AMBIGUOUS
    return Change.FAST if ratio > 1 else Change.SLOW


def _rank_test(ours: np.ndarray, theirs: np.ndarray) -> float:
    from scipy.stats import mannwhitneyu  # here, because it takes most of a second

    return float(mannwhitneyu(ours, theirs).pvalue)


def _positive(samples: Sequence[float]) -> np.ndarray:
    values = np.asarray(samples, dtype=float)
    if values.size == 0 or not np.all(np.isfinite(values)) or np.any(values <= 0):
        raise ValueError("samples must be positive finite numbers, at least one")
    return values

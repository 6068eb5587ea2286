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

AGREED_SHARE = 0.25
"""Of the least effect, that every process has to show before a change is believed."""
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
class Judgement:
    """A change with the evidence for it."""

    change: Change
    slowdown: float
    """Seconds over the reference's seconds: 1.05 is 5% slower."""
    chance: float
    """How often equal code would show as much difference: the p-value of the rank test."""


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
    return judge_apart(ours_s, theirs_s, least_effect=least_effect, alpha=alpha).change


def judge_apart(
    ours_s: Sequence[float],
    reference_s: Sequence[float],
    *,
    least_effect: float = SAME_WITHIN,
    alpha: float = 0.05,
    statistic: str = "median",
) -> Judgement:
    """Return `compare` with its evidence; ``statistic`` is ``median`` or ``minimum``."""
    ours, reference = _positive(ours_s), _positive(reference_s)
    middle = np.min if statistic == "minimum" else np.median
    slowdown = float(middle(ours) / middle(reference))
    if max(slowdown, 1 / slowdown) < 1 + least_effect:
        return Judgement(change=Change.SAME, slowdown=slowdown, chance=1.0)
    if min(ours.size, reference.size) < LEAST_SAMPLES:
        return Judgement(change=Change.AMBIGUOUS, slowdown=slowdown, chance=1.0)
    return _judged(slowdown, _rank_test(ours, reference), alpha)


def judge_paired(
    blocks: Sequence[tuple[Sequence[float], Sequence[float]]],
    *,
    least_effect: float = SAME_WITHIN,
    alpha: float = 0.05,
    statistic: str = "median",
) -> Judgement:
    """
    Return whether ours is faster than a reference that took turns with it.

    A block is (ours, reference) of one process, round by round. Its slowdown is the median of its per-round ratios, and
    the slowdown of all is the median over the blocks: rounds of one process share its memory and its neighbours, so
    one process that was out of luck must not decide. The rank test is that of signed ranks (Wilcoxon, 1945) on the
    rounds of every block; it takes rounds for independent, which those of one process are not, so the blocks have to
    agree as well: the least of them shows a quarter of ``least_effect`` in the same direction, or nothing is said.
    ``statistic`` is ``median``, or ``minimum`` for clocks on which everything else is somebody else's noise.
    """
    pairs = [(_positive(ours), _positive(reference)) for ours, reference in blocks]
    logs = [np.log(ours / reference) for ours, reference in pairs]
    effects = [np.log(ours.min() / reference.min()) for ours, reference in pairs]
    if statistic == "median":
        effects = [np.median(one) for one in logs]
    slowdown = math.exp(float(np.median(effects)))
    if max(slowdown, 1 / slowdown) < 1 + least_effect:
        return Judgement(change=Change.SAME, slowdown=slowdown, chance=1.0)
    rounds = np.concatenate(logs)
    agreed = min(np.array(effects) * np.sign(math.log(slowdown))) >= AGREED_SHARE * math.log(1 + least_effect)
    if rounds.size < LEAST_SAMPLES or not agreed:
        return Judgement(change=Change.AMBIGUOUS, slowdown=slowdown, chance=1.0)
    return _judged(slowdown, _signed_rank_test(rounds), alpha)


def rules_out(ours_s: Sequence[float], reference_s: Sequence[float], effect: float) -> bool:
    """
    Return whether paired rounds rule out that ours is slower or faster by ``effect``.

    The 95% interval of the median ratio, from ranks (Conover, Practical Nonparametric Statistics, 1999, section 3.2),
    has to lie within; too few rounds for an interval rule nothing out.
    """
    logs = np.sort(np.log(_positive(ours_s) / _positive(reference_s)))
    rank = math.floor(logs.size / 2 - 0.98 * math.sqrt(logs.size))
    limit = math.log(1 + effect)
    return rank >= 1 and bool(-limit < logs[rank - 1] and logs[-rank] < limit)


def _judged(slowdown: float, chance: float, alpha: float) -> Judgement:
    change = Change.AMBIGUOUS if chance >= alpha else Change.FAST if slowdown < 1 else Change.SLOW
    return Judgement(change=change, slowdown=slowdown, chance=chance)


def _rank_test(ours: np.ndarray, theirs: np.ndarray) -> float:
    from scipy.stats import mannwhitneyu  # here, because it takes most of a second

    return float(mannwhitneyu(ours, theirs).pvalue)


def _signed_rank_test(differences: np.ndarray) -> float:
    from scipy.stats import wilcoxon

    return float(wilcoxon(differences).pvalue)


def _positive(samples: Sequence[float]) -> np.ndarray:
    values = np.asarray(samples, dtype=float)
    if values.size == 0 or not np.all(np.isfinite(values)) or np.any(values <= 0):
        raise ValueError("samples must be positive finite numbers, at least one")
    return values

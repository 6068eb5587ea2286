"""
The gate of re-tuning: does tuning anew, over several seeds, end with slower operators than it did?

One tuning is a lottery ticket, so two are not compared. Seed by seed, the operator that a tuning found then and the one
it found now took turns in one process; what is judged are those ratios, one a seed: their median against the threshold,
and an exact sign-flip test of their logarithms. With N seeds chance can be no smaller than 2^-N.
"""

from collections.abc import Mapping, Sequence
from itertools import product
from math import exp, log
from statistics import median

from harness.compare import REFERENCE
from harness.record import Record
from reports.gate import Finding, State, paired
from reports.load import clean

FALSE_ALARMS = 0.05
"""Level of a whole run; a case is judged at its share."""
KIND = "retuned"
"""Kind of the records that `suites/retuning` makes."""


def seed_of(record: Record) -> int:
    """Return the seed of the tuning that a record measures."""
    return int((record.facts.get("search") or {}).get("seed", 0))


def by_seed(records: Sequence[Record], case: str) -> dict[int, Record]:
    """Return a case's right measurements by seed; the last of equal seeds counts."""
    return {seed_of(one): one for one in records if one.case == case and one.verdict.ok and one.samples_s}


def judge_seeds(case: str, now: Mapping[int, Record], before: Mapping[int, Record], threshold: float, cases: int) -> Finding:
    """Judge one case over the seeds that both sides have; ``cases`` is how many this run judges."""
    name = clean(case)
    slowdowns = [_slowdown(now[seed]) for seed in sorted(now) if seed in before and paired(now[seed], before[seed])]
    if not slowdowns:
        why = f"{name}: not measured: no seed was tuned and measured on both sides; run both with the same --seeds"
        return Finding(case=case, state=State.NOT_MEASURED, message=why, passes=False)
    middle, chance, level = median(slowdowns), sign_flip(slowdowns), FALSE_ALARMS / cases
    change = f"{abs(middle - 1):.1%} {'slower' if middle >= 1 else 'faster'}"
    span = f"{min(slowdowns) - 1:+.1%} to {max(slowdowns) - 1:+.1%}"
    message = f"{name}: tuned anew {change} over {len(slowdowns)} seeds ({span}), limit {threshold:.1%}, chance {chance:.2g} of {level:.2g}"
    if abs(middle - 1) < threshold:
        return Finding(case=case, state=State.SAME, message=message, slowdown=middle)
    if chance > level:
        if 2.0 ** -len(slowdowns) > level:
            message += "; more --seeds are needed to say more"
        return Finding(case=case, state=State.AMBIGUOUS, message=message, slowdown=middle)
    state = State.SLOW if middle > 1 else State.FAST
    return Finding(case=case, state=state, message=message, slowdown=middle, passes=state is not State.SLOW)


def sign_flip(slowdowns: Sequence[float]) -> float:
    """Return the one-sided chance that ratios of either sign, equally likely, add up to at least as much."""
    logs = [log(value) for value in slowdowns]
    size = abs(sum(logs)) - 1e-12
    if len(logs) > 16:
        raise ValueError(f"{len(logs)} seeds: the exact test is for 16 at most")
    flips = list(product((1, -1), repeat=len(logs)))
    return sum(sum(s * abs(x) for s, x in zip(signs, logs, strict=True)) >= size for signs in flips) / len(flips)


def _slowdown(record: Record) -> float:
    """Return the median of a measurement's rounds, now over before."""
    reference = record.facts["rounds_s"][REFERENCE]
    return exp(median(log(now / before) for now, before in zip(record.samples_s, reference, strict=True)))

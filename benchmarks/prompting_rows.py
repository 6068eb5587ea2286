"""
Races of `benchmarks.prompting`: what every contender took, round for round, kept a line each and printed.

Ratios are medians of paired rounds with a 95% interval; over several races, the median race with the least and the most.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from harness.errors import BadRequest
from harness.stats import median, paired_ratio

EXPERT, OURS, VANILLA = "expert", "ours", "vanilla"
LOOP = "fma loop"
"""Multiply-adds in registers alone take turns, too: what nothing on this machine can be faster than."""
DRAWN, DRAWS = (VANILLA, "cot"), 5
"""The plain questions that are asked several times, and how often."""
Seconds = Mapping[str, Sequence[float]]
"""By contender, round for round."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Raced:
    """One race: who took how long for a case, how each was tuned, and who had no operator."""

    case: str
    flops: float
    clock: str
    recordings: Sequence[str]
    seconds: Seconds
    refused: Mapping[str, str]
    tuned: Mapping[str, Mapping[str, Any]]
    """Of each operator its tunables' values and the evaluations that its tuning had."""
    machine: Mapping[str, Any]
    created: str
    """UTC."""

    def lines(self) -> list[str]:
        """Return a row a contender, with its ratio over the expert and over ours, or where nobody was drawn over vanilla."""
        against = OURS if self.drawn else VANILLA
        rows = [f"{self.case}, answers of {' and '.join(self.recordings)}; clock {self.clock}, paired rounds, {self.created[:16]}Z"]
        rows += [f"{'':10} {'GFLOP/s':>8} {'fastest':>8}  {'x expert':>18}  {f'x {against}':>18}"]
        for name, taken in self.seconds.items():
            speeds = f"{self.gflops(median(taken)):8.1f} {self.gflops(min(taken)):8.1f}"
            rows.append(f"{name:10} {speeds}  {ratio(self.seconds, name, EXPERT):>18}  {ratio(self.seconds, name, against):>18}")
        rows += [f"{name:10} {why}" for name, why in self.refused.items()]
        return rows + [over_draws(self.seconds, style) for style in DRAWN if self.drawn and OURS in self.seconds]

    def gflops(self, seconds: float) -> float:
        """Return the throughput of a call that takes so long."""
        return self.flops / seconds / 1e9

    @property
    def drawn(self) -> bool:
        """Return whether plain questions were asked several times."""
        return any(name.startswith(f"{VANILLA} ") for name in (*self.seconds, *self.refused))


def keep(path: Path, race: Raced) -> None:
    """Append a race to a file."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(race)) + "\n")


def kept(path: Path) -> list[Raced]:
    """Return the races of a file; raise `BadRequest` for one that cannot be read."""
    try:
        return [Raced(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError, TypeError) as wrong:
        raise BadRequest(f"{path} holds no races ({wrong}); give a file that --keep wrote") from None


def shown(races: Sequence[Raced]) -> list[str]:
    """Return every race's rows, and where a case was raced several times what its races say together."""
    cases: dict[tuple[str, ...], list[Raced]] = {}
    for race in races:
        cases.setdefault((race.case, *race.recordings), []).append(race)
    together = [summary(several) for several in cases.values() if len(several) > 1]
    return [line for rows in (*(race.lines() for race in races), *together) for line in (*rows, "")]


def summary(races: Sequence[Raced]) -> list[str]:
    """Return what several races of one case say together: a line a ratio, median [least, most] of the races."""
    rows = [f"{len(races)} races, median [least, most]:"]
    for ours, theirs in ((OURS, EXPERT), (OURS, VANILLA), (OURS, "cot"), (EXPERT, VANILLA), (OURS, LOOP), (EXPERT, LOOP)):
        found = sorted(_median_ratio(race.seconds, ours, theirs) for race in races)
        if all(math.isfinite(value) for value in found):
            rows.append(f"{ours} is {median(found):.2f} [{found[0]:.2f}, {found[-1]:.2f}] times {_called(theirs, races)}")
    return rows + _fastest(races)


def _fastest(races: Sequence[Raced]) -> list[str]:
    """Return who did what share of the loop of multiply-adds in the fastest round of all races, when nobody disturbed it."""
    if not all(LOOP in race.seconds for race in races):
        return []
    fastest = {name: min(min(race.seconds.get(name, [math.inf])) for race in races) for name in races[0].seconds}
    shares = {name: fastest[LOOP] / taken for name, taken in fastest.items() if name != LOOP}
    drawn = sorted(shares.get(f"{VANILLA} {draw}", 0.0) for draw in range(1, DRAWS + 1))
    shares |= {_called(VANILLA, races): drawn[DRAWS // 2]} if drawn[DRAWS // 2] else {}
    return [f"the fastest round of each, over the loop's: {', '.join(f'{name} {share:.2f}' for name, share in shares.items())}"]


def _called(name: str, races: Sequence[Raced]) -> str:
    return f"the median {name} answer" if name in DRAWN and all(race.drawn for race in races) else f"the {name}"


def _median_ratio(seconds: Seconds, ours: str, theirs: str) -> float:
    """Return the throughput of one over another's, of drawn ones over their median's; NaN where one is missing."""
    if ours in seconds and theirs in seconds:
        return paired_ratio(seconds[ours], seconds[theirs]).ratio
    drawn = any(name.startswith(f"{theirs} ") for name in seconds)
    return _over(seconds, ours, theirs)[DRAWS // 2] if ours in seconds and drawn else math.nan


def ratio(seconds: Seconds, ours: str, theirs: str) -> str:
    """Return the throughput of one over another's, with its interval."""
    if ours not in seconds or theirs not in seconds:
        return "-"
    found = paired_ratio(seconds[ours], seconds[theirs])
    return f"{found.ratio:.2f} [{found.low:.2f}, {found.high:.2f}]"


def over_draws(seconds: Seconds, style: str) -> str:
    """Say how many times as fast as the median draw of a plain question the method is; a draw without operator has speed 0."""
    times = _over(seconds, OURS, style)
    right = [ratio for ratio in times if ratio < math.inf]
    middle = times[DRAWS // 2]
    whole = f"ours is {middle:.2f} times the median of {DRAWS} draws" if middle < math.inf else f"the median of {DRAWS} draws gives no operator"
    alone = f": {right[0]:.2f} times the fastest, {median(right):.2f} their median, {right[-1]:.2f} the slowest" if right else ""
    bound = f"; the FMA loop is {_over(seconds, LOOP, style)[DRAWS // 2]:.2f} times the median" if LOOP in seconds and middle < math.inf else ""
    return f"{style}: {whole}; {len(right)} gave an operator{alone}{bound}"


def _over(seconds: Seconds, ours: str, style: str) -> list[float]:
    """Return how many times as fast as each draw somebody is, the fastest draw first; infinity for those without operator."""
    drawn = [f"{style} {draw}" for draw in range(1, DRAWS + 1)]
    return sorted(paired_ratio(seconds[ours], seconds[name]).ratio if name in seconds else math.inf for name in drawn)

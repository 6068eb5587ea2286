"""
Measure: interleaved rounds of short slices, so that drift of the clock hits everybody alike.

Where cores are shared with others (two threads of one core, another virtual machine), a watch - a loop that fills the
core's issue slots - is timed between any two slices: it runs at half its pace while somebody else is on the core.

Every round gives each contender one slice of about 10 ms of CPU time in an order of its own; a slice counts as the median of
its clean samples. Ratios are medians of per-round ratios (`harness.stats.paired_ratio`), never of separate runs.
"""

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf
from random import Random
from statistics import median

from harness.errors import RunnerError
from harness.record import Outcome, Verdict
from harness.runners.native import Timing
from harness.runners.protocol import Session

ROUNDS = 25
SLICE_S = 0.01
SAMPLE_S = 5e-4
DISTURBED = 1.35
"""The watch over its best: up to 1.3 after 512-bit code, whose clock is lower; 1.4 to 2.5 beside somebody."""
LEAST_ROUNDS = 11
COLD_CALL_S = 0.1
"""From here on a call moves more than the caches hold, so nothing is gained by a warm-up call before each slice."""
WARM_UP = 4.0
"""What the call before a slice may take, in calls: it is the first to use its pages (and AMX its tiles); 2.6 was seen."""
NAP_S = 0.005
LOOKS = 3
"""Looks in a row that must find us alone: others come and go within a millisecond, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slices:
    """Seconds a call took, one entry a round, and all the samples behind them."""

    seconds: tuple[float, ...]
    samples_s: tuple[tuple[float, ...], ...]
    switched: int
    """Samples dropped because another process ran in between."""
    watch_s: tuple[float, ...] = ()
    """By round, the slower of the watch's calls before and after the slice; empty where nothing watched."""
    busy_s: tuple[tuple[float, ...], ...] = ()
    """By round, the seconds each thread spent in bodies of parallel loops."""

    @property
    def imbalance(self) -> float:
        """Return the busiest thread's time over the mean, the median of the rounds; 1 is perfect, and one thread."""
        rounds = [max(busy) * len(busy) / sum(busy) for busy in self.busy_s if len(busy) > 1 and sum(busy) > 0]
        return median(rounds) if rounds else 1.0

    def only(self, rounds: Sequence[int]) -> "Slices":
        """Return the slices of some rounds."""
        return replace(
            self,
            seconds=tuple(self.seconds[i] for i in rounds),
            samples_s=tuple(self.samples_s[i] for i in rounds),
            watch_s=tuple(self.watch_s[i] for i in rounds) if self.watch_s else (),
            busy_s=tuple(self.busy_s[i] for i in rounds) if self.busy_s else (),
        )

    def __add__(self, more: "Slices") -> "Slices":
        """Return the rounds of both, in order."""
        return Slices(
            seconds=self.seconds + more.seconds,
            samples_s=self.samples_s + more.samples_s,
            switched=self.switched + more.switched,
            watch_s=self.watch_s + more.watch_s,
            busy_s=self.busy_s + more.busy_s,
        )


def slice_seconds(timing: Timing) -> tuple[float, int]:
    """Return the median of a slice's clean samples, and how many were not clean; all count where none is clean."""
    values = timing.taken_s
    clean = [value for value, switches in zip(values, timing.switches, strict=True) if not switches]
    return median(clean or values), len(values) - len(clean)


class Watch:
    """Tells from a loop that fills the core's issue slots (`harness.probe`) whether somebody shares the core just now."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self._best_s = inf

    def look(self) -> float:
        """Return the loop's time just now in seconds; about 0.2 ms go by."""
        timing = self.session.time(timeout_s=10.0, samples=4, sample_s=0.0, budget_s=2e-4, warm=0)
        if timing is None:
            raise RunnerError(f"the watch failed: {self.session.verdict}")
        self._best_s = min(self._best_s, *timing.taken_s)
        return min(timing.taken_s)

    def alone(self) -> bool:
        """Return whether the core is ours just now, as far as the best so far can tell."""
        return self.look() <= DISTURBED * self._best_s

    def wait(self, patience_s: float) -> tuple[bool, float]:
        """Wait for a few looks in a row that find us alone, no longer than the patience; return whether, and how long."""
        begin = time.monotonic()
        while not (alone := all(self.alone() for _ in range(LOOKS))) and time.monotonic() - begin < patience_s:
            time.sleep(NAP_S)
        return alone, time.monotonic() - begin


def interleave(
    sessions: Mapping[str, Session],
    *,
    rounds: int = ROUNDS,
    slice_s: float = SLICE_S,
    timeout_s: float,
    watch: Watch | None = None,
    patience_s: float = 0.0,
) -> dict[str, Slices]:
    """
    Time sessions against each other and return their slices by name.

    A session that fails or contradicts itself is left out from then on; the caller finds why in its `verdict`. With a
    ``watch``, slices wait for the core to be ours, ``patience_s`` in all.
    """
    names = list(sessions)
    taken: dict[str, list[tuple[Timing, float]]] = {name: [] for name in names}
    for turn in range(rounds):
        for name in Random(turn).sample(names, len(names)):  # nobody always follows the same other, on its warm caches
            session = sessions[name]
            if not session.verdict.ok:
                continue
            patience_s -= watch.wait(patience_s)[1] if watch and patience_s > 0 else 0.0
            before_s = watch.look() if watch else 0.0
            warm = 0 if taken[name] and taken[name][-1][0].taken_s[-1] > COLD_CALL_S else 1
            timing = session.time(timeout_s=timeout_s, samples=1000, sample_s=SAMPLE_S, budget_s=slice_s, warm=warm)
            if timing is None:
                continue
            if not session.trusted:
                session.verdict = contradiction(timing)
            taken[name].append((timing, max(before_s, watch.look()) if watch else 0.0))
    return {name: _slices(taken[name], watched=watch is not None) for name in names if sessions[name].verdict.ok}


def _slices(taken: Sequence[tuple[Timing, float]], *, watched: bool) -> Slices:
    values = [slice_seconds(timing) for timing, _ in taken]
    return Slices(
        seconds=tuple(seconds for seconds, _ in values),
        samples_s=tuple(timing.taken_s for timing, _ in taken),
        busy_s=tuple(timing.busy_s for timing, _ in taken),
        switched=sum(dropped for _, dropped in values),
        watch_s=tuple(watch_s for _, watch_s in taken) if watched else (),
    )


def quiet_rounds(slices: Mapping[str, Slices], names: Collection[str] = ()) -> list[int]:
    """
    Return the rounds in which the watch found the core ours beside the slices of some contenders (of all).

    Every round is quiet where nothing watched. Whoever shares the core hits contenders unequally (those that need more
    issue slots for an FMA most); only the watch decides, so the choice favours nobody.
    """
    best_s = min((min(found.watch_s) for found in slices.values() if found.watch_s), default=0.0)
    watched = [slices[name].watch_s for name in names or slices if slices[name].watch_s]
    rounds = _rounds(slices, names)
    return [i for i in rounds if all(watch_s[i] <= DISTURBED * best_s for watch_s in watched)]


def undisturbed(slices: Mapping[str, Slices], names: Collection[str] = ()) -> list[int]:
    """Return the quiet rounds, or all rounds where those are too few to tell."""
    quiet = quiet_rounds(slices, names)
    return quiet if len(quiet) >= LEAST_ROUNDS else list(_rounds(slices, names))


def _rounds(slices: Mapping[str, Slices], names: Collection[str]) -> range:
    """Return the rounds in which all of them took part."""
    return range(min((len(slices[name].seconds) for name in names or slices), default=0))


def contradiction(timing: Timing) -> Verdict:
    """
    Compare the child's own account with its CPU time as seen from outside it.

    A candidate shares its process with the timing loop; one that shortens its samples cannot shorten that.
    """
    claimed = sum(timing.cpu_s) * timing.calls
    if timing.outside_cpu_s > 1.5 * claimed + WARM_UP * max(timing.cpu_s) + 0.005:
        reason = f"its samples add up to {claimed:.3g} s but it used {timing.outside_cpu_s:.3g} s of CPU time"
        return Verdict(outcome=Outcome.SUSPICIOUS, reason=reason)
    return Verdict(outcome=Outcome.OK)


def below_floor(best_s: float, flops: int, peak_gflops: float) -> Verdict:
    """Refuse a time below the roofline floor: the declared flops at the fastest probe beside it, 5% margin."""
    floor_s = flops / (peak_gflops * 1e9) * 0.95
    if best_s < floor_s:
        reason = f"{best_s:.3g} s is less than {flops} flops take at the peak of {peak_gflops:.1f} GFLOP/s ({floor_s:.3g} s)"
        return Verdict(outcome=Outcome.SUSPICIOUS, reason=reason)
    return Verdict(outcome=Outcome.OK)


def need(slices: Mapping[str, Slices], name: str, sessions: Mapping[str, Session]) -> Slices:
    """Return the slices of a contender that must not fail (a probe); raise `RunnerError` otherwise."""
    if name not in slices:
        raise RunnerError(f"{name} failed while it was timed: {sessions[name].verdict}")
    return slices[name]

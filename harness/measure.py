"""
Measure: interleaved rounds of short slices, so that drift of the clock hits everybody alike.

Every round gives each contender one slice of about 10 ms of CPU time in rotated order; a slice counts as the median of
its clean samples. Ratios are medians of per-round ratios (`harness.stats.paired_ratio`), never of separate runs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median

from harness.errors import RunnerError
from harness.record import Outcome, Verdict
from harness.runners.native import Timing
from harness.runners.protocol import Session

ROUNDS = 25
SLICE_S = 0.01
SAMPLE_S = 5e-4
DISTURBED = 1.06
LEAST_ROUNDS = 11


@dataclass(frozen=True, slots=True, kw_only=True)
class Slices:
    """Seconds a call took, one entry a round, and all the samples behind them."""

    seconds: tuple[float, ...]
    samples_s: tuple[tuple[float, ...], ...]
    switched: int
    """Samples dropped because another process ran in between."""

    def only(self, rounds: Sequence[int]) -> "Slices":
        """Return the slices of some rounds."""
        return replace(
            self,
            seconds=tuple(self.seconds[i] for i in rounds),
            samples_s=tuple(self.samples_s[i] for i in rounds),
        )

    def __add__(self, more: "Slices") -> "Slices":
        """Return the rounds of both, in order."""
        return Slices(
            seconds=self.seconds + more.seconds,
            samples_s=self.samples_s + more.samples_s,
            switched=self.switched + more.switched,
        )


def slice_seconds(timing: Timing, clock: str = "cpu") -> tuple[float, int]:
    """Return the median of a slice's clean samples, and how many were not clean; all count where none is clean."""
    values = timing.cpu_s if clock == "cpu" else timing.wall_s
    clean = [value for value, switches in zip(values, timing.switches, strict=True) if not switches]
    return median(clean or values), len(values) - len(clean)


def interleave(
    sessions: Mapping[str, Session], *, rounds: int = ROUNDS, slice_s: float = SLICE_S, timeout_s: float
) -> dict[str, Slices]:
    """
    Time sessions against each other and return their slices by name.

    A session that fails or contradicts itself is left out from then on; the caller finds why in its `verdict`.
    """
    names = list(sessions)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    samples: dict[str, list[tuple[float, ...]]] = {name: [] for name in names}
    switched = dict.fromkeys(names, 0)
    for turn in range(rounds):
        shift = turn % len(names)
        for name in names[shift:] + names[:shift]:
            session = sessions[name]
            if not session.verdict.ok:
                continue
            timing = session.time(timeout_s=timeout_s, samples=1000, sample_s=SAMPLE_S, budget_s=slice_s)
            if timing is None:
                continue
            session.verdict = contradiction(timing)
            value, dropped = slice_seconds(timing)
            seconds[name].append(value)
            samples[name].append(timing.cpu_s)
            switched[name] += dropped
    return {
        name: Slices(seconds=tuple(seconds[name]), samples_s=tuple(samples[name]), switched=switched[name])
        for name in names
        if sessions[name].verdict.ok
    }


def undisturbed(probes: Sequence[Sequence[float]]) -> list[int]:
    """
    Return the rounds in which every probe ran within 6% of its own best; all rounds where those are too few to tell.

    On a machine whose cores are shared, another's load shows in the probes (an FMA loop, reads from L2) as in the
    contenders, and hits contenders unequally. Only the probes decide, so the choice favours neither side.
    """
    rounds = range(min(len(probe) for probe in probes))
    quiet = [i for i in rounds if all(probe[i] <= DISTURBED * min(probe) for probe in probes)]
    return quiet if len(quiet) >= LEAST_ROUNDS else list(rounds)


def contradiction(timing: Timing) -> Verdict:
    """
    Compare the child's own account with its CPU time as seen from outside it.

    A candidate shares its process with the timing loop; one that shortens its samples cannot shorten that.
    """
    claimed = sum(timing.cpu_s) * timing.calls + max(timing.cpu_s)
    if timing.outside_cpu_s > 1.5 * claimed + 0.005:
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

"""
Evaluate: one candidate, checked and timed, at the pace the machine has just now.

Machines that share their cores with others change pace for tenths of seconds to seconds, by up to a factor of two. The
evaluator waits for the core to be ours as long as its patience lasts, and a watch (`harness.measure`) looks on both
sides of every slice. A slice beside which the core was ours counts as it is. Beside others, a reference (the first right
candidate) is timed before and after the slice: where it ran alike on both sides the cost is scaled by its pace, where
it did not the slice is taken again.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf
from statistics import median

import numpy as np

from harness.case import Case
from harness.measure import Watch, below_floor, contradiction
from harness.record import Outcome, Verdict
from harness.runners.arena import Arena
from harness.runners.native import NativeObject, Session, Timing
from harness.runners.protocol import Worker
from harness.verify import exact_mismatch, exact_operands, output_name, timeout_s

EVALUATION_S = 0.01
GLANCE_S = 0.003
HOPELESS = 1.25
"""A candidate this much slower than the best at a glance, at the machine's best pace, is not looked at for longer."""
REFERENCE_S = 0.002
ATTEMPTS = 4
PATIENCE_S = 2.0
"""What may be spent on waiting for the core at once; as much again as evaluations took comes on top."""
SAMPLE_S = 2e-4
LONG_CALL_S = 0.05
"""From here on the checked call is the timed one, and the reference is left to the race of the leaders."""
STEADY = 1.06
"""Paces this close are alike: the minimum of a few samples has a deviation of about 3%."""
OK = Verdict(outcome=Outcome.OK)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What one evaluation found."""

    verdict: Verdict
    samples_s: tuple[float, ...] = ()
    pace: float = 1.0
    """Time of the reference in the same stretch over its best so far; 1 where the machine was undisturbed."""
    cost_s: float = inf
    """What the search is told: seconds at the machine's best pace, infinity for a failure."""


class Evaluator:
    """Checks and times one candidate after another on the same operands."""

    def __init__(
        self,
        worker: Worker,
        arena: Arena,
        case: Case,
        peak_gflops: Callable[[], float],
        *,
        seed: int,
        watch: Watch | None = None,
    ) -> None:
        """
        Fill the arena with exact operands and compute what every candidate must give.

        `peak_gflops` measures the machine's peak; it is asked again when a candidate seems to exceed what is known.
        """
        self._worker, self._arena, self._spec = worker, arena, case.spec
        self._least_flops = case.spec.least_flops
        self._measure_peak, self._peak_gflops = peak_gflops, peak_gflops()
        self._operands = exact_operands(case.spec, np.random.default_rng([seed, 1]))
        arena.fill(self._operands)
        self._wanted = case.spec.reference(self._operands)
        self._output = output_name(case.spec)
        self._accumulates = any(operand.mode == "inout" for operand in case.spec.operands())
        self._long = (worker.repeatable or self._floor_s > LONG_CALL_S) and not self._accumulates
        self._glance_s = GLANCE_S if self._floor_s < GLANCE_S and not worker.repeatable else EVALUATION_S
        self._best_s = inf
        self._watch = watch
        self._begin_s = time.monotonic()
        self.waited_s = 0.0
        """Seconds spent so far on waiting for the core."""
        self._reference: Session | None = None
        self._reference_s, self._reference_alone = inf, False

    def close(self) -> None:
        """Let the reference go."""
        if self._reference is not None:
            self._reference.close()
            self._reference = None

    def evaluate(self, item: NativeObject) -> Evaluation:
        """Check and time one candidate; the first right one stays open as the reference."""
        if self._accumulates:
            self._arena.fill(self._operands)
        else:
            self._arena.poison()
        session = self._worker.open(item, self._arena)
        try:
            verdict = self._check(session)
            timed = self._time_at_pace(session) if verdict.ok else Evaluation(verdict=verdict)
            if timed.verdict.ok and self._reference is None and not self._long:
                self._reference, session = session, None
        finally:
            if session is not None:
                session.close()
        return timed

    def _check(self, session: Session) -> Verdict:
        """Make one checked call, compare and forget its result; a long call is left to the timing."""
        if self._long or not session.verdict.ok:
            return session.verdict
        verdict = session.call(timeout_s(self._spec))
        if verdict.ok and (verdict := self._compare()).ok and not self._accumulates:
            self._arena.poison()  # timed calls have to compute it again
        return verdict

    def _time_at_pace(self, session: Session) -> Evaluation:
        """Take slices until the pace held through one; a glance is enough where a candidate is out of the question."""
        for _ in range(ATTEMPTS):
            before = self._pace(self._wait())
            timings = self._slice(session, HOPELESS * self._best_s * before)
            if not session.verdict.ok:
                return Evaluation(verdict=session.verdict)
            taken_s = tuple(value for timing in timings for value in timing.taken_s)
            if not (verdict := self._judge(timings, min(taken_s))).ok:
                return Evaluation(verdict=verdict, samples_s=taken_s)
            alone = self._watch is not None and self._watch.alone()
            after = 1.0 if alone else self._pace(alone)
            if max(before, after) <= STEADY * min(before, after):
                break
        # A slice that was never steady is scaled too little: a good candidate may be missed, a bad one never wins.
        pace = min(before, after)
        # Beside others the minimum is a lucky sample: candidate and reference are then compared by their medians.
        # Scaling makes no winner: at best a candidate ties with one that ran alone, and the race tells them apart.
        cost_s = max(self._floor_s, min(taken_s) if pace <= STEADY else median(taken_s) / pace)
        if pace > STEADY and self._best_s < inf:
            cost_s = max(cost_s, self._best_s)
        self._best_s = min(self._best_s, cost_s)
        return Evaluation(verdict=OK, samples_s=taken_s, pace=pace, cost_s=cost_s)

    def _slice(self, session: Session, hopeless_s: float) -> list[Timing]:
        """Time about 10 ms of calls (the checked call was the warm-up), only a glance of a hopeless candidate."""
        timings: list[Timing] = []
        for least_s in (self._glance_s, EVALUATION_S):
            spent_s = sum(sum(timing.wall_s) * timing.calls for timing in timings)
            if spent_s >= least_s:
                break
            timing = self._time(session, least_s - spent_s, warm=0)
            if timing is None:
                break
            timings.append(timing)
            if min(timing.taken_s) > hopeless_s:
                break
        return timings

    @property
    def _floor_s(self) -> float:
        """Seconds of one call at the machine's peak."""
        return self._spec.flops / (self._peak_gflops * 1e9)

    def _wait(self) -> bool:
        """Wait for the core to be ours: in all, as long as evaluating took, and `PATIENCE_S`. Return whether it is."""
        if self._watch is None:
            return False
        worked_s = time.monotonic() - self._begin_s - self.waited_s
        alone, waited_s = self._watch.wait(max(0.0, PATIENCE_S + worked_s - self.waited_s))
        self.waited_s += waited_s
        return alone

    def _pace(self, alone: bool) -> float:
        """Return 1 where the core is ours, else the reference's time just now over its best."""
        if self._reference is None or (alone and self._reference_alone):
            return 1.0
        timing = self._time(self._reference, REFERENCE_S, warm=1)
        if timing is None:
            return 1.0
        self._reference_alone = self._reference_alone or alone
        self._reference_s = min(self._reference_s, *timing.taken_s)
        return 1.0 if alone else max(1.0, median(timing.taken_s) / self._reference_s)

    def _judge(self, timings: Sequence[Timing], best_s: float) -> Verdict:
        """Look for contradictions, for more speed than there is, and at the output of the last timed call."""
        if not below_floor(best_s, self._least_flops, self._peak_gflops).ok:
            self._peak_gflops = max(self._peak_gflops, self._measure_peak())
        verdicts = (
            *map(contradiction, timings),
            below_floor(best_s, self._least_flops, self._peak_gflops),
            OK if self._accumulates else self._compare(),
        )
        return next((verdict for verdict in verdicts if not verdict.ok), OK)

    def _time(self, session: Session, budget_s: float, *, warm: int) -> Timing | None:
        limit_s = timeout_s(self._spec)
        return session.time(timeout_s=limit_s, samples=500, sample_s=SAMPLE_S, budget_s=budget_s, warm=warm)

    def _compare(self) -> Verdict:
        return exact_mismatch(self._output, self._arena.values(self._output), self._wanted)

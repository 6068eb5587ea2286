"""
An evaluator for specs too large to run whole a hundred times: smaller ones that stand for them, checked and timed.

On a modelled clock they are the points of a sample, from which the whole is extrapolated. On a real one it is a single
cut of the spec, short enough that most calls pass while nobody else is on the core; the race of the leaders is whole.
"""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from harness.case import Case
from harness.evaluate import LONG_CALL_S, Evaluation, Evaluator
from harness.runners.arena import Arena, Placement
from harness.runners.native import NativeObject
from harness.runners.protocol import Worker
from harness.sampling import TUNED_FLOPS, Sample, cut, sample


class SampledEvaluator(Evaluator):
    """Checks and times candidates at every point; the cost is that of the whole spec."""

    def __init__(
        self, worker: Worker, points: Sample, case: Case, peak_gflops: Callable[[], float], **options: Any
    ) -> None:
        self._closing, self._at = ExitStack(), []
        for point in points.points:
            arena = self._closing.enter_context(Arena(point.spec, Placement.ALIGNED))
            evaluator = Evaluator(worker, arena, replace(case, spec=point.spec), peak_gflops, **options)
            self._closing.callback(evaluator.close)
            self._at.append((point.weight, evaluator))

    @property
    def waited_s(self) -> float:
        """Return the seconds spent so far on waiting for the core."""
        return sum(evaluator.waited_s for _, evaluator in self._at)

    def close(self) -> None:
        """Let the arenas go."""
        self._closing.close()

    def evaluate(self, item: NativeObject) -> Evaluation:
        """Return the sum of the points, or the first failure; raw samples are kept where there is one point."""
        cost_s = 0.0
        for weight, evaluator in self._at:
            found = evaluator.evaluate(item)
            if not found.verdict.ok:
                return found
            cost_s += weight * found.cost_s
        scaled = tuple(weight * sample_s for sample_s in found.samples_s) if len(self._at) == 1 else (cost_s,)
        return replace(found, samples_s=scaled, cost_s=cost_s)


def open_evaluator(
    worker: Worker, arena: Arena, case: Case, peak_gflops: Callable[[], float], **options: Any
) -> Evaluator:
    """Return the evaluator that a worker's clock asks for; the caller closes it."""
    points = sample(case.spec, TUNED_FLOPS) if worker.repeatable else cut(case.spec, LONG_CALL_S * peak_gflops() * 1e9)
    if points.points[0].spec == case.spec:
        return Evaluator(worker, arena, case, peak_gflops, **options)
    return SampledEvaluator(worker, points, case, peak_gflops, **options)

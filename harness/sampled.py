"""An evaluator for clocks that are too slow to run a large spec whole: every point of a sample, checked and timed."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from harness.case import Case
from harness.evaluate import Evaluation, Evaluator
from harness.runners.arena import Arena, Placement
from harness.runners.native import NativeObject
from harness.runners.protocol import Worker
from harness.sampling import TUNED_FLOPS, Sample, sample


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
        """Return how long it waited for a quiet machine: never."""
        return 0.0

    def close(self) -> None:
        """Let the arenas go."""
        self._closing.close()

    def evaluate(self, item: NativeObject) -> Evaluation:
        """Return the sum of the points, or the first failure."""
        cost_s = 0.0
        for weight, evaluator in self._at:
            found = evaluator.evaluate(item)
            if not found.verdict.ok:
                return found
            cost_s += weight * found.cost_s
        return replace(found, samples_s=(cost_s,), cost_s=cost_s)


def open_evaluator(
    worker: Worker, arena: Arena, case: Case, peak_gflops: Callable[[], float], **options: Any
) -> Evaluator:
    """Return the evaluator that a worker's clock asks for; the caller closes it."""
    points = sample(case.spec, TUNED_FLOPS)
    if worker.repeatable and not points.whole:
        return SampledEvaluator(worker, points, case, peak_gflops, **options)
    return Evaluator(worker, arena, case, peak_gflops, **options)

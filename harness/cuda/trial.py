"""
Try a draft on a GPU: what a language model wrote is examined, then compared with a library, timed and verified.

Everything on the device happens in a process of its own, which a fault or a hang ends. The verdict that a repair needs
names an element: where outputs differ from the library's, the host looks once more, at a size that it can compute.
"""

from collections.abc import Sequence
from functools import partial

from harness.case import Case
from harness.cuda.build import CudaObject
from harness.cuda.evaluate import CudaEvaluator, reference_item, verify_on_gpu
from harness.cuda.examine import examine, slowness
from harness.drafting import Trial
from harness.evaluate import Evaluation
from harness.kernel import Candidate
from harness.record import Outcome, Verdict
from harness.workbench import Workbench


def try_on_gpu(bench: Workbench, case: Case, starts: Sequence[Candidate], built: Sequence[CudaObject | Verdict], seed: int) -> Trial:
    """Evaluate each start that can run, and verify the fastest right one in a fresh process."""
    limits = bench.target(case.target).factors
    found = {start: item if isinstance(item, Verdict) else examine(item, case.spec, limits) for start, item in zip(starts, built, strict=True)}
    fit = [(start, item) for start, item in zip(starts, built, strict=True) if not isinstance(found[start], Verdict)]
    if not fit:
        return Trial(candidate=starts[0], verdict=found[starts[0]])
    results = _evaluated(bench, case, [item for _, item in fit])
    best = min(range(len(fit)), key=lambda number: results[number].cost_s)
    (candidate, item), result = fit[best], results[best]
    return Trial(
        candidate=candidate,
        verdict=_checked(bench, case, candidate, item, result, seed),
        cost_s=result.cost_s,
        slow=slowness(found[candidate]),
    )


def _evaluated(bench: Workbench, case: Case, items: Sequence[CudaObject]) -> list[Evaluation]:
    """Compare each with a library, or with the first of them where none serves the case, and time it."""
    target = bench.target(case.target)
    with bench.worker(target) as worker:
        reference = reference_item(bench.baselines(target), target, case, lambda: items[0])
        evaluator = CudaEvaluator(worker, case, reference, partial(bench.peak_gflops, target))
        results = [evaluator.evaluate(item) for item in items]
        evaluator.close()
    return results


def _checked(bench: Workbench, case: Case, candidate: Candidate, item: CudaObject, result: Evaluation, seed: int) -> Verdict:
    """Return the host's verdict on what was right, or only wrong, so far; a crash or a hang is not asked for again."""
    if not result.verdict.ok and result.verdict.outcome is not Outcome.WRONG:
        return result.verdict
    with bench.worker(bench.target(case.target)) as worker:
        checked = verify_on_gpu(worker, item, case.spec, dict(candidate.values), seed + 1).verdict
    return result.verdict if checked.ok else checked

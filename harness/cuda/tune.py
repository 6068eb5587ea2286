"""Tune on a GPU: the same loop, search and records as on a CPU; only checking and timing stay on the device."""

import time
from statistics import median

from harness.baselines import Baseline
from harness.cuda.build import CudaObject
from harness.cuda.evaluate import CudaEvaluator, reference_item, timed, verify_on_gpu
from harness.kernel import Candidate
from harness.race import LEADERS
from harness.record import Record, Verdict
from harness.runners.cuda import CudaWorker, DeviceProblem
from harness.tune import Tuner
from harness.verify import Verification

ROUNDS = 7
SLICE_S = 0.02


class CudaTuner(Tuner):
    """Tunes one case on the GPU that is here."""

    def run(self) -> Record:
        """Search, race, verify, store; raise `HarnessError` when no candidate is right."""
        starts = list(self._space.starts)
        built = self._repertoire.build(starts)
        with self._bench.worker(self._target) as worker:
            reference = reference_item(self._peers(), self._target, self._case, lambda: _first(built))
            evaluator = CudaEvaluator(worker, self._case, reference, lambda: self._bench.peak_gflops(self._target))
            evaluations = self._budget.evaluations
            self._begin = time.monotonic()  # device seconds are what is bounded: compiling the start points is not counted
            self._loop(self._search(self._space), evaluator, evaluations, "tunables", self._budget.seconds * 0.8)
            evaluator.close()
            leaders = self._race_on(worker)
        return self._finish(leaders)

    def _peers(self) -> dict[str, Baseline]:
        return self._bench.baselines(self._target)

    def _race_on(self, worker: CudaWorker) -> list[Candidate]:
        """Time the leaders in turn; return all right candidates, the race's order first."""
        ranking = self._ranking()
        leaders = ranking[:LEADERS]
        self._report("race")
        problem = DeviceProblem(spec=self._case.spec)
        items = self._repertoire.build(leaders)
        sessions = [(one, worker.open(item, problem)) for one, item in zip(leaders, items, strict=True)]
        seconds: dict[Candidate, list[float]] = {one: [] for one in leaders}
        for turn in range(ROUNDS):
            shift = turn % len(sessions)
            for one, session in sessions[shift:] + sessions[:shift]:
                seconds[one].append(timed(session, self._case.spec, burst=True, samples=3, budget_s=SLICE_S)[0])
        for _, session in sessions:
            session.close()
        return sorted(leaders, key=lambda one: median(seconds[one])) + ranking[LEADERS:]

    def _checked(self, item: CudaObject, candidate: Candidate) -> Verification:
        with self._bench.worker(self._target) as worker:
            return verify_on_gpu(worker, item, self._case.spec, dict(candidate.values), self._seed + 1)

    def _fresh_samples(self, item: CudaObject, candidate: Candidate) -> tuple[float, ...]:
        with self._bench.worker(self._target) as worker, worker.open(item, DeviceProblem(spec=self._case.spec, seed=3)) as one:
            timing = one.time(timeout_s=60, samples=20, budget_s=0.2, collect=False)
        return timing.cpu_s if timing else ()


def _first(built: list[CudaObject | Verdict]) -> CudaObject:
    return next(item for item in built if not isinstance(item, Verdict))

"""
Tune on a GPU: the same loop, search and records as on a CPU; only checking and timing stay on the device.

Compiling is what takes long, and start points are compiled all at once, so every one of them is measured before the
search begins (it alone would look at two of a sketch), the winner that is already known before all others.
"""

import time
from statistics import median

from harness.baselines import Baseline
from harness.cuda.build import CudaObject
from harness.cuda.evaluate import CudaEvaluator, reference_item, timed, verify_on_gpu
from harness.kernel import Candidate
from harness.race import LEADERS
from harness.record import Record, Verdict
from harness.runners.cuda import CudaWorker, DeviceProblem
from harness.search import Search
from harness.tune import Tuner
from harness.tuned import shipped
from harness.verify import Verification

ROUNDS = 7
SLICE_S = 0.02
STARTS_SHARE = 0.75
"""Share of the seconds that the start points may take."""


class CudaTuner(Tuner):
    """Tunes one case on the GPU that is here."""

    def run(self) -> Record:
        """Measure the start points, search, race, verify, store; raise `HarnessError` when no candidate is right."""
        starts = list(dict.fromkeys([*self._known_winner(), *self._space.starts]))[: self._budget.evaluations]
        built = self._repertoire.build(starts)
        with self._bench.worker(self._target) as worker:
            reference = reference_item(self._peers(), self._target, self._case, lambda: _first(built))
            evaluator = CudaEvaluator(worker, self._case, reference, lambda: self._bench.peak_gflops(self._target))
            self._begin = time.monotonic()  # device seconds are what is bounded: compiling the start points is not counted
            search = self._search(self._space)
            self._measure_starts(starts, evaluator, search)
            self._loop(search, evaluator, self._budget.evaluations, "tunables", self._budget.seconds * 0.8)
            evaluator.close()
            leaders = self._race_on(worker)
        return self._finish(leaders)

    def _known_winner(self) -> list[Candidate]:
        """Return the winner that is stored or ships for this case, if the sketch still takes it."""
        record = self._bench.store.tuned(self._identity) or shipped(self._identity)
        if record is None:
            return []
        known = Candidate.from_json(record.candidate)
        sketches = {sketch.name: sketch for sketch in self._author.sketches(self._target, self._case.spec)}
        return [known] if known.sketch in sketches and sketches[known.sketch].legal(dict(known.values)) else []

    def _measure_starts(self, starts: list[Candidate], evaluator: CudaEvaluator, search: Search) -> None:
        for candidate in starts:
            if self._elapsed() > self._budget.seconds * STARTS_SHARE:
                return
            self._costs[candidate] = self._evaluate(candidate, evaluator, search)
            search.tell(candidate, self._costs[candidate])
            self._report("starts")

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
        """Verify in a fresh process, and measure there what `_fresh_samples` returns: a context takes a second to make."""
        spec = self._case.spec
        with self._bench.worker(self._target) as worker:
            checked = verify_on_gpu(worker, item, spec, dict(candidate.values), self._seed + 1)
            with worker.open(item, DeviceProblem(spec=spec, seed=3)) as session:
                timing = session.time(timeout_s=60, samples=20, budget_s=0.2, collect=False)
        self._samples = timing.cpu_s if timing else ()
        return checked

    def _fresh_samples(self, item: CudaObject, candidate: Candidate) -> tuple[float, ...]:
        return self._samples


def _first(built: list[CudaObject | Verdict]) -> CudaObject:
    return next(item for item in built if not isinstance(item, Verdict))

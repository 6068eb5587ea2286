"""
Tune on a GPU: the same loop, search and records as on a CPU; only checking and timing stay on the device.

Compiling is what takes long, and start points are compiled all at once, so every one of them is measured before the
search begins (it alone would look at two of a sketch): the winner that is already known before all others, then what
won at similar shapes on a GPU of the same architecture.
"""

import time
from collections.abc import Iterable
from statistics import median

from harness.baselines import Baseline
from harness.cuda.build import CudaObject
from harness.cuda.evaluate import CudaEvaluator, reference_item, timed, verify_on_gpu
from harness.errors import HarnessError
from harness.kernel import Candidate
from harness.operators import spec_from_json
from harness.race import LEADERS
from harness.record import Record, Verdict
from harness.runners.cuda import CudaWorker, DeviceProblem
from harness.search import Search
from harness.target import load_target
from harness.transfer import FARTHEST, fitted, octaves_between
from harness.tune import Tuner
from harness.tuned import everything, shipped
from harness.verify import Verification

ROUNDS = 7
SLICE_S = 0.02
NEAR = 6
"""Winners of similar shapes that a tuning begins with."""
STARTS_SHARE = 0.75
"""Share of the seconds that the start points may take."""


class CudaTuner(Tuner):
    """Tunes one case on the GPU that is here."""

    def run(self) -> Record:
        """Measure the start points, search, race, verify, store; raise `HarnessError` when no candidate is right."""
        starts = list(dict.fromkeys([*self._known_winner(), *self._won_nearby(), *self._space.starts]))[: self._budget.evaluations]
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
        return self._fitting([record]) if record else []

    def _won_nearby(self) -> list[Candidate]:
        """Return what ships for the nearest shapes, each point once, of GPUs of this one's architecture."""
        spec, arch = self._case.spec, self._target.toolchain["arch"]
        known = [record for record in everything() if record.spec["operator"] == spec.operator]
        kin = {name for name in {record.target for record in known} if load_target(name).toolchain.get("arch") == arch}
        others = [record for record in known if record.target in kin]
        octaves = {record.identity: octaves_between(spec, spec_from_json(record.spec)) for record in others}
        near = sorted((one for one in others if octaves[one.identity] <= FARTHEST), key=lambda one: octaves[one.identity])
        return list(dict.fromkeys(self._fitting(near)))[:NEAR]

    def _fitting(self, records: Iterable[Record]) -> list[Candidate]:
        """Return the points of winners, made legal here, whose sketches serve the case."""
        sketches = {sketch.name: sketch for sketch in self._author.sketches(self._target, self._case.spec)}
        points = (Candidate.from_json(record.candidate) for record in records)
        served = ((sketches[point.sketch], point) for point in points if point.sketch in sketches)
        found = (fitted(sketch, point) for sketch, point in served)
        return [point for point in found if point]

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
    """Return the first start point that compiles; raise `HarnessError` where none does."""
    if (found := next((item for item in built if not isinstance(item, Verdict)), None)) is None:
        raise HarnessError(f"no start point compiles; the first fails with {built[0]}")
    return found

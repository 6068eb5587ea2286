"""
Tune: the loop that joins author, search, builder, runner, verifier and store.

A tuning evaluation costs building (batched, cached), one checked run on exact operands, and about 10 ms of timing.
Every evaluation is a committed record, so a killed tuning asks the same questions again and answers them from the
store. At the end the leaders race each other in turn, and the winner is verified and measured anew in fresh processes.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from math import inf
from random import Random
from statistics import median
from typing import Any

import numpy as np

from harness import order
from harness.build import Builder
from harness.case import Case
from harness.errors import BadRequest, HarnessError
from harness.formula import evaluate
from harness.isa import load_isa
from harness.kernel import Author, Candidate, Move, Sketch, Tunable
from harness.measure import below_floor, contradiction, interleave
from harness.record import Outcome, Record, Verdict
from harness.runners.arena import Arena, Placement
from harness.runners.native import NativeObject
from harness.runners.protocol import Worker
from harness.search import Policy, Search, search_factory
from harness.search.space import SketchSpace
from harness.store import tuning_key
from harness.verify import Verification, exact_mismatch, exact_operands, output_name, timeout_s, verify
from harness.workbench import Workbench, spec_key

EVALUATION_S = 0.01
LEADERS = 4
RACE_ROUNDS = 9
ORDER_SHARE = 0.2
"""Share of the evaluations left to instruction order, after the tunables have settled."""
PLACEMENTS = (0, 1, 5)
"""Cache lines by which operands are shifted when the winner is measured again."""
LONG_CALL_S = 0.05
"""From here on the checked call is the timed one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """When to stop asking."""

    evaluations: int = 96
    seconds: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What a person watching wants to know."""

    case: str
    phase: str
    evaluations: int
    best_gflops: float
    elapsed_s: float
    left_s: float


class Tuner:
    """Tunes one case; `run` returns the winner's record."""

    def __init__(
        self,
        bench: Workbench,
        case: Case,
        author: Author,
        *,
        run: str,
        budget: Budget,
        seed: int = 0,
        search: str = "",
        policy: Policy | None = None,
        progress: Callable[[Progress], None] = lambda _: None,
    ) -> None:
        self._bench, self._case, self._author, self._run, self._budget = bench, case, author, run, budget
        self._seed, self._policy, self._progress = seed, policy, progress
        self._search_name = search
        self._target = bench.target(case.target)
        self._sketch = author.sketches(self._target, case.spec)[0]
        script = author.kernel_script(self._target, self._sketch)
        self._builder = Builder(
            self._target, self._sketch, script, bench.toolchain, bench.sandbox, trusted=author.trusted
        )
        self._identity = bench.identity(case, author)
        self._fingerprints = bench.fingerprints(author, self._target)
        self._tuning = tuning_key(self._fingerprints, {"name": search, "seed": seed})
        self._known = bench.store.evaluations(self._identity, self._tuning)
        self._costs: dict[Candidate, float] = {}
        self._space_of_tunables = self._space()
        self._begin = time.monotonic()

    def run(self) -> Record:
        """Search, race, verify, store; raise `HarnessError` when no candidate is right."""
        with self._bench.worker(self._target) as worker, Arena(self._case.spec, Placement.ALIGNED) as arena:
            evaluator = Evaluator(worker, arena, self._case, self._target.peak_gflops["fp32"].value, self._seed)
            orders = int(self._budget.evaluations * ORDER_SHARE)
            self._builder.build(self._space_of_tunables.starts)
            search = self._search(self._space_of_tunables)
            self._loop(search, evaluator, self._budget.evaluations - orders, "tunables", self._budget.seconds * 0.65)
            if search.best:
                climb = search_factory("local")(self._order_space(search.best[0]), self._seed)
                climb.tell(*search.best)
                self._loop(climb, evaluator, self._budget.evaluations, "order", self._budget.seconds * 0.8)
            leaders = self._race(worker, arena)
        return self._finish(leaders)

    # Asking and telling

    def _search(self, space: SketchSpace) -> Search:
        factory = search_factory(self._search_name) if self._search_name else search_factory()
        return factory(space, self._seed, self._policy)

    def _space(self) -> SketchSpace:
        guesses = self._author.start_points(self._target, self._case.spec, self._sketch)
        return SketchSpace(
            sketch=self._sketch.name,
            tunables=self._sketch.tunables,
            legal=lambda values: constraints_hold(self._sketch, values),
            guesses=tuple(guesses),
        )

    def _order_space(self, best: Candidate) -> SketchSpace:
        """The best point's instruction orders: every tunable fixed, moves as the only actions."""
        values = dict(best.values)
        fixed = tuple(_fixed(tunable, values[tunable.name]) for tunable in self._sketch.tunables)
        return SketchSpace(
            sketch=self._sketch.name, tunables=fixed, legal=lambda _: True, guesses=(values,), moves=self._moves
        )

    def _moves(self, candidate: Candidate) -> Sequence[Move]:
        """A handful of promising moves in the main loop, the same for the same candidate and seed."""
        kernels = self._builder.texts(candidate)
        if isinstance(kernels, Verdict) or "compute" not in kernels:
            return ()
        try:
            blocks = order.find_blocks(kernels["compute"].text, load_isa(self._target.isa))
        except BadRequest:  # marks that cannot be read: the kernel is used as printed
            return ()
        rng = Random(f"{self._seed}:{candidate.key}")
        return order.neighbour_moves(blocks["compute"], rng) if "compute" in blocks else ()

    def _loop(self, search: Search, evaluator: "Evaluator", evaluations: int, phase: str, until_s: float) -> None:
        while len(self._costs) < evaluations and self._elapsed() < until_s:
            candidate = search.ask()
            if candidate is None:
                return
            if candidate not in self._costs:
                self._costs[candidate] = self._evaluate(candidate, evaluator)
                self._report(phase)
            search.tell(candidate, self._costs[candidate])

    def _evaluate(self, candidate: Candidate, evaluator: "Evaluator") -> float:
        """Answer from the store, or build, check, time and record."""
        if (known := self._known.get(candidate.key)) is not None:
            return known.best_s
        begin = time.monotonic()
        built = self._build_ahead(candidate)
        verdict, samples = (built, ()) if isinstance(built, Verdict) else evaluator.evaluate(built)
        record = self._record("evaluation", candidate, verdict, samples)
        facts = {"tuning": self._tuning, "fingerprints": self._fingerprints}
        record = replace(record, sequence=len(self._costs), seconds=time.monotonic() - begin, facts=facts)
        self._bench.store.add(record)
        return record.best_s

    def _build_ahead(self, candidate: Candidate) -> NativeObject | Verdict:
        """Build a candidate; when that needs new kernels, build those of its neighbours in the same batch."""
        batch = [candidate]
        if not candidate.moves and not self._builder.has_kernels(candidate):
            steps = self._space_of_tunables.neighbours(candidate)
            batch += [near for _, near in steps if not self._builder.has_kernels(near)]
        return self._builder.build(batch)[0]

    # The end

    def _ranking(self) -> list[Candidate]:
        right = [candidate for candidate, cost in self._costs.items() if cost < inf]
        if not right:
            fates = {str(record.verdict) for record in self._evaluations()[:3]}
            raise HarnessError(f"{self._case.slug}: no candidate was right; the first failed with {'; '.join(fates)}")
        return sorted(right, key=lambda candidate: self._costs[candidate])

    def _evaluations(self) -> list[Record]:
        return list(self._bench.store.evaluations(self._identity, self._tuning).values())

    def _race(self, worker: Worker, arena: Arena) -> list[Candidate]:
        """Time the leaders in turn; return all right candidates, the race's order first."""
        ranking = self._ranking()
        if worker.repeatable:
            return ranking
        leaders = ranking[:LEADERS]
        self._report("race")
        objects = self._builder.build(leaders)
        sessions = {c.key: worker.open(item, arena) for c, item in zip(leaders, objects, strict=True)}
        rounds = max(3, min(RACE_ROUNDS, int(0.1 * self._budget.seconds / (4 * self._costs[leaders[0]] * 2))))
        try:
            slices = interleave(sessions, rounds=rounds, timeout_s=timeout_s(self._case.spec))
        finally:
            for session in sessions.values():
                session.close()
        placed = [candidate for candidate in leaders if candidate.key in slices]
        placed.sort(key=lambda candidate: median(slices[candidate.key].seconds))
        return placed + [candidate for candidate in ranking if candidate not in placed]

    def _finish(self, leaders: Sequence[Candidate]) -> Record:
        """Verify and measure in fresh processes; the first leader that holds is the winner."""
        for candidate in leaders:
            self._report("verify")
            item = self._builder.build([candidate])[0]
            if isinstance(item, Verdict):
                continue
            with self._bench.worker(self._target) as worker:
                checked = verify(worker, item, self._case.spec, dict(candidate.values), self._seed + 1)
            if checked.verdict.ok:
                return self._win(candidate, item, checked)
            self._bench.store.add(self._record("winner-refused", candidate, checked.verdict, ()))
        raise HarnessError(f"{self._case.slug}: every candidate failed the final verification; see python -m reports")

    def _win(self, candidate: Candidate, item: NativeObject, checked: Verification) -> Record:
        samples: list[float] = []
        for shift in PLACEMENTS:
            with self._bench.worker(self._target) as worker, Arena(self._case.spec, Placement.ALIGNED, shift) as arena:
                arena.fill(exact_operands(self._case.spec, np.random.default_rng(self._seed + 2)))
                with worker.open(item, arena) as session:
                    timing = session.time(timeout_s=timeout_s(self._case.spec), samples=20, budget_s=EVALUATION_S)
                samples += timing.cpu_s if timing else ()
        facts = {
            "residual": checked.residual,
            "specs_verified": checked.specs,
            "evaluations": len(self._costs),
            "tuning_s": sum(record.seconds for record in self._evaluations()),
            "fingerprints": self._fingerprints,
            "search": {"name": self._search_name, "seed": self._seed},
            "tuning": self._tuning,
            "machine": self._bench.machine_facts(self._target),
        }
        record = replace(self._record("winner", candidate, checked.verdict, tuple(samples)), facts=facts)
        self._bench.store.put_tuned(self._identity, record)
        return record

    def _record(self, kind: str, candidate: Candidate, verdict: Verdict, samples: Sequence[float]) -> Record:
        return Record(
            kind=kind,
            case=self._case.slug,
            run=self._run,
            target=self._case.target,
            spec=spec_key(self._case.spec),
            author=self._author.name,
            verdict=verdict,
            identity=self._identity,
            candidate=candidate.to_json(),
            samples_s=tuple(samples),
            clock=self._bench.clock(self._target),
            created=datetime.now(UTC).isoformat(timespec="milliseconds"),
        )

    def _elapsed(self) -> float:
        return time.monotonic() - self._begin

    def _report(self, phase: str) -> None:
        best_s = min(self._costs.values(), default=inf)
        done, elapsed = len(self._costs), self._elapsed()
        by_count = elapsed / max(done, 1) * (self._budget.evaluations - done)
        left_s = max(0.0, min(by_count, self._budget.seconds - elapsed))
        gflops = self._case.spec.flops / best_s / 1e9 if best_s < inf else 0.0
        self._progress(
            Progress(
                case=self._case.slug,
                phase=phase,
                evaluations=done,
                best_gflops=gflops,
                elapsed_s=elapsed,
                left_s=left_s,
            )
        )


class Evaluator:
    """Checks and times one candidate after another on the same operands."""

    def __init__(self, worker: Worker, arena: Arena, case: Case, peak_gflops: float, seed: int) -> None:
        self._worker, self._arena, self._spec, self._peak_gflops = worker, arena, case.spec, peak_gflops
        self._operands = exact_operands(case.spec, np.random.default_rng([seed, 1]))
        arena.fill(self._operands)
        self._wanted = case.spec.reference(self._operands)
        self._accumulates = any(operand.mode == "inout" for operand in case.spec.operands())
        self._output = output_name(case.spec)
        slow = worker.repeatable or case.spec.flops / (peak_gflops * 1e9) > LONG_CALL_S
        self._long = slow and not self._accumulates

    def evaluate(self, item: NativeObject) -> tuple[Verdict, tuple[float, ...]]:
        """Return the verdict and the raw samples; a call that is long enough is checked and timed at once."""
        self._arena.fill(self._operands) if self._accumulates else self._arena.poison()
        limit_s = timeout_s(self._spec)
        with self._worker.open(item, self._arena) as session:
            if not self._long and not session.call(limit_s).ok:
                return session.verdict, ()
            if not self._long and not (verdict := self._compare()).ok:
                return verdict, ()
            timing = session.time(
                timeout_s=limit_s, samples=500, sample_s=2e-4, budget_s=EVALUATION_S, warm=0 if self._long else 1
            )
            if timing is None:
                return session.verdict, ()
        for verdict in (
            contradiction(timing),
            below_floor(min(timing.cpu_s), self._spec.flops, self._peak_gflops),
            self._compare() if not self._accumulates else Verdict(outcome=Outcome.OK),
        ):
            if not verdict.ok:
                return verdict, timing.cpu_s
        return Verdict(outcome=Outcome.OK), timing.cpu_s

    def _compare(self) -> Verdict:
        return exact_mismatch(self._output, self._arena.view(self._output), self._wanted)


def constraints_hold(sketch: Sketch, values: Mapping[str, int]) -> bool:
    """Return whether a point satisfies every constraint of its sketch."""
    names: dict[str, Any] = {**sketch.names, **values}
    return all(evaluate(constraint, names) for constraint in sketch.constraints)


def _fixed(tunable: Tunable, value: int) -> Tunable:
    return replace(tunable, values=(value,), start=value)

"""
Tune: the loop that joins author, search, builder, runner, verifier and store.

A tuning evaluation costs building (batched, cached), one checked run on exact operands, and about 10 ms of timing.
Every evaluation is a committed record, so a killed tuning asks the same questions again and answers them from the
store. At the end the leaders race each other in turn, and the winner is verified and measured anew in fresh processes.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from math import inf
from random import Random

import numpy as np

from harness import order
from harness.case import Case
from harness.errors import BadRequest, HarnessError
from harness.evaluate import EVALUATION_S, Evaluation, Evaluator
from harness.isa import load_isa
from harness.kernel import Author, Candidate, Move
from harness.modelled import steadiest
from harness.probe import open_watch
from harness.race import Race
from harness.record import Record, Verdict
from harness.repertoire import Repertoire
from harness.runners.arena import Arena, Placement
from harness.runners.native import NativeObject
from harness.runners.protocol import Worker
from harness.sampled import open_evaluator
from harness.sampling import VERIFIED_FLOPS, shrunk
from harness.search import Policy, Search, Space, search_factory
from harness.store import tuning_key
from harness.target import Target
from harness.verify import Verification, exact_operands, timeout_s, verify
from harness.workbench import Workbench, spec_key

ORDER_SHARE = 0.2
"""Share of the evaluations left to instruction order, after the tunables have settled."""
UNTIL_SHARES, CUT_UNTIL_SHARES = (0.65, 0.8), (0.45, 0.55)
"""Share of the seconds after which tunables, and then order, have had their time; where evaluations are of a cut, the
race of whole calls has the rest."""
MOVES_TRIED = 6
"""Moves offered at each order: they are built in one batch."""
NEARLY, STEADIEST_OF = 1.05, 4
"""On a modelled clock, how far behind the fastest a candidate may be, and how many of those are looked at once more."""
PLACEMENTS = (0, 1, 5)
"""Cache lines by which operands are shifted when the winner is measured again."""


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
        self._repertoire = Repertoire(bench, self._target, case.spec, author)
        self._identity = bench.identity(case, author)
        self._fingerprints = bench.fingerprints(author, case)
        self._tuning = tuning_key(self._fingerprints, {"name": search, "seed": seed})
        self._known = bench.store.evaluations(self._identity, self._tuning)
        self._costs: dict[Candidate, float] = {}
        self._whole, self._challengers = True, 0
        self._space = self._repertoire.space()
        self._begin = time.monotonic()

    def run(self) -> Record:
        """Search, race, verify, store; raise `HarnessError` when no candidate is right."""
        with ExitStack() as stack:
            worker = stack.enter_context(self._bench.worker(self._target, threads=self._case.threads))
            arena = stack.enter_context(Arena(self._case.spec, Placement.ALIGNED))
            self._watch = None if worker.repeatable else open_watch(stack, worker, self._bench.probe)
            evaluator = open_evaluator(
                worker,
                arena,
                self._case,
                lambda: self._bench.peak_gflops(self._target, self._case.threads, self._case.spec.dtype),
                seed=self._seed,
                watch=self._watch,
            )
            self._whole = worker.repeatable or bool(arena.generation)
            until_s = [share * self._budget.seconds for share in (UNTIL_SHARES if self._whole else CUT_UNTIL_SHARES)]
            orders = int(self._budget.evaluations * ORDER_SHARE)
            self._repertoire.build(self._space.starts)
            self._begin = time.monotonic()  # building the worker and what the search begins with is not searching
            search = self._search(self._space)
            self._loop(search, evaluator, self._budget.evaluations - orders, "tunables", until_s[0])
            if search.best:
                climb = search_factory("local")(self._repertoire.orders(search.best[0], self._moves), self._seed)
                climb.tell(*search.best)
                self._loop(climb, evaluator, self._budget.evaluations, "order", until_s[1])
            evaluator.close()
            leaders = self._race(worker, arena)
        return self._finish(leaders)

    # Asking and telling

    def _search(self, space: Space) -> Search:
        factory = search_factory(self._search_name) if self._search_name else search_factory()
        return factory(space, self._seed, self._policy)

    def _moves(self, candidate: Candidate) -> Sequence[Move]:
        """A handful of promising moves in the main loop, the same for the same candidate and seed."""
        kernels = self._repertoire.texts(candidate)
        if isinstance(kernels, Verdict) or "compute" not in kernels:
            return ()
        try:
            blocks = order.find_blocks(kernels["compute"].text, load_isa(self._target.isa))
        except BadRequest:  # marks that cannot be read: the kernel is used as printed
            return ()
        rng = Random(f"{self._seed}:{candidate.key}")
        moves = order.neighbour_moves(blocks["compute"], rng) if "compute" in blocks else []
        return rng.sample(moves, min(MOVES_TRIED, len(moves)))

    def _loop(self, search: Search, evaluator: Evaluator, evaluations: int, phase: str, until_s: float) -> None:
        while len(self._costs) < evaluations and self._elapsed() < until_s:
            candidate = search.ask()
            if candidate is None:
                return
            if candidate not in self._costs:
                self._costs[candidate] = self._evaluate(candidate, evaluator, search)
                self._report(phase)
            search.tell(candidate, self._costs[candidate])

    def _evaluate(self, candidate: Candidate, evaluator: Evaluator, search: Search) -> float:
        """Answer from the store, or build, check, time and record."""
        if (known := self._known.get(candidate.key)) is not None:
            return float(known.facts["cost_s"]) if known.verdict.ok else inf
        begin, waited_s = time.monotonic(), evaluator.waited_s
        built = self._build_ahead(candidate, search)
        looks = [Evaluation(verdict=built)] if isinstance(built, Verdict) else self._looks(built, evaluator)
        result = max(looks, key=lambda look: look.cost_s)
        record = self._record("evaluation", candidate, result.verdict, result.samples_s)
        facts = {"tuning": self._tuning, "fingerprints": self._fingerprints, "cost_s": result.cost_s, "pace": result.pace}
        facts["looks_s"] = [look.cost_s for look in looks]
        facts["waited_s"] = evaluator.waited_s - waited_s
        record = replace(record, sequence=len(self._costs), seconds=time.monotonic() - begin, facts=facts)
        self._bench.store.add(record)
        return result.cost_s

    def _looks(self, item: NativeObject, evaluator: Evaluator) -> list[Evaluation]:
        """Evaluate once; a new leader of which a model will read is measured again, so that no lucky time is quoted."""
        first = evaluator.evaluate(item)
        leads = first.cost_s < min(self._costs.values(), default=inf)
        quoted = self._policy is not None and self._policy.quotes
        if not (leads and quoted) or self._bench.clock(self._target, self._case.threads) == "model":
            return [first]
        return [first, evaluator.evaluate(item)]

    def _build_ahead(self, candidate: Candidate, search: Search) -> NativeObject | Verdict:
        """Build a candidate; when that needs new kernels, build what the search may ask for next in the same batch."""
        batch = [candidate]
        if not self._repertoire.has_kernels(candidate):
            batch += [near for near in search.ahead() if near != candidate and not self._repertoire.has_kernels(near)]
        return self._repertoire.build(batch)[0]

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
        """Return all right candidates, the race's order first; a model's leaders race under other memories."""
        ranking = self._ranking()
        self._report("race")
        if worker.repeatable:
            return self._steadiest(ranking)
        if not self._whole:
            arena.fill(exact_operands(self._case.spec, np.random.default_rng([self._seed, 1])))
        race = Race(worker=worker, arena=arena, repertoire=self._repertoire, watch=self._watch, seconds=self._budget.seconds)
        placed = race.run(ranking, self._costs)
        if self._whole:
            return placed
        ahead = race.climb(placed[0], self._seed, lambda: self._elapsed() < self._budget.seconds, self._challenged)
        return list(dict.fromkeys([ahead, *placed]))

    def _steadiest(self, ranking: list[Candidate]) -> list[Candidate]:
        """Return the ranking, some in front that are nearly as fast as the first in the order of `steadiest`."""
        limit_s, near = NEARLY * self._costs[ranking[0]], {}
        for candidate in ranking:
            if self._costs[candidate] <= limit_s:
                near.setdefault(candidate.values, candidate)
        leaders = unlike(list(near.values()), STEADIEST_OF)
        if len(leaders) == 1:
            return ranking
        places = steadiest(self._bench, self._case, self._repertoire.build(leaders))
        return list(dict.fromkeys([*(leaders[place] for place in places), *ranking]))

    def _challenged(self) -> None:
        self._challengers += 1
        self._report("race")

    def _finish(self, leaders: Sequence[Candidate]) -> Record:
        """Verify and measure in fresh processes; the first leader that holds is the winner."""
        for candidate in leaders:
            self._report("verify")
            item = self._repertoire.build([candidate])[0]
            if isinstance(item, Verdict):
                continue
            checked = self._checked(item, candidate)
            if checked.verdict.ok:
                return self._win(candidate, item, checked)
            self._bench.store.add(self._record("winner-refused", candidate, checked.verdict, ()))
        raise HarnessError(f"{self._case.slug}: every candidate failed the final verification; see python -m reports")

    def _checked(self, item: NativeObject, candidate: Candidate) -> Verification:
        """Verify in a fresh process, on data that the search never saw."""
        with self._bench.worker(self._target, threads=self._case.threads) as worker:
            spec = shrunk(self._case.spec, VERIFIED_FLOPS) if worker.repeatable else self._case.spec
            return verify(worker, item, spec, dict(candidate.values), self._seed + 1)

    def _fresh_samples(self, item: NativeObject, candidate: Candidate) -> tuple[float, ...]:
        """Measure in fresh processes, with operands at several places; a model's answer is known."""
        if self._bench.clock(self._target, self._case.threads) == "model":
            return (self._costs[candidate],)
        samples: list[float] = []
        for shift in PLACEMENTS:
            with self._bench.worker(self._target, threads=self._case.threads) as worker, Arena(self._case.spec, Placement.ALIGNED, shift) as arena:
                arena.fill(exact_operands(self._case.spec, np.random.default_rng(self._seed + 2)))
                with worker.open(item, arena) as session:
                    timing = session.time(timeout_s=timeout_s(self._case.spec), samples=20, budget_s=EVALUATION_S)
                samples += timing.taken_s if timing else ()
        return tuple(samples)

    def _win(self, candidate: Candidate, item: NativeObject, checked: Verification) -> Record:
        facts = {
            "residual": checked.residual,
            "specs_verified": checked.specs,
            "evaluations": len(self._costs),
            "challengers": self._challengers,
            "tuning_s": sum(record.seconds for record in self._evaluations()),
            "fingerprints": self._fingerprints,
            "search": {"name": self._search_name, "seed": self._seed, **(self._policy.summary() if self._policy else {})},
            "tuning": self._tuning,
            "machine": self._bench.machine_facts(self._target),
            "accounts": dict(self._author.accounts(self._target, self._case.spec)),
        }
        record = replace(self._record("winner", candidate, checked.verdict, self._fresh_samples(item, candidate)), facts=facts)
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
            clock=self._bench.clock(self._target, self._case.threads),
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


def unlike(ranking: Sequence[Candidate], most: int) -> list[Candidate]:
    """
    Return the first of a ranking and those that differ from it, and from each other, in the most tunables.

    Neighbours of the first share what a tuning's small sample did not see.
    """
    chosen = list(ranking[:1])
    while len(chosen) < min(most, len(ranking)):
        left = [candidate for candidate in ranking if candidate not in chosen]
        chosen.append(max(left, key=lambda one: min(len({*one.values} - {*other.values}) for other in chosen)))
    return chosen


def tuner_of(target: Target) -> type[Tuner]:
    """Return the tuner of a target's kind of runner."""
    if target.runner != "cuda":
        return Tuner
    from harness.cuda.tune import CudaTuner

    return CudaTuner

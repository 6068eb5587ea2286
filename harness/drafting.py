"""
Drafting: the loop above tuning, for authors who do not know beforehand whether their text is right.

A drafter proposes a sketch with its kernel script; it is built, checked, timed at its start points and verified; what
became of it goes back, until the drafter stops. The fastest right attempt is adopted, kept in the store, and tuned as
any other. Where none was right the case fails by name of each attempt: nobody else's text is put in its place.
"""

import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from math import inf
from typing import Any, Protocol, runtime_checkable

from harness.case import Case
from harness.errors import AuthorError
from harness.evaluate import Evaluation, Evaluator
from harness.kernel import Author, Candidate, Sketch, digest
from harness.operator import OperatorSpec
from harness.record import Outcome, Record, Verdict
from harness.runners.arena import Arena, Placement
from harness.runners.native import NativeObject
from harness.search.space import SketchSpace
from harness.target import Target
from harness.verify import verify
from harness.workbench import Workbench, spec_key

LOG = logging.getLogger("opwright")
STARTS = 4
"""Start points of a draft that are tried; the best right one is its speed before tuning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A sketch, the script that goes with it, and where its author would start."""

    sketch: Sketch
    script: str
    starts: tuple[Mapping[str, int], ...]
    data: Mapping[str, Any]
    """The draft as JSON, from which its author can make it again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """A draft, or an answer that was none, and its fate."""

    number: int
    verdict: Verdict
    draft: Draft | None = None
    values: Mapping[str, int] = field(default_factory=dict)
    """The point the verdict is about."""
    gflops: float = 0.0
    peak_gflops: float = 0.0
    slow: str = ""
    """What is known to slow a right attempt down, from its machine code; more is to be had by mending that."""

    def __str__(self) -> str:
        speed = f", {self.gflops:.1f} GFLOP/s" if self.gflops else ""
        return f"attempt {self.number}: {self.verdict}{speed}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What trying a draft at its start points found: the fastest right one, else the first and what is wrong with it."""

    candidate: Candidate
    verdict: Verdict
    cost_s: float = inf
    slow: str = ""


@runtime_checkable
class Drafter(Author, Protocol):
    """An author who learns from verdicts: a language model, a recording of one, a person."""

    def propose(self, target: Target, spec: OperatorSpec, attempts: Sequence[Attempt]) -> Draft | Verdict | None:
        """
        Return the next draft, the verdict on an answer that was none, or None to stop.

        Raise `AuthorError` when there can be no further answer.
        """

    def adopt(self, target: Target, spec: OperatorSpec, data: Mapping[str, Any]) -> None:
        """Answer the contract's questions from this draft (its ``data``) from now on."""


def recall(bench: Workbench, case: Case, author: Author) -> bool:
    """Give a drafter its adopted draft of the case back; False where the store has none. Others need none."""
    if not isinstance(author, Drafter):
        return True
    path = bench.store.artefact(_key(bench, case, author))
    if path is not None:
        author.adopt(bench.target(case.target), case.spec, json.loads(path.read_bytes()))
    return path is not None


def settle(
    bench: Workbench,
    case: Case,
    author: Author,
    *,
    run: str,
    seed: int,
    say: Callable[[Attempt], None] = lambda _: None,
) -> None:
    """Have a drafter work until it stops, and adopt its fastest right draft; do nothing for other authors."""
    if not isinstance(author, Drafter):
        return
    target, attempts, ending = bench.target(case.target), [], ""
    while True:
        begin = time.monotonic()
        try:
            proposed = author.propose(target, case.spec, attempts)
        except AuthorError as error:
            ending = str(error)
            break
        if proposed is None:
            break
        attempt = judge(bench, case, proposed, len(attempts) + 1, seed)
        attempts.append(attempt)
        clock = bench.clock(target, case.threads)
        bench.store.add(_record(case, author, attempt, run, clock, time.monotonic() - begin))
        say(attempt)
    right = [attempt for attempt in attempts if attempt.verdict.ok]
    if not right:
        fates = "; ".join(map(str, attempts)) or "none was made"
        raise AuthorError(f"{case.slug}: no attempt of {author.name} was right: {fates}{ending and f'; {ending}'}")
    if ending:
        LOG.warning("%s: going on with what is right so far: %s", case.slug, ending)
    best = max(right, key=lambda attempt: attempt.gflops).draft
    data = {**best.data, "accounts": dict(author.accounts(target, case.spec))}
    author.adopt(target, case.spec, data)
    bench.store.put_artefact(json.dumps(data).encode(), ".json", keys=[_key(bench, case, author)])


def starts_of(draft: Draft) -> list[Candidate]:
    """Return where a draft is tried: its author's legal start points, the tunables' own start; at most `STARTS`."""
    sketch = draft.sketch
    space = SketchSpace(sketch=sketch.name, tunables=sketch.tunables, legal=sketch.legality(), guesses=draft.starts)
    return list(space.starts[:STARTS])


def judge(bench: Workbench, case: Case, proposed: Draft | Verdict, number: int, seed: int) -> Attempt:
    """Build a draft at its start points, check and time them, and verify the fastest right one."""
    if isinstance(proposed, Verdict):
        return Attempt(number=number, verdict=proposed)
    target = bench.target(case.target)
    builder = bench.builder(target, proposed.sketch, proposed.script, case.spec, trusted=False)
    starts = starts_of(proposed)
    if not starts:
        reason = "no legal point was found; loosen the constraints"
        return Attempt(number=number, draft=proposed, verdict=Verdict(outcome=Outcome.SCREENED, reason=reason))
    trial = _trier(target)(bench, case, starts, builder.build(starts), seed)
    return Attempt(
        number=number,
        draft=proposed,
        verdict=trial.verdict,
        values=dict(trial.candidate.values),
        gflops=case.spec.flops / trial.cost_s / 1e9 if trial.verdict.ok else 0.0,
        peak_gflops=_peak_gflops(target, case.spec),
        slow=trial.slow,
    )


def _trier(target: Target) -> Callable[..., Trial]:
    """Return what tries start points on a target's kind of runner."""
    if target.runner != "cuda":
        return _try
    from harness.cuda.trial import try_on_gpu

    return try_on_gpu


def _peak_gflops(target: Target, spec: OperatorSpec) -> float:
    """Return what an attempt is held against: one core's fp32 peak, of a GPU the whole chip's of the dtype."""
    own = spec.dtype.value if target.runner == "cuda" and spec.dtype.value in target.peak_gflops else "fp32"
    return target.peak_gflops[own].value


def _try(bench: Workbench, case: Case, starts: Sequence[Candidate], built: Sequence[NativeObject | Verdict], seed: int) -> Trial:
    """Evaluate each start on a processor and verify the fastest right one, in a process of its own."""
    tried = _timed(bench, case, starts, built, seed)
    right = [entry for entry in tried if entry[2].verdict.ok]
    if not right:
        candidate, _, result = tried[0]
        return Trial(candidate=candidate, verdict=result.verdict)
    candidate, item, result = min(right, key=lambda entry: entry[2].cost_s)
    with bench.worker(bench.target(case.target), threads=case.threads) as worker:
        checked = verify(worker, item, case.spec, dict(candidate.values), seed + 1)
    return Trial(candidate=candidate, verdict=checked.verdict, cost_s=result.cost_s)


def _timed(
    bench: Workbench, case: Case, starts: Sequence[Candidate], built: Sequence[NativeObject | Verdict], seed: int
) -> list[tuple[Candidate, NativeObject | Verdict, Evaluation]]:
    """Return each start with its object and what one evaluation found."""
    tried = []
    with bench.worker(bench.target(case.target), threads=case.threads) as worker, Arena(case.spec, Placement.ALIGNED) as arena:
        peak = partial(bench.peak_gflops, bench.target(case.target), case.threads)
        evaluator = Evaluator(worker, arena, case, peak, seed=seed)
        for candidate, item in zip(starts, built, strict=True):
            result = Evaluation(verdict=item) if isinstance(item, Verdict) else evaluator.evaluate(item)
            tried.append((candidate, item, result))
        evaluator.close()
    return tried


def _key(bench: Workbench, case: Case, author: Author) -> str:
    return digest("draft", bench.identity(case, author))


def _record(case: Case, author: Drafter, attempt: Attempt, run: str, clock: str, seconds: float) -> Record:
    """An attempt as a record of its own kind: what was tried, its fate, what it cost."""
    draft = attempt.draft
    return Record(
        kind="attempt",
        case=case.slug,
        run=run,
        target=case.target,
        spec=spec_key(case.spec),
        author=author.name,
        verdict=attempt.verdict,
        candidate=Candidate.of(draft.sketch.name, attempt.values).to_json() if draft else {},
        samples_s=(case.spec.flops / attempt.gflops / 1e9,) if attempt.gflops else (),
        clock=clock,
        seconds=seconds,
        sequence=attempt.number,
        facts={"draft": dict(draft.data)} if draft else {},
        created=datetime.now(UTC).isoformat(timespec="milliseconds"),
    )

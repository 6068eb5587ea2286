"""
What libraries take under a timing model: computed once, kept in the store, shipped as data.

A modelled clock gives the same each time, so a library's time depends on nothing but its code, the model and the specs
that are run. `harness/baselines/modelled/TARGET.jsonl` holds such times for those who cannot get the library;
`python -m benchmarks.library_times TARGET` writes it. A key holds all that a time depends on, known without having the
library, so a time of another model, library or adapter is never used.
"""

import json
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import numpy as np

from harness.baselines import ModelledBaseline
from harness.case import Case
from harness.errors import BaselineUnavailable
from harness.fingerprint import model_fingerprint
from harness.kernel import digest
from harness.operator import OperatorSpec
from harness.record import Outcome, Verdict
from harness.runners.arena import Arena, Placement
from harness.runners.emulated import machine_text
from harness.runners.native import NativeObject
from harness.sampling import TUNED_FLOPS, VERIFIED_FLOPS, Sample, shrunk
from harness.target import Target
from harness.verify import FRESH_SEED, real_operands, timeout_s, verify_library
from harness.workbench import Workbench

SHIPPED = Path(__file__).parent / "baselines" / "modelled"
WRITER = "python -m benchmarks.library_times"


@dataclass(frozen=True, slots=True, kw_only=True)
class LibraryTime:
    """What one library takes for one spec under one model."""

    key: str
    library: str
    target: str
    memory: str
    """The memory model's name (`harness.modelled.memory_models`)."""
    model: str
    """`harness.fingerprint.model_fingerprint`."""
    spec: str
    timed_at: tuple[str, ...]
    verified_at: str
    verdict: str
    seconds: float
    """Of the whole spec; extrapolated where ``timed_at`` names several."""
    describe: str
    """Version and core, as the adapter says them."""
    shipped: bool = False

    @property
    def final(self) -> bool:
        """Return whether it would be the same on any machine: one that was too busy says nothing of the library."""
        return not self.verdict.startswith(Outcome.TIMEOUT.name)

    @property
    def facts(self) -> dict[str, str]:
        """Return what the adapter said of its library, by name."""
        return dict(word.split("=", 1) for word in self.describe.split() if "=" in word)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Which time is wanted: of a library for a case at some points, under a target as one memory model has it."""

    baseline: ModelledBaseline
    case: Case
    target: Target
    memory: str
    points: Sample

    @property
    def key(self) -> str:
        """Return a digest of all that the answer depends on."""
        specs = [[point.spec.operator, point.spec.to_json(), point.weight] for point in self.points.points]
        code = self.baseline.fingerprint(self.target, self.case)
        return digest("library time", model_fingerprint(self.target), code, specs)


def known_time(bench: Workbench, question: Question) -> LibraryTime | None:
    """Return a time that is shipped or in the store."""
    if (found := _shipped(question.target.name).get(question.key)) is not None:
        return found
    kept = bench.store.artefact(question.key)
    return from_json(kept.read_text()) if kept is not None else None


def library_time(bench: Workbench, question: Question) -> LibraryTime:
    """Return a known time, else verify and time the library now; raise `BaselineUnavailable` where it cannot be had."""
    if (known := known_time(bench, question)) is not None:
        return known
    if reason := missing(bench, question):
        raise BaselineUnavailable(reason)
    found = fresh_time(bench, question)
    if found.final:
        bench.store.put_artefact(to_json(found).encode(), keys=[question.key])
    return found


def missing(bench: Workbench, question: Question) -> str | None:
    """Return why there is no answer, cause and remedy: neither a known time nor the library; None where there is one."""
    if known_time(bench, question) is not None:
        return None
    reason = question.baseline.unavailable(question.case, question.target)
    if reason is None:
        return None
    shipped = _shipped(question.target.name).values()
    others = [one for one in shipped if (one.library, one.spec) == (question.baseline.name, question.case.spec.slug)]
    told = "times shipped for it are of another model or version and are not used" if others else "no times are shipped for it"
    return f"{reason}; {told}; with a network, {WRITER} {question.target.name} writes them"


def fresh_time(bench: Workbench, question: Question) -> LibraryTime:
    """Verify and time a library now, one that is no rival as cheaply as it is timed."""
    limit_flops = VERIFIED_FLOPS if question.baseline.rival(question.target) else TUNED_FLOPS
    small, item = shrunk(question.case.spec, limit_flops), question.baseline.build(bench.toolchain, question.target, question.case)
    verdict, seconds, describe = _verdict(bench, question.baseline, question.case, small), float("inf"), ""
    if verdict.ok:
        verdict, seconds, describe = time_sample(bench, question.target, item, question.points)
    return LibraryTime(
        key=question.key,
        library=question.baseline.name,
        target=question.target.name,
        memory=question.memory,
        model=model_fingerprint(question.target),
        spec=question.case.spec.slug,
        timed_at=tuple(question.points.slugs),
        verified_at=small.slug,
        verdict=str(verdict),
        seconds=seconds,
        describe=describe,
    )


@cache
def _verdict(bench: Workbench, baseline: ModelledBaseline, case: Case, small: OperatorSpec) -> Verdict:
    """Verify a library once for all memories: what it computes does not depend on them."""
    target = bench.target(case.target)
    with bench.worker(target) as worker:
        return verify_library(worker, baseline.build(bench.toolchain, target, case), small)


def time_sample(bench: Workbench, target: Target, item: NativeObject, points: Sample) -> tuple[Verdict, float, str]:
    """
    Run a contender at every point under a timing model; return the verdict, the whole spec's seconds and what it says of itself.

    Shapes of one depth share points: one that was run before in this process takes as long as it did then.
    """
    known = taken(machine_text(target), item)
    describe = ""
    with bench.worker(target) as worker:
        for spec in (point.spec for point in points.points):
            if spec not in known:
                with Arena(spec, Placement.ALIGNED) as arena:
                    arena.fill(real_operands(spec, np.random.default_rng(FRESH_SEED)))
                    with worker.open(item, arena) as session:
                        timing = session.time(timeout_s=timeout_s(spec), samples=1)
                        if timing is None:
                            return session.verdict, float("inf"), session.describe
                        known[spec] = timing.cpu_s[0], session.describe
            describe = known[spec][1]
    return Verdict(outcome=Outcome.OK), points.seconds({spec: seconds for spec, (seconds, _) in known.items()}), describe


@cache
def taken(machine: str, item: NativeObject) -> dict[OperatorSpec, tuple[float, str]]:
    """Return what is known of an object under a model, to be filled: its seconds and what it said, by the spec that was run."""
    return {}


def shipped_times(target: str) -> list[LibraryTime]:
    """Return the times that come with the source, whatever their model."""
    path = SHIPPED / f"{target}.jsonl"
    return [from_json(line, shipped=True) for line in path.read_text().splitlines()] if path.exists() else []


@cache
def _shipped(target: str) -> dict[str, LibraryTime]:
    return {one.key: one for one in shipped_times(target)}


def from_json(text: str, *, shipped: bool = False) -> LibraryTime:
    """Read one line of a data file."""
    data = json.loads(text)
    return LibraryTime(**{**data, "timed_at": tuple(data["timed_at"]), "shipped": shipped})


def to_json(found: LibraryTime) -> str:
    """Return one line of a data file."""
    data = asdict(found)
    del data["shipped"]
    return json.dumps(data, sort_keys=True)

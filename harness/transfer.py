"""
Transfer: what was tuned for similar shapes on the same machine, for a shape that was not.

The nearest neighbours' points become start points of a tuning (`Neighbourly`). Where nothing is to be tuned, the first
point that builds and verifies on the new shape, fringes included, is the operator (`untuned`).
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from harness.case import Case
from harness.compare import Tuned, verify_tuned
from harness.errors import HarnessError
from harness.kernel import Author, Candidate, Sketch
from harness.operator import OperatorSpec
from harness.operators import spec_from_json
from harness.record import Outcome, Record, Verdict
from harness.search.space import SketchSpace
from harness.target import Target
from harness.tuned import shipped_for
from harness.workbench import Workbench, spec_key

NEIGHBOURS = 3
"""Points that a tuning begins with beside those of the analytical model."""
CLOSE = 0.75
"""
Octaves within which a sketch that won nowhere is not tried: a short climb in each would cost most of the budget.

Less than one: with 16 or 32 columns of 4096 another sketch wins than with 8, and a tuning that tried only the winner of 8 was
left at 0.81 and 0.86 of the best peer.
"""
FARTHEST = 12.0
"""Octaves, all sizes together, beyond which a shape is no neighbour."""
UNLIKE = 0.5
"""Octaves that count for a scalar, a stride or a padding that only one of two specs has."""
OPTION = 1.0
"""Octaves that count for a yes-or-no of two specs: transposed, prepacked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbour:
    """A tuned operator and how far its shape is."""

    record: Record
    octaves: float

    @property
    def candidate(self) -> Candidate:
        """Return the point that won there."""
        return Candidate.from_json(self.record.candidate)


def octaves_between(one: OperatorSpec, other: OperatorSpec) -> float:
    """
    Return how far two specs are apart: the root of the sum of squares of their sizes' ratios, in octaves.

    Infinity where nothing can be learnt: another operator, dtype or layout.
    """
    left, right = spec_key(one), spec_key(other)
    total = 0.0
    for name in left.keys() | right.keys():
        a, b = left.get(name), right.get(name)
        if a == b:
            continue
        if isinstance(a, str) or isinstance(b, str):
            return math.inf
        if isinstance(a, bool):
            total += OPTION**2
        elif isinstance(a, int) and isinstance(b, int) and a > 0 and b > 0:
            total += math.log2(a / b) ** 2
        else:
            total += UNLIKE**2
    return math.sqrt(total)


def neighbours(bench: Workbench, case: Case, author: Author, *, before: str = "") -> list[Neighbour]:
    """
    Return what was tuned for other shapes of the case's operator: same machine, threads, author; nearest first.

    It is in the store or ships with the tree.
    ``before`` (UTC, ISO 8601) leaves out what was tuned later: a run that looks at what it tuned itself would depend on
    the order of its cases.
    """
    last: dict[str, Neighbour] = {}
    for record in (*shipped_for(case.target), *bench.store.records(kind="winner")):
        if record.target != case.target or record.spec.get("operator") != case.spec.operator or not record.verdict.ok:
            continue
        if before and record.created >= before:
            continue
        try:
            spec = spec_from_json(record.spec)
        except HarnessError:  # of a version with other fields
            continue
        octaves = octaves_between(case.spec, spec)
        there = replace(case, spec=spec)
        if 0 < octaves <= FARTHEST and bench.identity(there, author) == record.identity:
            last[record.identity] = Neighbour(record=record, octaves=octaves)
    return sorted(last.values(), key=lambda one: one.octaves)


class Neighbourly:
    """An author whose start points begin with the neighbours', and whose first sketch is the nearest neighbour's."""

    def __init__(self, author: Author, near: Sequence[Neighbour]) -> None:
        self._author, self._near = author, tuple(near)
        self.name, self.trusted = author.name, author.trusted

    def fingerprint(self, target: Target, spec: OperatorSpec) -> str:
        """Return the author's own: neighbours change where a tuning begins, not what is built."""
        return self._author.fingerprint(target, spec)

    def sketches(self, target: Target, spec: OperatorSpec) -> Sequence[Sketch]:
        """Return the author's sketches, those that won nearby first; where somebody is close, those of the close ones only."""
        own = self._author.sketches(target, spec)
        close = {one.candidate.sketch for one in self._near[:NEIGHBOURS] if one.octaves <= CLOSE}
        won = list(dict.fromkeys(one.candidate.sketch for one in self._near))
        chosen = [sketch for sketch in own if sketch.name in close] or own
        return sorted(chosen, key=lambda sketch: won.index(sketch.name) if sketch.name in won else len(won))

    def kernel_script(self, target: Target, sketch: Sketch) -> str:
        """Return the author's script."""
        return self._author.kernel_script(target, sketch)

    def start_points(self, target: Target, spec: OperatorSpec, sketch: Sketch) -> Sequence[Mapping[str, int]]:
        """Return the neighbours' points of the sketch, as far as they are legal here, then the author's."""
        near = [dict(point.values) for one in self._near if (point := fitted(sketch, one.candidate))]
        return [*near[:NEIGHBOURS], *self._author.start_points(target, spec, sketch)]

    def accounts(self, target: Target, spec: OperatorSpec) -> Mapping[str, Any]:
        """Return what the author's answers cost."""
        return self._author.accounts(target, spec)


def fitted(sketch: Sketch, candidate: Candidate) -> Candidate | None:
    """
    Return another shape's point with every value rounded to one that is legal here, or None where they are not together.

    A tunable that came after the point was found takes its start.
    """
    values = {**sketch.start, **dict(candidate.values)}
    if candidate.sketch != sketch.name or values.keys() != {tunable.name for tunable in sketch.tunables}:
        return None
    rounded = {t.name: min(t.values, key=lambda value: abs(value - values[t.name])) for t in sketch.tunables}
    if not sketch.legal(rounded):
        return None
    return Candidate.of(sketch.name, rounded, candidate.moves if rounded == dict(candidate.values) else ())


def untuned(bench: Workbench, case: Case, author: Author, *, run: str) -> Tuned:
    """
    Return an operator for the case without tuning: the first right one of the points that come to mind.

    They are the best evaluations of a tuning that was interrupted, the neighbours' points, nearest first, and the
    author's start points. Each is built and verified on this case before it counts. It is recorded as kind ``untuned``
    and never becomes the case's tuned operator. Raise `HarnessError` where none is right.
    """
    fates = []
    for candidate, origin, facts in _points(bench, case, author):
        item = _built(bench, case, author, candidate)
        if isinstance(item, Verdict):
            fates.append(f"{origin}: {item}")
            continue
        record = replace(_record(bench, case, author, candidate, run), facts={**facts, "origin": origin})
        tuned = Tuned(case=case, author=author, record=record, item=item, from_store=True, stale=False)
        checked = verify_tuned(bench, tuned)
        facts = {**record.facts, "residual": checked.residual, "specs_verified": checked.specs}
        record = replace(record, verdict=checked.verdict, facts=facts)
        bench.store.add(record)
        if checked.verdict.ok:
            return replace(tuned, record=record)
        fates.append(f"{origin}: {checked.verdict}")
    raise HarnessError(f"{case.slug}: nothing untuned is right; tune it with --tune-evals 96 ({'; '.join(fates[:3])})")


def _points(bench: Workbench, case: Case, author: Author) -> Iterator[tuple[Candidate, str, dict[str, Any]]]:
    """Yield points, where each comes from in words, and what is known of it."""
    known = [one for one in bench.store.records(identity=bench.identity(case, author), kind="evaluation") if one.verdict.ok]
    known.sort(key=lambda one: float(one.facts["cost_s"]))
    fingerprints = bench.fingerprints(author, case)
    for record in [one for one in known if one.facts.get("fingerprints") == fingerprints][:NEIGHBOURS]:
        yield Candidate.from_json(record.candidate), "the best of a tuning that did not end", {"evaluations": len(known)}
    sketches = {sketch.name: sketch for sketch in author.sketches(bench.target(case.target), case.spec)}
    for one in neighbours(bench, case, author)[: 2 * NEIGHBOURS]:
        sketch = sketches.get(one.candidate.sketch)
        if sketch and (point := fitted(sketch, one.candidate)):
            yield point, f"the operator of {one.record.case}, {one.octaves:.1f} octaves away", {"evaluations": 0}
            if point.moves:  # they are legal in the text they were found for, which may be another here
                yield replace(point, moves=()), f"the operator of {one.record.case} in its printed order", {"evaluations": 0}
    for sketch in sketches.values():
        guesses = tuple(author.start_points(bench.target(case.target), case.spec, sketch))
        space = SketchSpace(sketch=sketch.name, tunables=sketch.tunables, legal=sketch.legality(), guesses=guesses)
        for candidate in space.starts[:1]:
            yield candidate, f"a start point of {sketch.name}", {"evaluations": 0}


def _built(bench: Workbench, case: Case, author: Author, candidate: Candidate) -> Any:
    """Return the candidate's object, or the verdict that there is none."""
    target = bench.target(case.target)
    sketch = next(sketch for sketch in author.sketches(target, case.spec) if sketch.name == candidate.sketch)
    script = author.kernel_script(target, sketch)
    return bench.builder(target, sketch, script, case.spec, trusted=author.trusted).build([candidate])[0]


def _record(bench: Workbench, case: Case, author: Author, candidate: Candidate, run: str) -> Record:
    return Record(
        kind="untuned",
        case=case.slug,
        run=run,
        target=case.target,
        spec=spec_key(case.spec),
        author=author.name,
        verdict=Verdict(outcome=Outcome.OK),
        identity=bench.identity(case, author),
        candidate=candidate.to_json(),
        clock=bench.clock(bench.target(case.target), case.threads),
        facts={"fingerprints": bench.fingerprints(author, case)},
        created=datetime.now(UTC).isoformat(timespec="milliseconds"),
    )

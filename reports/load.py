"""
Load a run: its measurements as cases, its evaluations as searches.

A record's facts come from many writers and schemas, so each is optional: what is absent or not a number is None.
Text from records is made printable here, once; renderers still escape it for their own format.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.record import Record
from harness.stats import Ratio
from harness.store import Run, Store

NUMBER = (int, float)


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A library that ours was measured against."""

    name: str
    version: str | None
    core: str | None
    threads: int | None
    verdict: str | None
    """None where it was not verified."""
    throughput_gflops: float | None
    ratio: float | None
    """Throughput ours over theirs."""
    ratio_low: float | None
    ratio_high: float | None
    samples_s: tuple[float, ...]
    model: str | None = None
    """The fingerprint of the timing model its time is of; None where it was measured."""
    shipped: bool = False
    """Whether that time came with the source and was not computed in the store it is compared in."""

    @property
    def ok(self) -> bool:
        """Return whether its figures may be shown."""
        return self.verdict is None or self.verdict.upper().split(":")[0].strip() == "OK"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One row of a table: an operator on a target, measured."""

    id: str
    target: str
    operator: str | None
    dtype: str | None
    threads: int | None
    clock: str
    author: str
    verdict: str
    """The outcome's name, as in ``OK`` or ``WRONG``."""
    reason: str
    throughput_gflops: float | None
    peak_gflops: float | None
    peak_fraction: float | None
    residual: float | None
    """Largest error in expected rounding errors."""
    evaluations: int | None
    tuning_s: float | None
    stale: bool
    from_store: bool
    flops: float | None
    least_bytes: float | None
    """That must move even with an unlimited cache."""
    samples_s: tuple[float, ...]
    peers: tuple[Peer, ...]
    a_a: Ratio | None
    imbalance: float | None
    """The busiest thread's time over the mean of all; None where it was not measured."""
    candidate: dict[str, Any]
    machine: dict[str, Any]
    fingerprints: dict[str, Any]
    search: dict[str, Any]
    texts: dict[str, str]
    """Paths of its sketch, script and assembly, relative to the store, by what they are."""
    accounts: dict[str, Any]
    """What a language model's answers cost; empty where nobody was asked."""
    origin: str = ""
    """Where the operator comes from when nothing was tuned: another case, a start point."""
    timed_at: tuple[str, ...] = ()
    """Under a model, the specs that were run; several where the time is extrapolated."""
    memory_models: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Throughput ours over theirs, by memory model and peer."""

    @property
    def ok(self) -> bool:
        """Return whether the operator may be used."""
        return self.verdict == "OK"

    @property
    def best(self) -> Peer | None:
        """Return the fastest peer of this case that was verified: the one that ours has the smallest ratio to."""
        right = [peer for peer in self.peers if peer.ok and peer.ratio]
        return min(right, key=lambda peer: peer.ratio, default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """One candidate of a search."""

    sequence: int
    verdict: str
    reason: str
    speed: float | None
    """In the search's unit; None for a failure."""
    candidate: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """The evaluations of one tuning, in order."""

    case: str
    clock: str
    unit: str
    """``GFLOP/s``, or ``runs/s`` where the operations are not known."""
    evaluations: tuple[Evaluation, ...]
    winner: dict[str, Any]
    """The candidate that was measured; empty for a tuning that did not end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything that a report of a run shows."""

    run: Run
    cases: tuple[Case, ...]
    searches: tuple[Search, ...]


def load_report(store: Store, run: str = "last") -> Report:
    """Load a run by id, unique beginning or ``last``; raise `BadRequest` that names the choices."""
    run_id = store.resolve_run(run)
    entry = next(entry for entry in store.runs() if entry.id == run_id)
    measured = list(_latest(store.records(run=run_id, kind="measurement")))
    evaluated = store.records(run=run_id, kind="evaluation")
    known = {record.case for record in measured}
    unmeasured = {record.case: record for record in evaluated if record.case not in known}
    own: dict[str, list[Record]] = {}
    for record in evaluated:
        own.setdefault(record.case, []).append(record)
    tunings = store.evaluations_behind(run_id)
    searches = [
        _search(record, tunings.get(record.identity, []) if record.identity else own.get(record.case, []), own.get(record.case, []))
        for record in (*measured, *unmeasured.values())
    ]
    return Report(
        run=entry,
        cases=tuple(case_of(record) for record in measured),
        searches=tuple(search for search in searches if search.evaluations),
    )


def _latest(records: Iterable[Record]) -> Iterable[Record]:
    """Return the last record of each case, for a case that was measured again, in the order they first came."""
    return {(r.case, r.author, r.clock, r.facts.get("threads")): r for r in records}.values()


def case_of(record: Record) -> Case:
    """Return a measurement record as a row."""
    facts = record.facts
    peers = _mapping(facts, "peers")
    return Case(
        id=clean(record.case),
        target=clean(record.target),
        operator=_text(facts, "operator"),
        dtype=_text(facts, "dtype") or _text(record.spec, "dtype"),
        threads=_count(facts, "threads"),
        clock=clean(record.clock),
        author=clean(record.author),
        verdict=record.verdict.outcome.name,
        reason=clean(record.verdict.reason),
        throughput_gflops=number(facts, "throughput_gflops"),
        peak_gflops=number(facts, "peak_gflops"),
        peak_fraction=number(facts, "peak_fraction"),
        residual=number(facts, "residual"),
        evaluations=_count(facts, "evaluations"),
        tuning_s=number(facts, "tuning_s"),
        stale=facts.get("stale") is True,
        origin=str(facts.get("origin") or ""),
        from_store=facts.get("from_store") is True,
        flops=number(facts, "flops"),
        least_bytes=number(facts, "least_bytes"),
        samples_s=_samples(record.samples_s),
        peers=tuple(_peer(name, _mapping(peers, name)) for name in peers),
        a_a=_ratio(_mapping(facts, "a_a")),
        imbalance=number(facts, "imbalance"),
        candidate=record.candidate or _mapping(facts, "candidate"),
        machine=_mapping(facts, "machine"),
        fingerprints=_mapping(facts, "fingerprints"),
        search=_mapping(facts, "search"),
        texts={clean(name): path for name, path in _mapping(facts, "texts").items() if isinstance(path, str)},
        timed_at=tuple(clean(str(slug)) for slug in facts.get("timed_at") or ()),
        memory_models=_ratios(facts.get("memory_models")),
        accounts=_mapping(facts, "accounts"),
    )


def _peer(name: str, facts: Mapping[str, Any]) -> Peer:
    return Peer(
        name=clean(name),
        version=_text(facts, "version"),
        core=_text(facts, "core"),
        threads=_count(facts, "threads"),
        verdict=_text(facts, "verdict"),
        throughput_gflops=number(facts, "throughput_gflops"),
        ratio=number(facts, "ratio"),
        ratio_low=number(facts, "ratio_low"),
        ratio_high=number(facts, "ratio_high"),
        samples_s=_samples(facts.get("samples_s")),
        model=_text(facts, "model"),
        shipped=facts.get("shipped") is True,
    )


def _search(record: Record, known: list[Record], own: list[Record]) -> Search:
    """
    Return the tuning that a record belongs to, whichever runs it was spread over.

    ``record`` is a measurement, or the last evaluation of a tuning that did not end; ``known`` are the evaluations of its
    identity in all runs, ``own`` those of its case in this one.
    """
    tuning = record.facts.get("tuning") or ((own or known)[-1].facts.get("tuning") if own or known else None)
    chosen = sorted((r for r in known if r.facts.get("tuning") == tuning), key=lambda r: r.sequence)
    flops = number(record.facts, "flops")
    return Search(
        case=clean(record.case),
        clock=clean(record.clock),
        unit="GFLOP/s" if flops else "runs/s",
        evaluations=tuple(_evaluation(r, flops / 1e9 if flops else 1.0) for r in chosen),
        winner=record.candidate if record.kind == "measurement" else {},
    )


def _evaluation(record: Record, work: float) -> Evaluation:
    best_s = record.best_s
    return Evaluation(
        sequence=record.sequence,
        verdict=record.verdict.outcome.name,
        reason=clean(record.verdict.reason),
        speed=work / best_s if 0 < best_s < math.inf else None,
        candidate=record.candidate,
    )


def clean(text: object) -> str:
    """Return text on one line without anything that steers a terminal or cannot be encoded."""
    shown = str(text)
    if shown.isalnum():
        return shown
    if not shown.isprintable():
        shown = "".join(c if c.isprintable() else " " for c in shown)
    return " ".join(shown.split())


def number(facts: Mapping[str, Any], name: str) -> float | None:
    """Return a finite number of a mapping, or None."""
    value = facts.get(name)
    if value is None:
        return None
    usable = isinstance(value, NUMBER) and value is not True and value is not False and -math.inf < value < math.inf
    return value if usable else None


def _count(facts: Mapping[str, Any], name: str) -> int | None:
    value = number(facts, name)
    return None if value is None else int(value)


def _text(facts: Mapping[str, Any], name: str) -> str | None:
    value = facts.get(name)
    return None if value is None else clean(value)


def _mapping(facts: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = facts.get(name)
    return dict(value) if isinstance(value, (dict, Mapping)) else {}


def _ratio(facts: Mapping[str, Any]) -> Ratio | None:
    parts = [number(facts, name) for name in ("ratio", "ratio_low", "ratio_high")]
    return None if None in parts else Ratio(ratio=parts[0], low=parts[1], high=parts[2])


def _samples(values: Any) -> tuple[float, ...]:
    if not isinstance(values, (list, tuple)):
        return ()
    if {*map(type, values)} == {float} and min(values) > 0 and math.isfinite(sum(values)):  # as nearly all are
        return tuple(values)
    return tuple([v for v in values if isinstance(v, NUMBER) and 0 < v < math.inf])


def _ratios(models: Any) -> dict[str, dict[str, float]]:
    """Read ratios by memory model and peer; what is no positive number is left out."""
    if not isinstance(models, Mapping):
        return {}
    tables = {clean(str(model)): ratios for model, ratios in models.items() if isinstance(ratios, Mapping)}
    return {
        model: {clean(str(name)): ratio for name in ratios if (ratio := number(ratios, name)) and ratio > 0}
        for model, ratios in tables.items()
    }

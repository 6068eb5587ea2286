"""
References: the measurements that a gate or a comparison holds a run against.

A reference is a run of the store or a file of records (JSON Lines, as `python -m reports records` prints, or an array).
Whether two records may be compared at all is decided here, by name: what differs is said, never averaged over.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.errors import BadRequest
from harness.record import Record
from harness.store import Store

MACHINE = ("cpu", "features", "caches", "cores", "vector_bits")
"""What makes two machines the same one; measured values such as the clock are not among them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """Measurements by case."""

    name: str
    """As the user wrote it, with the run's id behind ``last``."""
    records: Mapping[str, Record]
    confirmations: Mapping[str, Sequence[Record]] = field(default_factory=dict)
    """Measurements that were repeated, oldest first."""


def load_reference(text: str, store: Store) -> Reference:
    """Load a file or a run (``last``, ``last~1``, a unique beginning of its id); raise `BadRequest`."""
    path = Path(text)
    if path.is_file():
        return _reference(text, read_records(path))
    if path.suffix in (".json", ".jsonl") or len(path.parts) > 1:
        raise BadRequest(f"there is no reference file {text}; `python -m reports records > {text}` writes the last run's")
    run = store.resolve_run(text)
    if not store.records(run=run, kind="measurement"):
        raise BadRequest(f"run {run} has no measurement to compare with; `python -m reports list` shows which have")
    name = run if run == text else f"{text} ({run})"
    return _reference(name, measurements(store, run))


def measurements(store: Store, run: str) -> list[Record]:
    """Return what a run measured, repetitions included: what a file of records holds."""
    return [*store.records(run=run, kind="measurement"), *store.records(run=run, kind="confirmation")]


def read_records(path: Path) -> list[Record]:
    """Return the records of an export; raise `BadRequest` naming the line that is not one."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadRequest(f"cannot read records from {path}: {error}") from None
    records = []
    for place, data in _entries(text, path):
        try:
            records.append(Record.from_json(data))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise BadRequest(f"{path}, {place}: not a record ({error!r}); `python -m reports records` writes such a file") from None
    return records


def _entries(text: str, path: Path) -> Iterable[tuple[str, Any]]:
    if text.lstrip().startswith("["):
        return [(f"entry {number}", entry) for number, entry in enumerate(_json(text, path, "file"), 1)]
    lines = [(f"line {number}", line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    if not lines:
        raise BadRequest(f"{path} holds no records; `python -m reports records > {path}` writes the last run's")
    return [(place, _json(line, path, place)) for place, line in lines]


def _json(text: str, path: Path, place: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise BadRequest(f"{path}, {place}: not JSON ({error}); `python -m reports records` writes such a file") from None


def _reference(name: str, records: Sequence[Record]) -> Reference:
    """Of a case that was measured more than once the last counts."""
    confirmations: dict[str, list[Record]] = {}
    for record in records:
        if record.kind == "confirmation":
            confirmations.setdefault(record.case, []).append(record)
    latest = {record.case: record for record in records if record.kind == "measurement"}
    return Reference(name=name, records=latest, confirmations=confirmations)


def difference(ours: Record, reference: Record) -> str:
    """Name the first thing that keeps two records from being compared, or return nothing."""
    pairs = [
        ("target", ours.target, reference.target),
        ("operator", ours.spec, reference.spec),
        ("clock", ours.clock, reference.clock),
        ("number of threads", ours.facts.get("threads"), reference.facts.get("threads")),
    ]
    machine, other = _mapping(ours.facts.get("machine")), _mapping(reference.facts.get("machine"))
    pairs += [(f"machine's {name}", machine.get(name), other.get(name)) for name in MACHINE]
    for what, here, there in ((what, _plain(one), _plain(other)) for what, one, other in pairs):
        if here != there:
            return f"another {what}: {_short(there, here)} there, {_short(here, there)} here"
    return ""


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _plain(value: object) -> object:
    return json.loads(json.dumps(value, default=str))


def _short(value: object, other: object) -> str:
    """Return a value in words; of two lists only what the other lacks."""
    if isinstance(value, list) and isinstance(other, list):
        own = [entry for entry in value if entry not in other]
        return ", ".join(map(str, own[:4])) or "the rest only"
    return str(value)[:80]

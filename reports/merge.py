"""Merge the records of several machines: other stores, or files that `python -m reports records` wrote."""

from dataclasses import replace
from pathlib import Path

from harness.errors import BadRequest
from harness.record import Record
from harness.store import DATABASE, Run, Store
from reports.reference import read_records


def merge(store: Store, sources: list[Path]) -> list[str]:
    """Add the records of every source and return a line for each; what the store already has is left alone."""
    lines = []
    for source in sources:
        runs, records = _read(source)
        before = store.count()
        store.adopt(runs, records)
        lines.append(f"{source}: {len(records)} records of {len(runs)} runs, {store.count() - before} of them new")
    return lines


def _read(source: Path) -> tuple[list[Run], list[Record]]:
    if not (source / DATABASE).exists():
        if source.is_dir() or not source.exists():
            raise BadRequest(f"{source} is neither a store nor a file of records; give a store's directory or such a file")
        records = read_records(source)
        return _runs(records), records
    with Store.open(source) as other:
        return other.runs()[::-1], other.records()


def _runs(records: list[Record]) -> list[Run]:
    """A file of records holds no runs: each is made of its first record."""
    runs: dict[str, Run] = {}
    for record in records:
        known = runs.get(record.run)
        entry = Run(id=record.run, created=record.created, finished="", argv=(), facts={}, cases=0, evaluations=0)
        runs[record.run] = known or entry
        runs[record.run] = replace(runs[record.run], finished=record.created)
    return list(runs.values())

"""
Tuned operators that ship with the tree: `harness/tuned/*.jsonl`, one winner's record a line.

Found on a machine that not everybody has; looked up by identity like any other and, where it fits, verified and measured
anew, not tuned anew. A file is what `python -m benchmarks.gpu --export` writes.
"""

import json
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from harness.record import Record

FOLDER = Path(__file__).parent / "tuned"


@lru_cache
def shipped_for(target: str) -> tuple[Record, ...]:
    """Return the shipped winners of a target."""
    return tuple(record for line in _lines().values() if (record := Record.from_json(json.loads(line))).target == target)


def shipped(identity: str) -> Record | None:
    """Return the shipped winner of an identity, or None."""
    line = _lines().get(identity)
    return Record.from_json(json.loads(line)) if line else None


def everything() -> list[Record]:
    """Return every winner that ships, of all targets."""
    return [Record.from_json(json.loads(line)) for line in _lines().values()]


@lru_cache
def _lines() -> dict[str, str]:
    found = {}
    for path in sorted(FOLDER.glob("*.jsonl")):
        for line in path.read_text().splitlines():
            found[json.loads(line)["identity"]] = line
    return found


def lines(records: Iterable[Record]) -> list[str]:
    """Return winners as lines of a file: what is needed to build them again, the last one of an identity."""
    last = {record.identity: record for record in records}
    kept = ("residual", "specs_verified", "evaluations", "tuning_s", "fingerprints", "search", "tuning", "machine")
    texts = []
    for record in last.values():
        data = record.to_json()
        data["facts"] = {key: record.facts[key] for key in kept if key in record.facts}
        texts.append(json.dumps(data, sort_keys=True))
    return sorted(texts, key=lambda text: json.loads(text)["case"])

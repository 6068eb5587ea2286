"""
Recorded tables: every point of a small space with its measured cost, so that searches are judged without a machine.

A table is gzipped JSON::

    {"case": "host-sgemm-512x512x512", "machine": {...}, "recorded": "2026-11-21T10:00:00+00:00",
     "axes": [{"name": "mc", "kind": "runtime", "ordered": true, "values": [48, 96]}, ...],
     "starts": [{"mc": 96, ...}, ...],
     "table": {"1,0,2": 0.0021, "0,0,2": null, ...}}

A key holds one rank a value list; null is a point that failed when it was run; an absent key is illegal.
"""

import gzip
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import Any

from harness.errors import BadRequest
from harness.kernel import Candidate, Tunable, TunableKind
from harness.operators.gemm import GemmSpec
from harness.search.space import SketchSpace


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """The costs of one case over its whole space, in seconds; infinity for a failure."""

    case: str
    axes: tuple[Tunable, ...]
    costs: Mapping[tuple[int, ...], float]
    """By values in the order of ``axes``."""
    starts: tuple[Mapping[str, int], ...] = ()
    """The analytical model's points, best first."""
    machine: Mapping[str, Any] = field(default_factory=dict)
    recorded: str = ""
    """ISO 8601."""

    @property
    def spec(self) -> GemmSpec:
        """Return the product that was tuned, as the case names it: tables are of plain fp32 products."""
        m, n, k = map(int, self.case.split("-")[-1].split("x"))
        return GemmSpec(m=m, n=n, k=k)

    @property
    def best_s(self) -> float:
        """Return the smallest cost."""
        return min(self.costs.values())

    def space(self) -> SketchSpace:
        """Return the space the table covers."""
        return SketchSpace(
            sketch=self.case,
            tunables=self.axes,
            legal=lambda values: self._point(values) in self.costs,
            guesses=self.starts,
        )

    def cost_s(self, candidate: Candidate) -> float:
        """Return what a candidate cost when the table was recorded."""
        return self.costs[self._point(dict(candidate.values))]

    def within(self, share: float) -> int:
        """Return how many points are at most ``share`` slower than the best."""
        return sum(cost <= self.best_s * (1 + share) for cost in self.costs.values())

    def _point(self, values: Mapping[str, int]) -> tuple[int, ...]:
        return tuple(values[axis.name] for axis in self.axes)


def save_table(table: Table, path: Path) -> None:
    """Write a table; equal tables give equal bytes."""
    data = {
        "case": table.case,
        "machine": dict(table.machine),
        "recorded": table.recorded,
        "axes": [
            {"name": axis.name, "kind": axis.kind.value, "ordered": axis.ordered, "values": list(axis.values)}
            for axis in table.axes
        ],
        "starts": [dict(start) for start in table.starts],
        "table": {_key(table.axes, point): cost if cost < inf else None for point, cost in table.costs.items()},
    }
    text = json.dumps(data, separators=(",", ":")).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(text, mtime=0))


def load_table(path: Path) -> Table:
    """Read a table; raise `BadRequest` when the file is not one."""
    try:
        data = json.loads(gzip.decompress(path.read_bytes()))
        first = data["starts"][0] if data["starts"] else {}
        axes = tuple(_axis(entry, first) for entry in data["axes"])
        costs = {_values(axes, key): inf if cost is None else cost for key, cost in data["table"].items()}
    except (OSError, EOFError, ValueError, KeyError, IndexError, TypeError) as reason:
        raise BadRequest(f"{path} is not a recorded table ({reason!r}); see benchmarks/README.md") from None
    if not any(cost < inf for cost in costs.values()):
        raise BadRequest(f"{path} holds no successful point; record it again")
    return Table(
        case=data["case"],
        axes=axes,
        costs=costs,
        starts=tuple(data["starts"]),
        machine=data["machine"],
        recorded=data["recorded"],
    )


def load_tables(folder: Path) -> list[Table]:
    """Read every ``*.json.gz`` of a folder in name order; raise `BadRequest` when there is none."""
    paths = sorted(folder.glob("*.json.gz"))
    if not paths:
        raise BadRequest(f"no recorded tables in {folder}; pass --tables DIR or record some, see benchmarks/README.md")
    return [load_table(path) for path in paths]


def _axis(entry: Mapping[str, Any], first: Mapping[str, int]) -> Tunable:
    values = tuple(entry["values"])
    return Tunable(
        name=entry["name"],
        kind=TunableKind(entry["kind"]),
        values=values,
        start=first.get(entry["name"], values[0]),
        ordered=entry["ordered"],
    )


def _key(axes: Sequence[Tunable], point: Sequence[int]) -> str:
    return ",".join(str(axis.values.index(value)) for axis, value in zip(axes, point, strict=True))


def _values(axes: Sequence[Tunable], key: str) -> tuple[int, ...]:
    return tuple(axis.values[int(rank)] for axis, rank in zip(axes, key.split(","), strict=True))

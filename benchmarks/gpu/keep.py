"""
Take results of `python -m benchmarks.gpu` into the tree: `python -m benchmarks.gpu.keep docs/performance/gpu/h100.jsonl OUT...`.

Of each case the newest row stays, and the newest winner goes to harness/tuned/NAME.jsonl. What the libraries took in every
run goes to NAME_peers.jsonl beside the rows: cuDNN's choice of an engine is a matter of luck now and then, and a row
should not shine because its peer had a bad day.
"""

import argparse
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from benchmarks import finish
from benchmarks.gpu.sets import all_sets
from harness.stats import median
from harness.tuned import FOLDER

Row = Mapping[str, Any]


def read(path: Path) -> list[Row]:
    """Return a file's lines; none of a missing file."""
    return [json.loads(text) for text in path.read_text().splitlines()] if path.exists() else []


def peers_path(rows: Path) -> Path:
    """Return where the libraries' times of all runs lie."""
    return rows.with_name(f"{rows.stem}_peers.jsonl")


def peer_times(rows: Iterable[Row]) -> list[Row]:
    """Return a line a library and row: its median in seconds."""
    return [
        {"set": row["set"], "case": row["case"], "peer": name, "created": row["created"], "seconds": median(peer["samples_s"])}
        for row in rows
        for name, peer in row["facts"].get("peers", {}).items()
        if "samples_s" in peer
    ]


def fastest(rows: Path) -> dict[tuple[str, str], float]:
    """Return by set and case the seconds of the fastest library in any run."""
    found: dict[tuple[str, str], float] = {}
    for one in read(peers_path(rows)):
        key = one["set"], one["case"]
        found[key] = min(one["seconds"], found.get(key, one["seconds"]))
    return found


def _write(path: Path, rows: Iterable[Row], *, sort_keys: bool = False) -> None:
    path.write_text("".join(json.dumps(row, sort_keys=sort_keys) + "\n" for row in rows))


def main() -> int:
    """Merge, write, say how much."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu.keep", description=__doc__.splitlines()[1])
    parser.add_argument("rows", type=Path, help="the rows to add to, named after the target: docs/performance/gpu/h100.jsonl")
    parser.add_argument("out", type=Path, nargs="+", help="folders that `python -m benchmarks.gpu --out` wrote")
    options = parser.parse_args()
    path, target, folders = options.rows, options.rows.stem, options.out
    fresh = [row for folder in folders for row in read(folder / "rows.jsonl")]
    fresh = [row for row in fresh if row["verdict"]["outcome"] == "ok" and row["target"] == target]
    before = read(path)
    order = {(name, f"{target}-{spec.slug}"): (i, j) for i, (name, one) in enumerate(all_sets().items()) for j, spec in enumerate(one.specs)}
    rows = {(row["set"], row["case"]): row for row in [*before, *fresh]}
    _write(path, [rows[key] for key in sorted(rows, key=lambda key: order.get(key, (len(order), 0)))])
    lines = {json.dumps(one) for one in [*read(peers_path(path)), *peer_times([*before, *fresh])]}
    _write(peers_path(path), sorted(map(json.loads, lines), key=lambda one: (one["set"], one["case"], one["peer"], one["created"])))
    winners = {one["identity"]: one for file in [FOLDER / f"{target}.jsonl", *(folder / "tuned.jsonl" for folder in folders)] for one in read(file)}
    _write(FOLDER / f"{target}.jsonl", sorted((one for one in winners.values() if one["target"] == target), key=lambda one: one["case"]), sort_keys=True)
    print(f"{len(fresh)} rows taken; {len(rows)} rows, {len(lines)} times of libraries, {len(winners)} winners kept")
    return 0


if __name__ == "__main__":
    finish(main)

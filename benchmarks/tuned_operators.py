"""
Ship what was tuned for the emulated targets: writes harness/tuned/TARGET.jsonl from the winners of this store.

    pytest suites/ -k "k1 and gemm" --shapes paper
    python -m benchmarks.tuned_operators k1

A winner is looked up by identity, so it is found wherever the source is; it is verified and timed anew before it is
reported. Lines of the file stay where the store has no winner for their case.
"""

import argparse
import json

from harness.record import Record
from harness.store import Store, default_store
from harness.tuned import FOLDER, lines


def main() -> None:
    """Print what a target's file holds."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tuned_operators", description=__doc__.splitlines()[1])
    parser.add_argument("target")
    chosen = parser.parse_args()
    path = FOLDER / f"{chosen.target}.jsonl"
    before = path.read_text().splitlines() if path.exists() else []
    with Store.open(default_store()) as store:
        tried = store.records(kind="evaluation")
        identities = {one.identity for one in tried if one.target == chosen.target and one.author == "expert"}
        winners = [found for one in identities if (found := store.tuned(one)) is not None and found.verdict.ok]
    kept = [Record.from_json(json.loads(line)) for line in before]
    texts = lines([*kept, *winners])
    path.write_text("".join(f"{text}\n" for text in texts))
    for text in texts:
        print(json.loads(text)["case"])


if __name__ == "__main__":
    main()

"""
Time the look-up of a tuned operator: `python -m benchmarks.store_lookup [RECORDS]`.

The design asks for under 10 ms from a closed store to the record, with 20,000 records in it, and for under 5 ms from
an open one with 1,000,000: `python -m benchmarks.store_lookup 1000000`.
"""

import argparse
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from harness.record import Outcome, Record, Verdict
from harness.stats import median
from harness.store import Store

RECORDS = 20_000
OPERATORS = 200
PROCESSES = 11
LOOKUPS = 2_000
FACTS = {"tuning": "0" * 32, "throughput_gflops": 150.0, "machine": {"cpu": "x" * 40, "features": ["avx512f"] * 12}}


def record(number: int) -> Record:
    """Return a record of ordinary size."""
    return Record(
        kind="evaluation",
        case=f"host-sgemm-{number % OPERATORS}",
        run="20261121-214500-a1b2",
        target="host",
        spec={"m": 512, "n": 512, "k": 512},
        author="expert",
        verdict=Verdict(outcome=Outcome.OK),
        identity=f"identity-{number % OPERATORS}",
        candidate={"sketch": "gemm_packed", "values": {"mr": 6, "nr": 64, "kc": number}, "moves": []},
        samples_s=(1e-3,) * 25,
        sequence=number,
        facts=FACTS,
    )


def copy_record(store: Store, copies: int) -> None:
    """Copy the store's one record within the database: a million through `Store.add` would take most of an hour."""
    with sqlite3.connect(store.database) as connection:
        connection.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)"
            " INSERT INTO records (content, kind, case_slug, run, identity, tuning, candidate, outcome, sequence, json)"
            " SELECT 'copy-' || i, kind, 'host-sgemm-' || (i % ?), run, 'identity-' || (i % ?), tuning, 'c-' || i,"
            " outcome, i, json FROM n, records WHERE records.id = 1",
            (copies, OPERATORS, OPERATORS),
        )
    connection.close()


def lookup_s(path: Path, identity: str) -> float:
    """Return the seconds from a closed store to the record."""
    start_s = time.perf_counter()
    with Store.open(path) as store:
        found = store.tuned(identity)
        elapsed_s = time.perf_counter() - start_s
    if found is None:
        raise SystemExit(f"no operator for {identity}")
    return elapsed_s


def open_s(store: Store, identity: str) -> float:
    """Return the seconds one look-up takes in an open store."""
    start_s = time.perf_counter()
    found = store.tuned(identity)
    elapsed_s = time.perf_counter() - start_s
    if found is None:
        raise SystemExit(f"no operator for {identity}")
    return elapsed_s


def fresh_process_s(path: Path, number: int) -> float:
    """Return what `lookup_s` takes in a process that has done nothing before."""
    command = [sys.executable, "-m", "benchmarks.store_lookup", "--once", str(path), f"identity-{number}"]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def main(records: int) -> None:
    """Fill a store, look up from fresh processes and many times from one, and print the medians."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory)
        with Store.open(path) as store:
            store.add(record(0))
            copy_record(store, records - 1)
            for number in range(OPERATORS):
                store.put_tuned(f"identity-{number}", record(number))
        fresh_ms = 1e3 * median([fresh_process_s(path, number) for number in range(PROCESSES)])
        again_ms = 1e3 * median([lookup_s(path, f"identity-{number % OPERATORS}") for number in range(LOOKUPS)])
        with Store.open(path) as store:
            open_ms = 1e3 * median([open_s(store, f"identity-{number % OPERATORS}") for number in range(LOOKUPS)])
    print(f"{records} records: open and look up {fresh_ms:.2f} ms in a fresh process, {again_ms:.2f} ms when repeated")
    print(f"  best for a key, from an open store: {open_ms:.3f} ms")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.store_lookup", description=__doc__.splitlines()[1])
    parser.add_argument("records", type=int, nargs="?", default=RECORDS, help=f"how many the store holds ({RECORDS})")
    parser.add_argument("--once", nargs=2, metavar=("STORE", "IDENTITY"), help="print the seconds of one look-up: what a fresh process runs")
    options = parser.parse_args()
    if options.once:
        print(lookup_s(Path(options.once[0]), options.once[1]))
    else:
        main(options.records)

"""
Time and weigh the HTML page of a large run: `python -m benchmarks.report_page [RECORDS]`.

The design asks for 10,000 records in under 5 s and 5 MB, from a closed store to the written
file, the import of the library that plots included.
"""

import argparse
import tempfile
import time
from pathlib import Path

from harness.record import Outcome, Record, Verdict
from harness.store import Store

RECORDS = 10_000
TEXTS = 40
"""Distinct operators' assembly; the others share theirs."""


def fill(store: Store, records: int) -> str:
    """Store a run of ordinary measurements, each with samples, a peer and kept texts; return its id."""
    run = store.begin_run(["pytest", "suites/", "-k", "host", "--shapes", "full"], {"python": "3.11"})
    paths = [
        str(store.put_artefact(f"{number}: vmovups zmm28, zmmword ptr [rdx]\n".encode() * 400, ".s").relative_to(store.path))
        for number in range(TEXTS)
    ]
    store.adopt([], [measurement(run, number, paths) for number in range(records)])
    return run


def measurement(run: str, number: int, paths: list[str]) -> Record:
    """Return one measurement of ordinary size."""
    shape = f"{64 + number % 97}x{64 + number // 97}x512"
    samples = tuple(1e-3 * (1 + 0.001 * ((number + turn) % 7)) for turn in range(25))
    peer = {
        "version": "0.3.34",
        "core": "SkylakeX",
        "threads": 1,
        "verdict": "OK",
        "throughput_gflops": 140.0,
        "ratio": 1.1,
        "ratio_low": 1.09,
        "ratio_high": 1.11,
        "samples_s": list(samples),
    }
    facts = {
        "operator": "gemm",
        "dtype": "fp32",
        "threads": 1,
        "flops": 2**28,
        "least_bytes": 2**22,
        "throughput_gflops": 150.0 + number % 13,
        "peak_gflops": 236.0,
        "peak_fraction": (150.0 + number % 13) / 236.0,
        "residual": 0.36,
        "evaluations": 96,
        "tuning_s": 4.2,
        "peers": {"openblas": peer},
        "a_a": {"ratio": 1.0, "ratio_low": 0.99, "ratio_high": 1.01},
        "machine": {"cpu": "A processor", "clock_hz": 2.6e9, "features": ["avx512f"]},
        "texts": {"assembly compute": paths[number % len(paths)]},
    }
    return Record(
        kind="measurement",
        case=f"host-sgemm-{shape}",
        run=run,
        target="host",
        spec={"m": number},
        author="expert",
        verdict=Verdict(outcome=Outcome.OK),
        identity=f"identity-{number}",
        candidate={"sketch": "gemm_packed", "values": {"mr": 6, "nr": 64, "kc": 384, "mc": 336, "nc": 4096}, "moves": []},
        samples_s=samples,
        facts=facts,
    )


def main(records: int) -> None:
    """Fill a store, render its page and print what that took."""
    with tempfile.TemporaryDirectory() as directory:
        with Store.open(Path(directory) / "store") as store:
            run = fill(store, records)
        begin_s = time.perf_counter()
        from reports.page import render_page

        with Store.open(Path(directory) / "store") as store:
            page = render_page(store, run)
        path = Path(directory) / "page.html"
        path.write_text(page, encoding="utf-8")
        elapsed_s, size_mb = time.perf_counter() - begin_s, path.stat().st_size / 1e6
    print(f"{records} records: page written in {elapsed_s:.2f} s, {size_mb:.2f} MB")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("records", nargs="?", type=int, default=RECORDS, help=f"how many (default {RECORDS})")
    main(parser.parse_args().records)

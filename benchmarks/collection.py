"""
Time collecting many cases, and this project's own: `python -m benchmarks.collection [CASES]`.

The design asks for 10,000 cases in under 2 s and for `pytest suites/ -k host --collect-only` in under 1 s: Python's start,
the plugin, ids, markers and selection included. Bytecode is kept as Python keeps it unless told not to; a run before the
timed ones writes it.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CASES = 10_000
TURNS = 3
ROOT = Path(__file__).resolve().parents[1]
PLUGINS = ("fixtures.plugin", "fixtures.operators", "fixtures.measurement")
SUITE = """
import pytest
from harness.case import Case
from harness.operators.gemm import GemmSpec

CASES = [Case(target="host", spec=GemmSpec(m=8 + i % 200, n=8 + i // 200, k=64)) for i in range({cases})]


@pytest.mark.parametrize("case", CASES)
def test_many(case, tuned, baseline, measure, gate):
    gate.check(measure(tuned, baseline))
"""


def main(cases: int) -> None:
    """Collect in fresh processes and print the least times."""
    with tempfile.TemporaryDirectory() as directory:
        suite = Path(directory) / "test_many.py"
        suite.write_text(SUITE.format(cases=cases))
        many = [str(suite), "-qq", "-c", str(ROOT / "tox.ini")]
        many += [word for plugin in PLUGINS for word in ("-p", plugin)]
        environment = {**os.environ, "OPWRIGHT_STORE": directory, "PYTHONPATH": str(ROOT), "PYTHONPYCACHEPREFIX": directory}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        for words, place in ((many, directory), (["suites/", "-q", "-k", "host"], str(ROOT))):
            print(f"{collect(words, place, environment)}: pytest {' '.join(Path(word).name for word in words[:4])}")


def collect(words: list[str], place: str, environment: dict[str, str]) -> str:
    """Say what was collected, the least of some times, and the mean CPU time."""
    times, spent = [], os.times()
    for turn in range(TURNS + 1):
        spent = os.times() if turn == 1 else spent
        begin_s = time.perf_counter()
        command = [sys.executable, "-m", "pytest", *words, "--collect-only"]
        done = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, check=False)
        times.append(time.perf_counter() - begin_s)
        if done.returncode:
            raise SystemExit(done.stdout + done.stderr)
    cpu_s = sum(os.times()[2:4]) - sum(spent[2:4])
    last = done.stdout.strip().splitlines()[-1].split("/")[-1]
    return f"{last}; {min(times[1:]):.2f} s, the least of {TURNS} times; {cpu_s / TURNS:.2f} s of CPU time each"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="?", type=int, default=CASES, help=f"how many (default {CASES})")
    main(parser.parse_args().cases)

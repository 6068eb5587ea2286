"""
Time collecting many cases: `python -m benchmarks.collection [CASES]`.

The design asks for 10,000 cases in under 2 s: Python's start, the plugin, ids, markers and selection included.
"""

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
    """Collect in fresh processes and print the least time."""
    with tempfile.TemporaryDirectory() as directory:
        suite = Path(directory) / "test_many.py"
        suite.write_text(SUITE.format(cases=cases))
        command = [sys.executable, "-m", "pytest", str(suite), "--collect-only", "-qq", "-c", str(ROOT / "tox.ini")]
        command += [word for plugin in PLUGINS for word in ("-p", plugin)]
        environment = {**os.environ, "OPWRIGHT_STORE": directory, "PYTHONPATH": str(ROOT)}
        times = []
        for _ in range(TURNS):
            begin_s = time.perf_counter()
            done = subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, check=False)
            times.append(time.perf_counter() - begin_s)
            if done.returncode:
                raise SystemExit(done.stdout + done.stderr)
    found = done.stdout.strip().splitlines()[-1].split(":")[-1].strip()
    print(f"{found} cases collected in {min(times):.2f} s, the least of {TURNS} times")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) == 2 else CASES)

"""
Time a warm run: every operator in the store, verified only: `python -m benchmarks.warm_run [-- PYTEST OPTIONS]`.

The design asks for under 0.3 s a case on the host. The first run tunes what the store lacks; the second one is timed:
once as a whole, and without what `--collect-only` takes, which is Python's start and not the cases'. Bytecode is kept as
Python keeps it unless told not to.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
COMMAND = [sys.executable, "-m", "pytest", "suites/test_conformance.py", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]


def timed(options: list[str], environment: dict[str, str]) -> tuple[float, str]:
    """Return the seconds of a run and what it said."""
    begin_s = time.perf_counter()
    done = subprocess.run([*COMMAND, *options], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    return time.perf_counter() - begin_s, done.stdout


def main(options: list[str]) -> None:
    """Fill the store, then time."""
    with tempfile.TemporaryDirectory() as directory:
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": directory}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        timed(options, environment)
        start_s, _ = timed([*options, "--collect-only"], environment)
        whole_s, said = timed([*options, "--durations=0", "--durations-min=0"], environment)
    if "tuned," in said:
        raise SystemExit("the second run tuned something: the store does not keep what the first one found")
    cases = int(re.search(r"(\d+) passed", said).group(1))
    print(f"{cases} cases in {whole_s:.2f} s, {start_s:.2f} s of it collection: {(whole_s - start_s) / cases:.2f} s a case")
    for line in sorted((line for line in said.splitlines() if re.match(r"\s*[\d.]+s (call|setup)", line)), reverse=True)[:3]:
        print(f"  {line.strip()}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.warm_run", description=__doc__.splitlines()[1])
    parser.add_argument("options", nargs="*", metavar="PYTEST OPTIONS", help="behind --; without any: -k host with a short tuning")
    main(parser.parse_args().options or ["-k", "host", "--tune-evals", "8", "--tune-seconds", "10"])

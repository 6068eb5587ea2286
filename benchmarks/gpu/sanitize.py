"""
Verify shipped winners under compute-sanitizer: `python -m benchmarks.gpu.sanitize h100 --tool memcheck conv2d`.

One winner of every sketch (of those whose ids have one of the words), on small operands: exact, rounding, fringes, guards,
as `python -m benchmarks.gpu.confirm` does, with the device process under the tool. Slow; 1 where the tool or the
verification found something.
"""

import argparse
import re
import shutil
import tempfile
from pathlib import Path

from benchmarks import finish
from benchmarks.gpu.confirm import author_of
from harness.case import Case
from harness.compare import rebuild
from harness.cuda.compiler import CudaCompiler
from harness.cuda.evaluate import verify_on_gpu
from harness.errors import TargetUnavailable
from harness.kernel import Candidate
from harness.operators import spec_from_json
from harness.record import Record, Verdict
from harness.runners.cuda import CudaWorker
from harness.store import Store, default_store
from harness.target import Target
from harness.tuned import shipped_for
from harness.verify import FRESH_SEED
from harness.workbench import Workbench

TOOLS = ("memcheck", "racecheck", "synccheck", "initcheck")
LIMIT_S = 120


def sanitizer(tool: str, log: Path) -> tuple[str, ...]:
    """Return the command that a process runs under; raise `TargetUnavailable` where it is missing."""
    found = shutil.which("compute-sanitizer") or "/usr/local/cuda/bin/compute-sanitizer"
    if not Path(found).exists():
        raise TargetUnavailable("compute-sanitizer is not installed; it comes with the CUDA toolkit")
    return found, "--tool", tool, "--log-file", str(log)


def one_of_each(records: list[Record], words: list[str]) -> list[Record]:
    """Return the first winner of every sketch whose id has one of the words; all ids where there are none."""
    asked = [one for one in records if not words or any(word in one.case for word in words)]
    return list({one.candidate["sketch"]: one for one in reversed(asked)}.values())[::-1]


def examined(bench: Workbench, target: Target, record: Record, tool: str, log: Path) -> tuple[Verdict, str]:
    """Verify a winner under the tool; return the verdict, and the tool's last line."""
    case, author = Case(target=record.target, spec=spec_from_json(record.spec)), author_of(record)
    item = rebuild(bench, case, author, record)
    if isinstance(item, Verdict):
        return item, ""
    with CudaWorker(CudaCompiler(bench.store, target.toolchain["arch"]), under=sanitizer(tool, log)) as worker:
        checked = verify_on_gpu(worker, item, case.spec, dict(Candidate.from_json(record.candidate).values), FRESH_SEED)
        worker.process.finish(LIMIT_S)
    said = [text.removeprefix("=========").strip() for text in log.read_text().splitlines()] if log.exists() else []
    return checked.verdict, next((text for text in reversed(said) if "SUMMARY" in text), "the tool wrote no summary")


def main() -> int:
    """Examine one winner after another; 1 where something was found."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu.sanitize", description=__doc__)
    parser.add_argument("target", help="a target, as h100")
    parser.add_argument("words", nargs="*", help="parts of ids, as hgemm or conv2d; all where there are none")
    parser.add_argument("--tool", choices=TOOLS, default="memcheck")
    options = parser.parse_args()
    found = 0
    with Store.open(default_store()) as store, tempfile.TemporaryDirectory() as folder:
        bench = Workbench(store, allow_unsafe=False)
        target = bench.target(options.target)
        for number, record in enumerate(one_of_each(list(shipped_for(options.target)), options.words)):
            verdict, said = examined(bench, target, record, options.tool, Path(folder) / f"{number}.log")
            found += not (verdict.ok and re.search(r"SUMMARY: 0 (errors|hazards)", said))
            print(f"{record.candidate['sketch']:22} {record.case:60} {verdict}; {options.tool}: {said}", flush=True)
    return int(found > 0)


if __name__ == "__main__":
    finish(main)

"""
What bounds a case: `python -m benchmarks.gpu.bounds h100 ragged=1000+1536 paper-bf16=x1024 --out OUT`.

Our shipped winner and the matrix libraries, each by the way that is fastest here, make one call each under Nsight Compute,
caches empty, clocks as they are; a line a kernel: time, size, registers, what is busy, and what warps wait for most.
``OUT/bounds.jsonl`` holds what the lines are made of, ``--show FILE`` prints them again. For finding out, not for results:
a profiled call is slower than others, and nothing overlaps it.
"""

import argparse
import csv
import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

from benchmarks import finish
from benchmarks.gpu.sets import Restricted, Set, chosen_set
from harness.case import Case
from harness.compare import rebuild
from harness.cuda.build import CudaObject
from harness.cuda.compare import OURS, take
from harness.cuda.compiler import CudaCompiler
from harness.errors import HarnessError, TargetUnavailable
from harness.operator import OperatorSpec
from harness.record import Verdict
from harness.runners.cuda import CudaWorker, DeviceProblem
from harness.stats import median
from harness.store import Store, default_store
from harness.target import Target
from harness.tuned import shipped
from harness.workbench import Workbench

SECTIONS = ("SpeedOfLight", "LaunchStats", "Occupancy", "ComputeWorkloadAnalysis", "MemoryWorkloadAnalysis", "SchedulerStats", "WarpStateStats")
HELPERS = ("fill", "checksum", "differ")
"""The device process's own kernels (harness/cuda/helpers.cu)."""
PEERS = ("cublas", "cublaslt")
LIMIT_S, ROUNDS = 120, 3
BUSY = {
    "tensor": "sm__pipe_tensor_cycles_active.avg.pct_of_peak_sustained_active",
    "fma": "sm__inst_executed_pipe_fma.avg.pct_of_peak_sustained_active",
    "alu": "sm__inst_executed_pipe_alu.avg.pct_of_peak_sustained_active",
    "issue": "smsp__issue_active.avg.pct_of_peak_sustained_active",
    "L1": "l1tex__throughput.avg.pct_of_peak_sustained_active",
    "L2": "lts__throughput.avg.pct_of_peak_sustained_elapsed",
}
"""Shares of a peak in percent, by what they are printed as; a counter that a GPU lacks is left out."""
TIME, REGISTERS = "gpu__time_duration.sum", "launch__registers_per_thread"
WAITS = re.compile(r"smsp__average_warps_issue_stalled_(\w+)_per_issue_active\.ratio")


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """Who makes a call: its name, what is launched, and how long a call takes unprofiled, in seconds."""

    name: str
    item: CudaObject
    seconds: float


def profiler() -> str:
    """Return where Nsight Compute lies; raise `TargetUnavailable` where it is missing."""
    found = shutil.which("ncu") or "/usr/local/cuda/bin/ncu"
    if not Path(found).exists():
        raise TargetUnavailable("Nsight Compute (ncu) is not installed; it comes with the CUDA toolkit")
    return found


def contenders(bench: Workbench, target: Target, chosen: Set, spec: OperatorSpec) -> list[Contender]:
    """Return ours and the libraries, each with its fastest way; none where no winner ships."""
    case, author = Case(target=target.name, spec=spec), Restricted(chosen.sketches)
    record = shipped(bench.identity(case, author))
    if record is None:
        raise HarnessError(f"{case.slug}: no winner ships for it")
    item = rebuild(bench, case, author, record)
    if isinstance(item, Verdict):
        raise HarnessError(f"{case.slug}: {item}")
    known = {name: one for name, one in bench.serving(case).items() if name in PEERS}
    items = {OURS: item, **{name: one.build(None, target, case) for name, one in known.items()}}
    with bench.worker(target) as worker:
        sessions = {name: worker.open(one, DeviceProblem(spec=spec)) for name, one in items.items()}
        seconds, _ = take(sessions, spec, ROUNDS, burst=True)
        ways = {name: re.search(r"chosen=(\d+)", session.describe) for name, session in sessions.items()}
    return [
        Contender(name=name, item=replace(one, chosen=int(ways[name][1])) if ways[name] else one, seconds=median(seconds[name]))
        for name, one in items.items()
    ]


def profiled(compiler: CudaCompiler, spec: OperatorSpec, found: list[Contender], out: Path) -> list[dict[str, str]]:
    """Have each make one call under the profiler; return a row a kernel, counters as the tool names them, in base units."""
    report, log = out / "calls.ncu-rep", out / "ncu.log"
    sections = [word for name in SECTIONS for word in ("--section", name)]
    under = (profiler(), "--force-overwrite", "--export", str(report), "--log-file", str(log), "--clock-control", "none", *sections)
    with CudaWorker(compiler, under=under) as worker:
        for one in found:
            with worker.open(one.item, DeviceProblem(spec=spec)) as session:
                verdict = session.call(LIMIT_S)
            if not verdict.ok:
                raise HarnessError(f"{one.name} under ncu: {verdict}")
        worker.process.finish(LIMIT_S)
    command = [profiler(), "--import", str(report), "--csv", "--page", "raw", "--print-units", "base"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S)
    rows = list(csv.DictReader(line for line in done.stdout.splitlines() if line.startswith('"')))[1:]  # the first holds units
    if not rows:
        raise HarnessError(f"ncu counted nothing: {' '.join((log.read_text() if log.exists() else done.stderr).split())[-400:]}")
    return rows


def named(rows: Sequence[Mapping[str, str]], names: Sequence[str]) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Yield who launched each kernel: each contender's follow each other, and checksums come between."""
    calls = [list(group) for helping, group in groupby(rows, lambda row: row["Kernel Name"].split("(")[0] in HELPERS) if not helping]
    for name, call in zip(names, calls, strict=True):
        yield from ((name, row) for row in call)


def counters(row: Mapping[str, str]) -> dict[str, float]:
    """Return the counters of a row that its line is made of."""
    wanted = {name: text.replace(",", "") for name, text in row.items() if name in (TIME, REGISTERS, *BUSY.values()) or WAITS.fullmatch(name)}
    return {name: float(text) for name, text in wanted.items() if text}


def line(row: Mapping[str, Any]) -> str:
    """Return a kernel's line: who, how long unprofiled, its name, how it is launched, what is busy, what warps wait for."""
    of = row["counters"]
    busy = " ".join(f"{name} {of[counter]:.0f}%" for name, counter in BUSY.items() if counter in of)
    waits = sorted(((of[name], found[1]) for name in of if (found := WAITS.fullmatch(name))), reverse=True)[:3]
    return (
        f"{row['case']:34} {row['contender']:9} {row['seconds'] * 1e6:9.2f} us, profiled {of.get(TIME, 0) / 1e3:9.2f} us"
        f"  {row['kernel']} grid {row['grid']} block {row['block']} {of.get(REGISTERS, 0):.0f} registers;"
        f" busy: {busy}; waits: {' '.join(f'{name} {value:.1f}' for value, name in waits)}"
    )


def examined(bench: Workbench, target: Target, chosen: Set, spec: OperatorSpec, out: Path) -> list[dict[str, Any]]:
    """Return a row a kernel of a case."""
    found = contenders(bench, target, chosen, spec)
    rows = profiled(CudaCompiler(bench.store, target.toolchain["arch"]), spec, found, out)
    seconds = {one.name: one.seconds for one in found}
    return [
        {
            "case": f"{target.name}-{spec.slug}", "contender": name, "seconds": seconds[name], "kernel": row["Kernel Name"],
            "grid": row["Grid Size"], "block": row["Block Size"], "counters": counters(row),
        }
        for name, row in named(rows, [one.name for one in found])
    ]  # fmt: skip


def main() -> int:
    """Profile case after case, print a line a kernel and keep it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu.bounds", description=__doc__.splitlines()[1])
    parser.add_argument("gpu", help="a target, as h100")
    parser.add_argument("sets", nargs="*", help="as for `python -m benchmarks.gpu --sets`: NAME or NAME=WORD+WORD")
    parser.add_argument("--out", type=Path, default=Path("gpu-results"))
    parser.add_argument("--show", type=Path, metavar="FILE", help="print the table of kept counters instead")
    options = parser.parse_args()
    if options.show:
        print("\n".join(line(json.loads(text)) for text in options.show.read_text().splitlines()))
        return 0
    with Store.open(default_store()) as store:
        bench = Workbench(store)
        target = bench.target(options.gpu)
        options.out.mkdir(parents=True, exist_ok=True)
        with (options.out / "bounds.jsonl").open("w") as kept:
            for chosen, spec in [(one, spec) for one in map(chosen_set, options.sets) for spec in one.specs]:
                try:
                    entries = examined(bench, target, chosen, spec, options.out)
                except HarnessError as failure:  # the other cases may still be examined
                    print(failure, flush=True)
                    continue
                kept.write("".join(json.dumps(entry) + "\n" for entry in entries))
                kept.flush()
                print("\n".join(map(line, entries)), flush=True)
    return 0


if __name__ == "__main__":
    finish(main)

"""
Record raw samples of equal code measured again and again: what the gate's false alarms are counted on.

    python -m benchmarks.gate_samples --seconds 55

Each measurement has its own process and memory, as two runs of a suite would, and four contenders in turn: the
operator, the same operator again, the clock probe and the peak probe. The operator is the author's first guess,
untuned; what is asked is whether the gate takes it for another.
A call goes on with a file where the last one stopped, so that the recording can be spread over hours.
"""

import argparse
import gzip
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from generators.generator import Expert
from harness.build import Builder
from harness.compare import CLOCK, CONTROL, OURS, PEAK, opening_order, take_rounds
from harness.errors import HarnessError
from harness.kernel import Candidate
from harness.measure import need, undisturbed
from harness.operator import OperatorSpec
from harness.operators import operators
from harness.operators.gemm import GemmSpec
from harness.probe import open_probe, open_watch
from harness.record import Verdict
from harness.runners.arena import Arena, Placement
from harness.runners.native import NativeObject
from harness.store import Store, default_store
from harness.verify import real_operands
from harness.workbench import Workbench

SAMPLES = Path(__file__).parent / "gate_samples.json.gz"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One measurement: seconds a call took, one entry a round, by contender."""

    case: str
    created: str
    clock_cycles: int
    """Cycles of one call of the clock probe."""
    seconds: dict[str, list[float]]
    """The median of each slice."""
    least_s: dict[str, list[float]]
    """The least sample of each slice."""


def specs() -> Sequence[OperatorSpec]:
    """Return what is recorded: the smoke shapes, and small, narrow and memory-bound products."""
    narrow = (GemmSpec(m=64, n=64, k=64), GemmSpec(m=8, n=2048, k=2048), GemmSpec(m=2048, n=8, k=2048))
    smoke = [spec for operator in operators().values() for spec in operator.shape_sets.get("smoke", ())]
    served = [spec for spec in smoke if spec.dtype.value == "fp32" and spec.operator in ("gemm", "conv2d")]
    return (*served, *narrow)


def build(bench: Workbench, spec: OperatorSpec) -> NativeObject:
    """Build the author's first guess."""
    author, target = Expert(), bench.target("host")
    sketch = author.sketches(target, spec)[0]
    script = author.kernel_script(target, sketch)
    builder = Builder(target, sketch, script, bench.toolchain, bench.sandbox, trusted=True)
    for start in author.start_points(target, spec, sketch):
        (item,) = builder.build([Candidate.of(sketch.name, {**sketch.start, **start})])
        if not isinstance(item, Verdict):
            return item
    raise HarnessError(f"{spec.slug}: no start point builds: {item}")


def measure(bench: Workbench, spec: OperatorSpec, item: NativeObject, *, probes: bool = True) -> Measured:
    """
    Measure once in a fresh process, with the rounds that a measurement of pytest takes and keeps.

    A gate whose sides took turns does not look at the probes, which take half of the time.
    """
    with bench.worker() as worker, ExitStack() as stack:
        arena = stack.enter_context(Arena(spec, Placement.ALIGNED))
        arena.fill(real_operands(spec, np.random.default_rng()))
        opened = {name: stack.enter_context(worker.open(item, arena)) for name in opening_order((OURS, CONTROL))}
        sessions = {name: opened[name] for name in (OURS, CONTROL)}
        cycles = 0
        if probes:
            sessions[PEAK], _ = open_probe(worker, bench.probe, bench.target("host").vector_bits.value)
            sessions[CLOCK], clock = open_probe(worker, bench.probe, 0)
            stack.enter_context(sessions[PEAK])
            stack.enter_context(sessions[CLOCK])
            cycles = clock.work
        every = take_rounds(sessions, spec, open_watch(stack, worker, bench.probe))
        chosen = undisturbed({name: need(every, name, sessions) for name in sessions}, (OURS, CONTROL))
        slices = {name: every[name].only(chosen if name in (OURS, CONTROL) else range(len(every[name].seconds))) for name in sessions}
    return Measured(
        case=f"host-{spec.slug}",
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        clock_cycles=cycles,
        seconds={name: _rounded(slices[name].seconds) for name in sessions},
        least_s={name: _rounded([min(samples) for samples in slices[name].samples_s]) for name in sessions},
    )


def _rounded(seconds: Sequence[float]) -> list[float]:
    return [float(f"{value:.5g}") for value in seconds]


def load(path: Path = SAMPLES) -> tuple[dict[str, Any], list[Measured]]:
    """Return the machine's facts and every measurement, oldest first."""
    data = json.loads(gzip.decompress(path.read_bytes()))
    return data["machine"], [Measured(**entry) for entry in data["measured"]]


def save(path: Path, machine: dict[str, Any], measured: Sequence[Measured]) -> None:
    """Write a recording."""
    entries = [{name: getattr(one, name) for name in one.__dataclass_fields__} for one in measured]
    text = json.dumps({"machine": machine, "measured": entries}, separators=(",", ":"))
    path.write_bytes(gzip.compress(text.encode(), mtime=0))


def _turns(bench: Workbench, seconds: float) -> Iterator[Measured]:
    items = [(spec, build(bench, spec)) for spec in specs()]
    deadline = time.monotonic() + seconds
    while True:
        for spec, item in items:
            if time.monotonic() >= deadline:
                return
            yield measure(bench, spec, item)


def main() -> None:
    """Add measurements for as long as was asked."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gate_samples", description=__doc__.splitlines()[1])
    parser.add_argument("--seconds", type=float, default=55.0, help="how long to record")
    parser.add_argument("--out", type=Path, default=SAMPLES)
    options = parser.parse_args()
    measured = load(options.out)[1] if options.out.exists() else []
    with Store.open(default_store()) as store:
        bench = Workbench(store)
        measured += _turns(bench, options.seconds)
        save(options.out, bench.machine_facts(bench.target("host")), measured)
    print(f"{len(measured)} measurements of {len({one.case for one in measured})} cases in {options.out}")


if __name__ == "__main__":
    main()

"""
Compare on a GPU: ours, the libraries and ours again take turns over buffers that leave the cache, in one process.

Burst lets the device idle between samples, so that the power limit does not bind; sustained keeps it busy before and
while it is sampled. Clock and power are kept with every slice. Ratios are medians of per-round ratios.

Calls follow each other. Where ours may begin while the call before it ends, it also takes part as ``ours apart``, each
launch after the end of the one before, as the libraries launch theirs: the difference is in the record.
"""

import time
from collections.abc import Mapping
from dataclasses import replace
from math import inf
from typing import Any

from harness.baselines import Baseline
from harness.case import Case
from harness.cuda.build import CudaObject
from harness.cuda.error import sampled_error
from harness.cuda.evaluate import SPARSE, timed
from harness.dtype import DType
from harness.measure import below_floor
from harness.operator import OperatorSpec
from harness.record import Record
from harness.runners.cuda import CudaWorker, DeviceProblem
from harness.stats import median, paired_ratio
from harness.target import Target
from harness.verify import FRESH_SEED, timeout_s

OURS, CONTROL, APART = "ours", "ours again", "ours apart"
ROUNDS, SLICE_S, SAMPLES = 9, 0.03, 4
WARM_S, SUSTAINED_S = 0.5, 0.12
SUSTAINED_FLOPS = 5e10
"""Below this a call is too short to heat the chip: burst is all there is."""


def compare_on_gpu(
    worker: CudaWorker,
    item: CudaObject,
    target: Target,
    case: Case,
    baselines: Mapping[str, Baseline],
    record: Record,
    *,
    rounds: int = ROUNDS,
    sustained: bool = True,
) -> Record:
    """Return the measurement: samples of ours, facts of everybody."""
    spec = case.spec
    items = {name: baseline.build(None, target, case) for name, baseline in baselines.items()}
    verdicts = agreement(worker, item, items, spec)
    problem = DeviceProblem(spec=spec, seed=FRESH_SEED)
    right = {name: one for name, one in items.items() if verdicts[name] == "OK"}
    own = {CONTROL: item, **({APART: item.apart()} if item.early else {})}
    sessions = {name: worker.open(one, problem) for name, one in {OURS: item, **right, **own}.items()}
    bursts, sensors = take(sessions, spec, rounds, burst=True)
    failed = next((session.verdict for session in sessions.values() if not session.verdict.ok), None)
    if failed is not None:
        return replace(record, verdict=failed)
    long, hot = {}, {}
    if sustained and spec.flops >= SUSTAINED_FLOPS:
        long, hot = take_sustained(sessions, spec)
    facts = {
        **record.facts,
        "throughput_gflops": spec.flops / median(bursts[OURS]) / 1e9,
        "rounds": rounds,
        "rounds_taken": rounds,
        "every_round_s": {name: list(seconds) for name, seconds in bursts.items()},
        "rounds_s": {CONTROL: list(bursts[CONTROL])},
        "a_a": ratio(bursts[CONTROL], bursts[OURS]),
        "apart": ratio(bursts[OURS], bursts[APART]) if APART in bursts else {},
        "sensors": sensors,
        "sustained": {name: {"seconds": list(long[name]), "sensors": hot[name]} for name in long},
        "clock_hz": sensors[OURS].get("clock_mhz", 0.0) * 1e6,
        "peers": {name: peer(spec, name, verdicts, sessions, bursts, long) for name in items},
    }
    if spec.operator == "gemm" and spec.dtype is DType.F32:
        facts["errors"] = {name: sampled_error(session, spec) for name, session in sessions.items() if name not in own}
    peak = float(target.peak_gflops[spec.dtype.value].value) if spec.dtype.value in target.peak_gflops else inf
    if peak < inf:
        facts |= {"peak_gflops": peak, "peak_fraction": facts["throughput_gflops"] / peak}
    for session in sessions.values():
        session.close()
    verdict = below_floor(median(bursts[OURS]), spec.least_flops, max(float(fact.value) for fact in target.peak_gflops.values()))
    return replace(record, verdict=verdict, samples_s=tuple(bursts[OURS]), facts=facts)


def agreement(worker: CudaWorker, item: CudaObject, items: Mapping[str, CudaObject], spec: OperatorSpec) -> dict[str, str]:
    """Run each library and ours on operands whose sums are exact; they must agree bit for bit."""
    exact, found = DeviceProblem(spec=spec, sparse=SPARSE, seed=FRESH_SEED), {}
    for name, one in items.items():
        with worker.open(item, exact) as ours, worker.open(one, exact) as theirs:
            verdict = ours.matches(theirs, timeout_s(spec))
            found[name] = str(theirs.verdict if not theirs.verdict.ok else verdict)
    return found


def take(sessions: Mapping[str, Any], spec: OperatorSpec, rounds: int, *, burst: bool) -> tuple[dict[str, list[float]], dict]:
    """Time everybody in rotated order; return seconds by round and the last sensors."""
    names, seconds, sensors = list(sessions), {name: [] for name in sessions}, {}
    for turn in range(rounds):
        shift = turn % len(names)
        for name in names[shift:] + names[:shift]:
            value, read = timed(sessions[name], spec, burst=burst, samples=SAMPLES, budget_s=SLICE_S)
            seconds[name].append(value)
            sensors[name] = read
    return seconds, sensors


def take_sustained(sessions: Mapping[str, Any], spec: OperatorSpec) -> tuple[dict[str, list[float]], dict]:
    """Keep the device busy, then take slices without a pause; two rounds, each contender as warm as the others."""
    begin = time.monotonic()
    while time.monotonic() - begin < WARM_S:
        timed(sessions[OURS], spec, burst=False, samples=1000, budget_s=WARM_S / 2)
    seconds, sensors = {name: [] for name in sessions}, {}
    for turn in range(3):
        names = list(sessions) if turn % 2 == 0 else list(sessions)[::-1]
        for name in names:
            value, read = timed(sessions[name], spec, burst=False, samples=1000, budget_s=SUSTAINED_S)
            seconds[name].append(value)
            sensors[name] = read
    return seconds, sensors


def ratio(theirs: list[float], ours: list[float]) -> dict[str, float]:
    """Return how much faster ours is, with its interval."""
    found = paired_ratio(ours, theirs)
    return {"ratio": found.ratio, "ratio_low": found.low, "ratio_high": found.high}


def peer(spec: OperatorSpec, name: str, verdicts: Mapping[str, str], sessions: Mapping[str, Any], bursts: Mapping, long: Mapping) -> dict:
    """Return a library's facts: verdict, version, speed, ratio in burst and sustained."""
    facts: dict[str, Any] = {"verdict": verdicts[name], "threads": 1}
    if name in bursts:
        facts |= dict(word.split("=", 1) for word in sessions[name].describe.split() if "=" in word)
        facts |= {"throughput_gflops": spec.flops / median(bursts[name]) / 1e9, "samples_s": list(bursts[name])}
        facts |= ratio(bursts[name], bursts[OURS])
        if APART in bursts:
            facts["ratio_apart"] = ratio(bursts[name], bursts[APART])["ratio"]
    if name in long:
        facts["sustained_ratio"] = median([a / b for a, b in zip(long[name], long[OURS], strict=True)])
    return facts

"""
Measurement under a timing model: sampled where a shape is large, libraries from a cache, ratios under three memories.

What libraries take is shipped or kept (`harness.library_times`); ours is timed anew in each process.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from harness.baselines import ModelledBaseline
from harness.case import Case
from harness.library_times import LibraryTime, Question, library_time, missing, time_sample
from harness.measure import below_floor
from harness.operator import OperatorSpec
from harness.record import Outcome, Record, Verdict
from harness.runners.native import NativeObject
from harness.sampling import MEASURED_FLOPS, TUNED_FLOPS, VERIFIED_FLOPS, sample, shrunk
from harness.target import Fact, Target
from harness.workbench import Workbench

PUBLISHED = "as published"
SLACK = 1.1
"""What the fastest may lose under another memory before that counts: the cheap points it is seen at mislead by several percent."""


def memory_models(target: Target) -> dict[str, Target]:
    """Return a target under each memory that its published facts leave open, by name."""
    models = {PUBLISHED: target}
    prefetch = str(target.timing["prefetch"].value).split() if "prefetch" in target.timing else []
    if prefetch and prefetch[1] != "0":
        none = Fact(value=f"{prefetch[0]} 0 {prefetch[2]}", source="variant: no prefetches into the first level")
        models["no L1 prefetch"] = replace(target, timing={**target.timing, "prefetch": none})
    blocking = Fact(value="vector", source="variant: a vector load that misses holds up all that follows")
    models["blocking vector-load misses"] = replace(target, timing={**target.timing, "blocking": blocking})
    return models


def steadiest(bench: Workbench, case: Case, contenders: Sequence[NativeObject]) -> list[int]:
    """
    Return the contenders' places, that one first which loses least to the best of them wherever a comparison looks.

    That is under the memory as published at the points of a measurement, which are larger than a tuning's: packing A for
    each block of columns costs a tuning's few columns nothing. And under every other memory: what only prefetches hide,
    rows of A read in place from the same few sets of a cache say, is a percent faster as published and half as fast there.
    """
    cheap, measured = (sample(case.spec, flops) for flops in (TUNED_FLOPS, MEASURED_FLOPS))
    losses = [1.0] * len(contenders)
    for memory, target in memory_models(bench.target(case.target)).items():
        points = measured if memory == PUBLISHED else cheap
        taken_s = [time_sample(bench, target, item, points)[1] for item in contenders]
        slack = 1.0 if memory == PUBLISHED else SLACK
        losses = [max(loss, own_s / min(taken_s) / slack) for loss, own_s in zip(losses, taken_s, strict=True)]
    return sorted(range(len(losses)), key=losses.__getitem__)


def questions(baseline: ModelledBaseline, case: Case, target: Target) -> list[Question]:
    """
    Return every time that a comparison of a case asks of a library: measured, then, by memory model, as cheaply as tuned.

    A library without vector kernels for the target is no rival: its one time is a cheap one, scalar code being slow to emulate.
    """
    points = sample(case.spec, TUNED_FLOPS)
    cheap = Question(baseline=baseline, case=case, target=target, memory=PUBLISHED, points=points)
    if not baseline.rival(target):
        return [cheap]
    measured = replace(cheap, points=sample(case.spec, MEASURED_FLOPS))
    return [measured, *(replace(measured, target=t, memory=name, points=points) for name, t in memory_models(target).items())]


def unanswered(bench: Workbench, baseline: ModelledBaseline, case: Case) -> str | None:
    """Return why a case cannot be compared with a library, cause and remedy; None where it can."""
    target = bench.target(case.target)
    return next((reason for one in questions(baseline, case, target) if (reason := missing(bench, one))), None)


def compare_modelled(
    bench: Workbench,
    record: Record,
    case: Case,
    ours: NativeObject,
    baselines: Mapping[str, ModelledBaseline],
    earlier: NativeObject | None,
) -> Record:
    """Add modelled times, ratios and where they were taken to a measurement whose operator is verified."""
    target, spec = bench.target(record.target), case.spec
    points = sample(spec, MEASURED_FLOPS)
    seconds, verdict = {}, Verdict(outcome=Outcome.OK)
    for name, item in (("ours", ours), ("reference", earlier)):
        if item is not None and verdict.ok:
            verdict, seconds[name], _ = time_sample(bench, target, item, points)
    if not verdict.ok:
        return replace(record, verdict=verdict)
    asked = {name: questions(baseline, case, target) for name, baseline in baselines.items()}
    peers = {name: library_time(bench, first) for name, (first, *_) in asked.items()}
    variants = [one for _, *others in asked.values() for one in others]
    peak, gflops = target.peak(spec.dtype.value), spec.flops / seconds["ours"] / 1e9
    facts = {
        **record.facts,
        "throughput_gflops": gflops,
        "peak_gflops": peak,
        "peak_fraction": gflops / peak,
        "clock_hz": target.clock_hz.value,
        "rounds": 1,
        "rounds_s": {"reference": [seconds["reference"]]} if "reference" in seconds else {},
        "timed_at": points.slugs,
        "verified_at": shrunk(spec, VERIFIED_FLOPS).slug,
        "peers": {name: _peer(found, spec, seconds["ours"]) for name, found in peers.items()},
        "memory_models": _by_memory(bench, ours, variants),
    }
    verdict = below_floor(seconds["ours"], spec.least_flops, peak)
    return replace(record, verdict=verdict, samples_s=(seconds["ours"],), facts=facts)


def _peer(found: LibraryTime, spec: OperatorSpec, ours_s: float) -> dict[str, Any]:
    facts: dict[str, Any] = {"verdict": found.verdict, "threads": 1, "verified_at": found.verified_at}
    facts |= {**found.facts, "model": found.model, "shipped": found.shipped}
    if found.verdict == "OK":
        ratio = found.seconds / ours_s
        facts |= {"throughput_gflops": spec.flops / found.seconds / 1e9, "samples_s": [found.seconds]}
        facts |= {"ratio": ratio, "ratio_low": ratio, "ratio_high": ratio}
    return facts


def _by_memory(bench: Workbench, ours: NativeObject, variants: list[Question]) -> dict[str, dict[str, float]]:
    """Return throughput ours over theirs, by memory model and library, on samples that are the same for all."""
    ratios: dict[str, dict[str, float]] = {}
    for memory in dict.fromkeys(one.memory for one in variants):
        asked = [one for one in variants if one.memory == memory]
        verdict, ours_s, _ = time_sample(bench, asked[0].target, ours, asked[0].points)
        if verdict.ok:
            theirs = {one.baseline.name: library_time(bench, one) for one in asked}
            ratios[memory] = {name: found.seconds / ours_s for name, found in theirs.items() if found.verdict == "OK"}
    return ratios

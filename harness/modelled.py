"""
Measurement under a timing model: sampled where a shape is large, libraries from a cache, ratios under three memories.

A modelled clock gives the same each time, so what a library takes depends on nothing but its code, the model and the
shape. Such results are kept in the store and shipped as data (`harness/baselines/modelled/TARGET.jsonl`); their key
holds all they depend on, so that one from another model or library is never used.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from harness.kernel import digest
from harness.measure import below_floor
from harness.operator import OperatorSpec
from harness.record import Outcome, Record, Verdict
from harness.runners.arena import Arena, Placement
from harness.runners.emulated import machine_text
from harness.runners.native import NativeObject
from harness.runners.protocol import Worker
from harness.sampling import MEASURED_FLOPS, TUNED_FLOPS, VERIFIED_FLOPS, Sample, sample, shrunk
from harness.target import Fact, Target
from harness.toolchain import EMULATORS
from harness.verify import FRESH_SEED, real_operands, timeout_s, verify_library
from harness.workbench import Workbench

SHIPPED = Path(__file__).parent / "baselines" / "modelled"
PUBLISHED = "as published"
_COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Modelled:
    """What one contender takes by a model."""

    key: str
    contender: str
    target: str
    memory: str
    spec: str
    timed_at: tuple[str, ...]
    verified_at: str
    verdict: str
    seconds: float
    """Of the whole spec; extrapolated where ``timed_at`` names several."""
    describe: str
    """Version and core, as the adapter says them."""


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


@cache
def _emulator_text(isa: str) -> str:
    """Return the emulator's sources without comments and spacing: what they say may change, what they do may not."""
    paths = [*sorted(EMULATORS.glob("*.[ch]")), *sorted((EMULATORS / isa).glob("*.[ch]"))]
    return digest([" ".join(_COMMENT.sub(" ", path.read_text()).split()) for path in paths])


@cache
def _content(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest()


def modelled_key(target: Target, item: NativeObject, points: Sample) -> str:
    """Return a digest of all that a modelled time depends on."""
    code = [[_content(path) for path in item.libraries], item.kernels, item.values]
    specs = [[point.spec.operator, point.spec.to_json(), point.weight] for point in points.points]
    return digest("modelled", machine_text(target), _emulator_text(target.isa), code, specs)


def time_sample(worker: Worker, item: NativeObject, points: Sample) -> tuple[Verdict, float, str]:
    """Run a contender at every point; return the verdict, the seconds of the whole spec and what it says of itself."""
    times_s: dict[OperatorSpec, float] = {}
    describe = ""
    for point in points.points:
        with Arena(point.spec, Placement.ALIGNED) as arena:
            arena.fill(real_operands(point.spec, np.random.default_rng(FRESH_SEED)))
            with worker.open(item, arena) as session:
                timing = session.time(timeout_s=timeout_s(point.spec), samples=1)
                if timing is None:
                    return session.verdict, float("inf"), session.describe
                times_s[point.spec], describe = timing.cpu_s[0], session.describe
    return Verdict(outcome=Outcome.OK), points.seconds(times_s), describe


def shipped(target: str) -> dict[str, Modelled]:
    """Return the results that come with the source, by key."""
    path = SHIPPED / f"{target}.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    return {found.key: found for found in map(_from_json, lines)}


def _from_json(text: str) -> Modelled:
    data = json.loads(text)
    return Modelled(**{**data, "timed_at": tuple(data["timed_at"])})


def to_json(found: Modelled) -> str:
    """Return one line of a data file."""
    return json.dumps(asdict(found), sort_keys=True)


def library_time(
    bench: Workbench, target: Target, memory: str, name: str, item: NativeObject, spec: OperatorSpec, points: Sample
) -> Modelled:
    """Return what a library takes, from the data shipped or the store, else verified and timed now."""
    key = modelled_key(target, item, points)
    if key in (known := shipped(target.name)):
        return known[key]
    if (kept := bench.store.artefact(key)) is not None:
        return _from_json(kept.read_text())
    found = fresh_library_time(bench, target, memory, name, item, spec, points)
    bench.store.put_artefact(to_json(found).encode(), key=key)
    return found


def fresh_library_time(
    bench: Workbench, target: Target, memory: str, name: str, item: NativeObject, spec: OperatorSpec, points: Sample
) -> Modelled:
    """Verify and time a library now."""
    small = shrunk(spec, VERIFIED_FLOPS)
    with bench.worker(target) as worker:
        verdict, seconds, describe = verify_library(worker, item, small), float("inf"), ""
        if verdict.ok:
            verdict, seconds, describe = time_sample(worker, item, points)
    return Modelled(
        key=modelled_key(target, item, points),
        contender=name,
        target=target.name,
        memory=memory,
        spec=spec.slug,
        timed_at=tuple(points.slugs),
        verified_at=small.slug,
        verdict=str(verdict),
        seconds=seconds,
        describe=describe,
    )


def compare_modelled(
    bench: Workbench,
    record: Record,
    spec: OperatorSpec,
    ours: NativeObject,
    libraries: Mapping[str, NativeObject],
    earlier: NativeObject | None,
) -> Record:
    """Add modelled times, ratios and where they were taken to a measurement whose operator is verified."""
    target = bench.target(record.target)
    points = sample(spec, MEASURED_FLOPS)
    seconds, verdict = {}, Verdict(outcome=Outcome.OK)
    with bench.worker(target) as worker:
        for name, item in (("ours", ours), ("reference", earlier)):
            if item is not None and verdict.ok:
                verdict, seconds[name], _ = time_sample(worker, item, points)
    if not verdict.ok:
        return replace(record, verdict=verdict)
    peers = {
        name: library_time(bench, target, PUBLISHED, name, item, spec, points) for name, item in libraries.items()
    }
    peak, gflops = target.peak_gflops[spec.dtype.value].value, spec.flops / seconds["ours"] / 1e9
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
        "memory_models": _under_all(bench, target, spec, ours, libraries),
    }
    verdict = below_floor(seconds["ours"], spec.flops, peak)
    return replace(record, verdict=verdict, samples_s=(seconds["ours"],), facts=facts)


def _peer(found: Modelled, spec: OperatorSpec, ours_s: float) -> dict[str, Any]:
    facts: dict[str, Any] = {"verdict": found.verdict, "threads": 1, "verified_at": found.verified_at}
    facts |= dict(word.split("=", 1) for word in found.describe.split() if "=" in word)
    if found.verdict == "OK":
        ratio = found.seconds / ours_s
        facts |= {"throughput_gflops": spec.flops / found.seconds / 1e9, "samples_s": [found.seconds]}
        facts |= {"ratio": ratio, "ratio_low": ratio, "ratio_high": ratio}
    return facts


def _under_all(
    bench: Workbench, target: Target, spec: OperatorSpec, ours: NativeObject, libraries: Mapping[str, NativeObject]
) -> dict[str, dict[str, float]]:
    """Return throughput ours over theirs, by memory model and library, on a cheaper sample that is the same for all."""
    points = sample(spec, TUNED_FLOPS)
    ratios: dict[str, dict[str, float]] = {}
    for memory, model in memory_models(target).items():
        with bench.worker(model) as worker:
            verdict, ours_s, _ = time_sample(worker, ours, points)
        if not verdict.ok:
            continue
        theirs = {n: library_time(bench, model, memory, n, item, spec, points) for n, item in libraries.items()}
        ratios[memory] = {name: found.seconds / ours_s for name, found in theirs.items() if found.verdict == "OK"}
    return ratios


def specs_of(shapes: Sequence[OperatorSpec]) -> list[tuple[OperatorSpec, Sample]]:
    """Return every sample that a comparison of these specs asks of a library under the published memory."""
    return [(spec, sample(spec, MEASURED_FLOPS)) for spec in shapes]

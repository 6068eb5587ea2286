"""
Compare: a tuned operator against its baselines, in one run, on the same memory; the result is the record reports show.

Contenders take turns in forked processes over one arena: ours, each verified baseline, ours once more (the A/A
control), the machine code of an earlier run where a gate asks for it, and probes of the FMA peak, the clock and L2. A
modelled clock gives the same each time: one round, and the peak from the target.
"""

import itertools
import time
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np

from harness.baselines import Baseline
from harness.case import Case
from harness.keepsake import keep_object, keep_texts, kept_object
from harness.kernel import Author, Candidate
from harness.measure import ROUNDS, Slices, Watch, below_floor, interleave, need, quiet_rounds, undisturbed
from harness.modelled import compare_modelled, unanswered
from harness.operator import OperatorSpec
from harness.probe import open_probe, open_watch, peak_kind
from harness.record import Outcome, Record, Verdict
from harness.runners.arena import Arena, Placement
from harness.runners.native import NativeObject
from harness.runners.protocol import Session, Worker
from harness.sampling import VERIFIED_FLOPS, shrunk
from harness.stage import Stage
from harness.stats import median, paired_ratio
from harness.verify import FRESH_SEED, Verification, real_operands, timeout_s, verify, verify_library
from harness.workbench import Workbench, spec_key

CONTROL, PEAK, CLOCK = "ours again", "peak probe", "clock probe"
OURS = "ours"
REFERENCE = "reference"
_openings = itertools.count()


SERIES_S, SERIES_CALLS, SERIES_MOST_S = 20.0, 300, 90.0
"""Rounds are taken until one series' worth of them is undisturbed, or this time is spent: longer where calls are long, for
few of those are undisturbed as a whole."""
LEAST_MORE = 5
"""Rounds that are added at least."""
PATIENCE_S = 10.0
"""How long one series may wait in all for the core to be ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuned:
    """A tuned operator, ready to run."""

    case: Case
    author: Author
    record: Record
    """The winner's record."""
    item: NativeObject
    from_store: bool
    stale: bool
    """The author's text or the toolchain changed since it was tuned."""

    @property
    def candidate(self) -> Candidate:
        """Return the candidate that won."""
        return Candidate.from_json(self.record.candidate)


def rebuild(bench: Workbench, case: Case, author: Author, record: Record) -> NativeObject | Verdict:
    """Build the candidate of a winner's record; a verdict where the author's text no longer gives it."""
    target = bench.target(case.target)
    candidate = Candidate.from_json(record.candidate)
    sketches = {sketch.name: sketch for sketch in author.sketches(target, case.spec)}
    sketch = sketches.get(candidate.sketch)
    if sketch is None or {tunable.name for tunable in sketch.tunables} != set(dict(candidate.values)):
        return Verdict(outcome=Outcome.SCREENED, reason="the sketch it was tuned with has changed")
    script = author.kernel_script(target, sketch)
    builder = bench.builder(target, sketch, script, case.spec, trusted=author.trusted)
    return builder.build([candidate])[0]


def verify_tuned(bench: Workbench, tuned: Tuned) -> Verification:
    """Verify a tuned operator in a fresh process on data that tuning never saw."""
    target = bench.target(tuned.case.target)
    with bench.worker(target, threads=tuned.case.threads, timed=False) as worker:
        if target.runner == "cuda":
            from harness.cuda.evaluate import verify_on_gpu

            return verify_on_gpu(worker, tuned.item, tuned.case.spec, dict(tuned.candidate.values), FRESH_SEED)
        spec = shrunk(tuned.case.spec, VERIFIED_FLOPS) if worker.repeatable else tuned.case.spec
        return verify(worker, tuned.item, spec, dict(tuned.candidate.values), FRESH_SEED)


def unavailable(bench: Workbench, baseline: Baseline, case: Case) -> str | None:
    """Return why a case cannot be compared with a library, cause and remedy, or None; a model may know it without having it."""
    target = bench.target(case.target)
    return unanswered(bench, baseline, case) if target.runner == "emulated" else baseline.unavailable(case, target)


def compare(
    bench: Workbench,
    tuned: Tuned,
    checked: Verification,
    baselines: Mapping[str, Baseline],
    run: str,
    *,
    reference: Record | None = None,
    kind: str = "measurement",
) -> Record:
    """
    Measure a verified operator against its baselines; store and return the measurement.

    ``reference`` is an earlier measurement of the same case: its machine code takes turns with ours if the store still
    has it.
    """
    record = replace(_measurement(bench, tuned, checked, run), kind=kind)
    if checked.verdict.ok:
        timed = _modelled if record.clock == "model" else _timed
        record = timed(bench, tuned, baselines, record, reference)
    bench.store.add(record)
    return record


def _measurement(bench: Workbench, tuned: Tuned, checked: Verification, run: str) -> Record:
    """The record without its timings."""
    won, target = tuned.record, bench.target(tuned.case.target)
    facts = {
        "operator": tuned.case.spec.operator,
        "dtype": tuned.case.spec.dtype.value,
        "threads": tuned.case.threads,
        "flops": tuned.case.spec.flops,
        "residual": checked.residual,
        "specs_verified": checked.specs,
        "evaluations": won.facts.get("evaluations"),
        "tuning_s": won.facts.get("tuning_s"),
        "tuning": won.facts.get("tuning"),
        "search": won.facts.get("search"),
        "accounts": won.facts.get("accounts"),
        "from_store": tuned.from_store,
        "stale": tuned.stale,
        "origin": won.facts.get("origin"),
        "fingerprints": won.facts.get("fingerprints"),
        "machine": bench.machine_facts(target),
        "least_bytes": tuned.case.spec.least_bytes,
        "texts": keep_texts(bench, tuned.case, tuned.author, tuned.candidate),
        "object": keep_object(bench.store, tuned.item),
    }
    return Record(
        kind="measurement",
        case=tuned.case.slug,
        run=run,
        target=tuned.case.target,
        spec=spec_key(tuned.case.spec),
        author=tuned.author.name,
        verdict=checked.verdict,
        identity=won.identity,
        candidate=won.candidate,
        clock=bench.clock(target, tuned.case.threads),
        facts=facts,
        created=datetime.now(UTC).isoformat(timespec="milliseconds"),
    )


def _timed(
    bench: Workbench,
    tuned: Tuned,
    baselines: Mapping[str, Baseline],
    record: Record,
    reference: Record | None,
) -> Record:
    spec, target = tuned.case.spec, bench.target(tuned.case.target)
    if target.runner == "cuda":
        from harness.cuda.compare import compare_on_gpu

        with bench.worker(target) as worker:
            return compare_on_gpu(worker, tuned.item, target, tuned.case, baselines, record)
    environment: dict[str, str] = {}
    for baseline in baselines.values():
        environment.update(baseline.environment(tuned.case, target))
    items = {name: baseline.build(bench.toolchain, target, tuned.case) for name, baseline in baselines.items()}
    with Stage(bench, target, tuned.case, environment) as stage, ExitStack() as stack:
        worker = stage.worker
        verdicts = {name: verify_library(stage.worker_of(item), item, spec) for name, item in items.items()}
        arena = stack.enter_context(Arena(spec, Placement.ALIGNED))
        arena.fill(real_operands(spec, np.random.default_rng(FRESH_SEED)))
        right = {name: item for name, item in items.items() if verdicts[name].ok}
        contenders = {OURS: tuned.item, **right, CONTROL: tuned.item}
        earlier = kept_object(bench.store, reference.facts.get("object") or {}) if reference else None
        if earlier is not None:
            contenders[REFERENCE] = earlier
        opened = {name: stack.enter_context(stage.open(contenders[name], arena)) for name in opening_order(contenders)}
        sessions: dict[str, Session] = {name: opened[name] for name in contenders}
        for name in right:  # what a library compiles or resolves at its first call belongs to no sample
            sessions[name].call(timeout_s(spec))
        probes = {PEAK: peak_kind(target, spec.dtype), CLOCK: 0}
        works = {name: _open_probe(stack, sessions, worker, bench.probe, name, kind) for name, kind in probes.items()}
        every = take_rounds(sessions, spec, open_watch(stack, worker, bench.probe))
        rates = {
            name: [works[name] / seconds for seconds in need(every, name, sessions).only(undisturbed(every, [name])).seconds]
            for name in probes
        }
        described = {name: _description(sessions[name], tuned.case) for name in right}
        if OURS not in every or CONTROL not in every:
            failed = sessions[OURS].verdict if OURS not in every else sessions[CONTROL].verdict
            return replace(record, verdict=failed)
    own = [name for name in (OURS, CONTROL, REFERENCE) if name in every]
    chosen = undisturbed(every, own)
    slices = {name: every[name].only(chosen) for name in own}
    peaks = [rate / 1e9 for rate in rates[PEAK]]
    facts = {
        **record.facts,
        **_throughput(spec, slices[OURS], median(peaks)),
        "clock_hz": median(rates[CLOCK]),
        "rounds": len(chosen),
        "rounds_taken": len(every[OURS].seconds),
        "every_round_s": {name: list(found.seconds) for name, found in every.items()},
        "switched_samples": slices[OURS].switched,
        "imbalance": slices[OURS].imbalance,
        "a_a": _ratio(slices[CONTROL], slices[OURS]),
        "quiet_rounds": len(quiet_rounds(every, own)),
        "every_watch_s": {name: list(found.watch_s) for name, found in every.items() if found.watch_s},
        "rounds_s": {name: list(slices[name].seconds) for name in own if name != OURS},
        "clock_cycles": works[CLOCK],
        "reference": _named(reference) if REFERENCE in slices else None,
        "peers": {name: _peer(spec, name, verdicts, described, every) for name in items},
    }
    verdict = below_floor(median(slices[OURS].seconds), spec.least_flops, max(peaks))
    return replace(record, verdict=verdict, samples_s=slices[OURS].seconds, facts=facts)


def _modelled(
    bench: Workbench,
    tuned: Tuned,
    baselines: Mapping[str, Baseline],
    record: Record,
    reference: Record | None,
) -> Record:
    earlier = kept_object(bench.store, reference.facts.get("object") or {}) if reference else None
    compared = compare_modelled(bench, record, tuned.case, tuned.item, baselines, earlier)
    named = _named(reference) if earlier is not None else None
    return replace(compared, facts={**compared.facts, "reference": named})


def opening_order(names: Iterable[str]) -> list[str]:
    """
    Return contenders in the order to open them: the other way round every other time.

    Who is opened first gets other physical memory than who follows, and the same again in the next process. Equal code at
    1024^3 differed by up to 4% for that alone, so processes that are to agree must not all open in one order.
    """
    ordered = list(names)
    return ordered[::-1] if next(_openings) % 2 else ordered


def _open_probe(
    stack: ExitStack, sessions: dict[str, Session], worker: Worker, item: NativeObject, name: str, kind: int
) -> int:
    """Let a probe take part in the rounds; return its work a call."""
    session, spec = open_probe(worker, item, kind)
    sessions[name] = stack.enter_context(session)
    return spec.work


def take_rounds(sessions: Mapping[str, Session], spec: OperatorSpec, watch: Watch) -> dict[str, Slices]:
    """Take a series of rounds, and as many more as were disturbed, by the watch's account."""
    begin = time.monotonic()
    slices = interleave(sessions, timeout_s=timeout_s(spec), watch=watch, patience_s=PATIENCE_S)
    call_s = median(slices[OURS].seconds) if OURS in slices else 0.0
    limit_s = min(SERIES_S + SERIES_CALLS * call_s, SERIES_MOST_S)
    while time.monotonic() - begin < limit_s and (missing := _missing(slices)):
        rounds = max(missing, LEAST_MORE)
        more = interleave(sessions, rounds=rounds, timeout_s=timeout_s(spec), watch=watch, patience_s=PATIENCE_S)
        slices = {name: slices[name] + more[name] for name in slices if name in more}
    return slices


def _missing(slices: Mapping[str, Slices]) -> int:
    """Return how many quiet rounds are missing to a series of ours with every other contender; 0 where ours failed."""
    others = [name for name in slices if name not in (OURS, PEAK, CLOCK)]
    if OURS not in slices:
        return 0
    quiet = [len(quiet_rounds(slices, (OURS, name))) for name in others]
    return max(ROUNDS - min(quiet, default=ROUNDS), 0)


def _named(reference: Record) -> dict[str, str]:
    """Return what tells a reference from every other record."""
    return {"kind": reference.kind, "run": reference.run, "created": reference.created}


def _throughput(spec: OperatorSpec, ours: Slices, peak_gflops: float) -> dict[str, float]:
    gflops = spec.flops / median(ours.seconds) / 1e9
    return {"throughput_gflops": gflops, "peak_gflops": peak_gflops, "peak_fraction": gflops / peak_gflops}


def _ratio(theirs: Slices, ours: Slices) -> dict[str, float]:
    ratio = paired_ratio(ours.seconds, theirs.seconds)
    return {"ratio": ratio.ratio, "ratio_low": ratio.low, "ratio_high": ratio.high}


def _peer(
    spec: OperatorSpec,
    name: str,
    verdicts: Mapping[str, Verdict],
    described: Mapping[str, Mapping[str, str]],
    every: Mapping[str, Slices],
) -> dict[str, Any]:
    """Return what is known of a peer, from the rounds in which neither it nor ours was disturbed."""
    facts: dict[str, Any] = {"verdict": str(verdicts[name]), **described.get(name, {})}
    if name in every:
        chosen = undisturbed(every, (OURS, name))
        theirs, ours = every[name].only(chosen), every[OURS].only(chosen)
        facts["throughput_gflops"] = spec.flops / median(theirs.seconds) / 1e9
        facts["samples_s"] = list(theirs.seconds)
        facts["rounds"] = len(chosen)
        facts.update(_ratio(theirs, ours))
    return facts


def _description(session: Session, case: Case) -> dict[str, Any]:
    """Read an adapter's ``key=value`` description (values have no spaces); every peer was told the case's threads."""
    return {"threads": case.threads, **dict(word.split("=", 1) for word in session.describe.split() if "=" in word)}

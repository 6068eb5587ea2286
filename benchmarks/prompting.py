"""
Compare ways of asking a model with the expert: `python -m benchmarks.prompting [RECORDING] [--prompt SENTENCE]`.

RECORDING is a file, or what `--llm` takes (``record:FILE:desk:DIR``). Its answers to the method's questions, to the
vanilla question and to the chain-of-thought question are built, verified and tuned like the expert's operator, then all
of them and the libraries take turns in one process group. Ratios are medians of paired rounds with a 95% interval, over
the expert and over the vanilla answer. On a modelled target everything takes the same time each time, so there is one
round; on a GPU it is device time, in bursts:

    python -m benchmarks.prompting generators/llm/recordings/gemm_rvv.jsonl --prompt "fp32 GEMM 256x256x256 on a K1"
    python -m benchmarks.prompting generators/llm/recordings/gemm_cuda.jsonl --prompt "fp16 GEMM 4096x4096x4096 on an H100"

One answer to a plain question is one draw. ``--draws FILE`` takes `DRAWS` answers to the vanilla question and as many to
the chain of thought from FILE, a recording or what `--llm` takes (``record:FILE:openai:MODEL`` asks an endpoint as often),
and holds the method's operator against their median. An answer that gives no operator counts as speed 0:

    python -m benchmarks.prompting generators/llm/recordings/blind_x86.jsonl --draws generators/llm/recordings/draws_x86.jsonl

A long tuning may take several goes: with ``--resume`` drafts are those of the go before, operators whose tuning had its
evaluations are raced as they are, and the others are tuned on from where they were, `--seconds` a go. ``--keep FILE``
appends the race, round for round; ``--show FILE`` prints what was kept.
"""

import argparse
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from benchmarks import finish
from benchmarks.prompting_rows import DRAWN, DRAWS, EXPERT, LOOP, OURS, Raced, Seconds, keep, kept, shown
from generators.generator import GENERATORS, PROMPTING, author
from generators.policies import policy
from harness.case import Case
from harness.compare import Tuned, rebuild, verify_tuned
from harness.cuda.build import CudaObject
from harness.drafting import recall, settle
from harness.errors import HarnessError
from harness.kernel import Author
from harness.measure import ROUNDS, interleave
from harness.probe import open_probe, peak_kind
from harness.prompt import parse_prompt
from harness.record import Record, Verdict
from harness.runners.arena import Arena, Placement
from harness.runners.hosted import HostedObject
from harness.runners.native import NativeObject
from harness.runners.protocol import Session
from harness.store import Store, default_store
from harness.tune import ORDER_SHARE, Budget, tuner_of
from harness.verify import real_operands, timeout_s
from harness.workbench import Workbench

RECORDING = GENERATORS / "llm" / "recordings" / "gemm_x86.jsonl"
SENTENCE = "fp32 GEMM 1024x1024x1024 on this machine"
SEED = 4099
Built = NativeObject | CudaObject


@dataclass(frozen=True, slots=True, kw_only=True)
class Goes:
    """How operators are tuned: in one go, or on from where an earlier one ended."""

    budget: Budget
    resume: bool

    def enough(self, won: Record) -> bool:
        """Return whether a tuning had its evaluations; what has no tunables has one."""
        return won.facts["evaluations"] >= (1 - ORDER_SHARE) * self.budget.evaluations or not won.candidate["values"]


def operator(bench: Workbench, case: Case, writer: Author, run: str, goes: Goes) -> tuple[Built, Record]:
    """Have an operator written, tuned and verified in a fresh process; return it with the tuning's winner."""
    if not (goes.resume and recall(bench, case, writer)):
        settle(bench, case, writer, run=run, seed=0, say=lambda attempt: print(f"{writer.name}, {attempt}", file=sys.stderr))
    won = bench.store.tuned(bench.identity(case, writer)) if goes.resume else None
    known = won is not None and won.facts["fingerprints"] == bench.fingerprints(writer, case) and goes.enough(won)
    if not known:
        tuner = tuner_of(bench.target(case.target))
        won = tuner(bench, case, writer, run=run, budget=goes.budget, policy=policy("expert")).run()
    item = rebuild(bench, case, writer, won)
    if isinstance(item, Verdict):
        raise HarnessError(f"{writer.name}: {item}")
    if not known:
        checked = verify_tuned(bench, Tuned(case=case, author=writer, record=won, item=item, from_store=False, stale=False))
        if not checked.verdict.ok:
            raise HarnessError(f"{writer.name}: {checked.verdict}")
        print(f"{writer.name}: {won.facts['evaluations']} evaluations", file=sys.stderr)
    return item, won


def writers(llm: str, draws: str, runner: str) -> dict[str, Author]:
    """Return who is asked, by name: the expert and each way of asking once, with ``draws`` the plain questions `DRAWS` times."""
    expert = {EXPERT: author(EXPERT)}
    if not draws:
        styles = [style for style in PROMPTING if (style, runner) != ("plain", "cuda")]  # plain C, which no GPU runs
        return expert | {style: author(llm, prompting=style) for style in styles}
    names = [(style, draw) for style in DRAWN for draw in range(1, DRAWS + 1)]
    return expert | {OURS: author(llm)} | {f"{style} {draw}": author(draws, prompting=style, draw=draw) for style, draw in names}


def operators(bench: Workbench, case: Case, asked: Mapping[str, Author], goes: Goes) -> dict[str, tuple[Built, Record] | HarnessError]:
    """Return everybody's operator by name, or why there is none."""
    run = bench.store.begin_run(sys.argv, {})
    found: dict[str, tuple[Built, Record] | HarnessError] = {}
    for name, writer in asked.items():
        try:
            found[name] = operator(bench, case, writer, run, goes)
        except HarnessError as refused:
            found[name] = refused
    return found


def libraries(bench: Workbench, case: Case) -> dict[str, Built]:
    """Return the libraries that are here and can take turns in one process."""
    target = bench.target(case.target)
    items: dict[str, Built] = {}
    for name, baseline in bench.serving(case).items():
        item = baseline.build(None if target.runner == "cuda" else bench.toolchain, target, case)
        if not isinstance(item, HostedObject):  # a library in a process of its own cannot take turns in this one
            items[name] = item
    return items


def race(bench: Workbench, case: Case, items: Mapping[str, Built]) -> Seconds:
    """Time all of them in turn on the same memory."""
    target = bench.target(case.target)
    if target.runner == "cuda":
        return _race_on_gpu(bench, case, items)
    with bench.worker(target) as worker, Arena(case.spec, Placement.ALIGNED) as arena, ExitStack() as stack:
        arena.fill(real_operands(case.spec, np.random.default_rng(SEED)))
        sessions = {name: stack.enter_context(worker.open(item, arena)) for name, item in items.items()}
        if worker.repeatable:
            return _times(case, sessions, rounds=1)
        loop, probe = open_probe(worker, bench.probe, peak_kind(target, case.spec.dtype))
        seconds = _times(case, {**sessions, LOOP: stack.enter_context(loop)}, rounds=ROUNDS)
        as_many = case.spec.flops / probe.work
        return {**seconds, LOOP: [taken * as_many for taken in seconds[LOOP]]}


def _times(case: Case, sessions: Mapping[str, Session], rounds: int) -> Seconds:
    return {name: found.seconds for name, found in interleave(sessions, rounds=rounds, timeout_s=timeout_s(case.spec)).items()}


def _race_on_gpu(bench: Workbench, case: Case, items: Mapping[str, Built]) -> Seconds:
    from harness.cuda.compare import ROUNDS, take
    from harness.runners.cuda import DeviceProblem

    problem = DeviceProblem(spec=case.spec, seed=SEED)
    with bench.worker(bench.target(case.target)) as worker, ExitStack() as stack:
        sessions = {name: stack.enter_context(worker.open(item, problem)) for name, item in items.items()}
        return take(sessions, case.spec, ROUNDS, burst=True)[0]


def compare(llm: str, draws: str, sentence: str, goes: Goes) -> Raced:
    """Have everybody's operator made for a sentence, and race them."""
    request = parse_prompt(sentence)
    case = Case(target=request.target, spec=request.spec)
    with Store.open(default_store() / "prompting") as store:
        bench = Workbench(store)
        found = operators(bench, case, writers(llm, draws, bench.target(case.target).runner), goes)
        made = {name: made for name, made in found.items() if not isinstance(made, HarnessError)}
        seconds = race(bench, case, {name: item for name, (item, _) in made.items()} | libraries(bench, case))
        return Raced(
            case=case.slug,
            flops=case.spec.flops,
            clock=bench.clock(bench.target(case.target)),
            recordings=[Path(name).name for name in (llm, draws) if name],
            seconds={name: list(taken) for name, taken in seconds.items()},
            refused={name: str(why) for name, why in found.items() if isinstance(why, HarnessError)},
            tuned={name: {"evaluations": won.facts["evaluations"], "values": won.candidate["values"]} for name, (_, won) in made.items()},
            machine=bench.machine_facts(bench.target(case.target)),
            created=datetime.now(UTC).isoformat(timespec="seconds"),
        )


def main() -> None:
    """Print one row a contender."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.prompting", description=__doc__.split("\n")[1])
    parser.add_argument("recording", nargs="?", default=str(RECORDING))
    parser.add_argument("--prompt", default=SENTENCE)
    parser.add_argument("--draws", metavar="FILE", default="", help=f"{DRAWS} answers to each plain question, instead of the recording's one")
    parser.add_argument("--evals", type=int, default=48)
    parser.add_argument("--seconds", type=float, default=40.0)
    parser.add_argument("--resume", action="store_true", help="go on where an earlier go ended")
    parser.add_argument("--keep", metavar="FILE", type=Path, help="append the race to FILE")
    parser.add_argument("--show", metavar="FILE", type=Path, help="print the races of FILE, and run nothing")
    given = parser.parse_args()
    if given.show:
        print("\n".join(shown(kept(given.show))))
        return
    llm, draws = (text if ":" in text or not text else f"replay:{text}" for text in (given.recording, given.draws))
    raced = compare(llm, draws, given.prompt, Goes(budget=Budget(evaluations=given.evals, seconds=given.seconds), resume=given.resume))
    print("\n".join(raced.lines()))
    if given.keep:
        keep(given.keep, raced)


if __name__ == "__main__":
    finish(main)

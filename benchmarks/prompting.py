"""
Compare ways of asking a model with the expert: `python -m benchmarks.prompting [RECORDING] [--prompt SENTENCE]`.

RECORDING is a file, or what `--llm` takes (``record:FILE:desk:DIR``). Its answers to the method's questions, to the vanilla question and to the chain-of-thought question are
built, verified and tuned like the expert's operator, then all of them and the libraries take turns in one process
group. Ratios are medians of paired rounds with a 95% interval, over the expert and over the vanilla answer. On a
modelled target everything takes the same time each time, so there is one round; on a GPU it is device time, in bursts:

    python -m benchmarks.prompting generators/llm/recordings/gemm_rvv.jsonl --prompt "fp32 GEMM 256x256x256 on a K1"
    python -m benchmarks.prompting generators/llm/recordings/gemm_cuda.jsonl --prompt "fp16 GEMM 4096x4096x4096 on an H100"
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from generators.generator import GENERATORS, PROMPTING, author
from generators.policies import policy
from harness.case import Case
from harness.compare import Tuned, rebuild, verify_tuned
from harness.cuda.build import CudaObject
from harness.drafting import settle
from harness.errors import HarnessError
from harness.kernel import Author
from harness.measure import ROUNDS, interleave
from harness.prompt import parse_prompt
from harness.record import Verdict
from harness.runners.arena import Arena, Placement
from harness.runners.hosted import HostedObject
from harness.runners.native import NativeObject
from harness.stats import median, paired_ratio
from harness.store import Store, default_store
from harness.tune import Budget, tuner_of
from harness.verify import real_operands, timeout_s
from harness.workbench import Workbench

RECORDING = GENERATORS / "llm" / "recordings" / "gemm_x86.jsonl"
SENTENCE = "fp32 GEMM 1024x1024x1024 on this machine"
EXPERT, VANILLA = "expert", "vanilla"
SEED = 4099
Built = NativeObject | CudaObject
Seconds = Mapping[str, Sequence[float]]
"""By contender, round for round."""


def operator(bench: Workbench, case: Case, writer: Author, run: str, budget: Budget) -> Built:
    """Have an operator written and tuned, and verify it in a fresh process."""
    settle(bench, case, writer, run=run, seed=0, say=lambda attempt: print(f"{writer.name}, {attempt}", file=sys.stderr))
    won = tuner_of(bench.target(case.target))(bench, case, writer, run=run, budget=budget, policy=policy("expert")).run()
    item = rebuild(bench, case, writer, won)
    if isinstance(item, Verdict):
        raise HarnessError(f"{writer.name}: {item}")
    checked = verify_tuned(bench, Tuned(case=case, author=writer, record=won, item=item, from_store=False, stale=False))
    if not checked.verdict.ok:
        raise HarnessError(f"{writer.name}: {checked.verdict}")
    return item


def contenders(bench: Workbench, case: Case, llm: str, budget: Budget) -> dict[str, Built]:
    """Return everybody who is right, and the libraries, by name; whoever is not is named on standard error."""
    run = bench.store.begin_run(sys.argv, {})
    writers = {EXPERT: author(EXPERT)}
    writers |= {style: author(llm, prompting=style) for style in PROMPTING}
    items: dict[str, Built] = {}
    for name, writer in writers.items():
        try:
            items[name] = operator(bench, case, writer, run, budget)
        except HarnessError as refused:
            print(f"{name}: {refused}", file=sys.stderr)
    target = bench.target(case.target)
    for name, baseline in bench.baselines(target).items():
        if baseline.offers(case) and baseline.unavailable(case, target) is None:
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
        rounds = 1 if worker.repeatable else ROUNDS
        return {name: found.seconds for name, found in interleave(sessions, rounds=rounds, timeout_s=timeout_s(case.spec)).items()}


def _race_on_gpu(bench: Workbench, case: Case, items: Mapping[str, Built]) -> Seconds:
    from harness.cuda.compare import ROUNDS, take
    from harness.runners.cuda import DeviceProblem

    problem = DeviceProblem(spec=case.spec, seed=SEED)
    with bench.worker(bench.target(case.target)) as worker, ExitStack() as stack:
        sessions = {name: stack.enter_context(worker.open(item, problem)) for name, item in items.items()}
        return take(sessions, case.spec, ROUNDS, burst=True)[0]


def ratio(seconds: Seconds, ours: str, theirs: str) -> str:
    """Return the throughput of one over another's."""
    if ours not in seconds or theirs not in seconds:
        return "-"
    found = paired_ratio(seconds[ours], seconds[theirs])
    return f"{found.ratio:.2f} [{found.low:.2f}, {found.high:.2f}]"


def main() -> int:
    """Print one row a contender."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[1])
    parser.add_argument("recording", nargs="?", default=str(RECORDING))
    parser.add_argument("--prompt", default=SENTENCE)
    parser.add_argument("--evals", type=int, default=48)
    parser.add_argument("--seconds", type=float, default=40.0)
    given = parser.parse_args()
    try:
        request = parse_prompt(given.prompt)
        case = Case(target=request.target, spec=request.spec)
        with Store.open(default_store() / "prompting") as store:
            bench = Workbench(store)
            budget = Budget(evaluations=given.evals, seconds=given.seconds)
            clock = bench.clock(bench.target(case.target))
            llm = given.recording if ":" in given.recording else f"replay:{given.recording}"
            seconds = race(bench, case, contenders(bench, case, llm, budget))
    except HarnessError as refused:
        print(f"{type(refused).__name__}: {refused}", file=sys.stderr)
        return 2
    print(f"{case.slug}, answers of {Path(given.recording).name}; clock {clock}, paired rounds")
    print(f"{'':10} {'GFLOP/s':>8}  {'x expert':>18}  {'x vanilla':>18}")
    for name, taken in seconds.items():
        gflops = case.spec.flops / median(taken) / 1e9
        print(f"{name:10} {gflops:8.1f}  {ratio(seconds, name, EXPERT):>18}  {ratio(seconds, name, VANILLA):>18}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

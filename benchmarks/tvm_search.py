"""
Let TVM search for an fp32 product: `python -m benchmarks.tvm_search 512 [N K] [--trials 32 64 128 256] [--seconds 30]`.

TVM's MetaSchedule searches with its own rules for processors, evolution and cost model, on one thread; the fastest
schedule after each count is kept in the store as a library. With `--seconds` it stops after that much elapsed time, and
what it has by then is kept, too: so it is a peer that was tuned as long as ours (`pytest suites/test_throughput.py --prompt
"fp32 GEMM 512x512x512 on host" --tune-seconds 30 --peer tvm`). `pytest suites/paper -k fig4` lets the counts take turns with ours, as the
paper's figure 4 does. A search of 256 trials takes some five minutes of CPU time at 512^3.

With `--target a76` it searches for code for an emulated processor, and the modelled clock says how fast a candidate is.

Two things are not as TVM comes, or it does not work (docs/performance/evidence.md): it builds and measures in this
process, since each of its own builders parses every tensor intrinsic first and exceeds its time limit doing so; and
the intrinsics, of which fp32 products use none, are not parsed here either. TVM's wheel also needs the tvm-ffi it was
built with: a newer one ends in a segmentation fault.
"""

import argparse
import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from itertools import count
from math import inf
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any

from benchmarks import finish
from harness.baselines.metaschedule import ENVIRONMENT, Searched, account, import_tvm, plain, searched, unavailable
from harness.baselines.tvm_guest import guest_object, guest_target
from harness.case import Case
from harness.errors import BadRequest, BaselineUnavailable, HarnessError
from harness.library_times import time_sample
from harness.operators.gemm import GemmSpec
from harness.sampling import sample
from harness.store import Store, default_store
from harness.workbench import Workbench

TRIALS = (32, 64, 128, 256)
ITERATION = 32
"""Trials between two updates of TVM's cost model."""
SAMPLES, SAMPLE_S = 3, 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """For whom TVM compiles, and how long its code takes there."""

    target: Mapping[str, Any]
    samples_s: Callable[[Any], list[float]]
    """Of a module, one entry a sample; nothing where it does not run."""
    link: Callable[..., None]


def search(
    case: Case, clock: Clock, tvm: ModuleType, trials: Sequence[int], seconds: float, say: Callable[[str], None]
) -> dict[Path, Searched]:
    """Search until the largest count, or until the time is over; keep the best after each, and in the end."""
    store, spec = default_store(), case.spec
    place = account(store, spec, case.target)
    place.parent.mkdir(parents=True, exist_ok=True)
    target = tvm.target.Target(dict(clock.target))
    found = _Found(place, str(target), tvm.__version__, sorted(trials), spec, seconds, clock.link, say)
    builder, runner = _in_this_process(clock, found)
    schedule = tvm.s_tir.meta_schedule
    callbacks = [schedule.measure_callback.AddToDatabase(), schedule.measure_callback.UpdateCostModel()]
    logging.disable(logging.INFO)
    try:
        with TemporaryDirectory() as scratch:
            schedule.tir_integration.tune_tir(
                _product(tvm, spec),
                target,
                scratch,
                max_trials_global=max(trials),
                num_trials_per_iter=min(ITERATION, *trials),
                builder=builder,
                runner=runner,
                database="memory",
                measure_callbacks=callbacks,
                space=_rules_for_processors(schedule),
                num_tuning_cores=1,
                seed=1,
            )
    except RuntimeError:  # which TVM makes of whatever is raised in a runner
        if not found.over:
            raise
        found.keep()
    return searched(store, spec, case.target)[1]


class _Found:
    """Counts trials and keeps the fastest so far, on the disk, whenever a count is reached."""

    def __init__(
        self,
        account: Path,
        target: str,
        version: str,
        counts: Sequence[int],
        spec: GemmSpec,
        seconds: float,
        link: Callable[..., None],
        say: Callable[[str], None],
    ) -> None:
        self._kept: dict[str, Any] = {"version": version, "target": target, "searched": []}
        self._account, self._counts, self._flops, self._link, self._say = account, list(counts), spec.flops, link, say
        self._done, self._best_s, self._best = 0, inf, None
        self._begin_s, self._seconds, self.over = time.monotonic(), seconds, False

    def __call__(self, module: Any, seconds: float) -> None:
        """Take in one trial; a candidate that did not build counts as one, too. Raise when the time is over."""
        self._done += 1
        if seconds < self._best_s:
            self._best_s, self._best = seconds, module
        if self._counts and self._done >= self._counts[0] and self._best is not None:
            self._counts.pop(0)
            self.keep()
        self.over = time.monotonic() - self._begin_s > self._seconds
        if self.over:
            raise RuntimeError("the time is over")

    def keep(self) -> None:
        """Write down the fastest so far."""
        if self._best is None or any(one["trials"] == self._done for one in self._kept["searched"]):
            return
        name, gflops = f"trials-{self._done}.so", self._flops / self._best_s / 1e9
        self._best.export_library(str(self._account.parent / name), fcompile=self._link)
        wall_s = time.monotonic() - self._begin_s
        one = Searched(trials=self._done, library=name, gflops=gflops, cpu_s=time.process_time(), wall_s=wall_s)
        self._kept["searched"].append(asdict(one))
        self._account.write_text(json.dumps(self._kept, indent=1) + "\n")
        self._say(f"{self._done} trials: {gflops:.1f} GFLOP/s, {wall_s:.0f} s, {time.process_time():.0f} s of CPU time")


def _product(tvm: ModuleType, spec: GemmSpec) -> Any:
    """Return C = A B as TVM's tensor expression."""
    from tvm import te

    a, b = (te.placeholder(shape, name=name) for name, shape in (("A", (spec.m, spec.k)), ("B", (spec.k, spec.n))))
    k = te.reduce_axis((0, spec.k), name="k")
    c = te.compute((spec.m, spec.n), lambda i, j: te.sum(a[i, k] * b[k, j], axis=k), name="C")
    return te.create_prim_func([a, b, c])


def _rules_for_processors(schedule: ModuleType) -> Any:
    """Return TVM's design space for processors without tensor instructions; its constants are those of its defaults."""
    rule, after, mutate = schedule.schedule_rule, schedule.postproc, schedule.mutator
    reuse = rule.ReuseType(req="may", levels=[1, 2], scope="global")
    return schedule.space_generator.PostOrderApply(
        sch_rules=[
            rule.AddRFactor(max_jobs_per_core=16, max_innermost_factor=64),
            rule.MultiLevelTiling(structure="SSRSRS", max_innermost_factor=64, reuse_write=reuse),
            rule.ParallelizeVectorizeUnroll(
                max_jobs_per_core=16, max_vectorize_extent=64, unroll_max_steps=[0, 16, 64, 512], unroll_explicit=True
            ),
            rule.RandomComputeLocation(),
        ],
        postprocs=[after.DisallowDynamicLoop(), after.RewriteParallelVectorizeUnroll(), after.RewriteReductionBlock()],
        mutator_probs={
            mutate.MutateTileSize(): 0.9,
            mutate.MutateComputeLocation(): 0.05,
            mutate.MutateUnroll(): 0.03,
            mutate.MutateParallel(max_jobs_per_core=16): 0.02,
        },
    )


def _in_this_process(clock: Clock, found: _Found) -> tuple[Any, Any]:
    """Return a builder and a runner of MetaSchedule that do without processes of their own."""
    from tvm.ir.utils import derived_object
    from tvm.s_tir.meta_schedule.builder import BuilderResult, PyBuilder
    from tvm.s_tir.meta_schedule.builder.local_builder import default_build
    from tvm.s_tir.meta_schedule.runner import PyRunner, PyRunnerFuture, RunnerResult

    modules: dict[str, Any] = {}

    @derived_object
    class Build(PyBuilder):
        def build(self, build_inputs: Sequence[Any]) -> list[Any]:
            return [self._one(asked) for asked in build_inputs]

        def _one(self, asked: Any) -> Any:
            try:
                name = f"module {len(modules)}"
                modules[name] = default_build(asked.mod, asked.target, None)
            except Exception as error:  # whatever its passes raise is the candidate's fate
                found(None, float("inf"))
                return BuilderResult(None, str(error))
            return BuilderResult(name, None)

    @derived_object
    class Done(PyRunnerFuture):
        def __init__(self, run_secs: list[float]) -> None:
            super().__init__()
            self._result = RunnerResult(run_secs, None) if run_secs else RunnerResult(None, "it does not run")

        def done(self) -> bool:
            return True

        def result(self) -> Any:
            return self._result

    @derived_object
    class Run(PyRunner):
        def run(self, runner_inputs: Sequence[Any]) -> list[Any]:
            return [self._one(modules.pop(asked.artifact_path)) for asked in runner_inputs]

        def _one(self, module: Any) -> Any:
            samples = clock.samples_s(module)
            found(module, min(samples, default=inf))
            return Done(samples)

    return Build(), Run()


def host_clock(tvm: ModuleType, spec: GemmSpec) -> Clock:
    """Return this machine's processor and its CPU clock."""
    import numpy as np

    rng = np.random.default_rng(0)
    shapes = ((spec.m, spec.k), (spec.k, spec.n), (spec.m, spec.n))
    a, b, c = (tvm.runtime.tensor(rng.standard_normal(shape, np.float32)) for shape in shapes)
    target = {"kind": "llvm", "mcpu": tvm.target.codegen.llvm_get_system_cpu(), "num-cores": 1}
    return Clock(target=target, samples_s=lambda module: _samples_s(lambda: module["main"](a, b, c)), link=_link)


def _samples_s(call: Callable[[], Any]) -> list[float]:
    """Return CPU seconds a call, one entry a sample."""
    call()
    samples = []
    for _ in range(SAMPLES):
        begin_s, calls = time.process_time(), 0
        while time.process_time() - begin_s < SAMPLE_S:
            call()
            calls += 1
        samples.append((time.process_time() - begin_s) / calls)
    return samples


@contextmanager
def modelled_clock(case: Case) -> Iterator[Clock]:
    """Yield an emulated target and its model's clock, which takes one sample."""
    with Store.open(default_store()) as store, TemporaryDirectory() as scratch:
        bench = Workbench(store)
        target, points, serial = bench.target(case.target), sample(case.spec, inf), count()

        def samples_s(module: Any) -> list[float]:
            library = Path(scratch) / f"{next(serial)}.so"
            module.export_library(str(library), fcompile=_link_guest)
            item = guest_object(bench.toolchain, target, case, library)
            verdict, seconds, _ = time_sample(bench, target, item, points)
            return [seconds] if verdict.ok else []

        yield Clock(target=guest_target(target), samples_s=samples_s, link=_link_guest)


def _link(output: str, objects: Sequence[str], options: Sequence[str] | None = None, **_: Any) -> None:
    subprocess.run([sys.executable, "-m", "ziglang", "cc", "-shared", "-o", output, *objects, *(options or ())], check=True)


def _link_guest(output: str, objects: Sequence[str], options: Sequence[str] | None = None, **_: Any) -> None:
    subprocess.run([sys.executable, "-m", "ziglang", "ld.lld", "-shared", "-o", output, *objects], check=True)


def main() -> None:
    """Search and print what was found."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tvm_search", description=__doc__.splitlines()[1])
    parser.add_argument("sizes", type=int, nargs="+", metavar="M [N K]", help="of a product, as 512, or 1023 1025 1027")
    parser.add_argument("--target", default="host", help="this machine (host), or an emulated one, as a76")
    parser.add_argument("--trials", type=int, nargs="+", default=TRIALS, help="search counts (32 64 128 256)")
    parser.add_argument("--seconds", type=float, default=inf, help="elapsed time after which it stops (none)")
    options = parser.parse_intermixed_args()
    try:
        if len(options.sizes) not in (1, 3):
            raise BadRequest(f"{len(options.sizes)} sizes: give one for a square product, or M N K")
        if wrong := unavailable():
            raise BaselineUnavailable(wrong)
        case = Case(target=options.target, spec=plain(*(options.sizes * 3)[:3]))
        os.environ.update(ENVIRONMENT)
        tvm = import_tvm()
        clocks = nullcontext(host_clock(tvm, case.spec)) if case.target == "host" else modelled_clock(case)
        with clocks as clock:
            search(case, clock, tvm, options.trials, options.seconds, lambda line: print(line, flush=True))
    except HarnessError as refused:
        raise SystemExit(str(refused)) from None


if __name__ == "__main__":
    finish(main)

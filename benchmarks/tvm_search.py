"""
Let TVM search for an fp32 product: `python -m benchmarks.tvm_search 512 [--trials 32 64 128 256]`.

The paper's figure 4 sets TVM with growing search counts beside its own. Here TVM's MetaSchedule searches with its own
rules for processors, evolution and cost model, on one thread; the fastest schedule after each count is kept in the
store as a library, and `pytest suites/paper -k fig4` lets them take turns with ours. A search of 256 trials takes some
five minutes of CPU time at 512^3.

Two things are not as TVM comes, or it does not work (docs/performance/evidence.md): it builds and measures in this
process, since each of its own builders parses every tensor intrinsic first and exceeds its time limit doing so; and
the intrinsics, of which fp32 products use none, are not parsed here either. TVM's wheel also needs the tvm-ffi it was
built with: a newer one ends in a segmentation fault.
"""

import argparse
import importlib.metadata
import importlib.util
import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any

from harness.errors import BaselineUnavailable, HarnessError
from harness.runners.serve import Problem
from harness.store import default_store

TRIALS = (32, 64, 128, 256)
ITERATION = 32
"""Trials between two updates of TVM's cost model."""
FFI = "0.1.14.post0"
SAMPLES, SAMPLE_S = 3, 0.02
REMEDY = "pip install -e .[tvm], then python -m benchmarks.tvm_search {size}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Searched:
    """The fastest schedule after so many trials."""

    trials: int
    library: str
    """File name beside the account."""
    gflops: float
    """As the search measured it; what is reported is measured anew, in turns with ours."""
    cpu_s: float
    """CPU time of the search up to here."""


def searched(store: Path, size: int) -> tuple[str, dict[Path, Searched]]:
    """Return the version of TVM and what its searches found for a size, by library; raise `BaselineUnavailable` if nothing."""
    place = _place(store, size)
    if wrong := unavailable():
        raise BaselineUnavailable(wrong)
    try:
        kept = json.loads((place / "searched.json").read_text())
    except FileNotFoundError:
        raise BaselineUnavailable(f"TVM has not searched at {size}^3 yet: {REMEDY.format(size=size)}") from None
    return kept["version"], {place / one["library"]: Searched(**one) for one in kept["searched"]}


def unavailable() -> str | None:
    """Return why TVM cannot run here, cause and remedy, or None."""
    if importlib.util.find_spec("tvm") is None or importlib.util.find_spec("xgboost") is None:
        return "TVM: the wheels are missing; run pip install -e .[tvm]"
    if (found := importlib.metadata.version("apache-tvm-ffi")) != FFI:
        return f"TVM: its wheel crashes with apache-tvm-ffi {found}; run pip install apache-tvm-ffi=={FFI}"
    return None


def search(store: Path, size: int, trials: Sequence[int], say: Callable[[str], None]) -> dict[Path, Searched]:
    """Search until the largest count; keep the best after each."""
    if wrong := unavailable():
        raise BaselineUnavailable(wrong)
    os.environ["TVM_NUM_THREADS"] = "1"
    tvm, place = _tvm(), _place(store, size)
    place.mkdir(parents=True, exist_ok=True)
    target = tvm.target.Target({"kind": "llvm", "mcpu": tvm.target.codegen.llvm_get_system_cpu(), "num-cores": 1})
    found = _Found(place, str(target), tvm.__version__, sorted(trials), size, say)
    builder, runner = _in_this_process(tvm, size, found)
    schedule = tvm.s_tir.meta_schedule
    callbacks = [schedule.measure_callback.AddToDatabase(), schedule.measure_callback.UpdateCostModel()]
    logging.disable(logging.INFO)
    with TemporaryDirectory() as scratch:
        schedule.tir_integration.tune_tir(
            _product(tvm, size),
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
    return searched(store, size)[1]


class _Found:
    """Counts trials and keeps the fastest so far, on the disk, whenever a count is reached."""

    def __init__(
        self, place: Path, target: str, version: str, counts: Sequence[int], size: int, say: Callable[[str], None]
    ) -> None:
        self._kept: dict[str, Any] = {"version": version, "target": target, "searched": []}
        self._place, self._counts, self._flops, self._say = place, list(counts), 2 * size**3, say
        self._done, self._best_s, self._best = 0, float("inf"), None

    def __call__(self, module: Any, seconds: float) -> None:
        """Take in one trial; a candidate that did not build counts as one, too."""
        self._done += 1
        if seconds < self._best_s:
            self._best_s, self._best = seconds, module
        if self._counts and self._done >= self._counts[0] and self._best is not None:
            trials, name = self._counts.pop(0), f"trials-{self._done}.so"
            self._best.export_library(str(self._place / name), fcompile=_link)
            gflops = self._flops / self._best_s / 1e9
            one = Searched(trials=trials, library=name, gflops=gflops, cpu_s=time.process_time())
            self._kept["searched"].append(asdict(one))
            (self._place / "searched.json").write_text(json.dumps(self._kept, indent=1) + "\n")
            self._say(f"{trials} trials: {gflops:.1f} GFLOP/s, {time.process_time():.0f} s of CPU time")


def _tvm() -> ModuleType:
    """Import TVM without torch, which tvm-ffi loads where it finds it, and without the tensor intrinsics."""
    sys.modules["torch"] = None  # type: ignore[assignment]  # this process is TVM's own
    import tvm
    import tvm.s_tir

    name = "tvm.s_tir.tensor_intrin"
    tvm.s_tir.tensor_intrin = sys.modules[name] = ModuleType(name)
    import tvm.s_tir.meta_schedule

    return tvm


def _product(tvm: ModuleType, size: int) -> Any:
    """Return C = A B as TVM's tensor expression."""
    from tvm import te

    a, b = (te.placeholder((size, size), name=name) for name in "AB")
    k = te.reduce_axis((0, size), name="k")
    c = te.compute((size, size), lambda i, j: te.sum(a[i, k] * b[k, j], axis=k), name="C")
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


def _in_this_process(tvm: ModuleType, size: int, found: _Found) -> tuple[Any, Any]:
    """Return a builder and a runner of MetaSchedule that do without processes of their own."""
    import numpy as np
    from tvm.ir.utils import derived_object
    from tvm.s_tir.meta_schedule.builder import BuilderResult, PyBuilder
    from tvm.s_tir.meta_schedule.builder.local_builder import default_build
    from tvm.s_tir.meta_schedule.runner import PyRunner, PyRunnerFuture, RunnerResult

    rng = np.random.default_rng(0)
    a, b, c = (tvm.runtime.tensor(rng.standard_normal((size, size), np.float32)) for _ in range(3))
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
            self._run_secs = run_secs

        def done(self) -> bool:
            return True

        def result(self) -> Any:
            return RunnerResult(self._run_secs, None)

    @derived_object
    class Run(PyRunner):
        def run(self, runner_inputs: Sequence[Any]) -> list[Any]:
            return [self._one(modules.pop(asked.artifact_path)) for asked in runner_inputs]

        def _one(self, module: Any) -> Any:
            samples = _samples_s(lambda: module["main"](a, b, c))
            found(module, min(samples))
            return Done(samples)

    return Build(), Run()


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


def _link(output: str, objects: Sequence[str], options: Sequence[str] | None = None, **_: Any) -> None:
    subprocess.run([sys.executable, "-m", "ziglang", "cc", "-shared", "-o", output, *objects, *(options or ())], check=True)


def _place(store: Path, size: int) -> Path:
    return store.resolve() / "tvm-search" / f"{size}x{size}x{size}"


class Way:
    """A library that TVM built, over the arena's memory; `harness.runners.serve` calls it."""

    def __init__(self, describe: str, run: Callable[[], Any]) -> None:
        self.describe, self._run = describe, run

    def run(self) -> None:
        """Compute."""
        self._run()

    def finish(self) -> None:
        """Do nothing: the result is where it belongs."""


def serve(problem: Problem) -> Way:
    """Load the library that the settings name."""
    tvm = _tvm()
    function = tvm.runtime.load_module(problem.settings)["main"]
    given = [tvm.runtime.from_dlpack(problem.operands[name]) for name in "ABC"]
    core = tvm.target.codegen.llvm_get_system_cpu()
    return Way(f"version={tvm.__version__} core={core}", lambda: function(*given))


ENVIRONMENT: Mapping[str, str] = {"TVM_NUM_THREADS": "1"}
"""Of the process that serves."""


def main() -> None:
    """Search and print what was found."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tvm_search", description=__doc__.splitlines()[1])
    parser.add_argument("size", type=int, help="of a square product, as 512")
    parser.add_argument("--trials", type=int, nargs="+", default=TRIALS, help="search counts (32 64 128 256)")
    options = parser.parse_args()
    try:
        search(default_store(), options.size, options.trials, lambda line: print(line, flush=True))
    except HarnessError as refused:
        raise SystemExit(str(refused)) from None


if __name__ == "__main__":
    main()

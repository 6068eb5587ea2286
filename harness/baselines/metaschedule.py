"""
TVM's MetaSchedule, from the `apache-tvm` wheel: the fastest schedule that `python -m benchmarks.tvm_search` found.

TVM has no code for a product before it has searched for it, so the search is a command of its own, and what it finds is
kept in the store: a library for each count of trials, and an account of them.
"""

import importlib.metadata
import importlib.util
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from harness.case import Case
from harness.errors import BaselineUnavailable
from harness.operators.gemm import GemmSpec
from harness.runners.hosted import HostedObject, hosted_environment
from harness.runners.serve import Problem
from harness.store import default_store
from harness.target import Target
from harness.toolchain import Toolchain

FFI = "0.1.14.post0"
REMEDY = "pip install -e .[tvm], then python -m benchmarks.tvm_search {m} {n} {k}"
ENVIRONMENT: Mapping[str, str] = {"TVM_NUM_THREADS": "1"}
"""Of the process that serves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Searched:
    """The fastest schedule after so many trials."""

    trials: int
    library: str
    """File name beside the account."""
    gflops: float
    """As the search measured it; what is reported is measured anew, in turns with ours."""
    cpu_s: float
    """CPU time of the search up to here, all that TVM needs to begin included."""
    wall_s: float = 0.0
    """Elapsed time since the search itself began; 0 in an account of an earlier version."""


class MetaSchedule:
    """What TVM found for one size."""

    name = "tvm"
    runners = ("native",)
    isas = ("x86",)

    def offers(self, case: Case) -> bool:
        """Plain fp32 products, one thread: what `benchmarks.tvm_search` searches for."""
        spec = case.spec
        return isinstance(spec, GemmSpec) and case.threads == 1 and spec == plain(spec.m, spec.n, spec.k) and spec.flops > 0

    def unavailable(self, case: Case, target: Target) -> str | None:
        """Return that the wheels are missing, or that TVM has not searched."""
        if wrong := unavailable():
            return wrong
        known = account(default_store(), case.spec).exists()
        return None if known else f"tvm: it has not searched for this product: {REMEDY.format(m='M', n='N', k='K')}"

    def environment(self, case: Case, target: Target) -> Mapping[str, str]:
        """Nothing for the others' process: it has one of its own."""
        return {}

    def build(self, toolchain: Toolchain, target: Target, case: Case) -> HostedObject:
        """Return the library of the longest search."""
        _, found = searched(default_store(), case.spec)
        library = max(found, key=lambda path: found[path].trials)
        return hosted(library)


def plain(m: int, n: int, k: int) -> GemmSpec:
    """Return the fp32 product of a size."""
    return GemmSpec(m=m, n=n, k=k)


def hosted(library: Path) -> HostedObject:
    """Return what a process of TVM's own is to load."""
    return HostedObject(name="tvm", module=__name__, settings=str(library), environment=hosted_environment(ENVIRONMENT))


def account(store: Path, spec: GemmSpec, target: str = "host") -> Path:
    """Return where searches for a size on a target are accounted for; the libraries lie beside it."""
    place = store.resolve() / "tvm-search" / ("" if target == "host" else target)
    return place / f"{spec.m}x{spec.n}x{spec.k}" / "searched.json"


def searched(store: Path, spec: GemmSpec, target: str = "host") -> tuple[str, dict[Path, Searched]]:
    """Return the version of TVM and what its searches found for a size, by library; raise `BaselineUnavailable` if nothing."""
    if wrong := unavailable():
        raise BaselineUnavailable(wrong)
    place = account(store, spec, target)
    try:
        kept = json.loads(place.read_text())
    except FileNotFoundError:
        remedy = REMEDY.format(m=spec.m, n=spec.n, k=spec.k) + (f" --target {target}" if target != "host" else "")
        raise BaselineUnavailable(f"tvm: it has not searched for {spec.m}x{spec.n}x{spec.k} yet: {remedy}") from None
    return kept["version"], {place.parent / one["library"]: Searched(**one) for one in kept["searched"]}


def unavailable() -> str | None:
    """Return why TVM cannot run here, cause and remedy, or None."""
    if importlib.util.find_spec("tvm") is None or importlib.util.find_spec("xgboost") is None:
        return "tvm: the wheels are missing; run pip install -e .[tvm]"
    if (found := importlib.metadata.version("apache-tvm-ffi")) != FFI:
        return f"tvm: its wheel crashes with apache-tvm-ffi {found}; run pip install apache-tvm-ffi=={FFI}"
    return None


def import_tvm() -> ModuleType:
    """Import TVM without torch, which tvm-ffi loads where it finds it, and without the tensor intrinsics."""
    sys.modules["torch"] = None  # type: ignore[assignment]  # this process is TVM's own
    import tvm
    import tvm.s_tir

    name = "tvm.s_tir.tensor_intrin"
    tvm.s_tir.tensor_intrin = sys.modules[name] = ModuleType(name)
    import tvm.s_tir.meta_schedule

    return tvm


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
    tvm = import_tvm()
    function = tvm.runtime.load_module(problem.settings)["main"]
    given = [tvm.runtime.from_dlpack(problem.operands[name]) for name in "ABC"]
    core = f"{tvm.target.codegen.llvm_get_system_cpu()}:{Path(problem.settings).stem}"
    return Way(f"version={tvm.__version__} core={core}", lambda: function(*given))


BASELINE = MetaSchedule()

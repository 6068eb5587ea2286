"""
Workbench: everything one run needs to build and run candidates, opened once and lazily.

Nothing starts before it is asked for: collecting tests opens no worker and compiles nothing.
"""

import os
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import cached_property
from statistics import median
from typing import Any

import harness.baselines
from harness.baselines import Baseline
from harness.build import Builder
from harness.case import Case
from harness.dtype import DType
from harness.errors import TargetUnavailable
from harness.fingerprint import model_fingerprint
from harness.host import detect_core, detect_host, own_processors
from harness.hosts import this_host
from harness.kernel import Author, Sketch, digest
from harness.operator import OperatorSpec
from harness.probe import peak_kind, rates
from harness.registry import discover
from harness.runners.emulated import EmulatedWorker
from harness.runners.native import NativeObject, NativeWorker
from harness.runners.protocol import Worker
from harness.sandbox import Sandbox
from harness.store import Store
from harness.target import Target, load_target
from harness.toolchain import Toolchain


class Workbench:
    """Store, sandbox, toolchain, workers and the detected targets of one run."""

    def __init__(self, store: Store, *, allow_unsafe: bool = False) -> None:
        self.store = store
        self.sandbox = Sandbox(allow_unsafe=allow_unsafe)
        self._targets: dict[str, Target] = {}

    @cached_property
    def toolchain(self) -> Toolchain:
        """Return the compiler, assembler and linker."""
        return Toolchain(self.store, self.sandbox)

    @cached_property
    def probe(self) -> NativeObject:
        """Return the machine probe."""
        return this_host().probe(self.toolchain)

    def worker(
        self,
        target: Target | None = None,
        environment: Mapping[str, str] | None = None,
        *,
        threads: int = 1,
        timed: bool = True,
    ) -> Worker:
        """
        Return a new worker process for a target (started with its first command); the caller closes it.

        A native one is pinned to as many processors as it has threads, those that are least disturbed now; one that is
        not ``timed`` runs wherever the system puts it.
        """
        if target is not None and target.runner == "cuda":
            return self._cuda_worker(target)
        if target is not None and target.runner == "emulated":
            if threads > 1:
                raise TargetUnavailable(f"{target.name}: its emulator models one core; ask for one thread")
            return EmulatedWorker(self.toolchain.emulator(target.isa), target, environment)
        allowed = target.processors if target is not None and target.processors else sorted(os.sched_getaffinity(0))
        cpus = self._quietest_processors(threads, allowed) if timed else None
        return NativeWorker(self.toolchain.worker(), {**self.sandbox.worker_environment, **(environment or {})}, cpus, threads=threads)

    def _quietest_processors(self, count: int, everywhere: Sequence[int]) -> frozenset[int]:
        """Return where the FMA loop runs fastest just now; a few milliseconds each processor, eight at most."""
        if count > len(everywhere):
            raise TargetUnavailable(f"host: {count} threads on {len(everywhere)} processors would wait for each other; ask for fewer")
        processors = everywhere[-max(8, count) :]
        if len(processors) == count:
            return frozenset(processors)
        paces = {}
        for processor in processors:
            with NativeWorker(self.toolchain.worker(), cpus=frozenset({processor})) as worker:
                paces[processor] = median(rates(worker, self.probe, this_host().pace, slices=2))
        return frozenset(sorted(processors, key=lambda processor: paces[processor])[-count:])

    def clock(self, target: Target, threads: int = 1) -> str:
        """Return the clock that times a target's candidates: on a host elapsed time where there are several threads."""
        own = NativeWorker.clock if threads == 1 else "wall"
        return {"emulated": EmulatedWorker.clock, "cuda": "cuda"}.get(target.runner, own)

    def builder(self, target: Target, sketch: Sketch, script: str, spec: OperatorSpec, *, trusted: bool) -> Builder:
        """Return what builds a sketch's candidates for a target: objects for a processor, launch plans for a GPU."""
        if target.runner == "cuda":
            from harness.cuda.build import CudaBuilder

            return CudaBuilder(target, sketch, script, self.store, self.sandbox, spec, trusted=trusted)
        return Builder(target, sketch, script, self.toolchain, self.sandbox, trusted=trusted)

    def _cuda_worker(self, target: Target) -> Worker:
        from harness.cuda.compiler import CudaCompiler
        from harness.runners.cuda import CudaWorker

        return CudaWorker(CudaCompiler(self.store, target.toolchain["arch"]))

    def compiler_name(self, target: Target) -> str:
        """Return the name and version of what builds for a target."""
        if target.runner == "cuda":
            from harness.cuda.compiler import CudaCompiler

            return CudaCompiler(self.store, target.toolchain["arch"]).name
        return self.toolchain.name

    def target(self, name: str) -> Target:
        """Return a target; `host` is detected once. Raise `TargetUnavailable` where it cannot run here."""
        if name not in self._targets:
            if name == "host":
                with self.worker() as worker:
                    self._targets[name] = detect_host(self.toolchain, worker)
            elif name == "cuda" or load_target(name).runner == "cuda":
                from harness.cuda.detect import present

                self._targets[name] = present(name, self._cuda_worker)
            else:
                target = load_target(name)
                if target.runner != "emulated":
                    raise TargetUnavailable(f"{name}: no runner of kind {target.runner} yet; use --target host")
                self._targets[name] = self._own_core(target) or target
        return self._targets[name]

    def device_lock(self, name: str) -> AbstractContextManager[None]:
        """Return the lock of what a target runs on: this machine's cores are one device under all their names."""
        return self.store.device_lock("host" if self.target(name).runner == "native" else name)

    def _own_core(self, target: Target) -> Target | None:
        """Return an emulated target as this machine has it, on a real clock; None where this machine is another."""
        if not (processors := own_processors(target, self.worker)):
            return None
        with self.worker(replace(target, runner="native", processors=processors)) as worker:
            return detect_core(target, self.toolchain, worker)

    def peak_gflops(self, target: Target, threads: int = 1, dtype: DType = DType.F32) -> float:
        """Measure a dtype's peak now, the best of 25 ms of slices: a ceiling is what the machine can do; a model has it given."""
        if target.runner == "cuda":
            return max(float(peak.value) for peak in target.peak_gflops.values())
        if target.runner == "emulated":
            return target.peak(dtype.value)
        with self.worker(threads=threads) as worker:
            return max(rates(worker, self.probe, peak_kind(target, dtype))) / 1e9

    def baselines(self, target: Target) -> dict[str, Baseline]:
        """Return the baselines that exist for the target's kind of runner and instruction set, by name."""
        found: dict[str, Baseline] = discover(harness.baselines, "BASELINE")
        return {one.name: one for one in found.values() if target.runner in one.runners and target.isa in one.isas}

    def serving(self, case: Case) -> dict[str, Baseline]:
        """Return the baselines that offer the case and can run here, by name."""
        target = self.target(case.target)
        return {name: one for name, one in self.baselines(target).items() if one.offers(case) and one.unavailable(case, target) is None}

    def identity(self, case: Case, author: Author) -> str:
        """Return the look-up key of a tuned operator: what it is for and who wrote it, nothing measured."""
        return digest("tuned", self.target(case.target).identity(), case.threads, spec_key(case.spec), author.name)

    def fingerprints(self, author: Author, case: Case) -> dict[str, str]:
        """Return what a tuned operator depends on beyond its identity; a modelled one also on its model."""
        target = self.target(case.target)
        known = {"author": author.fingerprint(target, case.spec), "toolchain": self.compiler_name(target)}
        if target.runner == "emulated":
            known["model"] = model_fingerprint(target)
        return known

    def machine_facts(self, target: Target) -> dict[str, Any]:
        """Return the machine's facts for records and reports."""
        return {
            "cpu": target.toolchain.get("brand", target.name),
            "features": list(target.features),
            "caches": [{"level": c.level, "bytes": c.bytes, "ways": c.ways} for c in target.caches],
            "cores": target.cores.value,
            "clock_hz": target.clock_hz.value,
            "vector_bits": target.vector_bits.value,
            "sandbox": self.sandbox.level,
            **({"model": target.model} if target.model else {}),
            "toolchain": self.compiler_name(target),
        }


def spec_key(spec: OperatorSpec) -> dict[str, Any]:
    """Return a spec as JSON with its operator's name, as records keep it."""
    return {"operator": spec.operator, **spec.to_json()}

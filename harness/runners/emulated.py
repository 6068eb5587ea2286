"""
The emulated runner: the same worker with a guest inside (harness/emulators), the same verdicts, a modelled clock.

A timed call runs through the timing model and gives one sample, as a second one would be the same. The guest reaches
neither the emulator nor its clock, so there is nothing to compare that sample with.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.record import Verdict
from harness.runners.native import NativeWorker, Session, Timing, verdict_of
from harness.target import Target

PATIENCE = 100.0
"""How much longer a call may take than on a machine: an emulator does 40 to 300 million instructions a second."""


class EmulatedWorker(NativeWorker):
    """A worker whose candidates are objects for another machine."""

    clock = "model"
    repeatable = True
    patience = PATIENCE

    def __init__(self, executable: Path, target: Target, environment: Mapping[str, str] | None = None) -> None:
        super().__init__(executable, {**(environment or {}), "OPW_MACHINE": machine_text(target)})
        self.clock = "model"

    def _session(self, slot: int, reply: Mapping[str, Any]) -> "EmulatedSession":
        return EmulatedSession(self, slot, reply)


class EmulatedSession(Session):
    """One guest; `counters` holds what the model counted in the last timed call."""

    counters: Mapping[str, int] = {}
    instructions: int = 0
    """Executed in the last call, functional or timed."""
    host_cpu_s: float = 0.0
    """What the last call cost this machine, warm-up included."""

    def call(self, timeout_s: float) -> Verdict:
        """Make one checked, functional call."""
        if self.verdict.ok:
            reply = self._request("call", PATIENCE * timeout_s, "")
            self.verdict = verdict_of(reply)
            self.instructions = reply.get("instructions", 0)
            self.host_cpu_s = reply.get("outside_cpu_ns", 0) * 1e-9
        return self.verdict

    def time(
        self, *, timeout_s: float, samples: int, sample_s: float = 1e-4, budget_s: float = 0.01, warm: int = 1
    ) -> Timing | None:
        """Take the one sample there is; a short call is modelled with warm caches."""
        if not self.verdict.ok:
            return None
        reply = self._request("time", PATIENCE * timeout_s, "1 0 0 1")
        self.verdict = verdict_of(reply)
        if not self.verdict.ok:
            return None
        self.instructions, self.host_cpu_s = reply["instructions"], reply["outside_cpu_ns"] * 1e-9
        self.counters = {key: int(value) for key, value in (pair.split("=") for pair in reply["counters"].split())}
        seconds = reply["samples"][0][0] * 1e-9
        return Timing(calls=1, cpu_s=(seconds,), wall_s=(seconds,), switches=(0,), outside_cpu_s=seconds)


def machine_text(target: Target) -> str:
    """Return what the emulator is told: instruction set, caches, pipeline, a parameter a line."""
    lines = [f"vector_bits {target.vector_bits.value}", f"clock_hz {target.clock_hz.value}"]
    lines += [f"{key} {fact.value}" for key, fact in target.emulator.items()]
    for cache in target.caches:
        costs = f"{cache.replacement} {cache.latency_cycles:g} {cache.occupancy_cycles:g}"
        lines.append(f"cache {cache.level} {cache.bytes} {cache.ways} {cache.line_bytes} {costs}")
    lines += [f"{key} {fact.value}" for key, fact in target.timing.items()]
    lines += [f"class {name} {fact.value}" for name, fact in target.timing_classes.items()]
    return "\n".join(lines)

"""
Examine: what can be known of a candidate's kernels before they run.

They compile, take the arguments that the plan gives them (`harness.cuda.build`), and fit a multiprocessor; the
disassembly shows what is slow. A language model's drafts are examined before they run, and where no GPU is, instead.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from subprocess import TimeoutExpired

from harness.cuda.build import CudaObject, occupancy
from harness.cuda.compiler import Compiled
from harness.cuda.plan import ResolvedLaunch
from harness.cuda.sass import disassemble, lint
from harness.operator import OperatorSpec
from harness.record import Outcome, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """One launch of a plan: its kernel, what it takes, and what will be slow."""

    role: str
    compiled: Compiled
    blocks_per_sm: int
    slow: tuple[str, ...]

    def __str__(self) -> str:
        one = self.compiled
        return "; ".join([f"{one.registers} registers, {one.spill_bytes} spilled, {self.blocks_per_sm} blocks/SM", *self.slow])


def examine(item: CudaObject, spec: OperatorSpec, limits: Mapping[str, float]) -> tuple[Examined, ...] | Verdict:
    """Return a spec's launches, or the verdict that one cannot run; ``limits`` are the ``factors`` of the target."""
    resolved = item.resolve(spec)
    compiled = resolved if isinstance(resolved, Verdict) else item.compiled(spec, resolved.roles)
    if isinstance(compiled, Verdict):
        return compiled
    found = []
    for launch in resolved.launches:
        kernel = compiled[launch.kernel]
        blocks = occupancy(launch.block, launch.shared_bytes, kernel, limits)
        if not blocks:
            return Verdict(outcome=Outcome.SCREENED, reason=f"{kernel.name}: {_too_large(launch, kernel)}")
        try:
            slow = tuple(lint(disassemble(Path(kernel.path)), ""))
        except TimeoutExpired as late:
            return Verdict(outcome=Outcome.SCREENED, reason=f"{kernel.name}: not disassembled within {late.timeout:.0f} s: write less code")
        found.append(Examined(role=launch.kernel, compiled=kernel, blocks_per_sm=blocks, slow=slow))
    return tuple(found)


def slowness(found: tuple[Examined, ...]) -> str:
    """Return what is slow of kernels, each named; empty where nothing is."""
    return "; ".join(dict.fromkeys(f"{one.compiled.name}: {what}" for one in found for what in one.slow))


def _too_large(launch: ResolvedLaunch, kernel: Compiled) -> str:
    shared = launch.shared_bytes + kernel.static_shared_bytes
    return f"no block fits a multiprocessor: {launch.block} threads of {kernel.registers} registers, {shared} bytes of shared memory"

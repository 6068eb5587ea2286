"""
Probes: loops whose time tells one parameter of a timing model each.

A probe is a function of a memory block and a number of turns. Time a turn, divided by what it does, is a throughput or a
latency; everything is in periods of the clock, which the first probe finds.
"""

from dataclasses import dataclass
from importlib import import_module
from typing import Protocol

from harness.errors import BadRequest
from harness.target import Target

CLOCK = "clock"
LINE_BYTES = 64
STREAM_BYTES = 16 << 20
"""Larger than any cache a target here has."""
CHAINS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """One loop."""

    name: str
    text: str
    """Assembly between the entry (memory in the first argument, turns in the second) and the return."""
    per_turn: int
    """Instructions, steps of a chain or lines a turn."""
    bytes: int = 4096
    """Of memory that it touches."""
    chains: int = 0
    """For pointer chains, how many; their lines are linked in a random order before."""
    walks: bool = False
    """Whether a turn is the next line of the memory, so that there are only so many."""

    @property
    def symbol(self) -> str:
        """Return the function's name."""
        return "probe_" + "".join(c if c.isalnum() else "_" for c in self.name)

    @property
    def turns(self) -> int:
        """Return how many turns a walk has, 0 where any number will do."""
        return self.bytes // LINE_BYTES if self.walks else 0


class ProbeSet(Protocol):
    """What `harness/calibrate/ISA.py` offers."""

    ENTRY: str
    """`opw_run` as an emulator calls it: C is the memory, B the turns; it goes on at ``{symbol}``."""

    def vector(self, target: Target) -> list[Probe]:
        """Return throughputs and latencies of instructions, named ``CLASS mLMUL throughput`` and ``CLASS latency``."""

    def clock(self) -> Probe:
        """Return the chain of additions of a cycle each."""

    def chase(self, name: str, size: int, chains: int) -> Probe:
        """Return pointer chains of random lines."""

    def stream(self, target: Target, name: str, size: int) -> Probe:
        """Return ``read``, ``fill`` or ``copy`` of consecutive lines."""

    def function(self, probe: Probe) -> str:
        """Return the whole function."""


def probe_set(isa: str) -> ProbeSet:
    """Return an instruction set's probes; raise `BadRequest` where there are none."""
    try:
        return import_module(f"harness.calibrate.{isa}").PROBES
    except ModuleNotFoundError:
        raise BadRequest(f"calibrate: no microbenchmarks are written for {isa}; add harness/calibrate/{isa}.py") from None


def probes(target: Target) -> list[Probe]:
    """Return everything that is run for a target, the clock first."""
    known = probe_set(target.isa)
    sizes = {f"L{cache.level}": cache.bytes // 2 for cache in target.caches} | {"memory": STREAM_BYTES}
    found = [known.clock(), *known.vector(target)]
    for where, size in sizes.items():
        found.append(known.chase(f"chase {where}", size, 1))
        found.append(known.chase(f"chains {where}", size, CHAINS))
    return found + [known.stream(target, name, STREAM_BYTES) for name in ("read", "fill", "copy")]

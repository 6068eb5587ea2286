"""
The machine under us by its instruction set: what `harness.host` has to know of it beyond what it measures.

A new one is a file here, named as `platform.machine()` has it, that exports ``HOST``; beside it harness/native/<machine>.c,
which finds the factors out and checks what a call leaves behind, and the loops of its probe.
"""

import platform
import sys
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from harness.build import names_header
from harness.errors import RunnerError, TargetUnavailable
from harness.machine import Machine
from harness.record import Verdict
from harness.registry import discover
from harness.runners.native import NativeObject
from harness.target import DETECTED, Target, load_target, target_names
from harness.toolchain import NATIVE, Toolchain


class Host(Protocol):
    """One instruction set, natively under Linux."""

    isa: str
    pace: int
    """The loop that tells how fast a processor is just now: fp32 FMAs of vectors that every such machine has."""
    clock_source: str
    """How the loop 0 of `harness.probe` tells the clock."""

    def probe(self, toolchain: Toolchain) -> NativeObject:
        """Build the loops of `harness.probe`."""

    def factors(self, reply: Mapping[str, Any]) -> dict[str, Any]:
        """
        Return what needs no measuring as a target file has it, from the worker's answer to ``factors``.

        Raise `TargetUnavailable` where the expert has no kernels for what the machine lacks.
        """

    def processors(self, target: Target, reply: Mapping[str, Any]) -> tuple[int, ...]:
        """Return the processors of this process that are a target's core."""


def this_host() -> Host:
    """Return the host of this machine's instruction set; raise `TargetUnavailable` where there is none."""
    hosts, machine = discover(sys.modules[__name__], "HOST"), platform.machine()
    if platform.system() != "Linux" or machine not in hosts:
        raise TargetUnavailable(f"host: {platform.system()} on {machine} is not supported yet; run Linux on one of {', '.join(hosts)}")
    return hosts[machine]


def described_by(is_it: Callable[[Target], bool]) -> Target | None:
    """Return the target file that describes a core; None where there is none."""
    files = (load_target(name) for name in target_names() if name not in DETECTED)
    return next(filter(is_it, files), None)


def build_probe(toolchain: Toolchain, source: str, machine: Machine) -> NativeObject:
    """Build the loops of one instruction set from a file of harness/native and what calls them."""
    text = "".join((NATIVE / part).read_text() for part in (source, "probe_run.c"))
    built = toolchain.compile_c(text, names_header(("kind", "turns")), machine, trusted=True)
    if isinstance(built, Verdict):
        raise RunnerError(f"the machine probe does not build: {built}")
    return NativeObject(name="probe", libraries=(built,), trusted=True)

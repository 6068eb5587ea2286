"""
Baselines: the libraries an expert would have used, behind the same two functions as a candidate.

A file here exports ``BASELINE``. Most stand before C files ``<library>_<operator>.c`` (`harness.adapter`).
"""

from collections.abc import Mapping
from typing import Protocol

from harness.case import Case
from harness.runners.hosted import HostedObject
from harness.runners.native import NativeObject
from harness.target import Target
from harness.toolchain import Toolchain


class Baseline(Protocol):
    """A library to compare with."""

    name: str
    runners: tuple[str, ...]
    """The kinds of runner it exists for: ``native``, ``cuda`` ..."""
    isas: tuple[str, ...]
    """The instruction sets it has code for, as targets name them: ``x86``, ``neon`` ..."""

    def offers(self, case: Case) -> bool:
        """Return whether it has anything for the computation: operator, dtypes, sizes, threads."""

    def unavailable(self, case: Case, target: Target) -> str | None:
        """Return why it cannot be had on the target, cause and remedy, or None when it can."""

    def environment(self, case: Case, target: Target) -> Mapping[str, str]:
        """Return environment variables for the process it is loaded into (its core type, its threads)."""

    def build(self, toolchain: Toolchain, target: Target, case: Case) -> NativeObject | HostedObject:
        """Return the adapter and the library, in load order, or what a process of its own is to do."""


class ModelledBaseline(Baseline, Protocol):
    """A library for emulated targets, whose times may be known where the library itself is not there."""

    def fingerprint(self, target: Target, case: Case) -> str:
        """Return a digest of the code that would run, the adapter's included, known without having the library."""

    def rival(self, target: Target) -> bool:
        """Return whether it has vector kernels for the target; without, its ratios enter no mean."""

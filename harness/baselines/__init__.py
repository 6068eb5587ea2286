"""
Baselines: the libraries an expert would have used, behind the same two functions as a candidate.

A file here exports ``BASELINE``; its adapters are C files ``<baseline>_<operator>.c`` beside it, so a baseline that
has none for an operator says so.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from harness.operator import OperatorSpec
from harness.runners.native import NativeObject
from harness.target import Target
from harness.toolchain import Toolchain

ADAPTERS = Path(__file__).parent


class Baseline(Protocol):
    """A library to compare with."""

    name: str
    runners: tuple[str, ...]
    """The kinds of runner it exists for: ``native``, ``cuda`` ..."""

    def unavailable(self, spec: OperatorSpec, target: Target) -> str | None:
        """Return why it cannot serve the spec on the target, cause and remedy, or None when it can."""

    def environment(self, target: Target) -> Mapping[str, str]:
        """Return environment variables for the process it is loaded into (its core type, one thread)."""

    def build(self, toolchain: Toolchain, target: Target, spec: OperatorSpec) -> NativeObject:
        """Return the adapter and the library, in load order."""

"""
What verify, tune and compare ask of a runner: a worker that opens sessions, each with one candidate and one arena.

`harness.runners.native` runs on this machine, `harness.runners.emulated` in an emulator with a modelled clock; both
answer with the same verdicts. What differs between them is said here and nowhere else.
"""

from collections.abc import Callable
from typing import Protocol

from harness.record import Verdict
from harness.runners.arena import Arena
from harness.runners.native import NativeObject, Timing


class Session(Protocol):
    """One open candidate; a context manager."""

    verdict: Verdict
    trusted: bool
    describe: str
    workspace_bytes: int

    def __enter__(self) -> "Session": ...

    def __exit__(self, *_: object) -> None: ...

    def close(self) -> None:
        """End the candidate's process."""

    def call(self, timeout_s: float) -> Verdict:
        """Make one checked call; the session is over unless the verdict is OK."""

    def time(
        self, *, timeout_s: float, samples: int, sample_s: float = 1e-4, budget_s: float = 0.01, warm: int = 1
    ) -> Timing | None:
        """Take up to `samples` samples (at least one), or None when the verdict is no longer OK."""


class Worker(Protocol):
    """A process that runs candidates; a context manager."""

    clock: str
    """The clock behind `Timing.cpu_s`: ``cpu`` on this machine, ``wall`` with several threads, ``model`` in an emulator."""
    threads: int
    repeatable: bool
    """Whether the same call always takes the same time: then one sample says all, and racing leaders is no use."""

    def __enter__(self) -> "Worker": ...

    def __exit__(self, *_: object) -> None: ...

    def close(self) -> None:
        """End the process and every session."""

    def open(self, item: NativeObject, arena: Arena) -> Session:
        """Start a session; a candidate that cannot be loaded gives a session whose `verdict` says why."""

    def once(self, item: NativeObject, arena: Arena, timeout_s: float) -> Callable[[], Verdict]:
        """
        Begin one checked call in a session of its own; the function returned waits for its verdict.

        Until it has been called the worker takes no other request.
        """

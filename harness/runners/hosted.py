"""
The hosted runner: a peer that lives in Python, in a process of its own, behind the guarded worker's commands.

The process (`harness.runners.serve`) maps the same arena and answers ``open``, ``call``, ``time`` and ``close`` as the
guarded worker does, on the same clocks; so its sessions take turns with all others, and are verified as they are.
"""

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import RunnerError
from harness.runners.arena import Arena
from harness.runners.native import NativeWorker, Session

ROOT = Path(__file__).parents[2]
OPEN_S = 180
"""Importing a framework and letting it make ready; minutes on a machine that others use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostedObject:
    """A peer's Python module, which has `serve(problem)`, and what that module needs to know."""

    name: str
    module: str
    threads: int = 1
    settings: str = ""
    """The module's own: the path of what was compiled for the case, say."""
    environment: tuple[tuple[str, str], ...] = ()


class HostedWorker(NativeWorker):
    """The process of one hosted peer."""

    def __init__(self, item: HostedObject, cpus: frozenset[int] | None = None) -> None:
        paths = {"PYTHONPATH": str(ROOT), "HOME": os.environ.get("HOME", "/")}
        super().__init__(Path(sys.executable), {**paths, **dict(item.environment)}, cpus, threads=item.threads)
        self._arguments = ("-m", "harness.runners.serve")

    def open(self, item: HostedObject, arena: Arena) -> Session:
        """Let the peer make ready for a problem; one that cannot gives a session whose `verdict` says why."""
        if not self._free:
            raise RunnerError(f"{item.name}: too many sessions are open")
        slot = self._free.pop()
        spec = arena.spec
        problem = {
            "module": item.module,
            "settings": item.settings,
            "threads": item.threads,
            "spec": {"operator": spec.operator, **spec.to_json()},
            "arena": arena.path,
            "offsets": [region.data_offset for region in arena.regions],
        }
        session = self._session(slot, self.request(f"open {slot} {json.dumps(problem)}", OPEN_S))
        session.trusted = True
        return session

    def request(self, line: str, timeout_s: float) -> dict[str, Any]:
        """Send one command and return its reply; a peer that dies or hangs has failed, but not the run."""
        try:
            return super().request(line, timeout_s)
        except RunnerError as lost:
            return {"status": "load", "where": str(lost)}


def hosted_environment(environment: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Return an environment with which memory that a library frees stays mapped, so that no timed call page-faults."""
    keep = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(16 << 30), "MALLOC_TOP_PAD_": str(64 << 20)}
    return tuple(sorted({**keep, **environment}.items()))

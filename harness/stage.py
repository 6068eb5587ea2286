"""Stage: the processes that the contenders of one measurement run in, behind one `open`."""

from collections.abc import Mapping
from contextlib import ExitStack

from harness.case import Case
from harness.runners.arena import Arena
from harness.runners.hosted import HostedObject, HostedWorker
from harness.runners.native import NativeObject
from harness.runners.protocol import Session, Worker
from harness.target import Target
from harness.workbench import Workbench


class Stage:
    """A guarded worker for everything that is an object, and a process for each peer in Python; a context manager."""

    def __init__(self, bench: Workbench, target: Target, case: Case, environment: Mapping[str, str]) -> None:
        self._closing = ExitStack()
        self.worker: Worker = self._closing.enter_context(bench.worker(target, environment, threads=case.threads))
        self._hosted: dict[str, HostedWorker] = {}

    def __enter__(self) -> "Stage":
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.close()

    def worker_of(self, item: NativeObject | HostedObject) -> Worker:
        """Return the process for a contender, on the same processors as all others; a host starts when first asked."""
        if not isinstance(item, HostedObject):
            return self.worker
        if item.name not in self._hosted:
            host = HostedWorker(item, getattr(self.worker, "cpus", None))
            self._hosted[item.name] = self._closing.enter_context(host)
        return self._hosted[item.name]

    def open(self, item: NativeObject | HostedObject, arena: Arena) -> Session:
        """Start a session of a contender."""
        return self.worker_of(item).open(item, arena)

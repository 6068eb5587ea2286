"""
Locks: one process at a time on a device.

The lock is the kernel's (`flock`), so it ends with its holder, killed or not; the pid in the file is for people only.
"""

import fcntl
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

from harness.artefacts import disk_errors
from harness.errors import StoreError

POLL_S = 0.05
log = logging.getLogger(__name__)


@contextmanager
def file_lock(directory: Path, name: str, *, timeout_s: float | None = None) -> Iterator[None]:
    """
    Hold the lock ``name`` of ``directory`` for the length of a ``with`` block.

    Waiting is logged once, with the pid of the holder.
    Raise `StoreError` when it was not free within ``timeout_s``; None waits as long as it takes.
    """
    path = directory / f"{quote(name, safe='')}.lock"
    with disk_errors(path):
        directory.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        _acquire(descriptor, name, timeout_s)
        _write_holder(descriptor, str(os.getpid()))
        yield
        _write_holder(descriptor, "")
    finally:
        os.close(descriptor)


def _acquire(descriptor: int, name: str, timeout_s: float | None) -> None:
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    announced = False
    while not _try(descriptor):
        if deadline is not None and time.monotonic() >= deadline:
            raise StoreError(
                f"{name} is busy: {_holder(descriptor)} has held it for over {timeout_s:g} s; wait for it or end it"
            )
        if not announced:
            log.warning("waiting for %s, held by %s", name, _holder(descriptor))
            announced = True
        time.sleep(POLL_S)


def _try(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holder(descriptor: int) -> str:
    pid = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
    return f"process {pid}" if pid else "another process"


def _write_holder(descriptor: int, pid: str) -> None:
    with suppress(OSError):  # a full disk must not keep anyone from the device
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, pid.encode(), 0)

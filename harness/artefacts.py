"""
Artefacts: files named after their content, written whole or not at all.

A name can therefore never lie: a file that was cut short or altered no longer matches it and is treated as absent.
"""

import errno
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from harness.errors import StoreError

DIGITS = 32
"""Hexadecimal digits of a content address, as in `harness.kernel.digest`."""

ELSEWHERE = "set OPWRIGHT_STORE to a directory you may write to"
FULL = (errno.ENOSPC, errno.EDQUOT)
"""Error numbers of a disk, or a quota, that has no room left."""
_FORBIDDEN = (errno.EROFS, errno.EACCES, errno.EPERM)
_NOT_A_DIRECTORY = (errno.ENOTDIR, errno.EEXIST)


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn an `OSError` about ``path`` into a `StoreError` with its remedy."""
    try:
        yield
    except OSError as error:
        raise StoreError(_explain(error, path)) from None


def disk_full(place: Path | str) -> str:
    """Return what a person is told when there is no room at a place."""
    return f"the disk is full at {place}: free some space and run again; what was stored is kept"


def _explain(error: OSError, path: Path) -> str:
    if error.errno in FULL:
        return disk_full(path)
    if error.errno in _FORBIDDEN:
        return f"cannot write to {path} ({error.strerror}): {ELSEWHERE}"
    if error.errno in _NOT_A_DIRECTORY:
        return f"cannot keep records in {path}: there is a file where a directory should be; {ELSEWHERE}"
    return f"cannot use {path} ({error.strerror}): {ELSEWHERE}"


def address(data: bytes) -> str:
    """Return the content address of ``data``."""
    return hashlib.sha256(data).hexdigest()[:DIGITS]


def put(root: Path, data: bytes, suffix: str = "", *, lasting: bool = True) -> Path:
    """
    Write ``data`` under ``root`` at its address and return the path; a power cut leaves the whole file or none.

    What is not ``lasting`` is cheap to make again and not waited for: a power cut may leave less of it, which `intact`
    sees.
    """
    name = address(data)
    path = root / name[:2] / f"{name}{suffix}"
    with disk_errors(path):
        if not intact(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            _write_whole(path, data, lasting)
    return path


def intact(path: Path) -> bool:
    """Return whether the file exists and its content is still what its name says."""
    try:
        return address(path.read_bytes()) == path.name[:DIGITS]
    except FileNotFoundError:
        return False


def _write_whole(path: Path, data: bytes, lasting: bool) -> None:
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, suffix=".part")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(file.fileno(), 0o644)
            if lasting:
                os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        with suppress(FileNotFoundError):
            Path(temporary).unlink()
        raise
    if lasting:
        _sync_directory(path.parent)


def _sync_directory(directory: Path) -> None:
    """Make the rename itself durable, not only the content."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

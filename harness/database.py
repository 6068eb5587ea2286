"""
The database file of a store: its tables, how it is opened, and what its faults mean to a user.

A file that is damaged, newer than this program or somebody else's is reported and left exactly as it was.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness import artefacts
from harness.errors import StoreError
from harness.locks import file_lock

SCHEMA = 1
BUSY_S = 30.0

TABLES = (
    """CREATE TABLE records (
        id INTEGER PRIMARY KEY, content TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, case_slug TEXT NOT NULL,
        run TEXT NOT NULL, identity TEXT NOT NULL, tuning TEXT NOT NULL, candidate TEXT NOT NULL,
        outcome TEXT NOT NULL, sequence INTEGER NOT NULL, json TEXT NOT NULL)""",
    "CREATE INDEX records_by_run ON records (run, kind, case_slug)",
    "CREATE INDEX records_by_case ON records (case_slug, kind)",
    "CREATE INDEX records_by_identity ON records (identity, kind, tuning)",
    """CREATE TABLE runs (
        id TEXT PRIMARY KEY, number INTEGER NOT NULL, created TEXT NOT NULL, finished TEXT NOT NULL,
        argv TEXT NOT NULL, facts TEXT NOT NULL)""",
    "CREATE TABLE tuned (number INTEGER PRIMARY KEY, identity TEXT NOT NULL, record INTEGER NOT NULL)",
    "CREATE INDEX tuned_by_identity ON tuned (identity, number)",
    "CREATE TABLE artefacts (key TEXT PRIMARY KEY, path TEXT NOT NULL)",
)


def connect(database: Path) -> sqlite3.Connection:
    """Open the database, creating it where there is none, and only for reading where the disk allows no more."""
    with artefacts.disk_errors(database.parent):
        database.parent.mkdir(parents=True, exist_ok=True)
    log = Path(f"{database}-wal")
    if database.exists() and database.stat().st_size == 0 and log.exists() and log.stat().st_size > 0:
        raise damaged(database, "it is empty but its log is not")  # SQLite would delete the log
    writable = all(os.access(path, os.W_OK) for path in (database.parent, database) if path.exists())
    # Without a log nobody is writing, and the shared memory that reading a log needs could not be created here.
    options = "mode=rwc" if writable else "mode=ro" if log.exists() else "mode=ro&immutable=1"
    connection = sqlite3.connect(f"{database.resolve().as_uri()}?{options}", BUSY_S, uri=True, isolation_level=None)
    try:
        _check(connection, database, writable)
        connection.execute("PRAGMA synchronous = NORMAL")
    except BaseException:
        connection.close()
        raise
    return connection


def _check(connection: sqlite3.Connection, database: Path, writable: bool) -> None:
    """Create the tables of an empty database; refuse one that is not ours to write."""
    if _version(connection) == 0 and writable:
        with file_lock(database.parent / "locks", "database"):
            _create(connection)
    version = _version(connection)
    if version == 0:
        raise StoreError(f"{database} is not a record store: {artefacts.ELSEWHERE}")
    if version > SCHEMA:
        raise StoreError(
            f"{database} was written by a newer Opwright (schema {version}, this one reads up to {SCHEMA}): "
            "update this checkout, or set OPWRIGHT_STORE to another directory"
        )


def _version(connection: sqlite3.Connection) -> int:
    return connection.execute("PRAGMA user_version").fetchone()[0]


def _create(connection: sqlite3.Connection) -> None:
    """Create the tables, unless another process just has or they would join somebody else's."""
    if _version(connection) or connection.execute("SELECT 1 FROM sqlite_master").fetchone():
        return
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("BEGIN IMMEDIATE")
    for statement in TABLES:
        connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {SCHEMA}")
    connection.execute("COMMIT")


def damaged(database: Path, why: object) -> StoreError:
    """Return the error for a database whose content is not what was written."""
    return StoreError(
        f"the record store {database} is damaged ({why}): move it aside, together with any -wal and -shm file "
        "beside it, and run again; it was left as it is"
    )


@contextmanager
def sqlite_errors(database: Path) -> Iterator[None]:
    """Turn the faults of a disk or a file into `StoreError`; only a misuse of the interface stays what it is."""
    try:
        yield
    except sqlite3.ProgrammingError:
        raise
    except UnicodeDecodeError as error:  # SQLite's message quotes a name that is no longer text
        raise damaged(database, error) from None
    except sqlite3.Error as error:
        remedy = _REMEDIES.get(getattr(error, "sqlite_errorcode", 0) & 0xFF)
        if remedy is None:  # also "no such column": in a schema that one flipped bit has renamed
            raise damaged(database, error) from None
        raise StoreError(remedy.format(database=database, error=error)) from None


_READ_ONLY = "the record store {database} can be read but not written ({error}): " + artefacts.ELSEWHERE
_REMEDIES = {
    sqlite3.SQLITE_FULL: "the disk of {database} is full: free some space and run again; what was stored is kept",
    sqlite3.SQLITE_IOERR: "the disk of {database} failed ({error}): check it and run again; what was stored is kept",
    sqlite3.SQLITE_READONLY: _READ_ONLY,
    sqlite3.SQLITE_PERM: _READ_ONLY,
    sqlite3.SQLITE_CANTOPEN: "the record store {database} cannot be opened ({error}): " + artefacts.ELSEWHERE,
    sqlite3.SQLITE_BUSY: "another process has kept {database} locked for 30 s: wait for it to end and run again",
}

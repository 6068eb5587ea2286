"""
Store: every record, run, tuned operator and artefact, in one directory on the local disk.

SQLite in write-ahead mode: with four writers and random kill -9 it lost no acknowledged record, where lines appended
to a file did. What `Store.add` has returned for is committed.
A damaged or newer database is never altered: the user is told where it is.
"""

import json
import os
import secrets
import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from harness import artefacts
from harness.database import connect, damaged, sqlite_errors
from harness.errors import BadRequest
from harness.kernel import digest
from harness.locks import file_lock
from harness.record import Record

DATABASE = "records.sqlite"


def default_store() -> Path:
    """Return the store's directory: ``$OPWRIGHT_STORE``, else ``.opwright`` in the project."""
    chosen = os.environ.get("OPWRIGHT_STORE")
    return Path(chosen).expanduser() if chosen else Path(__file__).resolve().parent.parent / ".opwright"


def tuning_key(fingerprints: Mapping[str, Any], search: Mapping[str, Any]) -> str:
    """Return what evaluations of one tuning share, for ``Record.facts["tuning"]``; another seed is another tuning."""
    return digest("tuning", dict(fingerprints), dict(search))


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One invocation that made records."""

    id: str
    created: str
    """UTC, ISO 8601."""
    finished: str
    """Empty while it runs, and for ever if it was killed."""
    argv: tuple[str, ...]
    facts: dict[str, Any]
    cases: int
    """Cases that were measured."""
    evaluations: int


class Store:
    """
    The records of a directory.

    Nothing touches the disk before the first use, and reading never creates anything.
    A store that cannot be written can still be read; writing then raises `StoreError`, as does every fault of the disk.
    One `Store` belongs to one thread; processes may share the directory freely.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self.database = self.path / DATABASE
        self._connection: sqlite3.Connection | None = None

    @classmethod
    def open(cls, path: Path) -> Self:
        """Return the store of a directory, for a ``with`` block that closes it."""
        return cls(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the database; the next use opens it again."""
        if self._connection is not None:
            connection, self._connection = self._connection, None
            with sqlite_errors(self.database):
                connection.close()

    # Records

    def add(self, record: Record) -> int:
        """Store a record and return its number; once returned it survives kill -9. The same record again is ignored."""
        with self._writing() as connection:
            return _insert(connection, record)

    def records(
        self, run: str | None = None, case: str | None = None, identity: str | None = None, kind: str | None = None
    ) -> list[Record]:
        """Return the records that match everything given, oldest first."""
        wanted = {"run": run, "case_slug": case, "identity": identity, "kind": kind}
        given = {column: value for column, value in wanted.items() if value is not None}
        where = " AND ".join(f"{column} = ?" for column in given) or "1"
        rows = self._rows(f"SELECT json FROM records WHERE {where} ORDER BY id", *given.values())
        return [self._record(text) for (text,) in rows]

    def evaluations(self, identity: str, tuning: str) -> dict[str, Record]:
        """
        Return what a tuning has learnt so far, by candidate key, in the order it was asked.

        ``tuning`` is the evaluations' ``facts["tuning"]``, see `tuning_key`.
        Of a candidate measured more than once the first answer counts: it is the one the search saw.
        """
        rows = self._rows(
            "SELECT candidate, json FROM records WHERE identity = ? AND kind = 'evaluation' AND tuning = ?"
            " ORDER BY sequence DESC, id DESC",
            identity,
            tuning,
        )
        first = dict(rows)
        return dict(
            sorted(((key, self._record(text)) for key, text in first.items()), key=lambda item: item[1].sequence)
        )

    def evaluations_behind(self, run: str) -> dict[str, list[Record]]:
        """Return the evaluations of everything that a run measured or evaluated, by identity, whichever runs made them."""
        rows = self._rows(
            "SELECT identity, json FROM records WHERE kind = 'evaluation' AND identity IN"
            " (SELECT identity FROM records WHERE run = ? AND kind IN ('measurement', 'evaluation')) ORDER BY id",
            run,
        )
        found: dict[str, list[Record]] = {}
        for identity, text in rows:
            found.setdefault(identity, []).append(self._record(text))
        return found

    def count(self) -> int:
        """Return how many records there are."""
        rows = self._rows("SELECT count(*) FROM records")
        return rows[0][0] if rows else 0

    def adopt(self, runs: Sequence[Run], records: Sequence[Record]) -> None:
        """
        Add runs and records of another store, all or none; what is already here stays as it is.

        The runs count as older than every run of this store, so ``last`` stays what it was; a winner becomes the tuned
        operator of its identity only where there is none.
        """
        with self._writing() as connection:
            (number,) = connection.execute("SELECT coalesce(min(number), 1) FROM runs").fetchone()
            for offset, run in enumerate(runs, -len(runs)):
                row = (run.id, number + offset, run.created, run.finished, _text(list(run.argv)), _text(run.facts))
                connection.execute("INSERT OR IGNORE INTO runs VALUES (?, ?, ?, ?, ?, ?)", row)
            for record in records:
                place = _insert(connection, record)
                if record.kind == "winner":
                    connection.execute(
                        "INSERT INTO tuned (identity, record) SELECT ?, ?"
                        " WHERE NOT EXISTS (SELECT 1 FROM tuned WHERE identity = ?)",
                        (record.identity, place, record.identity),
                    )

    # Tuned operators

    def put_tuned(self, identity: str, record: Record) -> int:
        """Make ``record`` the tuned operator of ``identity``, stored as kind ``winner``; earlier ones are kept."""
        with self._writing() as connection:
            number = _insert(connection, replace(record, kind="winner", identity=identity))
            connection.execute("INSERT INTO tuned (identity, record) VALUES (?, ?)", (identity, number))
            return number

    def tuned(self, identity: str) -> Record | None:
        """Return the latest tuned operator of ``identity``; whether its fingerprints still match is the caller's."""
        rows = self._rows(
            "SELECT json FROM tuned JOIN records ON records.id = tuned.record"
            " WHERE tuned.identity = ? ORDER BY tuned.number DESC LIMIT 1",
            identity,
        )
        return self._record(rows[0][0]) if rows else None

    # Runs

    def begin_run(self, argv: Sequence[str], facts: Mapping[str, Any]) -> str:
        """Enter a run and return its id, short enough to type: UTC date, time and four random digits."""
        now = datetime.now(UTC)
        with self._writing() as connection:
            (number,) = connection.execute("SELECT coalesce(max(number), 0) + 1 FROM runs").fetchone()
            while True:
                run = f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
                row = (run, number, _timestamp(now), "", _text(list(argv)), _text(dict(facts)))
                if connection.execute("INSERT OR IGNORE INTO runs VALUES (?, ?, ?, ?, ?, ?)", row).rowcount:
                    return run

    def finish_run(self, run: str) -> None:
        """Note when a run ended."""
        with self._writing() as connection:
            connection.execute("UPDATE runs SET finished = ? WHERE id = ?", (_timestamp(datetime.now(UTC)), run))

    def runs(self) -> list[Run]:
        """Return all runs, the newest first."""
        rows = self._rows(
            "SELECT id, created, finished, argv, facts,"
            " (SELECT count(DISTINCT case_slug) FROM records WHERE run = runs.id AND kind = 'measurement'),"
            " (SELECT count(*) FROM records WHERE run = runs.id AND kind = 'evaluation')"
            " FROM runs ORDER BY number DESC"
        )
        return [
            Run(
                id=run,
                created=created,
                finished=finished,
                argv=tuple(self._json(argv)),
                facts=self._json(facts),
                cases=cases,
                evaluations=evaluations,
            )
            for run, created, finished, argv, facts, cases, evaluations in rows
        ]

    def last_run(self) -> str | None:
        """Return the newest run that made records; a run of the selftests, say, makes none."""
        rows = self._rows(
            "SELECT id FROM runs WHERE EXISTS (SELECT 1 FROM records WHERE run = runs.id) ORDER BY number DESC LIMIT 1"
        )
        return rows[0][0] if rows else None

    def resolve_run(self, text: str) -> str:
        """
        Return the run that ``last``, ``last~1`` (the one before it) or a unique beginning of an id means.

        Raise `BadRequest` naming the choices.
        """
        known = [run for (run,) in self._rows("SELECT id FROM runs ORDER BY number DESC")]
        last = self.last_run()
        if last is None or not known:
            raise BadRequest(f"no records yet in {self.path}: make some with `pytest suites/ -k host`")
        if text == "last":
            return last
        if (back := text.removeprefix("last~")).isdecimal() and back != text:
            return self._run_before(int(back))
        matching = [run for run in known if text and run.startswith(text)]
        if len(matching) == 1 or text in matching:
            return text if text in matching else matching[0]
        problem = f"{text!r} begins {len(matching)} runs" if matching else f"there is no run {text!r}"
        choices = matching or known
        more = f" and {len(choices) - 10} older ones" if len(choices) > 10 else ""
        raise BadRequest(f"{problem}; choose last, {', '.join(choices[:10])}{more}")

    def _run_before(self, steps: int) -> str:
        rows = self._rows(
            "SELECT id FROM runs WHERE EXISTS (SELECT 1 FROM records WHERE run = runs.id) ORDER BY number DESC"
        )
        if steps >= len(rows):
            raise BadRequest(f"last~{steps}: {self.path} has only {len(rows)} runs with records")
        return rows[steps][0]

    # Artefacts and devices

    def put_artefact(self, data: bytes, suffix: str = "", *, keys: Collection[str] = (), lasting: bool = True) -> Path:
        """
        Keep a built file at its content address; by ``keys``, digests of all its inputs, it can be looked up.

        What is cheap to build again need not be ``lasting``: it survives this process, perhaps not a power cut.
        """
        path = artefacts.put(self.path / "artefacts", data, suffix, lasting=lasting)
        if keys:
            relative = str(path.relative_to(self.path))
            with self._writing() as connection:
                connection.executemany("INSERT OR REPLACE INTO artefacts VALUES (?, ?)", [(key, relative) for key in keys])
        return path

    def artefact(self, key: str) -> Path | None:
        """Return the file that was built from ``key``, or None where there is none or it no longer is what it was."""
        rows = self._rows("SELECT path FROM artefacts WHERE key = ?", key)
        path = self.path / rows[0][0] if rows else None
        return path if path is not None and artefacts.intact(path) else None

    def device_lock(self, name: str, *, timeout_s: float | None = None) -> AbstractContextManager[None]:
        """Hold a device for a ``with`` block; see `harness.locks.file_lock`."""
        return file_lock(self.path / "locks", name, timeout_s=timeout_s)

    # The database

    def _connected(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = connect(self.database)
        return self._connection

    def _rows(self, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
        with artefacts.disk_errors(self.database):
            if self._connection is None and not self.database.exists():
                return []
        with sqlite_errors(self.database):
            return self._connected().execute(sql, parameters).fetchall()

    def _record(self, text: str) -> Record:
        try:
            return Record.from_json(self._json(text))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise damaged(self.database, error) from None

    def _json(self, text: str) -> Any:
        try:
            return json.loads(text)
        except (ValueError, TypeError) as error:
            raise damaged(self.database, error) from None

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """Commit what the block does, all of it or nothing."""
        with sqlite_errors(self.database):
            connection = self._connected()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")


def _insert(connection: sqlite3.Connection, record: Record) -> int:
    data = record.to_json()
    content = digest(_text(data))
    data["created"] = record.created or _timestamp(datetime.now(UTC))
    row = {
        "content": content,
        "kind": record.kind,
        "case_slug": record.case,
        "run": record.run,
        "identity": record.identity,
        "tuning": str(record.facts.get("tuning", "")),
        "candidate": digest(record.candidate),
        "outcome": record.verdict.outcome.value,
        "sequence": record.sequence,
        "json": _text(data),
    }
    connection.execute(
        f"INSERT OR IGNORE INTO records ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})", tuple(row.values())
    )
    return connection.execute("SELECT id FROM records WHERE content = ?", (content,)).fetchone()[0]


def _text(value: object) -> str:
    """Return canonical JSON; numpy's numbers and arrays become plain ones."""
    return json.dumps(value, separators=(",", ":"), default=_plain)


def _plain(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else str(value)


def _timestamp(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds")

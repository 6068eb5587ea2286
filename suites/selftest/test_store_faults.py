"""What is stored stays stored: killed writers, full and read-only disks, damaged and newer databases, busy devices."""

import errno
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fixtures.plugin import in_one_sentence
from harness.errors import StoreError
from harness.record import Outcome, Record, Verdict
from harness.store import Store

ROOT = Path(__file__).resolve().parents[2]
RECORD = Record(
    kind="evaluation",
    case="host-sgemm-64x64x64",
    run="20261121-214500-a1b2",
    target="host",
    spec={"m": 64},
    author="expert",
    verdict=Verdict(outcome=Outcome.OK),
    samples_s=(1.5e-3, 2.5e-3),
)

PRELUDE = """
import sys
from dataclasses import replace
from pathlib import Path
from harness.errors import StoreError
from harness.record import Outcome, Record, Verdict
from harness.store import Store
store = Store(Path(sys.argv[1]))
record = Record(kind="evaluation", case="c", run="r", target="host", spec={}, author="a",
                verdict=Verdict(outcome=Outcome.OK))
"""


@pytest.fixture
def store(tmp_path):
    """Open an empty store."""
    with Store.open(tmp_path / "store") as opened:
        yield opened


@pytest.fixture
def public_path():
    """Make a directory that an account without rights can reach, unlike pytest's own."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name)
        path.chmod(0o755)
        yield path
        for directory in (path, *path.rglob("*/")):
            directory.chmod(0o755)


def child(body, *arguments, prefix=(), **options):
    """Start a Python process with a store opened at its first argument."""
    command = [*prefix, sys.executable, "-c", PRELUDE + body, *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, **options
    )


def answer(process):
    """Return what a child printed; fail with its traceback."""
    out, err = process.communicate(timeout=60)

    assert process.returncode == 0, err
    return out.strip()


POWERLESS = """
import os
if os.geteuid() == 0:  # file permissions do not bind root
    os.setresuid(65534, 65534, 65534)
"""


# Killed writers

WRITER = """
for number in range(10**6):
    store.add(replace(record, run=sys.argv[2], sequence=number))
    print(number, flush=True)
"""


def test_acknowledged_records_survive_kill_9(tmp_path):
    """Four writers are killed at random moments, twice over; what they were told is stored is there."""
    generator = random.Random(1)
    acknowledged = {}
    for attempt in range(2):
        writers = {f"{attempt}-{index}": child(WRITER, tmp_path, f"{attempt}-{index}") for index in range(4)}
        for writer in writers.values():
            writer.stdout.readline()
        for name, writer in writers.items():
            time.sleep(generator.uniform(0.02, 0.1))
            writer.send_signal(signal.SIGKILL)
            acknowledged[name] = 1 + writer.stdout.read().count("\n")
            writer.communicate()

    with Store.open(tmp_path) as store:
        store.add(RECORD)
        for name, count in acknowledged.items():
            stored = [record.sequence for record in store.records(run=name)]
            assert list(range(len(stored))) == stored
            assert count <= len(stored) <= count + 1
    assert sqlite3.connect(store.database).execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_many_processes_may_create_the_store_at_once(tmp_path):
    """The first use of a store is no race."""
    body = "store.add(replace(record, run=sys.argv[2]))"
    for process in [child(body, tmp_path, index) for index in range(4)]:
        answer(process)

    assert len(Store(tmp_path).records()) == 4


# Disks and files that fail


def test_a_read_only_store_can_be_read(public_path):
    """Reports work where writing does not; writing says so in one sentence."""
    with Store.open(public_path / "store") as store:
        store.add(RECORD)
    for path in (store.path, *store.path.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    body = """
print(len(store.records()))
for write in (lambda: store.add(record), lambda: store.put_artefact(b"x"), lambda: store.device_lock("d").__enter__()):
    try:
        write()
    except StoreError as error:
        print(error)
"""
    count, *messages = answer(child(POWERLESS + body, store.path)).splitlines()

    assert count == "1"
    assert len(messages) == 3
    assert all("OPWRIGHT_STORE" in message and "writ" in message for message in messages)


def test_a_read_only_store_with_a_live_log_shows_the_log(public_path):
    """Records of a writer that was killed are in the log; a reader without rights sees them too."""
    path = public_path / "store"
    process = child("store.add(record); import os, signal; os.kill(os.getpid(), signal.SIGKILL)", path)
    process.communicate()
    for file in (path, *path.rglob("*")):
        file.chmod(0o555 if file.is_dir() else 0o444)

    assert (path / "records.sqlite-wal").stat().st_size > 0
    assert answer(child(POWERLESS + "print(len(store.records()))", path)) == "1"


@pytest.fixture
def on_a_small_disk(tmp_path):
    """Return the words before a command that give it half a megabyte at ``tmp_path``."""
    script = 'mount -t tmpfs -o size=512k tmpfs "$0" && exec "$@"'
    prefix = ["unshare", "-rm", "sh", "-c", script, tmp_path]
    if subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no small disk: this machine lets no user mount one; run as root to include this test")
    return prefix


def test_a_full_disk_is_one_sentence_and_loses_nothing(tmp_path, on_a_small_disk):
    """On a disk of half a megabyte, everything that was acknowledged can still be read."""
    body = """
count = 0
try:
    while True:
        store.add(replace(record, sequence=count, facts={"text": "x" * 5000}))
        count += 1
except StoreError as error:
    print(error)
try:
    store.put_artefact(b"x" * 600_000)
except StoreError as error:
    print(error)
store.close()
print(count, [r.sequence for r in Store(Path(sys.argv[1])).records()] == list(range(count)))
"""
    record_message, file_message, counted = answer(child(body, tmp_path, prefix=on_a_small_disk)).splitlines()

    assert "is full: free some space and run again; what was stored is kept" in record_message
    assert "disk is full at" in file_message
    count, same = counted.split()
    assert (int(count) > 3, same) == (True, "True")


TOOLS = """
import tempfile
from harness.kernel import KernelText
from harness.machine import Machine
from harness.sandbox import Sandbox
from harness.target import load_target
from harness.toolchain import Toolchain
toolchain = Toolchain(store, Sandbox())
machine = Machine.of(load_target("c906"))
"""


def test_a_full_disk_is_no_fault_of_the_candidate(tmp_path, on_a_small_disk):
    """The linker says that there is no space; the kernel that it links is right."""
    body = """
tempfile.tempdir = sys.argv[1]
try:
    print(toolchain.assemble([KernelText(name="big", role="compute", signature="", text=".text\\n.globl big\\nbig: ret\\n.zero 900000\\n")], machine, trusted=True))
except StoreError as error:
    print(error)
"""
    (said,) = answer(child(TOOLS + body, tmp_path, prefix=on_a_small_disk)).splitlines()

    assert f"the disk is full at {tmp_path}: free some space and run again; what was stored is kept" == said


def test_a_store_that_cannot_be_made_is_no_fault_of_the_compiler(public_path):
    public_path.chmod(0o555)
    body = """
try:
    toolchain.worker()
except StoreError as error:
    print(error)
"""
    (said,) = answer(child(TOOLS + POWERLESS + body, public_path / "store")).splitlines()

    assert "set OPWRIGHT_STORE to a directory you may write to" in said


def test_any_other_full_disk_is_one_sentence_too():
    with pytest.raises(pytest.fail.Exception, match="the disk is full at /place: free some space"), in_one_sentence():
        raise OSError(errno.ENOSPC, "No space left on device", "/place")


@pytest.mark.parametrize("content", [b"not a database, " * 300, b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_damaged_database_is_left_alone(tmp_path, content):
    """The message has the path and the remedy; the bytes stay what they were."""
    path = tmp_path / "records.sqlite"
    path.write_bytes(content)
    store = Store(tmp_path)

    for use in (store.records, lambda: store.add(RECORD)):
        with pytest.raises(StoreError, match=f"{path} is damaged .*: move it aside"):
            use()
    assert content == path.read_bytes()


def test_a_database_cut_to_nothing_does_not_take_its_log_along(tmp_path):
    """SQLite would delete the log; we say what to do instead."""
    child("store.add(record); import os, signal; os.kill(os.getpid(), signal.SIGKILL)", tmp_path).communicate()
    path, log = tmp_path / "records.sqlite", tmp_path / "records.sqlite-wal"
    path.write_bytes(b"")
    before = log.read_bytes()

    with pytest.raises(StoreError, match="is damaged"):
        Store(tmp_path).add(RECORD)
    assert before == log.read_bytes()


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """Return the database file of a store with some records."""
    with Store.open(tmp_path_factory.mktemp("filled")) as store:
        run = store.begin_run(["pytest"], {})
        for number in range(20):
            store.add(replace(RECORD, run=run, sequence=number))
        store.put_tuned("id", RECORD)
        return store.database


@settings(max_examples=60)
@given(data=st.data())
def test_a_flipped_or_missing_byte_never_ends_in_a_traceback(filled, data):
    """Whatever rots, a reader gets records or a `StoreError`."""
    content = bytearray(filled.read_bytes())
    position = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        content[position] ^= data.draw(st.integers(1, 255))
    else:
        del content[position:]
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "records.sqlite").write_bytes(content)
        with Store.open(Path(name)) as store:
            try:
                assert len(store.records()) <= 21
                store.tuned("id")
                store.runs()
            except StoreError as error:
                assert str(error)


def test_a_newer_database_is_refused_and_left_alone(tmp_path):
    """An old checkout does not write into a new store."""
    with Store.open(tmp_path) as store:
        store.add(RECORD)
        store.close()
        with sqlite3.connect(store.database) as connection:
            connection.execute("PRAGMA user_version = 99")
        connection.close()

        with pytest.raises(StoreError, match=r"newer Opwright .schema 99, this one reads up to 1.: update"):
            store.add(RECORD)


def test_somebody_elses_database_is_not_added_to(tmp_path):
    """A file that only shares the name keeps its tables to itself."""
    with sqlite3.connect(tmp_path / "records.sqlite") as connection:
        connection.execute("CREATE TABLE theirs (x)")
    connection.close()

    with pytest.raises(StoreError, match="is not a record store"):
        Store(tmp_path).add(RECORD)


def test_a_file_where_the_directory_should_be(tmp_path):
    """A mistyped path is one sentence."""
    (tmp_path / "store").write_text("")

    with pytest.raises(StoreError, match="a file where a directory should be"):
        Store(tmp_path / "store").add(RECORD)


# Devices


def test_a_device_belongs_to_one_process_at_a_time(store, caplog):
    """Whoever waits is told for whom; who gives up is told too."""
    body = "with store.device_lock('ssh:board'): print('held', flush=True); sys.stdin.readline()"
    holder = child(body, store.path, stdin=subprocess.PIPE)
    holder.stdout.readline()

    with pytest.raises(StoreError, match=f"ssh:board is busy: process {holder.pid} has held it"):
        store.device_lock("ssh:board", timeout_s=0.1).__enter__()
    assert [f"waiting for ssh:board, held by process {holder.pid}"] == caplog.messages
    with store.device_lock("another", timeout_s=0):
        holder.communicate("\n")
    with store.device_lock("ssh:board", timeout_s=0):
        pass


def test_a_killed_holder_frees_the_device(store):
    """A lock does not outlive its process."""
    holder = child(
        "store.device_lock('d').__enter__(); print('held', flush=True); sys.stdin.read()",
        store.path,
        stdin=subprocess.PIPE,
    )
    holder.stdout.readline()
    holder.kill()
    holder.communicate()

    with store.device_lock("d", timeout_s=0):
        pass

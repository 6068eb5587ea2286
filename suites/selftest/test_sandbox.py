"""The sandbox runs kernel scripts and toolchains, and stops every attack of the zoo."""

import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from harness.errors import SandboxRefused
from harness.sandbox import Limits, Protections, Sandbox, SandboxNotice
from suites.selftest.attacks import SCRIPTS, TOOLS

REPOSITORY = Path(__file__).parents[2]
HERE = Protections.detect()
BARE = Protections(landlock_abi=0, seccomp=False, bubblewrap=None)
TIGHT = Limits(cpu_s=1, wall_s=20, memory_mb=512, file_mb=16)
IMPATIENT = Limits(cpu_s=1, wall_s=0.4, memory_mb=512, file_mb=16)
PYTHON = Path(sys.executable).resolve()
PYTHON_PATHS = [PYTHON, Path(sys.base_prefix).resolve() / "lib", *map(Path, ("/lib", "/lib64", "/usr/lib", "/usr/lib64"))]
ZIG = Path(importlib.util.find_spec("ziglang").submodule_search_locations[0])
ASSEMBLY = ".intel_syntax noprefix\n.globl k\nk:\n vaddps zmm0, zmm1, zmm2\n ret\n"
ASSEMBLE = [ZIG / "zig", *"clang -cc1as -triple x86_64-linux-gnu -filetype obj -target-cpu skylake-avx512".split()]
LINK = [ZIG / "zig", "ld.lld", "-shared"]

complete = pytest.mark.skipif(bool(HERE.missing), reason=f"this machine lacks {HERE.missing}")
pytestmark = pytest.mark.filterwarnings("ignore::harness.sandbox.SandboxNotice")


@pytest.fixture(scope="module")
def sandbox():
    """Return the sandbox as this machine has it."""
    return Sandbox()


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """Return what the attacks aim at: a secret, its folder, a TCP port and a UNIX socket that listen."""
    folder = tmp_path_factory.mktemp("outside")
    secret = folder / "secret"
    secret.write_text("TOP SECRET")
    with socket.create_server(("127.0.0.1", 0), backlog=64) as tcp, socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(folder / "u"))
        unix.listen(64)
        yield {"secret": secret, "folder": folder, "unix": folder / "u", "port": tcp.getsockname()[1]}


@pytest.fixture
def leaks(places, monkeypatch):
    """Give this process what an attack may find: a key in its environment, an inheritable descriptor."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    descriptor = os.open(places["secret"], os.O_RDONLY)
    os.set_inheritable(descriptor, True)
    yield
    os.close(descriptor)


def limits_for(attack):
    """Wait only for those who sleep."""
    return IMPATIENT if attack.evidence == "wall time" else TIGHT


def seen(completed):
    """Return everything a run left to see, in one text."""
    return f"{completed.stdout[:9999].decode()}{completed.stderr}{completed.stopped}"


def proves(attack, text):
    """Return whether the text shows what stopped the attack; bubblewrap hides the files that Landlock denies."""
    hidden = HERE.bubblewrap and attack.evidence == "Permission denied" and "No such file or directory" in text
    return attack.evidence in text or hidden


def run_python_as_tool(sandbox, workdir, text, limits=TIGHT):
    """Let a Python program be the toolchain, so that it may try what a compiler never would."""
    (completed,) = sandbox.run_tool(
        [[PYTHON, "-I", "-S", "-B", "-c", text]], workdir=workdir, read_only=PYTHON_PATHS, trusted=False, limits=limits
    )
    return completed


# Kernel scripts


@complete
def test_a_kernel_script_reads_parameters_and_prints_kernels(sandbox):
    script = "import json, sys\njson.dump([{'name': f'k{p}'} for p in json.load(sys.stdin)], sys.stdout)"

    completed = sandbox.run_script(script, b"[1, 2, 3]", trusted=False)

    assert [{"name": "k1"}, {"name": "k2"}, {"name": "k3"}] == json.loads(completed.stdout)
    assert ("", None, 0, True) == (completed.stderr, completed.stopped, completed.returncode, completed.ok)


@complete
def test_the_standard_library_is_there(sandbox):
    modules = "dataclasses, decimal, fractions, functools, heapq, itertools, json, math, random, re, statistics, string"
    script = f"import {modules}, struct, textwrap\nprint('fine', random.random() < 1)"

    assert b"fine True\n" == sandbox.run_script(script, trusted=False).stdout


@complete
def test_a_large_batch_crosses_both_ways(sandbox):
    data = bytes(range(256)) * (1 << 14)
    script = "import sys; sys.stdout.buffer.write(sys.stdin.buffer.read()[::-1])"

    assert data[::-1] == sandbox.run_script(script, data, trusted=False).stdout


@complete
def test_equal_input_gives_equal_text(sandbox):
    script = "print(list({'load', 'compute', 'store', 'prefetch'}), hash('kernel'))"

    assert 1 == len({sandbox.run_script(script, trusted=False).stdout for _ in range(4)})


@complete
def test_an_error_shows_the_script_and_not_the_guard(sandbox):
    completed = sandbox.run_script("x = 1\nraise ValueError('mr is odd')\n", trusted=False)

    assert 1 == completed.returncode
    assert 'File "kernel_script.py", line 2' in completed.stderr
    assert "raise ValueError('mr is odd')" in completed.stderr
    assert "guard" not in completed.stderr


@complete
@pytest.mark.parametrize(("text", "status"), [("import sys; sys.exit(3)", 3), ("def f(:", 1), ("", 0)])
def test_the_exit_status_is_the_scripts(sandbox, text, status):
    assert status == sandbox.run_script(text, trusted=False).returncode


@complete
def test_nothing_is_left_behind(sandbox, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    before = len(os.listdir("/proc/self/fd"))

    for text in ("print(1)", "1 / 0", "while True: print('x' * 9999)"):
        sandbox.run_script(text, trusted=False, limits=Limits(output_bytes=1 << 16))

    assert [] == list(tmp_path.iterdir())
    assert before == len(os.listdir("/proc/self/fd"))


@complete
@pytest.mark.parametrize("attack", SCRIPTS, ids=lambda attack: attack.name)
def test_a_script_cannot(sandbox, places, leaks, attack):
    completed = sandbox.run_script(attack.against(**places), trusted=False, limits=limits_for(attack))

    assert b"BREACH" not in completed.stdout
    assert proves(attack, seen(completed))
    assert "TOP SECRET" == places["secret"].read_text()


@complete
def test_limits_leave_what_was_printed_before(sandbox):
    completed = sandbox.run_script(
        "import time; print('first', flush=True); time.sleep(9)", trusted=False, limits=Limits(wall_s=0.5)
    )

    assert (b"first\n", "wall time", False) == (completed.stdout, completed.stopped, completed.ok)
    assert 0.5 <= completed.seconds < 5


@complete
def test_output_is_cut_at_its_limit(sandbox):
    completed = sandbox.run_script("print('x' * 5000)", trusted=False, limits=Limits(output_bytes=1000))

    assert (b"x" * 1000, "output limit") == (completed.stdout, completed.stopped)


# Toolchains


@complete
def test_the_assembler_and_the_linker_run_in_one_start(sandbox, tmp_path):
    (tmp_path / "k.s").write_text(ASSEMBLY)

    completed = sandbox.run_tool(
        [[*ASSEMBLE, "k.s", "-o", "k.o"], [*LINK, "k.o", "-o", "k.so"]],
        workdir=tmp_path,
        read_only=[ZIG],
        trusted=False,
    )

    assert [(0, ""), (0, "")] == [(c.returncode, c.stderr) for c in completed]
    assert b"\x7fELF" == (tmp_path / "k.so").read_bytes()[:4]


@complete
def test_the_compiler_runs_and_keeps_its_caches_where_it_may(sandbox, tmp_path):
    work, cache = tmp_path / "work", tmp_path / "cache"
    work.mkdir()
    cache.mkdir()
    (work / "s.c").write_text("#include <stddef.h>\nsize_t twice(size_t n) { return 2 * n; }\n")
    command = f"{ZIG}/zig cc -O3 -shared -target x86_64-linux-gnu -nostdlib -g0 s.c -o s.so".split()

    completed = sandbox.run_tool(
        [command],
        workdir=work,
        read_only=[ZIG],
        writable=[cache],
        trusted=False,
        limits=Limits(cpu_s=50, wall_s=60, memory_mb=4096),
        environment={"ZIG_GLOBAL_CACHE_DIR": str(cache / "global"), "ZIG_LOCAL_CACHE_DIR": str(cache / "local")},
    )

    assert [(0, "")] == [(c.returncode, c.stderr) for c in completed]
    assert b"\x7fELF" == (work / "s.so").read_bytes()[:4]
    assert (cache / "local").is_dir()


@complete
def test_commands_stop_at_the_first_failure(sandbox, tmp_path):
    (tmp_path / "k.s").write_text("not an instruction\n")

    completed = sandbox.run_tool(
        [[*ASSEMBLE, "k.s", "-o", "k.o"], [*LINK, "k.o", "-o", "k.so"]],
        workdir=tmp_path,
        read_only=[ZIG],
        trusted=False,
    )

    assert [1] == [c.returncode for c in completed]
    assert "k.s:1:" in completed[0].stderr


@complete
@pytest.mark.parametrize(
    "line", ['.incbin "{secret}"', '.include "{secret}"', '.incbin "../{name}/secret"', '.incbin "/etc/passwd"']
)
def test_the_assembler_reads_nothing_outside(sandbox, places, tmp_path, line):
    (tmp_path / "k.s").write_text(line.replace("{secret}", str(places["secret"])) + "\n")

    (completed,) = sandbox.run_tool(
        [[*ASSEMBLE, "k.s", "-o", "k.o"]], workdir=tmp_path, read_only=[ZIG], trusted=False
    )

    assert 1 == completed.returncode
    assert "Could not find" in completed.stderr


@complete
def test_a_tool_writes_nothing_outside(sandbox, places, tmp_path):
    (tmp_path / "k.s").write_text(ASSEMBLY)

    (completed,) = sandbox.run_tool(
        [[*ASSEMBLE, "k.s", "-o", places["folder"] / "k.o"]], workdir=tmp_path, read_only=[ZIG], trusted=False
    )

    assert completed.returncode != 0
    assert not (places["folder"] / "k.o").exists()


@complete
@pytest.mark.parametrize("text", [".fill 900000000, 1, 7\n", ".rept 300000000\n.long 7\n.endr\n"])
def test_assembly_that_explodes_meets_a_limit(sandbox, tmp_path, text):
    (tmp_path / "k.s").write_text(text)

    (completed,) = sandbox.run_tool(
        [[*ASSEMBLE, "k.s", "-o", "k.o"]], workdir=tmp_path, read_only=[ZIG], trusted=False, limits=TIGHT
    )

    assert not completed.ok
    assert all(file.stat().st_size <= 16 << 20 for file in tmp_path.iterdir())


@complete
def test_a_tool_that_is_not_there_is_named(sandbox, tmp_path):
    (completed,) = sandbox.run_tool([["/no/such/as"]], workdir=tmp_path, read_only=[], trusted=False)

    assert (127, "cannot start /no/such/as: No such file or directory") == (completed.returncode, completed.stderr)


@complete
def test_what_a_tool_prints_reaches_the_caller_apart(sandbox, tmp_path):
    text = "import os, sys; print('out'); sys.stderr.write('err'); print(os.environ['WHO'], os.getcwd())"

    (completed,) = sandbox.run_tool(
        [[PYTHON, "-I", "-S", "-c", text]],
        workdir=tmp_path,
        read_only=PYTHON_PATHS,
        trusted=False,
        environment={"WHO": "me"},
    )

    assert (f"out\nme {tmp_path}\n".encode(), "err") == (completed.stdout, completed.stderr)


@complete
@pytest.mark.parametrize("attack", TOOLS, ids=lambda attack: attack.name)
def test_a_tool_cannot(sandbox, places, leaks, tmp_path, attack):
    completed = run_python_as_tool(sandbox, tmp_path, attack.against(**places), limits_for(attack))

    assert b"BREACH" not in completed.stdout
    assert proves(attack, seen(completed))
    assert "TOP SECRET" == places["secret"].read_text()


@complete
def test_a_process_left_behind_by_a_tool_dies_with_it(sandbox, tmp_path):
    text = """
import os, time
if os.fork() == 0:
    for stream in (0, 1, 2): os.close(stream)
    while True:
        open('alive', 'w').write(str(time.time()))
        time.sleep(0.01)
"""
    assert run_python_as_tool(sandbox, tmp_path, text).ok

    written = (tmp_path / "alive").read_text() if (tmp_path / "alive").exists() else ""
    time.sleep(0.2)
    assert written == ((tmp_path / "alive").read_text() if written else "")


@complete
def test_runs_from_several_threads_do_not_mix(sandbox):
    answers = {}

    def ask(number):
        answers[number] = sandbox.run_script(f"print({number})", trusted=False).stdout

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert {number: f"{number}\n".encode() for number in range(8)} == answers


# The zoo has teeth


def unguarded(text, workdir):
    """Run a text with nothing around it."""
    command = [PYTHON, "-S", "-B", "-c", text]
    return subprocess.run(
        command, cwd=workdir, capture_output=True, text=True, timeout=20, close_fds=False, check=False
    ).stdout


@pytest.mark.parametrize("zoo", [SCRIPTS, TOOLS], ids=["scripts", "tools"])
def test_the_attacks_work_where_nothing_guards(zoo, places, leaks, tmp_path):
    (tmp_path / "kernel_script.py").touch()
    toothed = [attack for attack in zoo if attack.toothed]

    harmless = []
    for at, attack in enumerate(toothed):
        workdir = tmp_path / str(at)
        workdir.mkdir()
        (workdir / "kernel_script.py").touch()
        if "BREACH" not in unguarded(attack.against(**places), workdir):
            harmless.append(attack.name)

    assert [] == harmless
    assert len(toothed) >= 10


# Machines with fewer protections


def without(**changes):
    """Return this machine's protections with some taken away."""
    fields = {"landlock_abi": HERE.landlock_abi, "seccomp": HERE.seccomp, "bubblewrap": None}
    return Protections(**{**fields, **changes})


@pytest.mark.parametrize(
    ("protections", "lacks"),
    [(without(landlock_abi=0), "Landlock"), (without(seccomp=False), "seccomp"), (BARE, "Landlock")],
)
def test_untrusted_text_is_refused_where_a_protection_is_missing(protections, lacks, tmp_path):
    sandbox = Sandbox(protections=protections)

    with pytest.raises(SandboxRefused, match=lacks):
        sandbox.run_script("print(1)", trusted=False)
    with pytest.raises(SandboxRefused, match="--unsafe-sandbox"):
        sandbox.run_tool([["/bin/true"]], workdir=tmp_path, read_only=[], trusted=False)
    assert "is refused" in sandbox.describe()


def test_trusted_text_runs_with_one_notice(monkeypatch):
    monkeypatch.setattr("harness.sandbox.launcher._noticed", set())
    sandbox = Sandbox(protections=without(landlock_abi=0))

    with pytest.warns(SandboxNotice, match="Landlock") as notices:
        outputs = [sandbox.run_script("print(1)", trusted=True).stdout for _ in range(2)]

    assert [b"1\n", b"1\n"] == outputs
    assert 1 == len(notices)


def test_the_unsafe_flag_runs_untrusted_text():
    sandbox = Sandbox(allow_unsafe=True, protections=BARE)

    assert b"1\n" == sandbox.run_script("print(1)", trusted=False).stdout
    assert "as was asked for" in sandbox.describe()


@pytest.mark.skipif(not HERE.seccomp, reason="the seccomp filter is written for x86-64 Linux")
@pytest.mark.parametrize("name", ["write outside", "tcp", "subprocess", "signal the parent", "memory"])
def test_without_landlock_trusted_text_is_still_held(places, name):
    attack = next(attack for attack in SCRIPTS if attack.name == name)

    completed = Sandbox(protections=without(landlock_abi=0)).run_script(attack.against(**places), trusted=True)

    assert attack.evidence in completed.stderr
    assert b"BREACH" not in completed.stdout


@complete
@pytest.mark.parametrize("abi", [1, 2, 3, 4, 5, 6])
def test_older_landlock_versions_hold_files_as_well(abi, places):
    if abi > HERE.landlock_abi:
        pytest.skip(f"this kernel has Landlock ABI {HERE.landlock_abi}")
    sandbox = Sandbox(protections=without(landlock_abi=abi))

    completed = sandbox.run_script(f"open('{places['secret']}')", trusted=False)

    assert "Permission denied" in completed.stderr
    assert f"landlock{abi}" in sandbox.level


@complete
def test_a_guard_that_cannot_stand_runs_nothing(monkeypatch, tmp_path):
    monkeypatch.setattr("harness.sandbox.policy.seccomp_filter", lambda *, build: b"\x00" * 8)

    with pytest.raises(SandboxRefused, match="seccomp: Invalid argument"):
        Sandbox().run_script(f"open('{tmp_path}/ran', 'w')", trusted=False)
    assert [] == list(tmp_path.iterdir())


@complete
def test_a_script_cannot_pretend_that_the_guard_failed(sandbox):
    completed = sandbox.run_script("import os; os.write(2, b'seccomp: Invalid argument'); os._exit(1)", trusted=False)

    assert (1, None) == (completed.returncode, completed.stopped)


def test_the_level_names_every_layer():
    full = Protections(landlock_abi=6, seccomp=True, bubblewrap="/usr/bin/bwrap")

    assert ("bwrap+rlimits+landlock6+seccomp", "") == (full.level, full.missing)
    assert "rlimits" == BARE.level


# As an ordinary user

AS_NOBODY = """
import json, os, sys
os.setgroups([]); os.setgid(65534); os.setuid(65534)
os.environ["TMPDIR"] = os.environ["HOME"] = sys.argv[1]
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from harness.sandbox import Limits, Sandbox
sandbox, work, zig = Sandbox(), Path(sys.argv[1]), Path(sys.argv[3])
commands = json.loads(sys.argv[4])
answer = {"level": sandbox.level, "uid": os.getuid(), "attacks": []}
answer["hello"] = sandbox.run_script("print('hello')", trusted=False).stdout.decode()
for text in json.load(sys.stdin):
    ended = sandbox.run_script(text, trusted=False, limits=Limits(cpu_s=1, wall_s=3, memory_mb=512))
    answer["attacks"].append([ended.stdout.decode()[:999], f"{ended.stderr}{ended.stopped}"])
tools = sandbox.run_tool(commands, workdir=work, read_only=[zig], trusted=False)
answer["tools"] = [[tool.returncode, tool.stderr] for tool in tools]
print(json.dumps(answer))
"""


def interpreter_for_nobody():
    """Return an interpreter that an unprivileged user can run (root's own may lie in root's home)."""
    probe = "import sys; assert sys.version_info >= (3, 11)"
    for path in filter(None, (str(PYTHON), *map(shutil.which, ("/usr/bin/python3", "/usr/local/bin/python3")))):
        try:
            subprocess.run([path, "-c", probe], user=65534, group=65534, cwd="/", check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            continue
        return path
    return None


@complete
@pytest.mark.skipif(os.getuid() != 0, reason="not root: the other tests run as an ordinary user already")
def test_an_ordinary_user_is_held_alike(places, tmp_path_factory):
    python = interpreter_for_nobody()
    if python is None:
        pytest.skip("no Python 3.11 that uid 65534 may run; install one outside root's home")
    work = Path(f"/tmp/opwright-nobody-{os.getpid()}")
    work.mkdir(mode=0o755)
    attacks = [a for a in SCRIPTS if a.evidence not in ("wall time", "cpu time")]
    commands = [[*map(str, ASSEMBLE), "k.s", "-o", "k.o"], [*map(str, LINK), "k.o", "-o", "k.so"]]
    try:
        shutil.copytree(REPOSITORY / "harness" / "sandbox", work / "copy" / "harness" / "sandbox")
        shutil.copy(REPOSITORY / "harness" / "errors.py", work / "copy" / "harness" / "errors.py")
        (work / "k.s").write_text(ASSEMBLY)
        os.chown(work, 65534, 65534)
        ended = subprocess.run(
            [python, "-c", AS_NOBODY, work, work / "copy", ZIG, json.dumps(commands)],
            input=json.dumps([attack.against(**places) for attack in attacks]),
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        shutil.rmtree(work)

    assert "" == ended.stderr
    answer = json.loads(ended.stdout)
    assert ("hello\n", 65534) == (answer["hello"], answer["uid"])
    assert "landlock" in answer["level"]
    assert [[0, ""], [0, ""]] == answer["tools"]
    outcomes = list(zip(attacks, answer["attacks"], strict=True))
    assert [] == [attack.name for attack, (stdout, _) in outcomes if "BREACH" in stdout]
    assert [] == [attack.name for attack, (stdout, rest) in outcomes if not proves(attack, stdout + rest)]

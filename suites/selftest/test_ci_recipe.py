"""The CI recipe, as far as a shell can run it: base and head of a clone on one machine, with its files at the end."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.store import default_store

ROOT = Path(__file__).parents[2]
SELECTION = ("--prompt", "fp32 GEMM 40x48x56 on this machine", "--tune-evals", "6")


@pytest.mark.slow
def test_the_recipe_gates_a_head_against_its_base(tmp_path, shared_store):
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", "--shared", str(ROOT), str(clone)], check=True)
    environment = {**os.environ, "OPWRIGHT_STORE": str(shared_store), "PYTHON": sys.executable}
    done = subprocess.run(
        ["docs/ci/gate.sh", "HEAD", *SELECTION], cwd=clone, env=environment, capture_output=True, text=True, check=False
    )

    assert 0 == done.returncode, done.stdout + done.stderr
    assert "1 SAME" in done.stdout
    assert (clone / "gate.md").read_text().startswith("## Opwright gate: passed")
    kinds = [json.loads(line)["kind"] for line in (clone / "history.jsonl").read_text().splitlines()]

    assert 1 == kinds.count("measurement")
    assert "base" not in subprocess.run(["git", "worktree", "list"], cwd=clone, capture_output=True, text=True, check=True).stdout


@pytest.mark.slow
def test_a_revision_is_a_base(tmp_path, shared_store):
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", "--shared", str(ROOT), str(clone)], check=True)
    command = [sys.executable, "-m", "pytest", "suites/test_throughput.py", "-p", "no:xdist", *SELECTION, "--gate-base"]
    environment = {**os.environ, "OPWRIGHT_STORE": str(shared_store)}
    done, unknown = (
        subprocess.run([*command, revision], cwd=clone, env=environment, capture_output=True, text=True, check=False)
        for revision in ("HEAD", "nowhere")
    )

    assert 0 == done.returncode, done.stdout + done.stderr
    assert "1 SAME" in done.stdout
    assert (4, True) == (unknown.returncode, "invalid reference: nowhere" in unknown.stderr)


@pytest.fixture
def shared_store():
    return default_store() / "selftest"

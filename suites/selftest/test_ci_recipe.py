"""The CI recipe, as far as a shell can run it: base and head of a clone on one machine, with its files at the end."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from suites.selftest.test_command_line import command

ROOT = Path(__file__).parents[2]
MODELLED = ("--prompt", "fp32 GEMM 24x16x20 on an A76", "--tune-evals", "4")
"""What is gated here: a modelled clock needs no quiet core."""


STEPS = {
    "github-actions.yml": (r"run: (test ! -f gate\.md .*)", "gh", {"GH_TOKEN": "t", "github.event.number": "7"}),
    "gitlab-ci.yml": (
        r"after_script:\n +- >\n((?: {6}.*\n)+)",
        "curl",
        {"GATE_TOKEN": "t", "CI_API_V4_URL": "https://host/api/v4", "CI_PROJECT_ID": "3", "CI_MERGE_REQUEST_IID": "7"},
    ),
}
"""By recipe: the step that posts the comment, the program it calls, and what the build server would fill in."""


@pytest.mark.parametrize("recipe", STEPS)
def test_the_comment_step_posts_the_markdown(recipe, tmp_path):
    """The step as it stands in the recipe; the one thing that is not there is the server that takes the comment."""
    pattern, program, given = STEPS[recipe]
    (step,) = re.findall(pattern, (ROOT / "docs" / "ci" / recipe).read_text())
    for name, value in given.items():
        step = step.replace(f"${{{{ {name} }}}}", value)
    stand_in = tmp_path / program
    stand_in.write_text('#!/bin/sh\nprintf "%s\\n" "$@" > asked\n')
    stand_in.chmod(0o755)
    environment = {**os.environ, **given, "PATH": f"{tmp_path}:{os.environ['PATH']}"}

    def post() -> str:
        step_line = " ".join(step.split())
        subprocess.run(["bash", "-euc", step_line], cwd=tmp_path, env=environment, check=True)
        asked = tmp_path / "asked"
        return asked.read_text() if asked.exists() else ""

    assert "" == post(), "nothing to post, nobody is asked"
    (tmp_path / "gate.md").write_text("## Opwright gate: passed\n")
    asked = post()

    assert "gate.md" in asked
    assert "7" in asked
    assert "${{" not in asked


def test_the_recipes_call_the_script_and_keep_its_files():
    """Everything `gate.sh` writes is kept, and the history comes back in the next run."""
    script = (ROOT / "docs" / "ci" / "gate.sh").read_text()
    written = set(re.findall(r"(gate\.md|report\.html|history\.jsonl)", script))
    for recipe in STEPS:
        text = (ROOT / "docs" / "ci" / recipe).read_text()
        kept = text[text.index("artifact") :]

        assert "docs/ci/gate.sh" in text
        assert {"gate.md", "report.html", "history.jsonl"} == written
        assert all(name in kept for name in written), recipe
        assert "history.jsonl" in text[text.index("cache") : text.index("docs/ci/gate.sh")], recipe


@pytest.mark.slow
def test_the_recipe_gates_a_head_against_its_base(tmp_path, shared_store):
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", "--shared", str(ROOT), str(clone)], check=True)
    environment = {**command(store=shared_store)[1], "PYTHON": sys.executable}
    done = subprocess.run(
        ["docs/ci/gate.sh", "HEAD", *MODELLED], cwd=clone, env=environment, capture_output=True, text=True, check=False
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
    words = [sys.executable, "-m", "pytest", "suites/test_throughput.py", "-p", "no:xdist", *MODELLED, "--gate-base"]
    environment = command(store=shared_store)[1]
    done, unknown = (
        subprocess.run([*words, revision], cwd=clone, env=environment, capture_output=True, text=True, check=False)
        for revision in ("HEAD", "nowhere")
    )

    assert 0 == done.returncode, done.stdout + done.stderr
    assert "1 SAME" in done.stdout
    assert (4, True) == (unknown.returncode, "invalid reference: nowhere" in unknown.stderr)


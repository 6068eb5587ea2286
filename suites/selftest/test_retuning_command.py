"""Tuning anew over seeds, run for real: a first run to compare with, then one against it."""

import subprocess

import pytest

from harness.store import Store
from suites.selftest.test_command_line import ROOT, command

SENTENCE = ("--prompt", "fp32 GEMM 24x16x20 on an A76", "--seeds", "2", "--tune-evals", "3")
"""On a modelled clock: what is tried here is the command, and a core that others use would be waited for."""


def retune(*options, store):
    words, environment = command(*SENTENCE, *options, store=store)
    words = [word for word in words if not word.startswith("suites/")] + ["suites/retuning"]
    return subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240, check=False)


@pytest.mark.slow
def test_seeds_are_held_against_an_earlier_run(shared_store):
    first = retune(store=shared_store)
    with Store.open(shared_store) as opened:
        run = opened.last_run()
        kept = opened.records(run=run, kind="retuned")
    second = retune("--against", run, store=shared_store)
    wrong = retune("--against", "19990101", store=shared_store)

    assert first.returncode == 0, first.stdout
    assert "run again with --against last" in first.stdout
    assert [0, 1] == [one.facts["search"]["seed"] for one in kept]
    assert second.returncode == 0, second.stdout
    assert "1 passed" in second.stdout
    assert wrong.returncode == 1
    assert "Traceback" not in wrong.stdout

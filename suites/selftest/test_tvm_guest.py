"""TVM's code for an emulated processor: where it is offered, what is said where it is missing, and that it is right."""

import os
import subprocess
import sys
from dataclasses import replace

import pytest

from harness.baselines import tvm_guest
from harness.baselines.metaschedule import account, unavailable
from harness.case import Case
from harness.library_times import known_time, missing
from harness.modelled import questions
from harness.operators.gemm import GemmSpec
from harness.target import load_target
from harness.verify import verify_library

SPEC = GemmSpec(m=32, n=48, k=16)
CASE = Case(target="a76", spec=SPEC)


def test_products_that_are_run_whole_are_offered_it():
    others = [replace(SPEC, m=33, n=47), replace(SPEC, beta=1.0), replace(SPEC, lda=64), GemmSpec(m=4096, n=4096, k=4096)]

    assert ["a76"] == [name for name in ("a76", "c910", "k1") if tvm_guest.BASELINE.offers(Case(target=name, spec=SPEC))]
    assert not any(tvm_guest.BASELINE.offers(Case(target="a76", spec=spec)) for spec in others)


def test_what_it_has_not_searched_for_names_the_command(bench, monkeypatch, tmp_path):
    monkeypatch.setattr(tvm_guest, "wheels_missing", lambda: None)
    monkeypatch.setenv("OPWRIGHT_STORE", str(tmp_path))
    reason = missing(bench, questions(tvm_guest.BASELINE, CASE, load_target("a76"))[0])

    assert "run python -m benchmarks.tvm_search 32 48 16 --target a76 --trials" in reason


def test_the_smoke_shape_that_ships_is_answered_without_it(bench):
    case = Case(target="a76", spec=GemmSpec(m=256, n=256, k=256))
    found = [known_time(bench, one) for one in questions(tvm_guest.BASELINE, case, load_target("a76"))]

    assert [("OK", f"cortex-a76:trials-{tvm_guest.TRIALS}")] * 4 == [(one.verdict, one.facts["core"]) for one in found if one]


@pytest.mark.slow
def test_what_it_finds_on_the_models_clock_is_right(bench, monkeypatch):
    if wrong := unavailable():
        pytest.skip(wrong)
    monkeypatch.setenv("OPWRIGHT_STORE", str(bench.store.path))
    command = [sys.executable, "-m", "benchmarks.tvm_search", "32", "48", "16", "--target", "a76", "--trials", "2"]
    done = subprocess.run(command, env=dict(os.environ), capture_output=True, text=True, check=True)
    library = account(bench.store.path, SPEC, "a76").with_name("trials-2.so")
    target = load_target("a76")
    item = tvm_guest.guest_object(bench.toolchain, target, CASE, library)

    assert done.stdout.startswith("2 trials: ")
    with bench.worker(target) as worker:
        assert "OK" == str(verify_library(worker, item, SPEC))

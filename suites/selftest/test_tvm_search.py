"""TVM searches, and what it found is verified like any peer; without its wheels, or with the wrong one, one sentence."""

import importlib.metadata
import importlib.util
import os
import subprocess
import sys
from dataclasses import replace

import pytest

from fixtures import paper_peers
from harness.baselines import metaschedule
from harness.case import Case
from harness.dtype import DType
from harness.errors import BaselineUnavailable
from harness.operators.gemm import GemmSpec
from harness.record import Outcome, Record, Verdict
from harness.stage import Stage
from harness.store import Store
from harness.verify import verify_library
from reports.paper.figures import figure_4, tvm_name

CASE = Case(target="host", spec=GemmSpec(m=64, n=48, k=80))


@pytest.fixture
def search(bench, monkeypatch):
    """Run the command for the case with some options; return the beginnings of the lines it prints."""
    if wrong := metaschedule.unavailable():
        pytest.skip(wrong)
    monkeypatch.setenv("OPWRIGHT_STORE", str(bench.store.path))
    sizes = [str(CASE.spec.dims()[name]) for name in "mnk"]

    def run(*options):
        command = [sys.executable, "-m", "benchmarks.tvm_search", *sizes, *options]
        done = subprocess.run(command, env=dict(os.environ), capture_output=True, text=True, check=True)
        return [line.split(":")[0] for line in done.stdout.splitlines()]

    return run


@pytest.mark.slow
def test_what_tvm_found_is_right(bench, host, search):
    """After each count; the last is the peer of a comparison."""
    printed = search("--trials", "2", "4")
    peers = [*paper_peers.tvm(bench, CASE), metaschedule.BASELINE]
    items = [peer.build(bench.toolchain, host, CASE) for peer in peers]

    assert ["2 trials", "4 trials"] == printed
    assert ["TVM, 2 trials", "TVM, 4 trials", "tvm"] == [peer.name for peer in peers]
    assert items[1] == items[2]
    with Stage(bench, host, CASE, {}) as stage:
        verdicts = [str(verify_library(stage.worker_of(item), item, CASE.spec)) for item in items]

    assert ["OK"] * 3 == verdicts


@pytest.mark.slow
def test_a_search_ends_with_its_time(bench, search):
    """What it has by then is kept: one trial, since they are counted before the time is looked at."""
    assert ["1 trials"] == search("--trials", "500", "--seconds", "0")
    (found,) = metaschedule.searched(bench.store.path, CASE.spec)[1].values()
    assert 0 < found.wall_s


def test_what_it_has_not_searched_for_names_the_command(monkeypatch, tmp_path, host):
    monkeypatch.setattr(metaschedule, "unavailable", lambda: None)
    monkeypatch.setenv("OPWRIGHT_STORE", str(tmp_path))

    assert metaschedule.BASELINE.offers(CASE)
    assert "python -m benchmarks.tvm_search M N K" in metaschedule.BASELINE.unavailable(CASE, host)


@pytest.mark.parametrize("changed", [{"trans_a": True}, {"beta": 1.0}, {"dtype": DType.BF16}, {"lda": 200}, {"k": 0}], ids=str)
def test_only_plain_products_are_offered(changed):
    assert not metaschedule.BASELINE.offers(replace(CASE, spec=replace(CASE.spec, **changed)))


def test_a_size_that_was_not_searched_names_the_command(tmp_path, monkeypatch):
    monkeypatch.setattr(metaschedule, "unavailable", lambda: None)

    with pytest.raises(BaselineUnavailable, match=r"not searched for 96x64x32 yet: .* benchmarks\.tvm_search 96 64 32"):
        metaschedule.searched(tmp_path, GemmSpec(m=96, n=64, k=32))


def test_an_ffi_that_crashes_is_named(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "9.9")

    assert f"tvm: its wheel crashes with apache-tvm-ffi 9.9; run pip install apache-tvm-ffi=={metaschedule.FFI}" == metaschedule.unavailable()


def test_missing_wheels_are_named(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)

    assert "pip install -e .[tvm]" in metaschedule.unavailable()


def test_the_figure_says_how_to_get_it(tmp_path):
    with Store.open(tmp_path) as store:
        (section,) = figure_4(store, None)

    assert [] == section.rows
    assert "python -m benchmarks.tvm_search 512" in section.notes[0]


def test_the_figure_shows_what_took_turns(tmp_path):
    peers = {tvm_name(trials): {"verdict": "OK", "throughput_gflops": 10.0, "ratio": 100 / trials, "version": "0.27"} for trials in (8, 32)}
    facts = {"peers": {**peers, "openblas": {"verdict": "OK", "throughput_gflops": 50.0}}, "throughput_gflops": 70.0, "evaluations": 12}
    with Store.open(tmp_path) as store:
        store.add(
            Record(
                kind="measurement",
                case="host-sgemm-512x512x512",
                run=store.begin_run([], {}),
                target="host",
                spec={"operator": "gemm", "m": 512, "n": 512, "k": 512, "dtype": "fp32"},
                author="expert",
                verdict=Verdict(outcome=Outcome.OK),
                samples_s=(0.1,),
                facts=facts,
            )
        )
        (section,) = figure_4(store, None)

    rows = {name: cells[0] for name, *cells in section.rows}
    assert ["TVM, 8 trials", "TVM, 32 trials"] == [name for name in rows if name.startswith("TVM")]
    assert ("12", "3.12") == (rows["evaluations of our tuning"], rows["ours over the best TVM"])

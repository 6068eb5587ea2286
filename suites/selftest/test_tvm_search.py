"""TVM searches, and what it found is verified like any peer; without its wheels, or with the wrong one, one sentence."""

import importlib.metadata
import importlib.util
import os
import subprocess
import sys

import pytest

from benchmarks import tvm_search
from fixtures import paper_peers
from harness.case import Case
from harness.errors import BaselineUnavailable
from harness.operators.gemm import GemmSpec
from harness.record import Outcome, Record, Verdict
from harness.stage import Stage
from harness.store import Store
from harness.verify import verify_library
from reports.paper.figures import figure_4, tvm_name

CASE = Case(target="host", spec=GemmSpec(m=64, n=64, k=64))


@pytest.mark.slow
def test_what_tvm_found_is_right(bench, host):
    if wrong := tvm_search.unavailable():
        pytest.skip(wrong)
    command = [sys.executable, "-m", "benchmarks.tvm_search", "64", "--trials", "2", "4"]
    done = subprocess.run(command, env={**os.environ, "OPWRIGHT_STORE": str(bench.store.path)}, capture_output=True, text=True, check=True)
    peers = paper_peers.tvm(bench, CASE)

    assert ["2 trials", "4 trials"] == [line.split(":")[0] for line in done.stdout.splitlines()]
    assert ["TVM, 2 trials", "TVM, 4 trials"] == [peer.name for peer in peers]
    with Stage(bench, host, CASE, {}) as stage:
        verdicts = [str(verify_library(stage.worker_of(peer.item), peer.item, CASE.spec)) for peer in peers]

    assert ["OK", "OK"] == verdicts


def test_a_size_that_was_not_searched_names_the_command(tmp_path, monkeypatch):
    monkeypatch.setattr(tvm_search, "unavailable", lambda: None)

    with pytest.raises(BaselineUnavailable, match=r"not searched at 96\^3 yet: .* benchmarks\.tvm_search 96"):
        tvm_search.searched(tmp_path, 96)


def test_an_ffi_that_crashes_is_named(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "9.9")

    assert f"TVM: its wheel crashes with apache-tvm-ffi 9.9; run pip install apache-tvm-ffi=={tvm_search.FFI}" == tvm_search.unavailable()


def test_missing_wheels_are_named(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)

    assert "pip install -e .[tvm]" in tvm_search.unavailable()


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

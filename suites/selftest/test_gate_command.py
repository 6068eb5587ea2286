"""`pytest --gate` run for real: a worse operator, an absent case, another machine; each with its own exit code."""

import json
import time
from dataclasses import replace
from itertools import product

import pytest

from generators.generator import Expert
from harness.kernel import Candidate
from harness.operators import operators
from harness.store import Store
from harness.workbench import Workbench
from suites.selftest.report_records import RECORD
from suites.selftest.test_command_line import run

MODELLED = "fp32 GEMM 24x16x20 on an A76"
"""A modelled clock needs no quiet core."""


def worst_tile(bench, record):
    """Return a candidate of the operator of a record that packs and has the smallest legal micro-tile."""
    spec = operators()["gemm"].from_json({name: value for name, value in record.spec.items() if name != "operator"})
    sketch = next(one for one in Expert().sketches(bench.target(record.target), spec) if one.name == "gemm_packed")
    axes = {tunable.name: tunable.values for tunable in sketch.tunables}
    tiles = sorted(product(axes["mr"], axes["nr"]), key=lambda tile: tile[0] * tile[1])
    points = [{**sketch.start, "mr": mr, "nr": nr} for mr, nr in tiles]
    values = next(point for point in points if sketch.legal(point))
    return Candidate.of(sketch.name, values).to_json()


def gated(reference, store, sentence):
    """Gate what a sentence says against a reference, tuning what no run before has tuned."""
    gate = ["--gate", str(reference)] if reference else []
    return run("-k", "throughput", "--tune-evals", "12", "--prompt", sentence, *gate, store=store)


@pytest.mark.parametrize(("clock", "where"), [("cpu", "this machine"), ("model", "an A76")])
def test_a_slow_operator_is_found(clock, where, shared_store):
    m, n, k = 24 + time.time_ns() % 300, 48, 56
    sentence = f"fp32 GEMM {m}x{n}x{k} on {where}"
    first = gated(None, shared_store, sentence)

    assert 0 == first.returncode, first.stdout

    with Store.open(shared_store) as store:
        (good,) = store.records(run=store.last_run(), kind="measurement")
        winner = store.records(case=good.case, kind="winner")[-1]
        store.put_tuned(winner.identity, replace(winner, candidate=worst_tile(Workbench(store), good)))
    slow = gated(good.run, shared_store, sentence)

    assert clock == good.clock
    assert 1 == slow.returncode, slow.stdout
    assert f"SLOW: {good.case}" in slow.stdout
    assert f'-k "{good.case}" --gate {good.run}' in slow.stdout


def test_a_gate_passes_refuses_and_misses_each_with_its_status(shared_store, tmp_path):
    first, same = gated(None, shared_store, MODELLED), gated("last", shared_store, MODELLED)

    assert (0, 0) == (first.returncode, same.returncode), first.stdout + same.stdout
    assert "1 SAME" in same.stdout

    with Store.open(shared_store) as store:
        (good, *_) = store.records(run=store.last_run(), kind="measurement")
    elsewhere, absent = tmp_path / "elsewhere.jsonl", tmp_path / "absent.jsonl"
    facts = good.facts | {"machine": good.facts["machine"] | {"cpu": "Another processor"}}
    elsewhere.write_text(json.dumps(replace(good, facts=facts).to_json()))
    absent.write_text(json.dumps(replace(good, case="a76-sgemm-1x1x1").to_json()))
    refused, missing = (gated(reference, shared_store, MODELLED) for reference in (elsewhere, absent))

    assert (7, 6) == (refused.returncode, missing.returncode)
    assert "another machine's cpu: Another processor there" in refused.stdout
    assert f"NOT MEASURED: {good.case}" in missing.stdout


MISTAKES = {
    "no such file": ("nowhere/baseline.jsonl", "there is no reference file"),
    "no such run": ("19990101", "there is no run"),
    "before the first": ("last~999999", "only"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_reference_that_is_not_there_is_one_sentence(name, tmp_path):
    reference, words = MISTAKES[name]
    with Store.open(tmp_path / "store") as store:
        store.add(replace(RECORD, run=store.begin_run([], {})))
    done = gated(reference, tmp_path / "store", MODELLED)

    assert 4 == done.returncode
    assert words in done.stderr
    assert "Traceback" not in done.stderr


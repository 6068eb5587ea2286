"""Libraries' modelled times that come with the source: what they are of, when they are refused, and one computed again."""

import json
from dataclasses import replace

import pytest

import harness.library_times as library_times
from harness.baselines.openblas_guest import BASELINE
from harness.case import Case
from harness.errors import BaselineUnavailable
from harness.library_times import fresh_time, from_json, known_time, library_time, missing, shipped_times, to_json
from harness.modelled import memory_models, questions
from harness.operators import operators
from harness.operators.gemm import GemmSpec
from harness.target import load_target

ODD = GemmSpec(m=127, n=129, k=131)
TARGETS = ("a72", "a76", "c906", "c908", "c910", "k1")


class Absent:
    """The library where it cannot be had."""

    name = BASELINE.name
    runners = BASELINE.runners
    offers, fingerprint, rival, environment = BASELINE.offers, BASELINE.fingerprint, BASELINE.rival, BASELINE.environment

    def unavailable(self, case, target):
        return "openblas: the wheel cannot be fetched"

    def build(self, toolchain, target, case):
        raise AssertionError("built what is not there")


def question(name: str = "k1", spec: GemmSpec = ODD, baseline=BASELINE):
    target = load_target(name)
    return questions(baseline, Case(target=name, spec=spec), target)[0]


@pytest.mark.parametrize("name", TARGETS)
def test_the_smoke_shapes_are_answered_without_the_library(bench, name):
    target = load_target(name)
    gemms = operators()["gemm"].shape_sets["smoke"]
    asked = [one for spec in gemms for one in questions(Absent(), Case(target=name, spec=spec), target)]

    assert [] == [reason for one in asked if (reason := missing(bench, one))]


def test_a_shipped_time_says_whose_it_is():
    found = next(one for one in shipped_times("k1") if one.spec == ODD.slug and one.memory == "as published")

    assert ("openblas", "0.3.34.0.0", "riscv64_zvl256b", "OK", True) == (
        found.library,
        found.facts["version"],
        found.facts["core"],
        found.verdict,
        found.shipped,
    )


def test_another_model_has_another_key():
    asked = question()
    slower = replace(asked, target=memory_models(asked.target)["no L1 prefetch"])
    deeper = question(spec=GemmSpec(m=127, n=129, k=132))

    assert 3 == len({asked.key, slower.key, deeper.key})


def test_times_of_another_model_are_refused_with_the_remedy(bench):
    asked = question(baseline=Absent())
    clock = replace(asked.target.clock_hz, value=asked.target.clock_hz.value + 1)
    changed = replace(asked, target=replace(asked.target, clock_hz=clock))

    with pytest.raises(BaselineUnavailable, match=r"another model or version and are not used.*library_times k1 writes"):
        library_time(bench, changed)


def test_a_time_is_kept_in_the_store(bench, monkeypatch):
    asked = question()
    (shipped,) = [one for one in shipped_times("k1") if one.key == asked.key]
    bench.store.put_artefact(to_json(shipped).encode(), keys=[asked.key])
    monkeypatch.setattr(library_times, "_shipped", lambda target: {})

    assert replace(shipped, shipped=False) == known_time(bench, asked)


def test_a_line_reads_as_it_was_written():
    found = shipped_times("k1")[0]

    assert found == from_json(to_json(found), shipped=True)
    assert "shipped" not in json.loads(to_json(found))


@pytest.mark.parametrize("name", ["k1", "a76"])
def test_a_shipped_time_comes_out_again(bench, name):
    """Computed anew it is the same to the last bit: the model is deterministic, and nobody edited the file."""
    asked = question(name)
    if reason := BASELINE.unavailable(asked.case, asked.target):
        pytest.skip(reason)
    (shipped,) = [one for one in shipped_times(name) if one.key == asked.key]

    assert replace(shipped, shipped=False) == fresh_time(bench, asked)

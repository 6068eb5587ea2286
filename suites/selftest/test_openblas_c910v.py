"""OpenBLAS's kernels for RVV 0.7.1: where they are offered, what is said where they are missing, and that they are right."""

import pytest

from harness.baselines.openblas_c910v import BASELINE, NAMED
from harness.case import Case
from harness.library_times import fresh_time, missing
from harness.modelled import questions
from harness.operators.gemm import GemmSpec
from harness.target import load_target

ODD = GemmSpec(m=67, n=65, k=71)


def question(name: str = "c910", spec: GemmSpec = ODD):
    return questions(BASELINE, Case(target=name, spec=spec), load_target(name))[0]


def test_only_processors_with_its_vectors_are_offered_it():
    offered = [name for name in ("a76", "c906", "c908", "c910", "k1") if BASELINE.offers(Case(target=name, spec=ODD))]

    assert ["c906", "c910"] == offered


def test_without_it_the_remedy_is_named(bench, monkeypatch, tmp_path):
    monkeypatch.setenv(NAMED, str(tmp_path / "libopenblas.so"))

    assert "which is not there" in missing(bench, question())
    monkeypatch.delenv(NAMED)
    monkeypatch.setenv("OPWRIGHT_STORE", str(tmp_path))
    assert "run python -m harness.baselines.openblas_c910v" in missing(bench, question())


def test_a_library_of_ones_own_has_times_of_its_own(monkeypatch, tmp_path):
    pinned = question().key
    (tmp_path / "libopenblas.so").write_bytes(b"another library")
    monkeypatch.setenv(NAMED, str(tmp_path / "libopenblas.so"))

    assert pinned != question().key


def test_it_computes_what_numpy_computes_at_every_fringe(bench):
    if reason := BASELINE.unavailable(Case(target="c910", spec=ODD), load_target("c910")):
        pytest.skip(reason)
    found = fresh_time(bench, question())

    assert ("OK", "C910V") == (found.verdict, found.facts["core"])

"""Figure 3a: generation alone and generation with tuning, on this machine; what needs more is skipped by name."""

import pytest

from fixtures.paper import figure_3a_cases
from harness.baselines import Baseline
from harness.case import Case
from harness.compare import Tuned
from harness.record import Record


@pytest.mark.parametrize("case", figure_3a_cases())
def test_fig3a(case: Case, tuned: Tuned, first_guess: Record, baseline: dict[str, Baseline], measure):
    """The tuning's first guess is TOG alone, its winner TOG with AT; they take turns."""
    measured = measure(tuned, baseline, beside=first_guess)

    assert measured.verdict.ok, str(measured.verdict)


@pytest.mark.skip(reason="plain C + AT: no author of this version writes plain C")
def test_fig3a_plain_c():
    """Would show what assembly is worth."""


@pytest.mark.skip(reason="OpenBLAS + AT: the wheel does not export P, Q, R; needs OpenBLAS built from its source package")
def test_fig3a_openblas_tuned():
    """Would show what tuning brings to a library."""

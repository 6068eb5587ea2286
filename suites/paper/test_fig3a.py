"""Figure 3a: generation alone, generation with tuning, plain C with tuning, and OpenBLAS with and without tuning."""

import pytest

from fixtures.paper import figure_3a_cases
from harness.baselines import Baseline
from harness.case import Case
from harness.compare import Tuned
from harness.record import Record


@pytest.mark.parametrize("case", figure_3a_cases())
def test_fig3a(case: Case, tuned: Tuned, first_guess: Record, baseline: dict[str, Baseline], plain_c: Baseline, measure):
    """The tuning's first guess is TOG alone, its winner TOG with AT; they, plain C with AT and OpenBLAS take turns."""
    measured = measure(tuned, {**baseline, plain_c.name: plain_c}, beside=first_guess)

    assert measured.verdict.ok, str(measured.verdict)
    assert measured.facts["peers"][plain_c.name]["verdict"] == "OK"


@pytest.mark.parametrize("case", figure_3a_cases())
def test_fig3a_openblas(case: Case, tuned: Tuned, openblas_variable: dict[str, Baseline], measure):
    """OpenBLAS from source as it is and with its P, Q and R tuned; skipped by name where it is not built."""
    measured = measure(tuned, openblas_variable)

    assert measured.verdict.ok, str(measured.verdict)
    assert ["OK", "OK"] == [measured.facts["peers"][name]["verdict"] for name in openblas_variable]

"""Table 1: GEMM on every platform of the paper, and on this machine."""

import pytest

from fixtures.paper import table_1_cases
from harness.baselines import Baseline
from harness.case import Case
from harness.compare import Tuned


@pytest.mark.parametrize("case", table_1_cases())
def test_table1(case: Case, tuned: Tuned, baseline: dict[str, Baseline], measure):
    """The operator is right and measured; `python -m reports paper table1` sets it beside the printed figures."""
    measured = measure(tuned, baseline)

    assert measured.verdict.ok, str(measured.verdict)

"""Table 3: what development costs; ours is the time of a tuning, which its record keeps."""

import pytest

from fixtures.paper import table_3_cases
from harness.baselines import Baseline
from harness.case import Case
from harness.compare import Tuned


@pytest.mark.parametrize("case", table_3_cases())
def test_table3(case: Case, tuned: Tuned, baseline: dict[str, Baseline], measure):
    """The tuned operator is right and measured, and what its tuning took is known."""
    measured = measure(tuned, baseline)

    assert measured.verdict.ok, str(measured.verdict)
    assert tuned.record.facts["tuning_s"] > 0

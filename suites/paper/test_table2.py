"""Table 2: what the prompt is worth; every row is written by an LLM."""

import pytest

from fixtures.paper import table_2_cases
from harness.baselines import Baseline
from harness.case import Case
from harness.compare import Tuned


@pytest.mark.usefixtures("needs_llm")
@pytest.mark.parametrize("case", table_2_cases())
def test_table2(case: Case, tuned: Tuned, baseline: dict[str, Baseline], measure):
    """An LLM's operator is right and measured."""
    measured = measure(tuned, baseline)

    assert measured.verdict.ok, str(measured.verdict)

"""Tuning anew, over seeds: are the operators it ends with as fast as those it used to end with?"""

import pytest

from harness.case import Case
from reports.gate import Finding


def test_retuning(case: Case, retuned: Finding | None):
    """Every seed's new operator takes turns with the one the same seed gave before; a slower median fails."""
    if retuned is None:
        pytest.skip("nothing to compare with yet; run again with --against last")

    assert retuned.passes, f"{retuned.state}: {retuned.message}"

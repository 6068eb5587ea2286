"""Every tuned operator is measured against the library an expert would have used."""

from harness.baselines import Baseline
from harness.case import Case
from harness.compare import Tuned


def test_throughput(case: Case, tuned: Tuned, baseline: dict[str, Baseline], measure):
    """The tuned operator is right, runs within the roofline, and is compared with its baselines."""
    measured = measure(tuned, baseline)

    assert measured.verdict.ok, str(measured.verdict)

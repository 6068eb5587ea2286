"""Every tuned operator is measured against the library an expert would have used, and against its own past."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fixtures.gate_session import Gate
    from harness.baselines import Baseline
    from harness.case import Case
    from harness.compare import Tuned


def test_throughput(case: Case, tuned: Tuned, baseline: dict[str, Baseline], measure, gate: Gate):
    """The tuned operator is right, runs within the roofline, is compared with its baselines and is no slower than it was."""
    measured = measure(tuned, baseline)

    assert measured.verdict.ok, str(measured.verdict)
    gate.check(measured)

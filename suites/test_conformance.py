"""Every tuned operator computes what numpy computes."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.case import Case
    from harness.compare import Tuned
    from harness.verify import Verification


def test_conformance(case: Case, tuned: Tuned, verification: Verification):
    """Exactly on integers, within rounding on reals, at every fringe, with NaN and infinity, inside its memory."""
    assert verification.verdict.ok, str(verification.verdict)

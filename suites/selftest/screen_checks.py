"""How a refusal of a screen is checked: its line and what it names."""

from harness.record import Outcome


def first_line(reason):
    """Return the line number that a reason names."""
    return int(reason.removeprefix("line ").split(":")[0])


def assert_refused(verdict, thing, line):
    """Check that the verdict is SCREENED and says where and what."""
    assert verdict is not None
    assert Outcome.SCREENED is verdict.outcome
    assert thing in verdict.reason
    assert line == first_line(verdict.reason)
    assert "; " in verdict.reason, "no remedy"

"""
The regression gate: is a case slower than its reference was?

Where the reference's machine code is still in the store it took turns with ours, and rounds are compared in pairs.
Otherwise the two runs' samples are compared as they are, and both probes, clock and peak, have to agree that the
machine was the same: a neighbour on the same core slows a run by tens of per cent and no statistic sees why.

SLOW needs a minimum effect and a rank test at a level corrected for the number of cases. Anything else than SAME is
measured again in fresh processes before it is believed. A modelled clock repeats itself to the last digit: there the
minimum effect alone decides.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from harness.compare import REFERENCE
from harness.record import Record
from harness.stats import Change, Judgement, judge_apart, judge_paired, median, rules_out
from reports.gate_rules import Rule, Rules
from reports.load import clean
from reports.reference import Reference, difference

CONFIRMATIONS = 4
"""Fresh processes in which a difference is measured again."""

Again = Callable[[], Record]


class State(StrEnum):
    """What the gate says about a case."""

    FAST = "FAST"
    SLOW = "SLOW"
    SAME = "SAME"
    AMBIGUOUS = "AMBIGUOUS"
    NOT_MEASURED = "NOT MEASURED"
    REFUSED = "REFUSED"
    """The reference is of another machine, target, thread count, clock or operator."""


EXIT_SLOW, EXIT_NOT_MEASURED, EXIT_REFUSED = 1, 6, 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The gate's answer for one case."""

    case: str
    state: State
    message: str
    """One sentence: both medians, the change, the limit."""
    slowdown: float | None = None
    passes: bool = True


def judge(record: Record, reference: Reference, rules: Rules, *, cases: int, again: Again | None = None) -> Finding:
    """
    Hold one measurement against its reference.

    ``cases`` is how many are gated in this run; ``again`` measures the case anew, in a fresh process.
    """
    rule, earlier = rules.rule(record.case), reference.records.get(record.case)
    if earlier is None:
        return _unmeasured(record.case, f"{reference.name} does not have it", rule.may_be_new)
    if why := difference(record, earlier):
        message = f"{clean(record.case)}: the reference {clean(reference.name)} is refused: {clean(why)}"
        return Finding(case=record.case, state=State.REFUSED, message=message, passes=False)
    if not record.verdict.ok or not record.samples_s:
        return _unmeasured(record.case, f"its verdict is {record.verdict}", False)
    if not earlier.samples_s:
        return _unmeasured(record.case, f"its verdict in {reference.name} was {earlier.verdict}", rule.may_be_new)
    if peers := _missing_peers(record, earlier, rule):
        return _unmeasured(record.case, f"not compared with {', '.join(peers)}, as {reference.name} was", False)
    if record.clock == "model":
        return _modelled(record, earlier, rule, reference.name)
    return _finding(record, earlier, rule, rules.alpha(cases), reference.name, again)


def not_measured(case: str, reference: Reference, rules: Rules, why: str) -> Finding:
    """Return the finding for a case that was selected and has no measurement."""
    return _unmeasured(case, f"{why}, and {reference.name} has it", rules.rule(case).may_be_missing)


def judge_all(measured: Reference, reference: Reference, rules: Rules) -> list[Finding]:
    """Hold every case of two stored sets of measurements against each other; repeated measurements count as such."""
    names = [*measured.records, *(case for case in reference.records if case not in measured.records)]
    findings = []
    for case in names:
        if case not in measured.records:
            findings.append(not_measured(case, reference, rules, f"{measured.name} does not have it"))
            continue
        repeated = list(measured.confirmations.get(case, ()))
        again = (lambda left=repeated: left.pop(0)) if len(repeated) >= CONFIRMATIONS else None
        findings.append(judge(measured.records[case], reference, rules, cases=len(names), again=again))
    return findings


def exit_code(findings: Sequence[Finding]) -> int:
    """Return 0 when all pass, else the code of the gravest: SLOW, then REFUSED, then NOT MEASURED."""
    failing = {finding.state for finding in findings if not finding.passes}
    codes = ((State.SLOW, EXIT_SLOW), (State.REFUSED, EXIT_REFUSED), (State.NOT_MEASURED, EXIT_NOT_MEASURED))
    return next((code for state, code in codes if state in failing), 0)


def _unmeasured(case: str, why: str, allowed: bool) -> Finding:
    message = f"{clean(case)}: not measured: {clean(why)}"
    return Finding(case=case, state=State.NOT_MEASURED, message=message, passes=allowed)


def _missing_peers(record: Record, earlier: Record, rule: Rule) -> list[str]:
    known = record.facts.get("peers") or {}
    return [name for name in (earlier.facts.get("peers") or {}) if name not in known and rule.needs_peer(name)]


def _finding(record: Record, earlier: Record, rule: Rule, alpha: float, name: str, again: Again | None) -> Finding:
    records = [record]
    if not _quiet(records, earlier, rule) and again is not None:
        confirmations = CONFIRMATIONS if paired(record, earlier) else 1
        records += [fresh for fresh in (again() for _ in range(confirmations)) if fresh.samples_s]
    judgement = _judgement(records, earlier, rule, alpha)
    looks = f"{len(records)} process{'es' if len(records) > 1 else ''}, chance {judgement.chance:.1g} of {alpha:.1g}"
    return _found(records, earlier, rule, name, State[judgement.change.name], judgement.slowdown, looks)


def _modelled(record: Record, earlier: Record, rule: Rule, name: str) -> Finding:
    here, there = ((one.facts.get("fingerprints") or {}).get("model") for one in (record, earlier))
    if here != there and not paired(record, earlier):
        why = "another timing model, and its machine code is not here to be timed with this one"
        message = f"{clean(record.case)}: the reference {clean(name)} is refused: {why}"
        return Finding(case=record.case, state=State.REFUSED, message=message, passes=False)
    slowdown = _ours_s([record]) / _reference_s([record], earlier)
    changed = max(slowdown, 1 / slowdown) >= 1 + rule.threshold
    state = (State.SLOW if slowdown > 1 else State.FAST) if changed else State.SAME
    return _found([record], earlier, rule, name, state, slowdown, "modelled")


def _found(
    records: Sequence[Record], earlier: Record, rule: Rule, name: str, state: State, slowdown: float, looks: str
) -> Finding:
    turns = "took turns with the earlier machine code" if paired(records[0], earlier) else "apart from the reference"
    message = (
        f"{clean(records[0].case)}: {_ms(_ours_s(records))} against {_ms(_reference_s(records, earlier))} in {clean(name)}: "
        f"{_change(slowdown)}, limit {rule.threshold:.1%} ({turns}, {looks})"
    )
    return Finding(case=records[0].case, state=state, message=message, slowdown=slowdown, passes=state is not State.SLOW)


def _quiet(records: Sequence[Record], earlier: Record, rule: Rule) -> bool:
    """Whether a first look rules a change out: most cases of a run end here. Apart, half the threshold has to do."""
    (record,) = records
    if paired(record, earlier):
        return rules_out(record.samples_s, record.facts["rounds_s"][REFERENCE], rule.threshold)
    return _apart(record, earlier, rule, rule.threshold / 2, 1.0).change is Change.SAME


def _judgement(records: Sequence[Record], earlier: Record, rule: Rule, alpha: float) -> Judgement:
    if all(paired(record, earlier) for record in records):
        blocks = [(record.samples_s, record.facts["rounds_s"][REFERENCE]) for record in records]
        return judge_paired(blocks, least_effect=rule.threshold, alpha=alpha, statistic=rule.statistic)
    found = [_apart(record, earlier, rule, rule.threshold, alpha) for record in records]
    least = min(found, key=lambda one: abs(one.slowdown - 1))  # interference only ever adds: the calmer look counts
    agreed = least if len({one.change for one in found}) == 1 or least.change is Change.SAME else None
    return agreed or Judgement(change=Change.AMBIGUOUS, slowdown=least.slowdown, chance=least.chance)


def _apart(record: Record, earlier: Record, rule: Rule, threshold: float, alpha: float) -> Judgement:
    """
    Judge samples of two runs in seconds and in clock cycles.

    Both have to say the same, and the peak probe has to have found the same machine, or nothing can be said.
    """
    options = {"least_effect": threshold, "alpha": alpha, "statistic": rule.statistic}
    seconds = judge_apart(record.samples_s, earlier.samples_s, **options)
    scales = [float(one.facts.get("clock_hz") or 1.0) for one in (record, earlier)]
    cycles = judge_apart(
        [sample * scales[0] for sample in record.samples_s],
        [sample * scales[1] for sample in earlier.samples_s],
        **options,
    )
    if seconds.change is cycles.change is Change.SAME:
        return cycles
    peaks = [(one.facts.get("peak_gflops") or 1.0) / scale for one, scale in zip((record, earlier), scales, strict=True)]
    disturbed = max(peaks) / min(peaks) > 1 + threshold
    if disturbed or seconds.change is not cycles.change:
        return Judgement(change=Change.AMBIGUOUS, slowdown=cycles.slowdown, chance=cycles.chance)
    return cycles


def paired(record: Record, earlier: Record) -> bool:
    """Return whether a measurement took turns with the machine code of ``earlier``."""
    if record.facts.get("reference") != {"kind": earlier.kind, "run": earlier.run, "created": earlier.created}:
        return False
    return len((record.facts.get("rounds_s") or {}).get(REFERENCE, ())) == len(record.samples_s) > 0


def _ours_s(records: Sequence[Record]) -> float:
    return median([median(record.samples_s) for record in records])


def _reference_s(records: Sequence[Record], earlier: Record) -> float:
    rounds = [record.facts["rounds_s"][REFERENCE] for record in records if paired(record, earlier)]
    return median([median(one) for one in rounds] or earlier.samples_s)


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.4g} ms"


def _change(slowdown: float) -> str:
    percent = 100 * (slowdown - 1)
    return f"{abs(percent):.1f}% {'slower' if percent >= 0 else 'faster'}"

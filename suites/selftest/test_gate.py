"""The gate: five states, refusals by name, rules by pattern, exit codes of its own."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.compare import CONTROL, OURS, opening_order
from harness.errors import BadRequest
from harness.record import Outcome, Verdict
from harness.stats import Change, judge_paired, rules_out
from reports.gate import CONFIRMATIONS, State, exit_code, judge, judge_all, not_measured
from reports.gate_rules import load_rules
from reports.reference import Reference, difference, load_reference
from suites.selftest.report_records import FACTS, RECORD

EARLIER = replace(RECORD, run="old", created="2026-11-20T00:00:00.000+00:00")
BEFORE = Reference(name="old", records={EARLIER.case: EARLIER})
RULES = load_rules()


def rounds(seed, factor=1.0, spread=0.01):
    return tuple(1e-3 * factor * np.exp(np.random.default_rng(seed).normal(0, spread, 25)))


def paired(seed, factor, spread=0.01):
    """Return a measurement that took turns with EARLIER's machine code and was ``factor`` times as long."""
    facts = {
        **FACTS,
        "rounds_s": {"reference": list(rounds(seed, spread=spread))},
        "reference": {"kind": "measurement", "run": EARLIER.run, "created": EARLIER.created},
    }
    return replace(RECORD, run="new", samples_s=rounds(seed + 1000, factor, spread), facts=facts)


def apart(seed, factor, **facts):
    machine = {"clock_hz": 3e9, "peak_gflops": 200.0}
    return replace(RECORD, run="new", samples_s=rounds(seed, factor), facts={**FACTS, **machine, **facts})


def counted(make):
    """Return a function that measures again, and the list of what it was asked."""
    asked = []

    def again():
        asked.append(make(len(asked) + 2))
        return asked[-1]

    return again, asked


@pytest.mark.parametrize(("factor", "state"), [(1.0, State.SAME), (1.06, State.SLOW), (0.92, State.FAST)])
def test_taking_turns_tells_slow_from_same(factor, state):
    again, asked = counted(lambda seed: paired(seed, factor))
    finding = judge(paired(1, factor), BEFORE, RULES, cases=10, again=again)

    assert state is finding.state
    assert (state is not State.SLOW) is finding.passes
    assert (0 if state is State.SAME else CONFIRMATIONS) == len(asked)


def modelled(factor, model="m", **facts):
    facts = {**FACTS, "fingerprints": {"model": model}, **facts}
    return replace(RECORD, run="new", clock="model", samples_s=(1e-3 * factor,), facts=facts)


@pytest.mark.parametrize("turns", [True, False])
@pytest.mark.parametrize(("factor", "state"), [(1.0, State.SAME), (1.029, State.SAME), (1.031, State.SLOW), (0.9, State.FAST)])
def test_a_modelled_clock_leaves_nothing_to_chance(factor, state, turns):
    earlier = replace(modelled(1.0), run="old")
    took = {"rounds_s": {"reference": [1e-3]}, "reference": {"kind": earlier.kind, "run": "old", "created": earlier.created}}
    again, asked = counted(lambda seed: modelled(factor))
    before = Reference(name="old", records={earlier.case: earlier})
    finding = judge(modelled(factor, **(took if turns else {})), before, RULES, cases=500, again=again)

    assert state is finding.state
    assert (state is not State.SLOW) is finding.passes
    assert [] == asked


def test_times_of_two_models_are_compared_only_where_both_ran_under_one():
    earlier = replace(modelled(1.0, model="before"), run="old")
    before = Reference(name="old", records={earlier.case: earlier})
    took = {"rounds_s": {"reference": [1e-3]}, "reference": {"kind": earlier.kind, "run": "old", "created": earlier.created}}

    assert State.REFUSED is judge(modelled(1.0), before, RULES, cases=1).state
    assert State.SAME is judge(modelled(1.0, **took), before, RULES, cases=1).state


def test_one_process_out_of_luck_is_not_believed():
    """Its rounds are all 20% slow, the repeated ones are not."""
    again, asked = counted(lambda seed: paired(seed, 1.0))
    finding = judge(paired(1, 1.2), BEFORE, RULES, cases=10, again=again)

    assert State.SAME is finding.state
    assert CONFIRMATIONS == len(asked)


def test_what_chance_explains_passes_with_a_warning():
    again, _ = counted(lambda seed: paired(seed, 1.04, spread=0.4))
    found = {judge(paired(seed, 1.2, spread=0.4), BEFORE, RULES, cases=100, again=again).state for seed in range(1, 9)}

    assert State.AMBIGUOUS in found
    assert State.SLOW not in found


def test_the_message_has_medians_change_and_limit():
    again, _ = counted(lambda seed: paired(seed, 1.1))
    message = judge(paired(1, 1.1), BEFORE, RULES, cases=10, again=again).message

    for text in (RECORD.case, "ms against", "% slower", "limit 3.0%", "5 processes"):
        assert text in message


def test_apart_both_clocks_and_the_peak_have_to_agree():
    """The same code on a machine that a neighbour slowed down is not called slow."""
    quiet = replace(EARLIER, samples_s=rounds(5), facts={**FACTS, "clock_hz": 3e9, "peak_gflops": 200.0})
    before = Reference(name="old", records={quiet.case: quiet})

    def state(record):
        return judge(record, before, RULES, cases=1, again=lambda: record).state

    assert State.SLOW is state(apart(1, 1.1))
    assert State.SAME is state(apart(1, 1.0))
    assert State.AMBIGUOUS is state(apart(1, 1.1, clock_hz=2.7e9, peak_gflops=180.0))
    assert State.AMBIGUOUS is state(apart(1, 1.4, peak_gflops=140.0))


def test_apart_the_calmer_measurement_counts():
    """Interference only ever adds: slow once and the same once is the same."""
    quiet = replace(EARLIER, samples_s=rounds(5), facts={**FACTS, "clock_hz": 3e9, "peak_gflops": 200.0})
    before = Reference(name="old", records={quiet.case: quiet})
    finding = judge(apart(1, 1.1), before, RULES, cases=1, again=lambda: apart(2, 1.0))

    assert State.SAME is finding.state


REFUSED = {
    "target": (replace(RECORD, target="elsewhere"), "target"),
    "clock": (replace(RECORD, clock="wall"), "clock"),
    "threads": (replace(RECORD, facts=FACTS | {"threads": 2}), "number of threads"),
    "machine": (replace(RECORD, facts=FACTS | {"machine": {"cpu": "Another"}}), "machine's cpu"),
    "operator": (replace(RECORD, spec={"m": 1}), "operator"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_reference_from_elsewhere_is_refused_by_name(name):
    record, words = REFUSED[name]
    finding = judge(record, BEFORE, RULES, cases=1)

    assert (State.REFUSED, False) == (finding.state, finding.passes)
    assert f"another {words}" in finding.message


def test_a_clock_that_drifts_is_no_other_machine():
    facts = FACTS | {"machine": {**FACTS["machine"], "clock_hz": 1.0}}

    assert "" == difference(replace(RECORD, facts=facts), EARLIER)


def test_what_was_not_measured_says_so_and_fails():
    wrong = replace(RECORD, verdict=Verdict(outcome=Outcome.WRONG, reason="row 3"))
    new = replace(RECORD, case="host-sgemm-1x1x1")
    alone = replace(paired(1, 1.0), facts={**paired(1, 1.0).facts, "peers": {}})
    found = [judge(record, BEFORE, RULES, cases=1) for record in (wrong, new, alone)]
    found.append(not_measured(EARLIER.case, BEFORE, RULES, "skipped"))

    assert [State.NOT_MEASURED] * 4 == [finding.state for finding in found]
    assert not any(finding.passes for finding in found)
    for words, finding in zip(("row 3", "does not have it", "openblas", "skipped"), found, strict=True):
        assert words in finding.message


def test_the_gravest_finding_gives_the_exit_code():
    states = {}
    for name, record in (("refused", REFUSED["clock"][0]), ("new", replace(RECORD, case="host-x"))):
        states[name] = judge(record, BEFORE, RULES, cases=1)
    states["slow"] = judge(paired(1, 1.2), BEFORE, RULES, cases=1)
    states["same"] = judge(paired(1, 1.0), BEFORE, RULES, cases=1)

    assert [0, 1, 6, 7] == [exit_code([states[name]]) for name in ("same", "slow", "new", "refused")]
    assert (1, 7) == (exit_code(list(states.values())), exit_code([states["new"], states["refused"]]))


def test_two_stored_runs_are_held_against_each_other_with_their_repetitions():
    now = Reference(
        name="new",
        records={EARLIER.case: paired(1, 1.2), "host-only-now": replace(RECORD, case="host-only-now")},
        confirmations={EARLIER.case: [paired(seed, 1.0) for seed in range(2, 2 + CONFIRMATIONS)]},
    )
    before = Reference(name="old", records={**BEFORE.records, "host-gone": replace(EARLIER, case="host-gone")})
    found = {finding.case: finding.state for finding in judge_all(now, before, RULES)}

    assert {EARLIER.case: State.SAME, "host-only-now": State.NOT_MEASURED, "host-gone": State.NOT_MEASURED} == found


# Rules


def rules(tmp_path, text):
    path = tmp_path / "rules.toml"
    path.write_text(text)
    return load_rules(path)


def test_the_later_rule_that_fits_wins(tmp_path):
    found = rules(
        tmp_path,
        '[[rule]]\nmatch = "*"\nthreshold = 0.1\nmissing_peers = ["mkl*"]\n'
        '[[rule]]\nmatch = "host-sconv*"\nthreshold = 0.2\nmay_be_new = true\n',
    )

    assert (0.1, False) == (found.rule("host-sgemm").threshold, found.rule("host-sgemm").may_be_new)
    assert (0.2, True) == (found.rule("host-sconv-1").threshold, found.rule("host-sconv-1").may_be_new)
    assert not found.rule("host-sconv-1").needs_peer("mkl 2026")
    assert found.rule("host-sgemm").needs_peer("openblas")


def test_a_larger_threshold_lets_a_slowdown_pass(tmp_path):
    lenient = rules(tmp_path, '[[rule]]\nmatch = "*512*"\nthreshold = 0.15\n')
    again, _ = counted(lambda seed: paired(seed, 1.1))

    assert State.SAME is judge(paired(1, 1.1), BEFORE, lenient, cases=1, again=again).state


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[rule]]\n", "lacks its match"),
        ('[[rule]]\nmatch = "*"\ntreshold = 0.1\n', "treshold"),
        ('[[rule]]\nmatch = "*"\nthreshold = 3\n', "fraction"),
        ('[[rule]]\nmatch = "*"\nstatistic = "mean"\n', "median, minimum"),
        ("false_alarms = 2\n", "false_alarms"),
        ("limit = 2\n", "limit"),
        ("= 2\n", "not TOML"),
    ],
)
def test_a_mistake_in_the_rules_is_one_sentence(tmp_path, text, words):
    with pytest.raises(BadRequest, match=words):
        rules(tmp_path, text)


# References


def test_a_file_of_records_is_a_reference(tmp_path):
    path = tmp_path / "baseline.jsonl"
    path.write_text("\n".join(json.dumps(record.to_json()) for record in (EARLIER, replace(EARLIER, kind="confirmation"))))
    found = load_reference(str(path), store=None)

    assert {EARLIER.case: EARLIER} == dict(found.records)
    assert [EARLIER.case] == list(found.confirmations)


@pytest.mark.parametrize("text", ["", "{}", "[1]", "{", '{"kind": 1}'])
def test_a_file_that_is_no_reference_is_one_sentence(tmp_path, text):
    path = tmp_path / "baseline.json"
    path.write_text(text)

    with pytest.raises(BadRequest, match=r"python -m reports records"):
        load_reference(str(path), store=None)


# Statistics behind it


@settings(max_examples=50)
@given(st.floats(0.5, 2.0), st.floats(0.5, 3.0))
def test_drift_that_hits_both_changes_nothing(factor, drift):
    """Round by round the machine may be as slow as it likes."""
    noise = np.linspace(1, drift, 25)
    ours, theirs = noise * rounds(1, factor), noise * rounds(2)
    plain = judge_paired([(rounds(1, factor), rounds(2))])

    assert pytest.approx(plain.slowdown) == judge_paired([(ours, theirs)]).slowdown
    assert plain.change is judge_paired([(ours, theirs)]).change


def test_few_rounds_rule_nothing_out_and_prove_nothing():
    assert not rules_out([1.0] * 3, [1.0] * 3, 0.03)
    assert rules_out([1.0] * 25, [1.0] * 25, 0.03)
    assert Change.AMBIGUOUS is judge_paired([([2.0] * 3, [1.0] * 3)]).change


def test_a_slowdown_is_hardly_ever_ruled_out():
    """Of 300 measurements of 5% none, of equal code most."""
    assert 0 == sum(rules_out(rounds(seed, 1.05, 0.02), rounds(seed + 500, spread=0.02), 0.03) for seed in range(300))
    assert 240 < sum(rules_out(rounds(seed, 1.0, 0.02), rounds(seed + 500, spread=0.02), 0.03) for seed in range(300))


def test_processes_that_disagree_say_nothing():
    """Rounds of one process are not independent: three processes 6% slower and one that is not are no proof."""
    slow = [(rounds(seed, 1.06), rounds(seed + 10)) for seed in (1, 2, 3)]
    not_slow = (rounds(4, 0.99), rounds(14))

    assert Change.SLOW is judge_paired(slow).change
    assert Change.AMBIGUOUS is judge_paired([*slow, not_slow]).change


def test_processes_that_have_to_agree_open_their_sides_in_both_orders():
    """Five in one order agreed on 27% between equal code: what is opened first gets other memory."""
    orders = [opening_order((OURS, CONTROL)) for _ in range(CONFIRMATIONS + 1)]

    assert all(sorted(order) == sorted((OURS, CONTROL)) for order in orders)
    assert min(orders.count([OURS, CONTROL]), orders.count([CONTROL, OURS])) >= 2

"""Several answers to one plain question: each is asked for by its number, and the method is held against their median."""

from dataclasses import replace

import pytest

from benchmarks.prompting import Goes, writers
from benchmarks.prompting_rows import DRAWN, DRAWS, EXPERT, LOOP, OURS, Raced, keep, kept, over_draws, shown, summary
from generators.accounts import Limits, Metered
from generators.vanilla import PlainAuthor
from harness.errors import BadRequest
from harness.operators.gemm import GemmSpec
from harness.record import Outcome, Record, Verdict
from harness.tune import Budget
from suites.selftest.scripted_llm import RECORDING, ScriptedLlm, recorded

SPEC = GemmSpec(m=1024, n=1024, k=1024)


def times(*seconds):
    """Ours takes a second; draws whose time is None gave no operator."""
    draws = {f"vanilla {draw}": (taken,) for draw, taken in enumerate(seconds, 1) if taken}
    return {OURS: (1.0,), **draws}


@pytest.mark.parametrize(
    ("draws", "said"),
    [
        ((1.5, 2.0, 1.1, 3.0, 1.2), "ours is 1.50 times the median of 5 draws; 5 gave an operator: 1.10 times the fastest, 1.50 their median, 3.00 the slowest"),
        ((1.5, None, 1.1, None, 1.2), "ours is 1.50 times the median of 5 draws; 3 gave an operator: 1.10 times the fastest, 1.20 their median, 1.50 the slowest"),
        ((1.5, None, 1.1, None, None), "the median of 5 draws gives no operator; 2 gave an operator: 1.10 times the fastest, 1.30 their median, 1.50 the slowest"),
        ((None, None, None, None, None), "the median of 5 draws gives no operator; 0 gave an operator"),
    ],
)
def test_draw_without_an_operator_has_no_speed(draws, said):
    assert f"vanilla: {said}" == over_draws(times(*draws), "vanilla")


def test_what_nothing_can_be_faster_than_is_said():
    said = over_draws({**times(1.5, 2.0, 1.1, 3.0, 1.2), LOOP: (0.75,)}, "vanilla")

    assert said.endswith("; the FMA loop is 2.00 times the median")


def raced(expert_s: float) -> Raced:
    seconds = {EXPERT: [expert_s]} | {name: list(taken) for name, taken in times(1.5, 2.0, 1.1, None, 1.2).items()}
    return Raced(
        case="host-sgemm-8x8x8", flops=1e9, clock="cpu", recordings=["a.jsonl"], seconds=seconds, refused={"vanilla 4": "COMPILE: no"},
        tuned={OURS: {"evaluations": 7, "values": {"mr": 6}}}, machine={"cpu": "x"}, created="2026-11-22T21:00:00+00:00",
    )  # fmt: skip


def test_race_is_kept_round_for_round_and_printed_again(tmp_path):
    races = [raced(0.8), raced(0.9)]
    for race in races:
        keep(tmp_path / "rows.jsonl", race)
    again = kept(tmp_path / "rows.jsonl")

    assert races == again
    assert "vanilla 4  COMPILE: no" in again[0].lines()
    assert "ours is 0.85 [0.80, 0.90] times the expert" in summary(again)
    assert "ours is 1.50 [1.50, 1.50] times the median vanilla answer" in summary(again)


def test_fastest_rounds_are_set_beside_the_loops():
    first, second = raced(0.8), raced(0.9)
    first, second = (replace(race, seconds={**race.seconds, LOOP: [loop_s]}) for race, loop_s in ((first, 0.6), (second, 0.5)))

    assert "over the loop's: expert 0.62, ours 0.50, vanilla 1 0.33," in summary([first, second])[-1]
    assert summary([first, second])[-1].endswith("the median vanilla answer 0.33")


def test_only_races_of_one_case_are_summed_up():
    other = replace(raced(0.9), case="host-sgemm-9x9x9")

    assert 0 == sum("races, median" in line for line in shown([raced(0.8), other]))
    assert 1 == sum("2 races, median" in line for line in shown([raced(0.8), other, raced(0.9)]))


def test_file_without_races_is_one_sentence(tmp_path):
    (tmp_path / "x").write_text("{}\n")

    with pytest.raises(BadRequest, match="holds no races"):
        kept(tmp_path / "x")


@pytest.mark.parametrize(("evaluations", "values", "enough"), [(80, {"mr": 6}, True), (79, {"mr": 6}, False), (1, {}, True)])
def test_tuning_that_had_its_evaluations_is_not_resumed(evaluations, values, enough):
    verdict = Verdict(outcome=Outcome.OK)
    won = Record(kind="winner", case="c", run="r", target="host", spec={}, author="a", verdict=verdict, candidate={"values": values}, facts={"evaluations": evaluations})

    assert enough == Goes(budget=Budget(evaluations=100), resume=True).enough(won)


def test_draw_is_asked_for_by_its_number(host):
    llm = ScriptedLlm({("vanilla", 2): recorded("vanilla")})
    second = PlainAuthor(Metered(llm, Limits()), "vanilla", 2)

    assert second.propose(host, SPEC, []).sketch.source
    assert [2] == [prompt.round for prompt in llm.prompts]
    assert "scripted vanilla 2" == second.name


def test_no_gpu_is_asked_for_plain_c():
    assert {"expert", "ours", "vanilla", "cot", "plain"} == writers(f"replay:{RECORDING}", "", "native").keys()
    assert {"expert", "ours", "vanilla", "cot"} == writers(f"replay:{RECORDING}", "", "cuda").keys()


def test_each_draw_is_an_author_of_its_own():
    asked = writers(f"replay:{RECORDING}", f"replay:{RECORDING}", "native")

    assert ["expert", OURS, *(f"{style} {draw}" for style in DRAWN for draw in range(1, DRAWS + 1))] == list(asked)
    assert len(asked) == len({writer.name for writer in asked.values()})

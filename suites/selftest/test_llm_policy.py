"""The policy that asks a model: legal answers are followed, illegal ones refused and told, calls bounded."""

import time
from math import inf
from random import Random

import pytest

from generators.accounts import Limits, Metered
from generators.generator import Expert, policy_of
from generators.llm import Completion, NoAnswer, Prompt
from generators.llm_policy import LlmPolicy
from harness.case import Case
from harness.errors import BadRequest
from harness.kernel import Candidate, Tunable, TunableKind
from harness.operators.gemm import GemmSpec
from harness.search import Step, search_factory
from harness.search.history import LIMIT, Statistics
from harness.search.space import SketchSpace
from harness.tune import Budget, Tuner
from suites.selftest.goldens import assert_golden
from suites.selftest.test_templates import sample_target

SPEC = GemmSpec(m=8, n=8, k=8)
SPACE = SketchSpace(
    sketch="toy",
    tunables=tuple(Tunable(name=n, kind=TunableKind.RUNTIME, values=tuple(range(8)), start=4) for n in ("kc", "mc")),
    legal=lambda values: True,
)
START = SPACE.starts[0]
LEGAL = [action for action, _ in SPACE.neighbours(START)]


class Model:
    name = "model"

    def __init__(self, *answers: str) -> None:
        self._answers, self.prompts = list(answers), []

    def complete(self, prompt: Prompt) -> Completion:
        self.prompts.append(prompt)
        if not self._answers:
            raise NoAnswer("model: dead")
        text = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        return Completion(text=text, model="model", prompt_tokens=1, completion_tokens=1)


def policy(*answers: str, **options) -> tuple[LlmPolicy, Model]:
    model = Model(*answers)
    return LlmPolicy(model, "case", SPEC, sample_target(), **options), model


def cost(candidate: Candidate) -> float:
    values = dict(candidate.values)
    return 1e-3 * (1 + abs(values["kc"] - 7) + abs(values["mc"] - 1))


def test_action_space_is_the_models():
    asked, model = policy('Sure!\n```json\n{"actions": ["mc-1", "kc+1"]}\n```')
    chosen = asked.actions(START, Statistics(), LEGAL)

    assert ["mc-1", "kc+1"] == [action.label for action in chosen]
    assert all(action.label in model.prompts[0].text for action in LEGAL)
    assert model.prompts[0].json


def test_prompts_are_the_golden_ones():
    asked, model = policy('{"actions": ["mc+9"]}', '{"actions": ["mc-1", "kc+1"]}')
    history = Statistics()
    step = history.record(LEGAL[0], 1.0, 0.9)
    history.record(LEGAL[1], 1.0, inf)
    actions = asked.actions(START, history, LEGAL)
    asked.choose(START, [step], history, actions, Random(0))
    space, refused, following = (prompt.text for prompt in model.prompts)

    assert_golden("action_space", space)
    assert_golden("refused_action", refused)
    assert_golden("next_action", following)


def test_one_answer_serves_several_visits():
    asked, model = policy('{"actions": ["kc+1", "kc+2", "mc-1"]}')
    labels = [asked.choose(START, [], Statistics(), LEGAL, Random(0)).label for _ in range(3)]

    assert ["kc+1", "kc+2", "mc-1"] == labels
    assert 1 == len(model.prompts)


def test_illegal_answer_is_refused_and_told():
    asked, model = policy('{"actions": ["kc+999"]}', '{"actions": ["kc+1", "nonsense"]}')
    labels = [action.label for action in asked.actions(START, Statistics(), LEGAL)]

    assert ["kc+1"] == labels
    assert "none of kc+999 is among the legal actions" in model.prompts[1].text
    assert {"calls": 2, "refused": 2, "ended": ""}.items() <= asked.summary().items()


@pytest.mark.parametrize(
    "answer", ["no JSON", "{}", '{"actions": 7}', '{"actions": []}', '{"actions": [{}]}', '{"actions": ["a']
)
def test_hopeless_model_hands_over_to_the_expert_aloud(answer, caplog):
    asked, model = policy(answer)
    first = asked.choose(START, [], Statistics(), LEGAL, Random(0))
    asked.choose(START, [], Statistics(), LEGAL, Random(0))

    assert first in LEGAL
    assert 2 == len(model.prompts)
    assert "the expert policy steers from here on, after 2 calls" in caplog.text
    assert "two answers in a row" in asked.summary()["ended"]


def test_calls_are_bounded(caplog):
    asked, model = policy('{"actions": ["kc+1"]}', calls=3)
    for _ in range(9):
        asked.actions(START, Statistics(), LEGAL)

    assert 3 == len(model.prompts)
    assert "the calls of the search are spent" in asked.summary()["ended"]


def test_dead_endpoint_hands_over_aloud():
    asked, _ = policy()
    asked.actions(START, Statistics(), LEGAL)

    assert "model: dead" in asked.summary()["ended"]


@pytest.mark.parametrize(("history", "quoted"), [(True, True), (False, False)])
def test_history_can_be_switched_off(history, quoted):
    asked, model = policy('{"actions": ["kc+1"]}', history=history)
    known = Statistics()
    known.record(LEGAL[0], 1.2, 1.0)
    asked.choose(START, [Step(action=LEGAL[1], gain=-LIMIT)], known, LEGAL, Random(0))

    assert quoted == (f"{LEGAL[0].label}: +20%" in model.prompts[0].text)
    assert quoted == (f"{LEGAL[1].label}: failed, or much slower" in model.prompts[0].text)


def test_tree_search_follows_the_model_to_the_optimum():
    asked, _ = policy('{"actions": ["kc+1", "mc-1", "kc+2", "mc-2"]}', calls=100)
    search = search_factory("mcts")(SPACE, 0, asked)
    for _ in range(20):
        candidate = search.ask()
        search.tell(candidate, cost(candidate))

    assert 1e-3 == search.best[1] < inf


def test_same_seed_and_answers_give_the_same_questions():
    def run() -> list[str]:
        asked, model = policy('{"actions": ["kc+1", "mc-1"]}', calls=10)
        search = search_factory("mcts")(SPACE, 3, asked)
        for _ in range(15):
            candidate = search.ask()
            search.tell(candidate, cost(candidate))
        return [prompt.text for prompt in model.prompts]

    assert run() == run()


def test_policy_llm_needs_a_model_author():
    with pytest.raises(BadRequest, match="name one with --llm"):
        policy_of("llm", Expert(), sample_target(), SPEC)


def test_calls_are_booked_on_the_case():
    metered = Metered(Model('{"actions": ["kc+1"]}'), Limits())
    LlmPolicy(metered, "case", SPEC, sample_target()).actions(START, Statistics(), LEGAL)

    assert 1 == metered.account("case").calls


@pytest.mark.parametrize(("history", "looks"), [(True, 2), (False, 1)])
def test_a_leader_is_measured_again_before_a_model_reads_of_it(history, looks, bench):
    """The dearer time counts; what does not lead, and what a model without history never hears of, is measured once."""
    case = Case(target="host", spec=GemmSpec(m=96, n=80, k=72))
    steered = LlmPolicy(Model('{"actions": ["kc+8"]}'), case.slug, case.spec, bench.target("host"), history=history)
    run = bench.store.begin_run(["selftest"], {})
    budget = Budget(evaluations=12, seconds=30)
    Tuner(bench, case, Expert(), run=run, budget=budget, seed=time.time_ns(), search="mcts", policy=steered).run()
    tried = [one for one in bench.store.records(run=run, kind="evaluation") if one.verdict.ok]
    best_s, leaders = inf, set()
    for one in sorted(tried, key=lambda one: one.sequence):
        first_s = one.facts["looks_s"][0]
        leaders |= {one.sequence} if first_s < best_s else set()
        best_s = min(best_s, one.facts["cost_s"])

    assert {looks} == {len(one.facts["looks_s"]) for one in tried if one.sequence in leaders}
    assert 1 in {len(one.facts["looks_s"]) for one in tried if one.sequence not in leaders}
    assert [max(one.facts["looks_s"]) for one in tried] == [one.facts["cost_s"] for one in tried]

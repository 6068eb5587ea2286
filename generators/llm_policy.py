"""
The expansion policy that asks a language model (the paper's section 3.3): the global history gives a node its action
space, the path history the next action.

Answers are lists, so one call serves several visits of a node. What is not legal is refused and said; where two
answers in a row name nothing legal, or the calls are spent, the expert policy goes on, and `summary` says from when.
"""

import logging
from collections.abc import Sequence
from math import exp
from random import Random

from generators import gpu_questions, templates
from generators.answers import Unreadable, json_object
from generators.llm import Llm, NoAnswer, Prompt
from generators.policies import Expert
from harness.errors import AuthorError
from harness.kernel import Candidate, digest
from harness.operator import OperatorSpec
from harness.search import Action, History, Step
from harness.search.history import LIMIT
from harness.target import Target

LOG = logging.getLogger("opwright")
CALLS = 24
"""Questions of one search."""
TRIES = 2
"""Answers to one question: the second is told what was wrong with the first."""
STEPS = 24
"""Steps of the history that are quoted: the best and the worst half each."""


class LlmPolicy:
    """Asks for the action space of a new node and for the next actions at it."""

    def __init__(
        self,
        llm: Llm,
        case: str,
        spec: OperatorSpec,
        target: Target,
        *,
        history: bool = True,
        calls: int = CALLS,
        batched: bool = False,
    ) -> None:
        """With ``batched`` the order of a node's action space is the first plan of that node: a call less a node."""
        self.name, self.quotes = ("llm", True) if history else ("llm-blind", False)
        self._llm, self._case, self._history, self._left = llm, case, history, calls
        self._common = gpu_questions.described(target, spec)
        self._expert = Expert(history=history)
        self._batched = batched
        self._planned: dict[str, list[str]] = {}
        self._asked, self._refused, self._chosen = 0, 0, 0
        self._ended = ""

    def actions(self, candidate: Candidate, history: History, legal: Sequence[Action]) -> Sequence[Action]:
        """Ask which legal actions are worth trying; the expert answers where the model no longer does."""
        holes = {**self._common, **self._state(candidate, history), "legal": legal_text(legal)}
        wanted = self._ask("action_space", holes, legal)
        if self._batched:
            self._planned[candidate.key] = [action.label for action in wanted]
        return wanted or self._expert.actions(candidate, history, legal)

    def choose(
        self, candidate: Candidate, path: Sequence[Step], history: History, actions: Sequence[Action], rng: Random
    ) -> Action:
        """Take the next action of the node's plan; ask for a plan where there is none left."""
        by_label = {action.label: action for action in actions}
        plan = [label for label in self._planned.get(candidate.key, []) if label in by_label]
        if not plan:
            shown = path if self._history else ()
            holes = {
                **self._common,
                **self._state(candidate, history),
                "path": steps_text(shown),
                "legal": legal_text(actions),
            }
            plan = [action.label for action in self._ask("next_action", holes, actions)]
        if not plan:
            return self._expert.choose(candidate, path, history, actions, rng)
        self._planned[candidate.key] = plan[1:]
        self._chosen += 1
        return by_label[plan[0]]

    def summary(self) -> dict[str, object]:
        """Return what records keep: calls, refused answers, actions that the model chose, why it ended."""
        return {
            "policy": self.name,
            "calls": self._asked,
            "refused": self._refused,
            "chosen": self._chosen,
            "ended": self._ended,
        }

    def _state(self, candidate: Candidate, history: History) -> dict[str, str]:
        values = ", ".join(f"{name} = {value}" for name, value in candidate.values)
        steps = sorted(history.steps(), key=lambda step: step.gain) if self._history else ()
        shown = [*steps[: STEPS // 2], *steps[max(STEPS // 2, len(steps) - STEPS // 2) :]]
        return {"candidate": values or "no tunables", "history": steps_text(shown)}

    def _ask(self, template: str, holes: dict[str, str], legal: Sequence[Action]) -> list[Action]:
        """Return the legal actions that the model names, in its order; none where it does not answer any more."""
        text = templates.render(template, holes)
        by_label = {action.label: action for action in legal}
        for _ in range(TRIES):
            if self._left <= 0 or self._ended:
                self._end("the calls of the search are spent")
                return []
            answer = self._complete(template, text)
            if answer is None:
                return []
            try:
                labels = _labels(answer)
                if known := list(dict.fromkeys(label for label in labels if label in by_label)):
                    self._refused += len(known) < len(set(labels))
                    return [by_label[label] for label in known]
                reason = f"none of {', '.join(labels)[:200] or 'them'} is among the legal actions"
            except Unreadable as error:
                reason = str(error)
            self._refused += 1
            text = templates.render("refused", {"question": templates.render(template, holes), "reason": reason})
        self._end(f"two answers in a row could not be used ({reason})")
        return []

    def _complete(self, template: str, text: str) -> str | None:
        self._left -= 1
        fingerprint = digest((templates.HERE / "prompts" / f"{template}.md").read_text(encoding="utf-8"))
        prompt = Prompt(
            case=self._case, question=template, round=self._asked, text=text, fingerprint=fingerprint, json=True
        )
        self._asked += 1
        try:
            return self._llm.complete(prompt).text
        except (NoAnswer, AuthorError) as error:
            self._end(str(error))
            return None

    def _end(self, reason: str) -> None:
        if not self._ended:
            self._ended = f"after {self._asked} calls: {reason}"
            LOG.warning("%s: the expert policy steers from here on, %s", self._case, self._ended)


def legal_text(actions: Sequence[Action]) -> str:
    """List actions a line for each tunable or block."""
    names: dict[str, list[str]] = {}
    for action in actions:
        names.setdefault(action.name, []).append(action.label)
    return "\n".join(f"- {', '.join(labels)}" for labels in names.values()) or "None."


def steps_text(steps: Sequence[Step]) -> str:
    """List steps with what they brought."""
    lines = [f"- {step.action.label}: {_gain(step)}" for step in steps]
    return "\n".join(lines) or "Nothing yet."


def _gain(step: Step) -> str:
    """Word a gain: a failure and the worst loss are the same to the search, so to the model."""
    return "failed, or much slower" if step.gain <= -LIMIT else f"{100 * (exp(step.gain) - 1):+.0f}%"


def _labels(answer: str) -> list[str]:
    listed = json_object(answer).get("actions")
    if not isinstance(listed, list):
        raise Unreadable('the object lacks the list "actions"')
    return [str(label)[:60] for label in listed]

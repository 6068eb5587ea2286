"""A scripted model: answers made from the recording, spoilt as a test wants them, and a note of every prompt."""

from collections.abc import Callable, Mapping
from pathlib import Path

from generators.accounts import Limits, Metered
from generators.llm import Completion, NoAnswer, Prompt
from generators.llm.transcript import read
from generators.llm_author import LlmAuthor

RECORDING = Path(__file__).parents[2] / "generators" / "llm" / "recordings" / "gemm_x86.jsonl"
RECORDED_CASE = "host-sgemm-1024x1024x1024"
Spoil = Callable[[str], str]


def recorded(question: str, number: int = 0) -> str:
    """Return a recorded answer's text."""
    return read(RECORDING)[1][RECORDED_CASE, question, number].completion.text


GOOD_REPAIR = f"The whole answer again.\n\n{recorded('sketch')}\n\n{recorded('kernel')}"


class ScriptedLlm:
    """Answers by question and round; a question without an answer is a dead endpoint."""

    name = "scripted"

    def __init__(self, answers: Mapping[tuple[str, int], str | Completion]) -> None:
        self._answers = dict(answers)
        self.prompts: list[Prompt] = []

    def complete(self, prompt: Prompt) -> Completion:
        self.prompts.append(prompt)
        answer = self._answers.get((prompt.question, prompt.round))
        if answer is None:
            raise NoAnswer(f"scripted: no answer to {prompt}")
        if isinstance(answer, Completion):
            return answer
        return Completion(text=answer, model="scripted", prompt_tokens=100, completion_tokens=10, price_usd=0.01)

    def asked(self, question: str, number: int) -> str:
        return next(p.text for p in self.prompts if (p.question, p.round) == (question, number))


def author(answers: Mapping[tuple[str, int], str | Completion], limits: str = "") -> tuple[LlmAuthor, ScriptedLlm]:
    llm = ScriptedLlm(answers)
    return LlmAuthor(Metered(llm, Limits.parse(limits))), llm

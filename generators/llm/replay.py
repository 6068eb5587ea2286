"""The model ``replay:FILE``: answers from a transcript, at no cost."""

import logging
from pathlib import Path

from generators.llm import Completion, NothingRecorded, Opener, Prompt
from generators.llm.transcript import Answer, read
from generators.templates import answers

LOG = logging.getLogger("opwright")


class Replay:
    """
    Looks answers up by case, question and round; a changed prompt is called stale and goes on.

    Changed is a prompt whose own text is no longer the one that was answered; other facts of a machine in it, or a change
    of something that other prompts are made of, do not count.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = f"replay:{path.stem}"
        self.header, self._answers = read(path)
        self._warned: set[str] = set()

    def complete(self, prompt: Prompt) -> Completion:
        """Return the recorded answer with the cost it had; raise `NothingRecorded` where there is none."""
        answer = self._answers.get(prompt.key)
        if answer is None:
            held = ", ".join(sorted({case for case, _, _ in self._answers})) or "nothing"
            raise NothingRecorded(
                f"{self.path.name} has no answer to {prompt} (it holds answers for {held});"
                f" record one: --llm record:{self.path}:openai:MODEL"
            )
        if _stale(answer, prompt) and prompt.question not in self._warned:
            self._warned.add(prompt.question)
            LOG.warning("stale recording: %s answered an older prompt (%s)", self.path.name, prompt)
        return answer.completion


def _stale(answer: Answer, prompt: Prompt) -> bool:
    if answer.fingerprint == prompt.fingerprint:
        return False
    return not (prompt.fixed and answers(answer.prompt, prompt.fixed))


LLM = Opener(prefix="replay", argument="FILE", open=lambda argument: Replay(Path(argument)))

"""
The model ``desk:DIR``: questions are Markdown files, answers the files that appear beside them.

For people who have a chat assistant but no API. ``DIR/CASE/QUESTION-ROUND.md`` is the question; the answer is
``QUESTION-ROUND.answer.md``, best written elsewhere and moved there. Answers that lie there already are taken at once,
so an interrupted run goes on where it stopped.
"""

import logging
import os
import time
from pathlib import Path

from generators.llm import Completion, NoAnswer, Opener, Prompt
from harness.errors import BadRequest

LOG = logging.getLogger("opwright")
POLL_S = 0.2
SETTLED_S = 0.5
"""An answer whose file has not grown for so long is whole."""
CHARACTERS_A_TOKEN = 4


class Desk:
    """Waits for files; ``OPWRIGHT_DESK_WAIT_S`` says how long (default a day)."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.name = f"desk:{folder.name}"
        given = os.environ.get("OPWRIGHT_DESK_WAIT_S", "86400")
        try:
            self._wait_s = float(given)
        except ValueError:
            raise BadRequest(f"OPWRIGHT_DESK_WAIT_S={given}: give seconds") from None

    def complete(self, prompt: Prompt) -> Completion:
        """Write the question and return the answer; raise `NoAnswer` naming the file that was awaited."""
        question = self._folder / prompt.case / f"{prompt.question}-{prompt.round}.md"
        answer = question.with_suffix(".answer.md")
        begin = time.monotonic()
        try:
            question.parent.mkdir(parents=True, exist_ok=True)
            question.write_text(prompt.text, encoding="utf-8")
            text = self._await(question, answer, begin + self._wait_s)
        except (OSError, UnicodeDecodeError) as error:
            raise NoAnswer(f"the desk {self._folder} cannot be used ({error}); give a folder you may write") from None
        return Completion(
            text=text,
            model=self.name,
            prompt_tokens=len(prompt.text) // CHARACTERS_A_TOKEN,
            completion_tokens=len(text) // CHARACTERS_A_TOKEN,
            estimated=True,
            seconds=time.monotonic() - begin,
        )

    def _await(self, question: Path, answer: Path, until: float) -> str:
        if not answer.exists():
            LOG.info("desk: answer %s in %s beside it", question, answer.name)
        while True:
            settled = answer.exists() and time.time() - answer.stat().st_mtime > SETTLED_S
            if settled and (text := answer.read_text(encoding="utf-8").strip()):
                return text
            if time.monotonic() > until:
                raise NoAnswer(f"nobody answered {question}; write {answer.name} beside it and run again")
            time.sleep(POLL_S)


LLM = Opener(prefix="desk", argument="DIR", open=lambda argument: Desk(Path(argument)))

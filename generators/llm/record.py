"""The model ``record:FILE:MODEL``: any model, its answers kept in a transcript; what FILE already holds is not asked."""

from pathlib import Path

from generators.llm import Completion, Llm, Opener, Prompt, open_llm
from generators.llm.transcript import append, read
from harness.errors import AuthorError


class Recorder:
    """Writes every answer to the disk before it is used, so that a run that dies loses none."""

    def __init__(self, path: Path, inner: Llm) -> None:
        self.path, self._inner = path, inner
        self.name = inner.name
        self._answers = read(path)[1] if path.exists() and path.stat().st_size else {}

    def complete(self, prompt: Prompt) -> Completion:
        """Return the kept answer, or ask and keep."""
        if (kept := self._answers.get(prompt.key)) is not None:
            return kept.completion
        completion = self._inner.complete(prompt)
        append(self.path, self.name, prompt, completion)
        return completion


def _open(argument: str) -> Recorder:
    file, _, inner = argument.partition(":")
    if not file or not inner:
        raise AuthorError(f"record:{argument} lacks the model; write record:FILE:openai:MODEL or record:FILE:desk:DIR")
    return Recorder(Path(file), open_llm(inner))


LLM = Opener(prefix="record", argument="FILE:MODEL", open=_open)

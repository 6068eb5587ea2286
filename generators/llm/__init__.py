"""
Language models behind one call, ``complete(prompt) -> Completion``.

A module here that exports ``LLM``, an `Opener`, adds a kind of model: ``openai:MODEL``, ``replay:FILE``,
``record:FILE:MODEL`` and ``desk:DIR``; the part before the first colon is the opener's ``prefix``.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from harness.errors import AuthorError
from harness.registry import discover


class NoAnswer(AuthorError):
    """A model did not answer; one sentence says why and what to do."""


class NothingRecorded(NoAnswer):
    """A recording has no answer to a question."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """One question; case, question and round together are what recordings are keyed by, never the text."""

    case: str
    """The case's id, or the name of what else is asked about (a manual)."""
    question: str
    """Which question of generators/CONTRACT.md: ``sketch``, ``kernel``, ``repair``, ``factors`` ..."""
    round: int
    text: str
    fingerprint: str = ""
    """Digest of the templates and hints behind the text; without the facts filled in, which differ by machine."""
    fixed: str = ""
    """The text without those facts (`generators.templates.fixed`); empty where only the digest says what it answers."""
    json: bool = False
    """Whether the whole answer is JSON; models that can be held to that are."""

    @property
    def key(self) -> tuple[str, str, int]:
        """Return what an answer is looked up by."""
        return self.case, self.question, self.round

    def __str__(self) -> str:
        return f"{self.case}: question {self.question}, round {self.round}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """One answer and what it cost."""

    text: str
    model: str
    finish: str = "stop"
    """``length`` where the model ran into its limit: the text is cut off."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    estimated: bool = False
    """Whether the tokens were counted by us (four characters each), as the endpoint did not say."""
    price_usd: float | None = None
    """None where no price is known."""
    seconds: float = 0.0
    retries: int = 0


class Llm(Protocol):
    """A model that answers."""

    name: str
    """As `--llm` takes it, without file paths: part of the author's name, so of the look-up key of what it wrote."""

    def complete(self, prompt: Prompt) -> Completion:
        """Answer; raise `NoAnswer` when there will be none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opener:
    """The ``LLM`` of a module: how to open what follows ``prefix:``."""

    prefix: str
    argument: str
    """What follows, for messages: ``MODEL``."""
    open: Callable[[str], Llm]


def openers() -> dict[str, Opener]:
    """Map prefixes to openers."""
    return {opener.prefix: opener for opener in discover(sys.modules[__name__], "LLM").values()}


def open_llm(name: str) -> Llm:
    """Open a model by the name `--llm` takes; raise `AuthorError` that lists the kinds there are."""
    prefix, _, argument = name.partition(":")
    known = openers()
    if prefix not in known or not argument:
        kinds = ", ".join(f"{opener.prefix}:{opener.argument}" for opener in known.values())
        problem = f"{name!r} lacks its argument" if prefix in known else f"unknown author {name!r}"
        raise AuthorError(f"{problem}; choose expert, {kinds}")
    return known[prefix].open(argument)

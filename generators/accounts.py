"""What answers cost, by case, and when to stop asking."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from generators.llm import Completion, Llm, Prompt
from harness.errors import AuthorError, BadRequest


class BudgetSpent(AuthorError):
    """No more questions may be asked for a case."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one case may cost (``--llm-budget rounds=8,calls=60,tokens=1000000,usd=10``)."""

    rounds: int = 8
    """Attempts at a right and fast operator, repairs included."""
    calls: int = 60
    tokens: int = 1_000_000
    usd: float = 10.0
    """Holds where the price is known; a model without one is bounded by tokens."""

    @classmethod
    def parse(cls, text: str) -> "Limits":
        """Read what `--llm-budget` takes; what is not named keeps its default."""
        kinds = {field.name: type(field.default) for field in fields(cls)}
        given: dict[str, Any] = {}
        for part in filter(None, (part.strip() for part in text.split(","))):
            name, _, value = part.partition("=")
            try:
                given[name] = kinds[name](value)
                if not given[name] > 0:
                    raise ValueError
            except (KeyError, ValueError):
                known = ", ".join(f"{name}={getattr(cls(), name):g}" for name in kinds)
                raise BadRequest(f"--llm-budget: cannot read {part!r}; the entries and defaults are {known}") from None
        return cls(**given)


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The sum of a case's completions."""

    model: str = ""
    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    estimated: bool = False
    price_usd: float | None = 0.0
    """None as soon as one call's price is not known."""
    seconds: float = 0.0
    retries: int = 0

    def plus(self, done: Completion) -> "Account":
        """Return the account with one completion more."""
        priced = self.price_usd is not None and done.price_usd is not None
        return replace(
            self,
            model=done.model,
            calls=self.calls + 1,
            prompt_tokens=self.prompt_tokens + done.prompt_tokens,
            completion_tokens=self.completion_tokens + done.completion_tokens,
            estimated=self.estimated or done.estimated,
            price_usd=self.price_usd + done.price_usd if priced else None,
            seconds=self.seconds + done.seconds,
            retries=self.retries + done.retries,
        )

    def to_json(self) -> dict[str, Any]:
        """Return the account as records keep it."""
        return asdict(self)


class Metered:
    """A model with an account for each case; a question beyond the limits raises `BudgetSpent`."""

    def __init__(self, llm: Llm, limits: Limits) -> None:
        self.name, self.limits = llm.name, limits
        self._llm = llm
        self._accounts: dict[str, Account] = {}

    def complete(self, prompt: Prompt) -> Completion:
        """Ask and book."""
        self._check(prompt)
        done = self._llm.complete(prompt)
        self._accounts[prompt.case] = self.account(prompt.case).plus(done)
        return done

    def account(self, case: str) -> Account:
        """Return what a case cost so far."""
        return self._accounts.get(case, Account())

    def restore(self, case: str, data: Mapping[str, Any]) -> None:
        """Take over the account of an earlier run."""
        self._accounts[case] = Account(**data)

    def _check(self, prompt: Prompt) -> None:
        spent, limits = self.account(prompt.case), self.limits
        tokens = spent.prompt_tokens + spent.completion_tokens
        for name, used, most in (
            ("calls", spent.calls, limits.calls),
            ("tokens", tokens, limits.tokens),
            ("usd", spent.price_usd or 0.0, limits.usd),
        ):
            if used >= most:
                raise BudgetSpent(
                    f"the budget of {prompt.case} is spent: {used:g} of {most:g} {name}; see --llm-budget"
                )

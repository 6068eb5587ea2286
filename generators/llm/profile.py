"""
Profiles: what is known of a model's endpoint (``profiles/*.toml``), its price with the source of the figure.

A model without a profile is asked with the defaults, and its price is unknown.
"""

import tomllib
from dataclasses import dataclass, fields
from pathlib import Path

from generators.llm import Completion
from harness.errors import AuthorError

PROFILES = Path(__file__).parent / "profiles"
FORMATS = ("json_schema", "json_object", "text")


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One model."""

    name: str
    """What follows ``openai:`` on the command line."""
    model: str
    """The id the endpoint knows it by."""
    endpoint: str = ""
    """Base URL; ``OPENAI_BASE_URL`` goes before it, and without either the openai package's own holds."""
    key_env: str = "OPENAI_API_KEY"
    """Environment variable with the endpoint's key; with ``OPENAI_BASE_URL`` it is ``OPENAI_API_KEY``."""
    context_tokens: int = 128_000
    answer_tokens: int = 16_000
    answer_tokens_field: str = "max_tokens"
    structured: str = "json_object"
    """The strictest answer format it supports: ``json_schema``, ``json_object`` or ``text``."""
    stream: bool = True
    temperature: float | None = None
    prompt_usd_per_million: float | None = None
    completion_usd_per_million: float | None = None
    price_source: str = ""

    def price_usd(self, prompt_tokens: int, completion_tokens: int) -> float | None:
        """Return what a call cost, or None where the price is not known."""
        if self.prompt_usd_per_million is None or self.completion_usd_per_million is None:
            return None
        cost = prompt_tokens * self.prompt_usd_per_million + completion_tokens * self.completion_usd_per_million
        return cost / 1e6


def load_profile(name: str) -> Profile:
    """Return a model's profile, or the defaults for one that has none; raise `AuthorError` for a damaged file."""
    path = PROFILES / f"{name.replace('/', '-').lower()}.toml"
    if not path.exists():
        return Profile(name=name, model=name)
    try:
        data = tomllib.loads(path.read_text())
        unknown = data.keys() - {field.name for field in fields(Profile)}
        if unknown or data.get("structured", "text") not in FORMATS:
            raise ValueError(f"unknown entry {', '.join(sorted(unknown)) or 'for structured'}")
        profile = Profile(**{"name": name, **data})
    except (ValueError, TypeError, OSError) as error:
        raise AuthorError(f"the profile {path.name} cannot be read ({error}); see generators/llm/profile.py") from None
    if (profile.prompt_usd_per_million is not None) and not profile.price_source:
        raise AuthorError(f"the profile {path.name} states a price without price_source; say where it is published")
    return profile


def known_profiles() -> list[str]:
    """Return the names of all profiles."""
    return sorted(path.stem for path in PROFILES.glob("*.toml"))


def completion(profile: Profile, prompt: str, text: str, finish: str, usage: object, **spent: float) -> Completion:
    """Return a completion with its tokens as the endpoint counted them, or estimated, and its price."""
    counts = usage if isinstance(usage, dict) else {}
    given = [counts.get(name) for name in ("prompt_tokens", "completion_tokens")]
    counted = all(isinstance(count, int) and count >= 0 for count in given)
    prompt_tokens, completion_tokens = given if counted else (len(prompt) // 4, len(text) // 4)
    return Completion(
        text=text,
        model=profile.model,
        finish=finish,
        prompt_tokens=prompt_tokens,
        completion_tokens=completion_tokens,
        estimated=not counted,
        price_usd=profile.price_usd(prompt_tokens, completion_tokens),
        **spent,
    )

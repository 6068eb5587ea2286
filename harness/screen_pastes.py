"""
What a preprocessor may paste together with ``##``: part of the screen for C text, see `harness.screen_c`.

Macros that number their variables (``acc##i``) are what C for register tiles is made of, and every one of them could
also make a word that the screen would have refused. What can be made is finite: a pasted name is a row of words that
stand in the text, joined as some macro says.
"""

import re
from collections.abc import Collection
from functools import cache

Chain = tuple[str | None, ...]
"""The operands of a row of ``##``: a word, or None for a parameter, which can be anything."""

_DEFINE = re.compile(r"\s*#\s*define\s+\w+(\([^)]*\)|(?!\())(.*)")
_CHAIN = re.compile(r"\w+(?:\s*##\s*\w+)+")
_FROM_HEADERS = frozenset(("char", "short", "int", "long", "signed", "unsigned", "float", "double", "L", "U", "UL", "LL"))
"""Words that the compiler's own macros bring along."""


def chains(line: str) -> list[Chain] | None:
    """Return what a line without comments and strings pastes; None where that is more than names in a macro."""
    if "##" not in line:
        return []
    define = _DEFINE.match(line)
    if define is None or "##" in _CHAIN.sub("", define[2]):
        return None
    parameters = {*re.findall(r"\w+", define[1]), "__VA_ARGS__", "__VA_OPT__"}
    rows = [re.split(r"\s*##\s*", found) for found in _CHAIN.findall(define[2])]
    return [tuple(None if word in parameters else word for word in row) for row in rows]


def pasted(pastes: Collection[Chain], words: Collection[str], forbidden: Collection[str]) -> str | None:
    """Return one of the ``forbidden`` words that ``pastes`` could make of a text's ``words``, or None."""
    known = _FROM_HEADERS.union(words)

    @cache
    def can_be(word: str) -> bool:
        return word in known or is_pasted(word)

    def is_pasted(word: str) -> bool:
        return any(joins(chain, word, len(word)) for chain in pastes)

    def joins(chain: Chain, rest: str, size: int) -> bool:
        """Say whether a row gives the rest of a word of ``size``; arguments may be empty, none is the whole word."""
        if not chain:
            return not rest
        if (first := chain[0]) is not None:
            return rest.startswith(first) and joins(chain[1:], rest[len(first) :], size)
        ends = range(min(len(rest), size - 1) + 1)
        return any((end == 0 or can_be(rest[:end])) and joins(chain[1:], rest[end:], size) for end in ends)

    return next((word for word in forbidden if is_pasted(word)), None)

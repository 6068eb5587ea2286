"""
Read one sentence ("fp32 GEMM 1024x1024x1024 on a C910") into a target and an operator spec, without a language model.

The grammar is deterministic and drops nothing silently: a word it cannot place is an error that says what was
understood, what is missing and what a sentence looks like.
Target, dtype and operator are read here; sizes and options by the operator's own file, with the same `Words`.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from harness.dtype import DType
from harness.errors import BadRequest
from harness.operator import Operator, OperatorSpec
from harness.operators import operators
from harness.target import other_names, target_names

LONGEST = 1000
"""Characters of the longest sentence read."""

_NUMBER = r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:e[+-]?[0-9]+)?"
_ARTICLES = frozenset({"a", "an", "the"})
_FILLERS = _ARTICLES.union(
    ["on", "of", "with", "for", "in", "at", "and", "to", "as", "is", "using"],
    ["please", "me", "i", "want", "need", "give", "make", "create", "write", "generate", "build", "tune"],
    ["could", "can", "would", "like", "you", "thanks", "is", "what", "how"],
    ["fast", "faster", "fastest", "best", "high", "performance", "optimised", "optimized", "optimal", "efficient", "tuned"],
    ["kernel", "operator", "size", "sizes", "shape", "matrix", "matrices"],
    ["small", "large", "big", "tall", "wide", "skinny", "square"],
)
_OWN = ("machine", "computer", "host", "laptop", "pc", "server", "cpu", "processor")
_HERE = (*(f"{which} {own}" for which in ("this", "my", "the local", "the") for own in _OWN), "localhost", "here", "host")
_THE_GPU = (*(f"{which} gpu" for which in ("this", "my", "the", "a")), "cuda")
_TAIL = frozenset({"core", "cores", "cpu", "gpu", "processor", "board", "chip"})
"""What may stand after a target's name."""
_MAKERS = frozenset(
    ["nvidia", "geforce", "arm", "cortex", "xuantie", "t", "head", "spacemit", "allwinner", "risc", "v", "riscv"]
)
_DTYPES = {
    DType.F32: ("single precision", "single", "fp32", "float32", "f32", "float"),
    DType.F64: ("double precision", "double", "fp64", "float64", "f64"),
    DType.F16: ("half precision", "half", "fp16", "float16", "f16"),
    DType.BF16: ("bf16", "bfloat16"),
    DType.I8: ("int8", "i8"),
    DType.F8: ("fp8 e4m3", "fp8", "float8", "e4m3"),
}
_RESULTS = {
    "out": ("{} output", "{} out", "{} result", "output {}", "out {}", "into {}", "-> {}"),
    "acc": ("{} accumulate", "{} accumulation", "{} accumulator", "{} acc", "accumulate in {}", "accumulated in {}", "acc {}"),
}
"""What may stand around a dtype that is not that of the inputs, by the word an operator's own grammar reads."""
_OPTIONS = {
    **dict.fromkeys(("threads", "thread", "threaded"), "--threads N"),
    **dict.fromkeys(("seconds", "minutes"), "--tune-seconds S"),
    **dict.fromkeys(("evaluations", "trials"), "--tune-evals N"),
    "seed": "--seed N",
}
"""What a sentence does not say, with the option that does."""
_LIKE_A_DTYPE = re.compile(r"(?:fp|float|f|bf|bfloat|tf|int|uint|i|u)[0-9]+(?:e[0-9]m[0-9])?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a sentence asks for."""

    target: str
    spec: OperatorSpec


class Words:
    """
    The words of a sentence, each read at most once.

    Upper and lower case, ``×`` and ``*`` for ``x``, brackets, commas and the dots that end sentences make no
    difference; ``m=512`` is ``m 512``, ``single-precision`` is ``single precision`` and ``512^3`` is ``512x512x512``.
    """

    def __init__(self, text: str) -> None:
        self._tokens = list(_tokens(text))
        self._read = [False] * len(self._tokens)
        self._asked: set[str] = set()

    def take(self, *phrases: str, lead: Iterable[str] = (), tail: Iterable[str] = ()) -> str | None:
        """Read the first of ``phrases`` that occurs, with the words of ``lead`` before it and of ``tail`` after it."""
        for phrase in phrases:
            words = phrase.split()
            self._asked.update(words)
            for start in range(len(self._tokens) - len(words) + 1):
                if self._match(start, words):
                    self._mark(start, self._skip(start + len(words), tail))
                    while start > 0 and self._tokens[start - 1] in lead and not self._read[start - 1]:
                        start -= 1
                        self._read[start] = True
                    return phrase
        return None

    def take_number(self, *names: str) -> float | None:
        """Read ``NAME 1.5`` (or ``NAME of 1.5``, ``NAME size 1.5``); return the number, or None where no name is."""
        at = self._number_after(names)
        return None if at is None else float(self._tokens[at])

    def take_size(self, *names: str) -> int | None:
        """Read ``NAME 512``; return the whole number, or None where no name is."""
        at = self._number_after(names)
        return None if at is None else _whole(self._tokens[at])

    def take_square(self, *names: str) -> int | None:
        """Read ``NAME 2`` or ``NAME 2x2``; raise `BadRequest` for two different numbers."""
        at = self._number_after(names)
        if at is None:
            return None
        group = self._product(at)[0]
        if len(group) > 2 or len(set(group)) > 1:
            raise BadRequest(f"the {names[0]} is {'x'.join(map(str, group))}; it must be the same in height and width")
        return group[0]

    def take_count(self, *phrases: str) -> int | None:
        """Read ``64 PHRASE``, as in ``64 input channels``; return the whole number, or None."""
        for phrase in phrases:
            words = phrase.split()
            self._asked.update(words)
            for at in range(len(self._tokens)):
                if self._is_number(at) and self._unread(at - 1) != "x" and self._match(at + 1, words):
                    self._mark(at, at + 1 + len(words))
                    return _whole(self._tokens[at])
        return None

    def take_pair(self, *joiners: str) -> tuple[int, int] | None:
        """Read ``64->128``, the joiner being one of ``joiners``."""
        for at in range(1, len(self._tokens) - 1):
            if self._unread(at) in joiners and self._is_number(at - 1) and self._is_number(at + 1):
                self._mark(at - 1, at + 2)
                return _whole(self._tokens[at - 1]), _whole(self._tokens[at + 1])
        return None

    def take_group(self, *names: str) -> list[int] | None:
        """Read the product right after one of ``names`` (``at 56x56``, ``at a 56 x 56``)."""
        self._asked.update(names)
        for at in range(len(self._tokens)):
            start = self._skip(at + 1, _ARTICLES)
            if self._unread(at) in names and self._is_number(start):
                self._mark(at, start)
                return self._product(start)[0]
        return None

    def take_group_before(self, *names: str) -> list[int] | None:
        """Read the product right before one of ``names`` (``56x56 image``)."""
        self._asked.update(names)
        for at in range(len(self._tokens)):
            if self._is_number(at) and self._unread(at - 1) != "x" and self._unread(self._product_end(at)) in names:
                return self._product(at)[0]
        return None

    def take_groups(self, *joiners: str) -> list[list[int]]:
        """
        Read every product that is left: ``512x768`` is ``[512, 768]``, and so is ``512 by 768``.

        A joiner between two products (``1024x4096 by 4096x512``) is read with them.
        """
        groups, singles, at, joined = [], False, 0, False
        while at < len(self._tokens):
            if not self._is_number(at):
                at += 1
                continue
            group, end = self._product(at)
            end = self._skip(end, ("matrix", "matrices"))
            if joined and singles and len(group) == 1 and self._tokens[at - 1] == "by":
                groups[-1] += group
            else:
                groups.append(group)
                singles = len(group) == 1
            after = self._skip(end + 1, _ARTICLES)
            joined = self._unread(end) in joiners and self._is_number(after)
            if joined:
                self._read[end] = True
            at = after if joined else end
        return groups

    def rest(self) -> str:
        """Return the words not read yet as a sentence."""
        return " ".join(self._tokens[at] for at in range(len(self._tokens)) if not self._read[at])

    def finish(self, *fillers: str) -> None:
        """Raise `BadRequest` for a word that nobody read and that is no filler: the common ones, or ``fillers``."""
        left = [at for at in range(len(self._tokens)) if not self._read[at]]
        left = [at for at in left if self._tokens[at] not in _FILLERS and self._tokens[at] not in fillers]
        if not left:
            return
        first = left[0]
        end = next((at for at in range(first, len(self._tokens)) if at not in left), len(self._tokens))
        word, phrase = self._tokens[first], " ".join(self._tokens[first:end])
        before = next((at for at in range(first - 1, -1, -1) if self._tokens[at] not in _ARTICLES), 0)
        if _LIKE_A_DTYPE.fullmatch(word):
            raise BadRequest(f"unknown dtype {word!r}; known dtypes: {', '.join(_DTYPES)}")
        if self._tokens[before] in ("on", "for") and word[0].isalpha():
            meant = _did_you_mean(phrase, target_names())
            raise BadRequest(f"unknown target {phrase!r}{meant}; known targets: {', '.join(target_names())}")
        vocabulary = self._asked.union(fillers, *(spelling.split() for names in _DTYPES.values() for spelling in names))
        parts = ", ".join(repr(self._tokens[at]) + _did_you_mean(self._tokens[at], vocabulary) for at in left)
        digits = any(self._tokens[at][0].isdigit() for at in left)
        raise BadRequest(f"not understood: {parts}{' (write numbers as 1024 or 0.5)' if digits else ''}")

    def _unread(self, at: int) -> str | None:
        return self._tokens[at] if 0 <= at < len(self._tokens) and not self._read[at] else None

    def _is_number(self, at: int) -> bool:
        return re.fullmatch(_NUMBER, self._unread(at) or "") is not None

    def _match(self, start: int, words: list[str]) -> bool:
        return all(self._unread(start + offset) == word for offset, word in enumerate(words))

    def _mark(self, start: int, end: int) -> None:
        self._read[start:end] = [True] * (end - start)

    def _skip(self, at: int, words: Iterable[str]) -> int:
        while self._unread(at) in words:
            at += 1
        return at

    def _number_after(self, names: tuple[str, ...]) -> int | None:
        """Read ``NAME of 1.5``; return the position of the number, or None."""
        self._asked.update(names)
        for at in range(len(self._tokens)):
            start = self._skip(at + 1, ("of", "size", "is"))
            if self._unread(at) in names and self._is_number(start):
                self._mark(at, start + 1)
                return start
        return None

    def _product_end(self, at: int) -> int:
        """Return the position after the numbers joined by ``x`` from ``at`` on."""
        end = at + 1
        while self._unread(end) == "x" and self._is_number(end + 1):
            end += 2
        return end

    def _product(self, at: int) -> tuple[list[int], int]:
        """Read the numbers joined by ``x`` from ``at`` on; return them and the position after them."""
        end = self._product_end(at)
        self._mark(at, end)
        return [_whole(self._tokens[position]) for position in range(at, end, 2)], end


def _tokens(text: str) -> Iterable[str]:
    """
    Split a sentence.

    A comma between digits and a hyphen before one stay where they are: 1,024 and -512 must not pass for something else.
    """
    text = text.lower().replace("×", "x").replace("→", "->").replace("−", "-").replace("²", "^2").replace("³", "^3")
    text = re.sub(r"(?<![0-9.,])([0-9]+)(?:\^|\*\*)([23])(?![0-9.,])", lambda found: "x".join([found[1]] * int(found[2])), text)
    text = text.replace("*", " x ")
    for chunk in re.split(r"[\s;()\[\]{}\"'`]+|,(?![0-9])|(?<![0-9]),", text):
        for piece in re.split(r"(->)|[=:]", chunk.rstrip(".:!?")):
            if piece and re.fullmatch(rf"{_NUMBER}(?:x{_NUMBER})+", piece):
                yield from re.split("(x)", piece)
            elif piece:
                yield from re.split(r"(?<=[a-z0-9])-(?=[a-z])|(?<=by)-(?=[0-9])", piece)


def _did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return a question after the nearest of the known words, or nothing where none is near."""
    near = get_close_matches(word, [other for other in known if len(other) > 2], 1, cutoff=0.7)
    return f" (did you mean {near[0]!r}?)" if near and near[0] != word else ""


def _whole(text: str) -> int:
    if re.fullmatch(r"[0-9]{1,9}", text):
        return int(text)
    if text.startswith("-"):
        raise BadRequest(f"the size {text} is negative")
    if re.fullmatch(r"[0-9]+", text):
        raise BadRequest(f"the size {text[:12]}... is too large")
    raise BadRequest(f"the size {text} is not a whole number written in digits")


def parse_prompt(text: str, default_target: str = "host") -> Request:
    """
    Read a sentence; raise `BadRequest` that shows what was understood, what is wrong and an example.

    Without a target the sentence means ``default_target``; without a dtype, fp32.
    """
    known = operators()
    understood: list[str] = []
    example = "'; '".join(operator.example for operator in known.values())
    try:
        if len(text) > LONGEST:
            raise BadRequest(f"it is longer than {LONGEST} characters")
        words = Words(text)
        target = _take_one("target", words, _target_spellings(), lead=_ARTICLES | _MAKERS | {"on", "for"}, tail=_TAIL)
        understood += [f"target {target}"] if target else []
        if option := words.take(*_OPTIONS):
            raise BadRequest(f"{option!r} is not said in the sentence; give {_OPTIONS[option]}")
        results = _take_results(words)
        understood += results
        dtype = _take_one("dtype", words, _DTYPES)
        understood += [f"dtype {dtype}"] if dtype else []
        operator, dtype = _take_operator(words, known, dtype)
        understood.append(f"operator {operator.name}")
        example = operator.example
        return Request(target=target or default_target, spec=operator.parse(" ".join([words.rest(), *results]), dtype))
    except BadRequest as problem:
        shown = text if len(text) <= 100 else text[:100] + "..."
        parts = f"understood {', '.join(understood)}" if understood else "understood nothing yet"
        raise BadRequest(f"cannot read the prompt {shown!r}: {problem} ({parts}); example: '{example}'") from None


def _target_spellings() -> dict[str, tuple[str, ...]]:
    """Map target names to what a sentence may call them: ``rtx4060``, ``rtx 4060``, ``rtx-4060``; ``this machine``."""
    spellings = {name: (name,) for name in target_names()}
    for name in spellings:
        if apart := re.fullmatch(r"([a-z]{3,})([0-9]+)", name):
            spellings[name] += (f"{apart[1]} {apart[2]}", f"{apart[1]}-{apart[2]}")
        others = (" ".join(_tokens(other)) for other in other_names(name))
        spellings[name] = (*sorted(others, key=len, reverse=True), *spellings[name])
    return spellings | {"host": _HERE, "cuda": _THE_GPU}


def _take_one(kind: str, words: Words, spellings: Mapping[Any, tuple[str, ...]], **around: Iterable[str]) -> Any:
    """Read the one key whose spelling occurs, however often, or None; raise `BadRequest` for two different ones."""
    found = [value for value, phrases in spellings.items() if words.take(*phrases, **around)]
    for value in found:
        while words.take(*spellings[value], **around):
            pass
    if len(found) > 1:
        raise BadRequest(f"it names more than one {kind}: {', '.join(map(str, found))}")
    return found[0] if found else None


def _take_results(words: Words) -> list[str]:
    """Read the dtypes of output and sums (``fp32 output``, ``accumulate in fp32``); return them as ``out fp32``."""
    found = []
    kinds = _DTYPES | {DType.I32: ("int32", "i32")}
    for role, patterns in _RESULTS.items():
        for dtype, spellings in kinds.items():
            phrases = [pattern.format(spelling) for pattern in patterns for spelling in spellings]
            if words.take(*phrases):
                found.append(f"{role} {dtype}")
    return found


def _take_operator(words: Words, known: dict[str, Operator], dtype: DType | None) -> tuple[Operator, DType]:
    """Read the operator, and the dtype where its word carries one (``sgemm``)."""
    phrases = sorted((phrase for operator in known.values() for phrase in operator.words), key=len, reverse=True)
    word = words.take(*phrases)
    if word is None:
        unknown = [word for word in words.rest().split() if word.isalpha() and word not in _FILLERS | {"x", "by"}]
        hint = f", unless by {', '.join(repr(word) + _did_you_mean(word, phrases) for word in unknown)}" if unknown else ""
        raise BadRequest(f"it names no operator{hint}; known operators: {', '.join(known)}")
    operator = next(operator for operator in known.values() if word in operator.words)
    *before, last = word.split()
    implied = next((d for d in DType if " ".join([*before, last.removeprefix(d.blas)]) in set(operator.words) - {word}), None)
    if implied and dtype and implied is not dtype:
        raise BadRequest(f"{word} is {implied}, but the sentence also says {dtype}")
    if second := words.take(*phrases):
        raise BadRequest(f"it names an operator twice: {word} and {second}")
    return operator, implied or dtype or DType.F32

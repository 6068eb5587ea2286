"""
Transcripts: a header line and one JSON line an answer; the file is the replay fixture.

A line holds the question's key, the digest of its templates, prompt, answer, model, tokens, price and time.
Nothing of the connection is kept (no headers, no endpoint, no key).
"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from generators.llm import Completion, Prompt
from harness.errors import AuthorError

FORMAT = 1
Key = tuple[str, str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One recorded answer."""

    completion: Completion
    fingerprint: str
    prompt: str = ""
    """The text that was answered."""


def read(path: Path) -> tuple[dict[str, Any], dict[Key, Answer]]:
    """Return a transcript's header and its answers by key (the last of equal keys); raise `AuthorError` if damaged."""
    try:
        *lines, _torn = path.read_bytes().decode().split("\n")  # a killed run may leave a last line without its end
    except (OSError, UnicodeDecodeError) as error:
        raise AuthorError(f"the recording {path} cannot be read ({error}); check the path after --llm") from None
    header: dict[str, Any] = {}
    answers: dict[Key, Answer] = {}
    for number, line in enumerate(lines, 1):
        try:
            data = json.loads(line)
            if number == 1:
                header = _header(data)
            else:
                completion = Completion(text=data["answer"], model=data["model"], **data["cost"])
                key = str(data["case"]), str(data["question"]), int(data["round"])
                answers[key] = Answer(completion=completion, fingerprint=data["fingerprint"], prompt=data.get("prompt", ""))
        except (ValueError, KeyError, TypeError) as error:
            raise AuthorError(f"the recording {path} is damaged in line {number} ({error}); record it again") from None
    return header, answers


def _header(data: Mapping[str, Any]) -> dict[str, Any]:
    if data.get("format") != FORMAT:
        raise ValueError(f"format {data.get('format')!r}, this version reads {FORMAT}")
    return dict(data)


def append(path: Path, model: str, prompt: Prompt, completion: Completion) -> None:
    """Add an answer and flush it to the disk: once returned it is not lost."""
    entry = {
        "case": prompt.case,
        "question": prompt.question,
        "round": prompt.round,
        "fingerprint": prompt.fingerprint,
        "prompt": prompt.text,
        "answer": completion.text,
        "model": completion.model,
        "cost": {k: v for k, v in asdict(completion).items() if k not in ("text", "model")},
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = not path.exists() or path.stat().st_size == 0
        with path.open("ab") as file:
            if fresh:
                created = datetime.now(UTC).isoformat(timespec="seconds")
                file.write(_line({"format": FORMAT, "answered_by": model, "created": created}))
            else:
                _cut_torn_line(path)
            file.write(_line(entry))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise AuthorError(f"the transcript {path} cannot be written ({error.strerror}); give another file") from None


def _line(data: Mapping[str, Any]) -> bytes:
    return json.dumps(data, ensure_ascii=False).encode() + b"\n"


def _cut_torn_line(path: Path) -> None:
    """Cut off a last line that is not whole: its answer was never acknowledged."""
    data = path.read_bytes()
    if not data.endswith(b"\n"):
        with path.open("r+b") as file:
            file.truncate(data.rfind(b"\n") + 1)

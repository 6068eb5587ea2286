"""
Read a chat completion's body, streamed or whole, without trusting a byte of it.

Compatible servers answer 200 with an error inside, no choices, a stream that just ends, or HTML; each gets a name here.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


class Unusable(Exception):
    """A reply that holds no answer; ``again`` says whether asking again may help, ``whole`` that no stream should be asked for."""

    def __init__(self, reason: str, *, again: bool, whole: bool = False) -> None:
        super().__init__(reason)
        self.again, self.whole = again, whole


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a body said."""

    text: str
    finish: str
    usage: Any


def read_reply(content_type: str, lines: Iterable[str]) -> Reply:
    """Return the answer in a body; raise `Unusable` where there is none."""
    kind = content_type.split(";")[0].strip().lower()
    reply = _stream(lines) if kind == "text/event-stream" else _whole(kind, "\n".join(lines))
    if reply.finish == "content_filter":
        raise Unusable("the endpoint's content filter stopped the answer; ask another model", again=False)
    if not reply.text.strip():
        raise Unusable("the answer is empty", again=True)
    return reply


def _whole(kind: str, body: str) -> Reply:
    data = _json(body, f"the answer is {kind or 'untyped'}, not JSON")
    _raise_error(data)
    choice = _choice(data)
    if choice is None:
        raise Unusable("the answer has no choices", again=True)
    message = choice.get("message") if isinstance(choice.get("message"), dict) else {}
    return _reply(message.get("content"), message.get("refusal"), choice.get("finish_reason") or "", data.get("usage"))


def _stream(lines: Iterable[str]) -> Reply:
    text, refusal, finish, usage, events = "", "", "", None, 0
    for line in lines:
        if not line.startswith("data:") or (payload := line[5:].strip()) == "[DONE]":
            continue
        data = _json(payload, "the stream holds an event that is not JSON")
        _raise_error(data)
        events += 1
        usage = data.get("usage") or usage
        choice = _choice(data)
        if choice is None:
            continue
        delta = choice.get("delta") if isinstance(choice.get("delta"), dict) else {}
        text += delta.get("content") or ""
        refusal += delta.get("refusal") or ""
        finish = choice.get("finish_reason") or finish
    if not events:  # llama-cpp-python's server does so where it would refuse the same question with a reason
        raise Unusable("the stream ended before it began", again=True, whole=True)
    if not finish:
        raise Unusable("the stream ended early", again=True)
    return _reply(text, refusal, finish, usage)


def _reply(text: Any, refusal: Any, finish: str, usage: Any) -> Reply:
    if refusal:
        raise Unusable(f"the model refuses: {str(refusal)[:200]}", again=False)
    if isinstance(text, list):  # some servers send a list of parts
        text = "".join(part.get("text", "") for part in text if isinstance(part, dict))
    return Reply(text=text if isinstance(text, str) else "", finish=finish, usage=usage)


def _json(text: str, otherwise: str) -> dict[str, Any]:
    try:
        data = json.loads(text)
    except ValueError:
        raise Unusable(otherwise, again=True) from None
    if not isinstance(data, dict):
        raise Unusable(otherwise, again=True)
    return data


def _raise_error(data: dict[str, Any]) -> None:
    if error := data.get("error"):
        message = error.get("message") if isinstance(error, dict) else error
        raise Unusable(f"the endpoint reports an error with status 200: {str(message)[:200]}", again=True)


def _choice(data: dict[str, Any]) -> dict[str, Any] | None:
    choices = data.get("choices")
    return choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else None

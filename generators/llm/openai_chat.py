"""
The model ``openai:MODEL``: any endpoint of the OpenAI chat protocol. The only module that imports `openai`, lazily.

The package's own retries are off: it gives up on long Retry-After, insists on an empty quota, and never cuts a slow
drip. Here every fault is retried or ends in one clear sentence, and none of them holds the key.
"""

import os
import queue
import random
import threading
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from generators.llm import Completion, NoAnswer, Opener, Prompt
from generators.llm.chat_reply import Reply, Unusable, read_reply
from generators.llm.profile import FORMATS, Profile, completion, load_profile
from harness.errors import AuthorError

ATTEMPTS = 5
DEADLINE_S = 600.0
"""One call may take so long altogether, however slowly the bytes drip."""
BACKOFF_S = 2.0
LONGEST_WAIT_S = 120.0
LOOPBACK = ("127.0.0.1", "localhost", "::1")


class OpenAiChat:
    """Asks one model; stateless between calls but for the answer format that the endpoint turned out to support."""

    def __init__(
        self,
        profile: Profile,
        *,
        deadline_s: float = DEADLINE_S,
        backoff_s: float = BACKOFF_S,
        attempts: int = ATTEMPTS,
    ) -> None:
        self.name = f"openai:{profile.name}"
        self._profile, self._deadline_s, self._backoff_s, self._attempts = profile, deadline_s, backoff_s, attempts
        self._format, self._stream = profile.structured, profile.stream
        self._client: Any = None
        own = os.environ.get("OPENAI_BASE_URL", "")
        self._base_url, self._key_env = own or profile.endpoint, "OPENAI_API_KEY" if own else profile.key_env
        self._key = os.environ.get(self._key_env, "")  # never one vendor's key to another's endpoint
        if not self._key and urlsplit(self._base_url).hostname not in LOOPBACK:
            raise AuthorError(f"{self.name}: no key; set {self._key_env}, or OPENAI_BASE_URL to a server of your own")

    def complete(self, prompt: Prompt) -> Completion:
        """Ask, again where that may help; raise `NoAnswer` with the last reason otherwise."""
        begin, reason, stream = time.monotonic(), "", True
        for attempt in range(self._attempts):
            try:
                reply = self._ask(prompt, stream and self._stream)
            except _Retry as retry:
                reason = self._clean(str(retry))
                stream = stream and not retry.whole
                if attempt + 1 < self._attempts:
                    time.sleep(retry.wait_s if retry.wait_s is not None else self._backoff(attempt))
                continue
            seconds = time.monotonic() - begin
            spent = {"seconds": seconds, "retries": attempt}
            return completion(self._profile, prompt.text, reply.text, reply.finish, reply.usage, **spent)
        raise NoAnswer(f"{self.name} gave no answer in {self._attempts} attempts ({prompt}): {reason}; try again later")

    def _backoff(self, attempt: int) -> float:
        return self._backoff_s * 2**attempt * random.uniform(0.75, 1.25)

    def _ask(self, prompt: Prompt, stream: bool) -> Reply:
        """Make one call within the deadline; `_Retry` or `NoAnswer` for whatever goes wrong."""
        try:
            import openai
        except ImportError:
            raise AuthorError(f"{self.name}: the package openai is missing; run pip install -e '.[llm]'") from None
        client = self._client = self._client or self._connect(openai)
        try:
            return _within(self._deadline_s, lambda: self._exchange(client, prompt, stream))
        except Unusable as fault:
            if not fault.again:
                raise NoAnswer(f"{self.name} gave no answer ({prompt}): {self._clean(str(fault))}") from None
            raise _Retry(str(fault), whole=fault.whole) from None
        except TimeoutError:
            self._client = None  # the call that hangs keeps the old one
            raise _Retry(f"no whole answer within {self._deadline_s:.0f} s") from None
        except openai.APIStatusError as error:
            self._judge(error.status_code, error.response.headers, str(error.message), prompt)
            raise _Retry(f"status {error.status_code}") from None
        except openai.APITimeoutError:
            raise _Retry("the endpoint did not answer in time") from None
        except (openai.OpenAIError, OSError, _http_errors()) as error:
            raise _Retry(f"{_place(self._base_url)} cannot be reached or broke off ({type(error).__name__})") from None

    def _connect(self, openai: Any) -> Any:
        loopback = urlsplit(self._base_url).hostname in LOOPBACK
        http = openai.DefaultHttpx2Client(trust_env=False) if loopback else None  # a proxy breaks loopback
        return openai.OpenAI(
            api_key=self._key or "none",
            base_url=self._base_url or None,
            max_retries=0,
            timeout=self._deadline_s,
            http_client=http,
        )

    def _exchange(self, client: Any, prompt: Prompt, stream: bool) -> Reply:
        with client.chat.completions.with_streaming_response.create(**self._request(prompt, stream)) as response:
            return read_reply(response.headers.get("content-type", ""), response.iter_lines())

    def _request(self, prompt: Prompt, stream: bool) -> dict[str, Any]:
        profile = self._profile
        request: dict[str, Any] = {"model": profile.model, "messages": [{"role": "user", "content": prompt.text}]}
        request[profile.answer_tokens_field] = profile.answer_tokens
        if profile.temperature is not None:
            request["temperature"] = profile.temperature
        if stream:
            request |= {"stream": True, "stream_options": {"include_usage": True}}
        if prompt.json and self._format == "json_schema":
            schema = {"name": "answer", "schema": {"type": "object"}}
            request["response_format"] = {"type": "json_schema", "json_schema": schema}
        elif prompt.json and self._format == "json_object":
            request["response_format"] = {"type": "json_object"}
        return request

    def _judge(self, status: int, headers: Any, message: str, prompt: Prompt) -> None:
        """Raise what a status means where it is not simply "again"."""
        said = self._clean(message)[:300]
        if status in (401, 403):
            raise NoAnswer(f"{self.name}: the endpoint refuses the key (status {status}); check {self._key_env}")
        if status == 404:
            raise NoAnswer(f"{self.name}: the endpoint does not know the model (status 404: {said}); check its name")
        if "insufficient_quota" in message or status == 402:
            raise NoAnswer(f"{self.name}: the account has no credit left (status {status}); top it up")
        if self._loosen(status, prompt):
            raise _Retry(f"status {status}: {said}", wait_s=0.0)
        if status in (400, 413, 422):
            raise NoAnswer(
                f"{self.name}: the endpoint refuses the question (status {status}: {said}); check the profile"
            )
        if status == 429 or status >= 500 or status in (408, 409):
            raise _Retry(f"status {status}: {said}", wait_s=self._retry_after(headers))
        raise NoAnswer(f"{self.name}: unexpected status {status}: {said}; check OPENAI_BASE_URL")

    def _loosen(self, status: int, prompt: Prompt) -> bool:
        """
        Fall back to a simpler answer format, then to no streaming; False where nothing is left to give up.

        A 5xx is mostly a passing fault, but some servers answer so to a JSON schema.
        """
        refused = status in (400, 422)
        if prompt.json and (
            self._format == "json_schema" if status >= 500 else refused and self._format != FORMATS[-1]
        ):
            self._format = FORMATS[FORMATS.index(self._format) + 1]
            return True
        if refused and self._stream:
            self._stream = False
            return True
        return False

    def _retry_after(self, headers: Any) -> float | None:
        """Return the seconds the endpoint asks us to wait, None without a usable wish; refuse to wait for minutes."""
        try:
            in_ms = headers.get("retry-after-ms")
            wait_s = float(in_ms) / 1000 if in_ms else float(headers.get("retry-after", ""))
        except ValueError:
            return None
        if wait_s > LONGEST_WAIT_S:
            raise NoAnswer(f"{self.name}: the endpoint asks to wait {wait_s:.0f} s; try again then")
        return max(wait_s, 0.0)

    def _clean(self, text: str) -> str:
        """Return a message on one line without the key, whatever the endpoint echoed."""
        return " ".join((text.replace(self._key, "***") if self._key else text).split())


class _Retry(Exception):
    """A fault after which another attempt may succeed, or one for a ``whole`` answer; ``wait_s`` None means back off."""

    def __init__(self, reason: str, *, wait_s: float | None = None, whole: bool = False) -> None:
        super().__init__(reason)
        self.wait_s, self.whole = wait_s, whole


def _within(deadline_s: float, call: Callable[[], Reply]) -> Reply:
    """Return what ``call`` returns, or raise `TimeoutError`; a call that hangs is left behind in a daemon thread."""
    results: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def work() -> None:
        try:
            results.put((call(), None))
        except BaseException as error:
            results.put((None, error))

    threading.Thread(target=work, daemon=True, name="llm call").start()
    try:
        reply, error = results.get(timeout=deadline_s)
    except queue.Empty:
        raise TimeoutError from None
    if error is not None:
        raise error
    return reply


def _http_errors() -> type[Exception]:
    """Return the base of the HTTP layer's own errors, which leak while a body is read."""
    import httpx2

    return httpx2.HTTPError


def _place(base_url: str) -> str:
    """Return an endpoint without user, path and query."""
    split = urlsplit(base_url or "https://api.openai.com")
    return f"{split.hostname}:{split.port}" if split.port else str(split.hostname)


LLM = Opener(prefix="openai", argument="MODEL", open=lambda argument: OpenAiChat(load_profile(argument)))

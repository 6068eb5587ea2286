"""A scripted server of the OpenAI chat protocol on loopback: each request gets the next step, the last one for ever."""

import json
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Step:
    """One reply."""

    status: int = 200
    body: bytes = b""
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    chunks: tuple[bytes, ...] = ()
    """Sent one by one instead of the body, with ``pause_s`` between."""
    pause_s: float = 0.0
    delay_s: float = 0.0
    hang_up: bool = False
    """Close the connection before a byte, or after the chunks without the end."""


def answer(text: str | None, *, finish: str = "stop", usage: bool = True, **message: Any) -> Step:
    """Reply as a whole completion."""
    data: dict[str, Any] = {
        "id": "1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": text, **message}, "finish_reason": finish}
        ],
    }
    if usage:
        data["usage"] = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
    return Step(body=json.dumps(data).encode())


def error(status: int, message: str = "no", headers: Mapping[str, str] | None = None, code: str = "") -> Step:
    """Reply with a status and an error object."""
    body = json.dumps({"error": {"message": message, "code": code}}).encode()
    return Step(status=status, body=body, headers=headers or {})


def stream(text: str, *, finish: str | None = "stop", usage: bool = True, **step: Any) -> Step:
    """Reply as a stream of events."""
    events: list[dict[str, Any]] = [
        {"choices": [{"index": 0, "delta": {"content": text[i : i + 5]}, "finish_reason": None}]}
        for i in range(0, len(text), 5)
    ]
    if finish:
        events.append({"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
    if usage:
        events.append({"choices": [], "usage": {"prompt_tokens": 11, "completion_tokens": 7}})
    chunks = [b"data: " + json.dumps(event).encode() + b"\n\n" for event in events]
    if finish:
        chunks.append(b"data: [DONE]\n\n")
    return Step(content_type="text/event-stream", chunks=tuple(chunks), **step)


class ChatServer:
    """Use as a context manager; ``requests`` holds every request's headers and JSON body."""

    def __init__(self, steps: Sequence[Step] = (), respond: Callable[[str], Step] | None = None) -> None:
        self._steps, self._respond = list(steps), respond
        self._lock = threading.Lock()
        self.requests: list[tuple[dict[str, str], dict[str, Any]]] = []
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_port}/v1"

    def __enter__(self) -> "ChatServer":
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()

    def next(self, headers: dict[str, str], body: dict[str, Any]) -> Step:
        """Note a request and return what it gets."""
        with self._lock:
            self.requests.append((headers, body))
            if self._respond:
                return self._respond(body["messages"][0]["content"])
            return self._steps.pop(0) if len(self._steps) > 1 else self._steps[0]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                """Keep quiet."""

            def do_POST(self) -> None:
                length = int(self.headers.get("content-length", 0))
                step = server.next(dict(self.headers), json.loads(self.rfile.read(length)))
                time.sleep(step.delay_s)
                if step.hang_up and not step.chunks:
                    self._close()
                    return
                self.send_response(step.status)
                self.send_header("content-type", step.content_type)
                for name, value in step.headers.items():
                    self.send_header(name, value)
                if not step.chunks:
                    self.send_header("content-length", str(len(step.body)))
                    self.end_headers()
                    self.wfile.write(step.body)
                    return
                self.send_header("transfer-encoding", "chunked")
                self.end_headers()
                try:
                    for chunk in step.chunks:
                        self.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
                        self.wfile.flush()
                        time.sleep(step.pause_s)
                    if step.hang_up:
                        self._close()
                    else:
                        self.wfile.write(b"0\r\n\r\n")
                except OSError:
                    self.close_connection = True

            def _close(self) -> None:
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)

        return Handler

"""Anything an endpoint can do: it is retried, or ends in one clear sentence; no key leaves the process."""

import time

import pytest

from generators.llm import NoAnswer, NothingRecorded, Prompt, open_llm
from generators.llm.profile import Profile, known_profiles, load_profile
from generators.llm.transcript import read
from harness.errors import AuthorError
from suites.selftest.chat_server import ChatServer, Step, answer, error, stream

openai = pytest.importorskip("openai", reason="pip install -e '.[llm]' for the tests of the endpoint")

KEY = "sk-VERY-SECRET"
PROMPT = Prompt(case="host-sgemm-8x8x8", question="sketch", round=0, text="hello", fingerprint="f")
JSON_PROMPT = Prompt(case="host-sgemm-8x8x8", question="action", round=0, text="hello", json=True)


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")


@pytest.fixture
def chat(monkeypatch):
    from generators.llm.openai_chat import OpenAiChat

    def make(server: ChatServer, **options) -> OpenAiChat:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        settings = {"deadline_s": 0.5, "backoff_s": 0.01, "attempts": 4, **options}
        structured = settings.pop("structured", "json_object")
        return OpenAiChat(Profile(name="m", model="m", structured=structured), **settings)

    return make


RETRIED = {
    "429 with Retry-After": error(429, headers={"retry-after": "0"}),
    "429 with Retry-After in milliseconds": error(429, headers={"retry-after-ms": "20"}),
    "429 without Retry-After": error(429),
    "429 with a Retry-After that is a date": error(429, headers={"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}),
    "500": error(500),
    "502 in HTML": Step(status=502, body=b"<html>bad gateway</html>", content_type="text/html"),
    "503": error(503),
    "timeout": Step(delay_s=2.0, body=b"{}"),
    "slow drip": stream("x" * 200, pause_s=0.1),
    "no reply": Step(hang_up=True),
    "truncated JSON": Step(body=b'{"choices": [{"mess'),
    "an error object with status 200": Step(body=b'{"error": {"message": "overloaded"}}'),
    "empty choices": Step(body=b'{"choices": []}'),
    "null choices": Step(body=b'{"choices": null}'),
    "empty text": answer(""),
    "no text": answer(None),
    "a list instead of an object": Step(body=b"[1, 2]"),
    "stream that ends early": stream("half an ans", finish=None),
    "stream that is cut": stream("half an ans", finish=None, hang_up=True),
    "stream with a broken event": Step(content_type="text/event-stream", chunks=(b"data: {oops\n\n",)),
    "empty stream": Step(content_type="text/event-stream", chunks=(b"data: [DONE]\n\n",)),
    "wrong content type": Step(body=b"<html>welcome</html>", content_type="text/html"),
}


@pytest.mark.parametrize("name", RETRIED)
def test_fault_is_retried(name, chat):
    with ChatServer([RETRIED[name], answer("fine")]) as server:
        done = chat(server).complete(PROMPT)

    assert "fine" == done.text
    assert 1 == done.retries
    assert 2 == len(server.requests)


@pytest.mark.parametrize("name", RETRIED)
def test_fault_that_stays_is_one_sentence(name, chat):
    begin = time.monotonic()
    with ChatServer([RETRIED[name]]) as server, pytest.raises(NoAnswer) as refused:
        chat(server, attempts=2, deadline_s=0.3).complete(PROMPT)

    assert 2 == len(server.requests)
    assert "in 2 attempts" in str(refused.value)
    assert "\n" not in str(refused.value)
    assert time.monotonic() - begin < 5


FINAL = {
    "wrong key": (error(401, f"Incorrect API key provided: {KEY}"), "refuses the key"),
    "forbidden": (error(403), "refuses the key"),
    "unknown model": (error(404, "no such model"), "does not know the model"),
    "empty account": (error(429, "insufficient_quota: pay", code="insufficient_quota"), "no credit"),
    "long Retry-After": (error(429, headers={"retry-after": "3600"}), "wait 3600 s"),
    "refusal": (answer(None, refusal="I cannot help with that"), "refuses: I cannot"),
    "content filter": (answer("", finish="content_filter"), "content filter"),
    "prompt too long": (error(413, "context length exceeded"), "context length"),
}


@pytest.mark.parametrize("name", FINAL)
def test_hopeless_fault_is_one_sentence_at_once(name, chat):
    step, words = FINAL[name]
    with ChatServer([step]) as server, pytest.raises(NoAnswer, match=words) as refused:
        chat(server).complete(PROMPT)

    assert 1 == len(server.requests)
    assert KEY not in str(refused.value)


def test_dead_host_is_one_sentence(chat, monkeypatch):
    with ChatServer([answer("")]) as server:
        model = chat(server, attempts=2)

    with pytest.raises(NoAnswer, match=r"127\.0\.0\.1:\d+ cannot be reached"):
        model.complete(PROMPT)


def test_missing_key_is_one_sentence(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY")
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)

    with pytest.raises(AuthorError, match="set OPENAI_API_KEY"):
        open_llm("openai:gpt-4o")


def test_one_vendors_key_is_not_sent_to_another(monkeypatch):
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.delenv("DEEPSEEK_API_KEY", raising=False)

    with pytest.raises(AuthorError, match="set DEEPSEEK_API_KEY"):
        open_llm("openai:deepseek-v3")


@pytest.mark.parametrize("reply", [answer("ok"), stream("ok")], ids=["whole", "stream"])
def test_usage_and_price(reply, chat):
    from generators.llm.openai_chat import OpenAiChat

    with ChatServer([reply]) as server:
        chat(server)
        priced = load_profile("gpt-4o")
        done = OpenAiChat(priced).complete(PROMPT)

    assert (11, 7, False) == (done.prompt_tokens, done.completion_tokens, done.estimated)
    assert (11 * 2.5 + 7 * 10) / 1e6 == done.price_usd


@pytest.mark.parametrize("reply", [answer("okay", usage=False), stream("okay", usage=False)], ids=["whole", "stream"])
def test_missing_usage_is_estimated_and_said(reply, chat):
    with ChatServer([reply]) as server:
        done = chat(server).complete(PROMPT)

    assert (1, 1, True, None) == (done.prompt_tokens, done.completion_tokens, done.estimated, done.price_usd)


def test_answer_format_degrades_until_the_endpoint_takes_it(chat):
    refusals = [error(500, "json_schema unsupported"), error(400, "response_format unsupported"), error(400, "stream")]
    with ChatServer([*refusals, answer("{}")]) as server:
        model = chat(server, structured="json_schema")
        model.complete(JSON_PROMPT)
        model.complete(JSON_PROMPT)
    formats = [body.get("response_format", {}).get("type") for _, body in server.requests]

    assert ["json_schema", "json_object", None, None, None] == formats
    assert [True, True, True, False, False] == [bool(body.get("stream")) for _, body in server.requests]


def test_stream_that_never_begins_is_asked_for_whole_which_may_say_why(chat):
    """As llama-cpp-python's server has it for a question longer than its context."""
    steps = [Step(content_type="text/event-stream"), error(400, "maximum context length is 2048 tokens")]
    with ChatServer(steps) as server, pytest.raises(NoAnswer, match="maximum context length is 2048 tokens"):
        chat(server).complete(PROMPT)

    assert [True, False] == ["stream" in body for _, body in server.requests[:2]]


def test_cut_answer_says_so(chat):
    with ChatServer([answer("half", finish="length")]) as server:
        done = chat(server).complete(PROMPT)

    assert "length" == done.finish


def test_recording_loses_no_answer_and_costs_nothing_again(chat, monkeypatch, tmp_path):
    path = tmp_path / "kept.jsonl"
    with ChatServer([answer("first"), error(401)]) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        model = open_llm(f"record:{path}:openai:gpt-4o")
        with pytest.raises(NoAnswer):
            [model.complete(Prompt(case="c", question="sketch", round=i, text=str(i))) for i in range(2)]
        again = open_llm(f"record:{path}:openai:gpt-4o").complete(
            Prompt(case="c", question="sketch", round=0, text="0")
        )

    assert "first" == again.text
    assert 2 == len(server.requests)
    assert KEY not in path.read_text()
    assert f"Bearer {KEY}" == server.requests[0][0]["authorization"]


def test_torn_recording_keeps_what_was_acknowledged(chat, monkeypatch, tmp_path):
    path = tmp_path / "kept.jsonl"
    ask = [Prompt(case="c", question="sketch", round=i, text=str(i)) for i in range(3)]
    with ChatServer([answer("one\u2028line"), answer("two"), answer("three")]) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        model = open_llm(f"record:{path}:openai:gpt-4o")
        [model.complete(prompt) for prompt in ask[:2]]
        path.write_bytes(path.read_bytes()[:-9])
        texts = [open_llm(f"record:{path}:openai:gpt-4o").complete(prompt).text for prompt in (ask[0], ask[1])]
    _, kept = read(path)

    assert ["one\u2028line", "three"] == texts
    assert {ask[0].key, ask[1].key} == set(kept)


def test_stale_recording_is_said_once_and_goes_on(tmp_path, caplog):
    path = tmp_path / "kept.jsonl"
    path.write_text(
        '{"format": 1, "answered_by": "x"}\n'
        '{"case": "c", "question": "q", "round": 0, "fingerprint": "old", "prompt": "", "answer": "a", "model": "x", "cost": {}}\n'
    )
    replay = open_llm(f"replay:{path}")
    texts = [
        replay.complete(Prompt(case="c", question="q", round=0, text="", fingerprint="new")).text for _ in range(2)
    ]

    assert ["a", "a"] == texts
    assert 1 == caplog.text.count("stale recording")


def test_missing_answer_names_the_recording(tmp_path):
    path = tmp_path / "kept.jsonl"
    path.write_text('{"format": 1}\n')

    with pytest.raises(
        NothingRecorded, match=r"kept\.jsonl has no answer to host-sgemm-8x8x8: question sketch, round 0"
    ):
        open_llm(f"replay:{path}").complete(PROMPT)


@pytest.mark.parametrize("text", ["", "{}\n", "no json\n", '{"format": 2}\n', '{"format": 1}\n{"case": 1}\n'])
def test_damaged_recording_is_one_sentence(text, tmp_path):
    path = tmp_path / "kept.jsonl"
    path.write_text(text)
    if not text:
        path.unlink()

    with pytest.raises(AuthorError, match=r"kept\.jsonl"):
        open_llm(f"replay:{path}")


def test_desk_writes_the_question_and_takes_the_answer(tmp_path, monkeypatch):
    monkeypatch.setenv("OPWRIGHT_DESK_WAIT_S", "0")
    desk = open_llm(f"desk:{tmp_path}")
    with pytest.raises(NoAnswer, match=r"sketch-0\.answer\.md"):
        desk.complete(PROMPT)
    question = tmp_path / PROMPT.case / "sketch-0.md"
    monkeypatch.setattr("generators.llm.desk.SETTLED_S", 0.0)
    question.with_suffix(".answer.md").write_text("my answer\n")
    time.sleep(0.01)
    done = desk.complete(PROMPT)

    assert "hello" == question.read_text()
    assert "my answer" == done.text
    assert done.estimated


@pytest.mark.parametrize("name", ["gpt", "openai:", "record:x", "record:x:magic:y", "desk"])
def test_unknown_author_lists_what_there_is(name):
    with pytest.raises(AuthorError, match="record:FILE"):
        open_llm(name)


def test_every_profile_is_readable():
    profiles = [load_profile(name) for name in known_profiles()]

    assert {"gpt-4o", "deepseek-v3", "claude-3.5-sonnet", "llama-3.1-405b"} <= {profile.name for profile in profiles}
    assert all(profile.price_usd(1000, 1000) and profile.price_source for profile in profiles)
    assert all(profile.endpoint.startswith("https://") for profile in profiles)

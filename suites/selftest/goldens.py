"""Golden copies of prompts: a change of a prompt shows as a difference of a file."""

import os
from pathlib import Path

GOLDEN = Path(__file__).parent / "golden"


def assert_golden(name: str, text: str) -> None:
    """Hold a prompt against its copy; OPWRIGHT_UPDATE_GOLDEN=1 renews the copy."""
    path, text = GOLDEN / f"{name}.md", text + "\n"
    if os.environ.get("OPWRIGHT_UPDATE_GOLDEN"):
        path.write_text(text)

    assert path.read_text() == text, "a prompt changed: look at the difference, then OPWRIGHT_UPDATE_GOLDEN=1 pytest"

"""What every instruction set's lines have in common: comments, what is not straight-line code, operands."""

import re

_LABEL = re.compile(r"[\w.$@]+ ?:(?!:)")


def instruction_text(line: str, comment: re.Pattern[str]) -> str:
    """
    Return a line without comments and spare spaces; empty for none.

    Raises:
        ValueError: The line is a label, a directive or more than one instruction; the message says which.

    """
    text = " ".join(comment.sub(" ", line).split())
    if ";" in text:
        raise ValueError("more than one instruction")
    if text.startswith("."):
        raise ValueError("a label" if text.split()[0].endswith(":") else f"the directive `{text.split()[0]}`")
    if _LABEL.match(text):
        raise ValueError("a label")
    return text


def split_operands(text: str) -> list[str]:
    """Split at commas outside brackets and braces."""
    return [part.strip() for part in re.split(r",(?![^\[{]*[\]}])", text)] if text else []

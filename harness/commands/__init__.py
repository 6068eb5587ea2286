"""Commands: a file here exports ``COMMAND``; its name is what `python -m harness NAME` says."""

from argparse import ArgumentParser, Namespace
from typing import Protocol


class Command(Protocol):
    """One command."""

    summary: str

    def arguments(self, parser: ArgumentParser) -> None:
        """Declare its arguments."""

    def run(self, options: Namespace) -> int:
        """Do it; return the exit status. Raises `HarnessError` for what the user has to put right."""

"""Commands of the harness: `python -m harness --help`."""

import argparse
import sys
from collections.abc import Sequence

import harness.commands
from harness.errors import HarnessError
from harness.registry import discover


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m harness", description="Commands of the harness.")
    choices = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, command in discover(harness.commands, "COMMAND").items():
        own = choices.add_parser(name, help=command.summary, description=command.summary)
        command.arguments(own)
        own.set_defaults(command=command)
    options = parser.parse_args(argv)
    try:
        return options.command.run(options)
    except HarnessError as refused:
        print(f"{type(refused).__name__}: {refused}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())

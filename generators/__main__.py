"""``python -m generators factors MANUAL [--llm NAME [--case ID]]``: what a manual states of the hardware factors, and what it lacks."""

import argparse
import sys
from pathlib import Path

from generators.accounts import Limits, Metered
from generators.extraction import extract
from generators.llm import open_llm
from generators.manual import read_manual
from harness.errors import HarnessError


def main(arguments: list[str] | None = None) -> int:
    """Run the command; a user's mistake is one sentence and status 2."""
    parser = argparse.ArgumentParser(prog="python -m generators", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    factors = commands.add_parser("factors", help="extract hardware factors from a manual")
    factors.add_argument("manual", type=Path, help="Markdown, text or PDF")
    factors.add_argument(
        "--llm", default="", metavar="NAME", help="as pytest's --llm; default: the deterministic reader"
    )
    factors.add_argument("--case", default="", help="under which a recording holds the answers, as in k1-sgemm-256x256x256")
    given = parser.parse_args(arguments)
    try:
        llm = Metered(open_llm(given.llm), Limits()) if given.llm else None
        extraction = extract(read_manual(given.manual), llm, given.case or f"manual-{given.manual.stem}")
    except HarnessError as refused:
        print(f"{type(refused).__name__}: {refused}", file=sys.stderr)
        return 2
    print("\n".join(extraction.lines()))
    for problem in extraction.problems:
        print(f"problem: {problem}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())

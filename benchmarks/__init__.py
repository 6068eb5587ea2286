"""Standing measurements of the harness itself: each is a module to run and quotes what it measured."""

from collections.abc import Callable
from typing import NoReturn

from harness.errors import HarnessError


def finish(main: Callable[[], int | None]) -> NoReturn:
    """Run a benchmark to its exit status; what the user has to put right ends it in one sentence."""
    try:
        raise SystemExit(main())
    except HarnessError as refused:
        raise SystemExit(str(refused)) from None

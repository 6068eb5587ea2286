"""Standing measurements of the harness itself: each is a module to run and quotes what it measured."""

import os
import sys
from collections.abc import Callable
from typing import NoReturn

from harness.errors import HarnessError


def finish(main: Callable[[], int | None]) -> NoReturn:
    """Run a benchmark to its exit status; what the user has to put right ends it in one sentence, a reader who leaves in none."""
    try:
        status = main()
        sys.stdout.flush()
    except HarnessError as refused:
        raise SystemExit(str(refused)) from None
    except BrokenPipeError:  # `| head`; what is still held back goes nowhere (Python library reference, signal: SIGPIPE)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 1
    raise SystemExit(status)

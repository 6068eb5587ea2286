"""When not to look for garbage: Python's cyclic collector looks at every object that lives, again and again as they grow."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def left_lying() -> Iterator[None]:
    """Do not look for garbage in a ``with`` block that makes many objects which all stay: looking takes up to half its time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def keep_for_good() -> None:
    """Never look again at what is alive now: the items of a run stay to its end, where pytest has looked at all of them twice."""
    gc.freeze()

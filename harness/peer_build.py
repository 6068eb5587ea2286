"""Building a library that no package index has, at a user's wish: compiler and linker of the `ziglang` wheel."""

import argparse
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from harness.errors import BaselineUnavailable


def run_zig(library: str, words: Sequence[str], home: Path) -> None:
    """Run a command of the wheel in a folder; raise `BaselineUnavailable` that names the library and what failed."""
    run(library, [sys.executable, "-m", "ziglang", *words], home)


def run(library: str, command: Sequence[str], home: Path) -> None:
    """Run any command likewise; zig keeps its caches in the folder."""
    caches = {f"ZIG_{kind}_CACHE_DIR": str(home / "zig") for kind in ("GLOBAL", "LOCAL")}
    done = subprocess.run(command, cwd=home, capture_output=True, text=True, env={**os.environ, **caches}, check=False)
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if "error" in line] or ["it says nothing"]
        raise BaselineUnavailable(f"{library}: {' '.join(command[:4])} failed: {said[0]}")


def command(name: str, description: str, build: Callable[[], Sequence[Path]]) -> None:
    """Be the command that builds a library: print where what it built lies, or in one sentence why there is nothing."""
    argparse.ArgumentParser(prog=name, description=description, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    try:
        print(*build(), sep="\n")
    except BaselineUnavailable as refused:
        sys.exit(str(refused))

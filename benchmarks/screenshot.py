"""
The README's picture of a report: `python -m benchmarks.screenshot [--run RUN] [--out docs/report.png]`.

The page of a stored run is opened from its file in headless Chromium, which must be installed, and photographed.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks import finish
from harness.errors import HarnessError, ToolchainError
from harness.store import Store, default_store

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
WIDTH_PX, HEIGHT_PX = 1180, 1500
LIMIT_S = 60
PICTURE = Path(__file__).parents[1] / "docs" / "report.png"


def photograph(page: Path, picture: Path) -> None:
    """Write the top of a page as PNG; raise `ToolchainError` where there is no browser or it gives no picture."""
    browser = next(filter(None, map(shutil.which, NAMES)), None)
    if browser is None:
        raise ToolchainError("no Chromium: install one (apt install chromium) to take a picture of the page")
    with tempfile.TemporaryDirectory() as home:
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--user-data-dir={home}"]
        options += [f"--window-size={WIDTH_PX},{HEIGHT_PX}", f"--screenshot={picture.resolve()}", page.resolve().as_uri()]
        try:
            done = subprocess.run([browser, *options], capture_output=True, text=True, timeout=LIMIT_S, check=False)
        except subprocess.TimeoutExpired:
            raise ToolchainError(f"{browser} took no picture within {LIMIT_S} s: run again on a quieter machine") from None
    if done.returncode or not picture.exists():
        raise ToolchainError(f"{browser} took no picture: {done.stderr.strip().splitlines()[-1:]}")


def main() -> int:
    """Render, photograph, and print the path."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.screenshot", description=__doc__.strip().splitlines()[0])
    parser.add_argument("--store", type=Path, default=default_store())
    parser.add_argument("--run", default="last", help="last, or a unique beginning of a run's id")
    parser.add_argument("--out", type=Path, default=PICTURE)
    given = parser.parse_args()
    try:
        from reports.page import render_page

        with Store.open(given.store) as store, tempfile.TemporaryDirectory() as place:
            page = Path(place) / "page.html"
            page.write_text(render_page(store, given.run), encoding="utf-8")
            photograph(page, given.out)
    except HarnessError as refused:
        print(f"{type(refused).__name__}: {refused}", file=sys.stderr)
        return 2
    print(given.out)
    return 0


if __name__ == "__main__":
    finish(main)

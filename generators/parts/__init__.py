"""What several kernel scripts share; `standalone` puts it into each script that imports it."""

import re
from pathlib import Path

HERE = Path(__file__).parent


def standalone(script: str) -> str:
    """Return a kernel script that needs no module of ours: what it imports from generators/parts takes the place."""

    def part(found: re.Match[str]) -> str:
        return (HERE / f"{found[1]}.py").read_text(encoding="utf-8")

    return re.sub(r"^from generators\.parts\.(\w+) import .*\n", part, script, flags=re.MULTILINE)

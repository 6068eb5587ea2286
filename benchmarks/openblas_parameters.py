"""
Build OpenBLAS from the distribution's source with variable P, Q and R: `python -m benchmarks.openblas_parameters`.

The paper's figure 3a tunes OpenBLAS, too; the wheel has the three block sizes as constants. Needed: a Debian or Ubuntu
with network, apt-get, gcc and make; a few minutes. The source is pinned by hash. Nothing is installed: the source
and the library stay in the store, under `openblas-parameters`. The library is for the processor it is built on.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from harness.baselines.openblas_c910v import SOURCE
from harness.debian import fetch_source
from harness.errors import BaselineUnavailable, HarnessError
from harness.store import default_store

ADAPTER = Path(__file__).with_suffix(".c")
HEADERS = Path(__file__).resolve().parents[1] / "harness" / "native"
CONSTANTS = "".join(f"#define\tSGEMM_{name}\t\tSGEMM_DEFAULT_{name}\n" for name in "PQR")
VARIABLES = (
    "#ifndef ASSEMBLER\nextern long opw_sgemm_p, opw_sgemm_q, opw_sgemm_r;\n#endif\n"
    "#define SGEMM_P opw_sgemm_p\n#define SGEMM_Q opw_sgemm_q\n#define SGEMM_R opw_sgemm_r\n"
)
OPTIONS = ("NO_LAPACK=1", "NOFORTRAN=1", "USE_THREAD=0", "USE_LOCKING=0", "BUILD_SINGLE=1", "NO_SHARED=1", "NO_AFFINITY=1")
REMEDY = "build it with: python -m benchmarks.openblas_parameters"


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """The library, and what it would use untuned."""

    library: Path
    version: str
    core: str
    p: int
    q: int
    r: int
    """Larger than any N here where the library computes it from its 128 MiB buffer."""


def built(store: Path) -> Built:
    """Return the library of a store; raise `BaselineUnavailable` with the remedy where there is none."""
    try:
        facts = json.loads((_place(store) / "built.json").read_text())
    except FileNotFoundError:
        raise BaselineUnavailable(f"OpenBLAS with variable P, Q and R is not built; {REMEDY}") from None
    return Built(library=_place(store) / "libopw_openblas.so", **facts)


def build(store: Path) -> Built:
    """Fetch, patch, build; what exists already is left alone."""
    place = _place(store)
    if (place / "built.json").exists():
        return built(store)
    for tool in ("apt-get", "gcc", "make"):
        if shutil.which(tool) is None:
            raise BaselineUnavailable(f"{tool} is missing: OpenBLAS is built from a Debian source with apt-get, gcc and make")
    place.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="opwright-openblas-", dir=place) as scratch:
        tree = _unpacked(Path(scratch))
        header = tree / "common_param.h"
        text = header.read_text()
        if text.count(CONSTANTS) != 1:
            raise HarnessError("this version of OpenBLAS defines SGEMM_P elsewhere than expected; see benchmarks/openblas_parameters.py")
        header.write_text(text.replace(CONSTANTS, VARIABLES))
        _run(["make", "-j2", "libs", *OPTIONS], tree)
        facts = _facts(tree)
        words = [f'-DOPENBLAS_VERSION="{facts["version"]}"', f'-DOPENBLAS_CORE="{facts["core"]}"', f"-I{HEADERS}"]
        output = place / "libopw_openblas.so"
        hidden = ["-Wl,--exclude-libs,ALL", "-Wl,-Bsymbolic"]
        _run(["gcc", "-O2", "-shared", "-fPIC", *words, str(ADAPTER), "libopenblas.a", *hidden, "-lm", "-o", str(output)], tree)
    (place / "built.json").write_text(json.dumps(facts) + "\n")
    return built(store)


def _place(store: Path) -> Path:
    return store.resolve() / "openblas-parameters"


def _unpacked(scratch: Path) -> Path:
    """Fetch and unpack the source."""
    (scratch / "tree").mkdir()
    _run(["tar", "xf", str(fetch_source(SOURCE)), "--strip-components=1", "-C", "tree"], scratch)
    return scratch / "tree"


def _facts(tree: Path) -> dict[str, object]:
    """Ask the preprocessor for the block sizes of the core that the build chose."""
    question = '#include "common.h"\n@ SGEMM_DEFAULT_P @ SGEMM_DEFAULT_Q @ SGEMM_DEFAULT_R @ CHAR_CORENAME @'
    (tree / "question.c").write_text(question)
    answer = _run(["gcc", "-E", "-P", "-I.", "-DBUILD_SINGLE=1", "-DMAX_CPU_NUMBER=1", "question.c"], tree)
    p, q, r, core = (word.strip() for word in answer[answer.index("@") + 1 :].split("@")[:4])
    version = re.search(r"^VERSION = (\S+)", (tree / "Makefile.rule").read_text(), re.MULTILINE)
    return {
        "version": version.group(1) if version else "unknown",
        "core": core.strip('"'),
        "p": int(p),
        "q": int(q),
        "r": int(r) if r.isdigit() else 1 << 14,
    }


def _run(command: list[str], place: Path) -> str:
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()[-1:] or ["no output"]
        raise BaselineUnavailable(f"{command[0]} failed while OpenBLAS was built ({said[0]}); needed are network, gcc and make")
    return done.stdout


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    try:
        print(build(default_store()))
    except HarnessError as refused:
        sys.exit(f"{type(refused).__name__}: {refused}")

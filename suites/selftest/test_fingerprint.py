"""Which edits make a tuned operator stale: those of what it is built from, and no others."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ASKED = """
from generators.generator import Expert
from harness.operators.gemm import GemmSpec
from harness.target import load_target

print(Expert().fingerprint(load_target("c910"), GemmSpec(m=512, n=512, k=512)))
"""


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A copy of the sources whose files a test may edit."""
    copy = tmp_path_factory.mktemp("tree")
    for package in ("generators", "harness"):
        shutil.copytree(ROOT / package, copy / package, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


@pytest.fixture(scope="module")
def before(tree):
    """The fingerprint of the tree as it is."""
    return fingerprint(tree)


def fingerprint(tree):
    """Ask a process of its own: modules are read once."""
    done = subprocess.run([sys.executable, "-c", ASKED], cwd=tree, capture_output=True, text=True, check=True, timeout=60)
    return done.stdout


def edited(tree, path, old, new):
    """Return the fingerprint of the tree with one edit, which is taken back."""
    file = tree / path
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))
    try:
        return fingerprint(tree)
    finally:
        file.write_text(text)


@pytest.mark.parametrize(
    ("path", "old", "new"),
    [
        ("generators/parts/gnu_text.py", ".p2align 6", ".p2align 5"),
        ("generators/sketches/gemm_packed.c", "#define PACK_STEPS 8", "#define PACK_STEPS 4"),
        ("generators/sketches/gemm_packed.toml", 'name = "unroll"', 'name = "turns"'),
    ],
)
def test_what_an_operator_is_built_from_makes_it_stale(tree, before, path, old, new):
    assert before != edited(tree, path, old, new)


@pytest.mark.parametrize(
    ("path", "old", "new"),
    [
        ("generators/emit/neon.py", "LINE = 64", "LINE = 32"),
        ("generators/sketches/conv2d_im2col.c", "int64_t", "long"),
        ("generators/sketches/gemm_packed.toml", "2 if in_order else 4", "1 if in_order else 4"),
        ("generators/sketches/gemm_packed.c", "/* the last,", "/* The last,"),
    ],
)
def test_other_kernels_and_comments_leave_it_as_it_was(tree, before, path, old, new):
    assert before == edited(tree, path, old, new)

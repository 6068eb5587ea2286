"""The Arm Compute Library: where it is offered, what is said where it is missing, what serves it, and that it is right."""

import string
from dataclasses import replace

import pytest

from harness.baselines.acl import BASELINE, LIBC, PACKAGES
from harness.baselines.openblas_guest import guest_libc
from harness.case import Case
from harness.debian import fetch_foreign
from harness.errors import BaselineUnavailable
from harness.library_times import fresh_time, known_time, missing, shipped_times
from harness.machine import Machine
from harness.modelled import questions
from harness.operators import operators
from harness.operators.gemm import GemmSpec
from harness.runners.arena import Arena, Placement
from harness.runners.native import NativeObject
from harness.target import load_target

ODD = GemmSpec(m=127, n=129, k=131)
LARGE = GemmSpec(m=2048, n=2048, k=2048)
TOLD = """
#include "opw.h"

void *fopen(const char *, const char *);
long read(int, char *, size_t);
int fileno(void *);
struct locale { void *categories[13]; const unsigned short *classes; const int *lower, *upper; } *__newlocale(int, const char *, void *);

/* The file with the processor's identification, or what the C locale says of each character. */
const char *opw_describe(void)
{
    static char text[200];
    const struct locale *locale = __newlocale(0, "C", 0);
    void *file = fopen("/sys/devices/system/cpu/cpu0/regs/identification/midr_el1", "r");
    long length = CHARACTERS ? 0 : read(fileno(file), text, sizeof text);
    for (int c = 33; CHARACTERS && c < 127; c++)
        text[length++] = locale->classes[c] & CHARACTERS ? (char)locale->upper[c] : '.';
    for (long i = 0; i < length; i++)
        text[i] = text[i] == '\\n' || text[i] == '"' || text[i] == '\\\\' ? '|' : text[i];
    return text;
}

int opw_run(const struct opw_args *args, const struct opw_tunables *tunables, void *workspace)
{
    (void)args, (void)tunables, (void)workspace;
    return 0;
}
"""


def question(name: str = "a76", spec: GemmSpec = ODD):
    return questions(BASELINE, Case(target=name, spec=spec), load_target(name))[0]


def told(bench, target_name: str, characters: str = "0") -> str:
    """Return what a guest says that is served by guest_libcxx.c."""
    target = load_target(target_name)
    machine, tiny = Machine.of(target), GemmSpec(m=1, n=1, k=1)
    sources = (LIBC.read_text(), f"#define CHARACTERS ({characters})\n{TOLD}")
    served, asking = (bench.toolchain.compile_c(text, "", machine, trusted=True, may_import=True) for text in sources)
    item = NativeObject(name="told", libraries=(served, guest_libc(bench.toolchain, target), asking), trusted=True)
    with bench.worker(target) as worker, Arena(tiny, Placement.ALIGNED) as arena, worker.open(item, arena) as session:
        return session.describe or str(session.verdict)


def test_plain_products_on_arm_are_offered_it():
    offered = [name for name in ("a72", "a76", "c910", "k1") if BASELINE.offers(Case(target=name, spec=ODD))]
    others = [replace(ODD, trans_a=True), replace(ODD, beta=1.0), GemmSpec(m=0, n=8, k=8)]

    assert ["a72", "a76"] == offered
    assert not any(BASELINE.offers(Case(target="a76", spec=spec)) for spec in others)


def test_without_it_the_remedy_is_named(bench, monkeypatch, tmp_path):
    monkeypatch.setenv("OPWRIGHT_STORE", str(tmp_path))

    assert "on Debian run python -m harness.baselines.acl" in missing(bench, question(spec=GemmSpec(m=5, n=6, k=7)))


def test_elsewhere_than_on_debian_that_is_said(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(BaselineUnavailable, match="libarm-compute43: this is no Debian"):
        fetch_foreign(PACKAGES, "trixie", "arm64", tmp_path)


@pytest.mark.parametrize("name", ["a72", "a76"])
def test_smoke_and_paper_shapes_are_answered_without_it(bench, name):
    target, sets = load_target(name), operators()["gemm"].shape_sets
    asked = [one for spec in (*sets["smoke"], *sets["paper"]) for one in questions(BASELINE, Case(target=name, spec=spec), target)]
    found = [known_time(bench, one) for one in asked]

    assert ["OK"] * len(asked) == [one.verdict if one else "none" for one in found]
    assert {"24.11"} == {one.facts["version"] for one in found}


@pytest.mark.parametrize("name", ["a72", "a76"])
def test_it_reads_which_processor_it_is_on(bench, name):
    assert f"0x{int(str(load_target(name).emulator['midr'].value), 16):016x}|" == told(bench, name)


@pytest.mark.parametrize(
    ("bits", "members"),
    [
        ("1 << 2", string.punctuation),
        ("1 << 3", string.ascii_letters + string.digits),
        ("1 << 8", string.ascii_uppercase),
        ("1 << 9", string.ascii_lowercase),
        ("1 << 12", string.hexdigits),
    ],
)
def test_its_locale_knows_the_characters_of_ascii(bench, bits, members):
    expected = "".join(chr(c).upper() if chr(c) in members else "." for c in range(33, 127))

    assert expected.replace('"', "|").replace("\\", "|") == told(bench, "a76", bits)


def test_it_computes_what_numpy_computes(bench):
    asked = question()
    if reason := BASELINE.unavailable(asked.case, asked.target):
        pytest.skip(reason)
    (shipped,) = [one for one in shipped_times("a76") if one.key == asked.key]

    assert replace(shipped, shipped=False) == fresh_time(bench, asked)


def test_a_part_of_a_shape_has_the_kernel_of_the_whole(bench):
    case, target = Case(target="a76", spec=LARGE), load_target("a76")
    if reason := BASELINE.unavailable(case, target):
        pytest.skip(reason)
    part, names = LARGE.resized({"m": 96, "n": 96}), []
    for spec in (LARGE, part):
        item = BASELINE.build(bench.toolchain, target, replace(case, spec=spec))
        with bench.worker(target) as worker, Arena(part, Placement.ALIGNED) as arena, worker.open(item, arena) as session:
            names.append(session.describe.split("core=")[1])

    assert ["a64_sgemm_8x12", "a64_hybrid_fp32_mla_6x16"] == names

"""
OpenBLAS's kernels for RVV 0.7.1 (its target C910V), which no wheel has and no compiler of ours assembles.

    python -m harness.baselines.openblas_c910v

fetches Debian's source, pinned by hash, and builds its SGEMM as it is: the compiler leaves the vector instructions of
inline assembly as text, and `harness.isa.rvv071` encodes them. The library stays in the store; nothing is installed or
shipped. `OPWRIGHT_OPENBLAS_C910V` names a user's own libopenblas.so of that target. Block sizes are the source's own.
"""

import hashlib
import os
import tempfile
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from harness.adapter import BASELINES, Adapter
from harness.baselines.openblas_guest import guest_libc, guest_libc_fingerprint, guest_part
from harness.case import Case
from harness.debian import SourcePackage, fetch_source
from harness.errors import BaselineUnavailable
from harness.fingerprint import c_files, c_only
from harness.isa.rvv071 import translate
from harness.kernel import digest
from harness.peer_build import command, run, run_zig
from harness.runners.native import NativeObject
from harness.store import default_store
from harness.target import Target, load_target
from harness.toolchain import HEADER, NATIVE, Toolchain

SOURCE = SourcePackage(
    name="openblas",
    version="0.3.21+ds-4",
    archive="openblas_0.3.21+ds.orig.tar.xz",
    sha256="bbec5cca61c8033b2d57aaecde205d709323a0b35a5f193290081dbb3826848a",
)
VERSION = SOURCE.version.partition("+")[0]
NAMED = "OPWRIGHT_OPENBLAS_C910V"
REMEDY = "python -m harness.baselines.openblas_c910v"
PARTS = {
    "sgemm_kernel": ("kernel/riscv64/sgemm_kernel_16x4_c910v.c", ()),
    "sgemm_incopy": ("kernel/generic/gemm_ncopy_16.c", ()),
    "sgemm_itcopy": ("kernel/generic/gemm_tcopy_16.c", ()),
    "sgemm_oncopy": ("kernel/generic/gemm_ncopy_4.c", ()),
    "sgemm_otcopy": ("kernel/generic/gemm_tcopy_4.c", ()),
    "sgemm_beta": ("kernel/generic/gemm_beta.c", ()),
    **{f"sgemm_{way.lower()}": ("driver/level3/gemm.c", (f"-D{way}",)) for way in ("NN", "NT", "TN", "TT")},
    "cblas_sgemm": ("interface/gemm.c", ("-DCBLAS",)),
}
"""By function, the file that KERNEL.C910V and the makefiles compile it from, and how they tell it which one it is."""
CONFIG = """
OS_LINUX 1|ARCH_RISCV64 1|C_CLANG 1|__64BIT__ 1|FUNDERSCORE _|BUNDERSCORE _|NEEDBUNDERSCORE 1|C910V|CORE_C910V
CHAR_CORENAME "C910V"|L1_DATA_SIZE 32768|L1_DATA_LINESIZE 32|L2_SIZE 1048576|L2_LINESIZE 32|L2_ASSOCIATIVE 4
DTB_DEFAULT_ENTRIES 128|DTB_SIZE 4096|GEMM_MULTITHREAD_THRESHOLD 4
"""
"""config.h as getarch.c writes it for the target C910V."""
FLAGS = (
    *("-target", "riscv64-linux-musl", "-g0", "-O2", "-fPIC", "-w", "-fno-integrated-as", "-S"),
    *("-DMAX_STACK_ALLOC=2048", "-DMAX_CPU_NUMBER=1", "-DMAX_PARALLEL_NUMBER=1", "-DBUILD_SINGLE=1", "-DNO_AFFINITY"),
)
ASSEMBLER = ("-triple", "riscv64-linux-gnu", "-filetype", "obj", "-target-abi", "lp64d")
EXTENSIONS = "mafdc"
SUPPORT, NAMES = BASELINES / "openblas_c910v.c", BASELINES / "openblas_plain_names.c"
ADAPTER = Adapter(library="openblas", dtypes={"gemm": ("fp32",), "conv2d": ("fp32",)})


class OpenBlasC910V:
    """The rival on processors with RVV 0.7.1."""

    name = "openblas-c910v"
    runners = ("emulated",)
    isas = ("riscv",)

    def offers(self, case: Case) -> bool:
        """Single precision, one thread, RVV 0.7.1."""
        return ADAPTER.serves(case.spec) and case.threads == 1 and "xtheadvector" in load_target(case.target).features

    def unavailable(self, case: Case, target: Target) -> str | None:
        """Return that it was not built, if it was not."""
        if (named := os.environ.get(NAMED)) and not Path(named).exists():
            return f"{self.name}: {NAMED} names {named}, which is not there"
        return None if _library().exists() else f"{self.name}: not built; on Debian run {REMEDY}, or name your own in {NAMED}"

    def environment(self, case: Case, target: Target) -> Mapping[str, str]:
        """Return nothing: the guest has an environment of its own."""
        return {}

    def build(self, toolchain: Toolchain, target: Target, case: Case) -> NativeObject:
        """Compile the adapter and the guest's C library for the target; the library was built before."""
        if reason := self.unavailable(case, target):
            raise BaselineUnavailable(reason)
        libraries = [guest_libc(toolchain, target), _library(), guest_part(toolchain, target, NAMES)]
        return ADAPTER.build(toolchain, target, case, libraries)

    def fingerprint(self, target: Target, case: Case) -> str:
        """Return a digest of the library, or of what it is built from, of the adapter and of the guest's C library."""
        named = Path(os.environ.get(NAMED, ""))
        library = hashlib.sha256(named.read_bytes()).hexdigest() if named.is_file() else _recipe()
        texts = [c_only(ADAPTER.source(case.spec)), *c_files([NATIVE / HEADER, NAMES])]
        return digest(self.name, library, texts, guest_libc_fingerprint(target))

    def rival(self, target: Target) -> bool:
        """It has the vector kernels that the wheel lacks."""
        return True


def _recipe() -> str:
    """Return a digest of all that the library is built from."""
    return digest(SOURCE.sha256, PARTS, CONFIG, FLAGS, ASSEMBLER, EXTENSIONS, c_files([SUPPORT]), version("ziglang"))


def _library() -> Path:
    named = os.environ.get(NAMED)
    return Path(named) if named else default_store() / "openblas-c910v" / _recipe() / "libopenblas_c910v.so"


def build() -> Path:
    """Fetch the source and build the library; raise `BaselineUnavailable` with what failed."""
    archive, library = fetch_source(SOURCE), _library()
    library.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="partial-", dir=library.parent) as name:
        home = Path(name)
        (home / "tree").mkdir()
        run(OpenBlasC910V.name, ["tar", "xf", str(archive), "--strip-components=1", "-C", "tree"], home)
        lines = [f"#define {entry}\n" for line in CONFIG.split("\n") for entry in line.split("|") if entry]
        (home / "config.h").write_text("".join(lines))
        (home / "riscv_vector.h").touch()  # of the vendor's compiler; SGEMM uses nothing of it
        sources = [(f"-DCNAME={function}", *ways, f"tree/{path}") for function, (path, ways) in PARTS.items()]
        sources.append((f'-DOPENBLAS_VERSION="{VERSION}"', str(SUPPORT)))
        objects = [_compiled(home, number, words) for number, words in enumerate(sources)]
        run_zig(OpenBlasC910V.name, ["ld.lld", "-shared", "-z", "noexecstack", "-Bsymbolic", *objects, "-o", "library.so"], home)
        (home / "library.so").replace(library)
    return library


def _compiled(home: Path, number: int, words: tuple[str, ...]) -> str:
    """Compile one file as far as assembly, encode its vector instructions, assemble; return the object's name."""
    text, made = home / f"{number}.s", f"{number}.o"
    run_zig(OpenBlasC910V.name, ["cc", *FLAGS, "-I.", "-Itree", *words, "-o", text.name], home)
    text.write_text(translate(text.read_text()))
    extensions = [word for letter in EXTENSIONS for word in ("-target-feature", f"+{letter}")]
    run_zig(OpenBlasC910V.name, ["clang", "-cc1as", *ASSEMBLER, *extensions, text.name, "-o", made], home)
    return made


BASELINE = OpenBlasC910V()

if __name__ == "__main__":
    command(REMEDY, __doc__, lambda: [build()])

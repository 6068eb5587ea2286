"""
TVM's MetaSchedule on emulated AArch64 targets: searched for on the model's clock, cross-compiled from the `apache-tvm` wheel.

    python -m benchmarks.tvm_search 512 --target a76 --trials 32

keeps what it finds in the store; times of it are shipped. TVM's code is for one size, so it is a rival where a shape is
run whole under the model, with operands that end as TVM expects them to begin, at a multiple of 64 bytes.
"""

from collections.abc import Mapping
from pathlib import Path

from harness.adapter import Adapter
from harness.baselines.metaschedule import account, plain, searched
from harness.baselines.metaschedule import unavailable as wheels_missing
from harness.baselines.openblas_guest import guest_libc, guest_libc_fingerprint
from harness.case import Case
from harness.errors import BaselineUnavailable
from harness.fingerprint import c_files, c_only
from harness.kernel import digest
from harness.machine import Machine
from harness.operators.gemm import GemmSpec
from harness.runners.native import NativeObject
from harness.sampling import TUNED_FLOPS
from harness.store import default_store
from harness.target import Target, load_target
from harness.toolchain import HEADER, NATIVE, Toolchain

VERSION = "0.27.0.post1"
TRIALS = 32
"""Of the search whose times are shipped; TVM draws from a seed and the model's clock repeats, so it finds the same again."""
ALIGNED_ELEMENTS = 16
ADAPTER = Adapter(library="tvm", dtypes={"gemm": ("fp32",)})


class GuestTvm:
    """What TVM found for one size on the model's clock."""

    name = "tvm"
    runners = ("emulated",)
    isas = ("neon",)

    def offers(self, case: Case) -> bool:
        """Plain fp32 products that are run whole, one thread, Advanced SIMD."""
        spec = case.spec
        if not isinstance(spec, GemmSpec) or case.threads != 1 or load_target(case.target).isa != "neon":
            return False
        aligned = all(size and size % ALIGNED_ELEMENTS == 0 for size in (spec.m * spec.k, spec.k * spec.n, spec.m * spec.n))
        return aligned and spec == plain(spec.m, spec.n, spec.k) and spec.flops <= TUNED_FLOPS

    def unavailable(self, case: Case, target: Target) -> str | None:
        """Return that the wheels are missing, or that TVM has not searched so long."""
        if wrong := wheels_missing():
            return wrong
        return None if _library(case).exists() else f"tvm: it has not searched for this product; run {remedy(case)}"

    def environment(self, case: Case, target: Target) -> Mapping[str, str]:
        """Return nothing: the guest has an environment of its own."""
        return {}

    def build(self, toolchain: Toolchain, target: Target, case: Case) -> NativeObject:
        """Return the library of the search with the adapter."""
        if reason := self.unavailable(case, target):
            raise BaselineUnavailable(reason)
        found, _ = searched(default_store(), case.spec, case.target)
        if found != VERSION:
            raise BaselineUnavailable(f"tvm: {found} searched, not {VERSION}; run pip install -e .[tvm], then {remedy(case)}")
        return guest_object(toolchain, target, case, _library(case))

    def fingerprint(self, target: Target, case: Case) -> str:
        """Return a digest of TVM's version, of how long it searched, and of its adapter."""
        texts = [c_only(ADAPTER.source(case.spec)), *c_files([NATIVE / HEADER])]
        return digest(self.name, VERSION, TRIALS, guest_target(target), texts, guest_libc_fingerprint(target))

    def rival(self, target: Target) -> bool:
        """Its compiler knows the target's vectors."""
        return True


def remedy(case: Case) -> str:
    """Return the command that lets TVM search for a case."""
    spec = case.spec.dims()
    return f"python -m benchmarks.tvm_search {spec['m']} {spec['n']} {spec['k']} --target {case.target} --trials {TRIALS}"


def guest_target(target: Target) -> dict[str, object]:
    """Return an emulated target as TVM describes one."""
    machine = Machine.of(target)
    cpu = next(flag.partition("=")[2] for flag in machine.c_flags if flag.startswith("-mcpu="))
    return {"kind": "llvm", "mtriple": machine.triple, "mcpu": cpu, "num-cores": 1}


def guest_object(toolchain: Toolchain, target: Target, case: Case, library: Path) -> NativeObject:
    """Return a library of TVM's for a target with the guest's C library and the adapter."""
    says = [f'OPW_VERSION "{VERSION}"', f'OPW_CORE "{guest_target(target)["mcpu"]}:{library.stem}"']
    return ADAPTER.build(toolchain, target, case, [guest_libc(toolchain, target), library], defines=says)


def _library(case: Case) -> Path:
    return account(default_store(), case.spec, case.target).with_name(f"trials-{TRIALS}.so")


BASELINE = GuestTvm()

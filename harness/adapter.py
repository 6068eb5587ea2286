"""
Adapter: what baselines in C have in common, a file that puts a library behind the contract's two functions.

``<library>_<operator>.c`` stands beside its baseline in `harness/baselines` and is compiled for the dtypes of the
computation, after description.c (which says what an adapter may export) and ``<library>.c`` where there is one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.build import names_header
from harness.case import Case
from harness.dtype import DType
from harness.errors import BaselineUnavailable
from harness.machine import Machine
from harness.operator import OperatorSpec
from harness.record import Verdict
from harness.runners.native import NativeObject
from harness.target import Target
from harness.toolchain import Toolchain

BASELINES = Path(__file__).parent / "baselines"


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapter:
    """The adapters of one library."""

    library: str
    """The beginning of the files' names."""
    dtypes: Mapping[str, tuple[str, ...]]
    """By operator, the `signature`s that its adapter serves."""
    common: str = ""
    """The name of the file that goes before, where it is another library's."""

    def serves(self, spec: OperatorSpec) -> bool:
        """Return whether there is an adapter for the operator in these dtypes."""
        return getattr(spec, "acc", None) is None and signature(spec) in self.dtypes.get(spec.operator, ())

    def source(self, spec: OperatorSpec) -> str:
        """Return the text of the adapter for an operator."""
        names = ("description", self.common or self.library, f"{self.library}_{spec.operator}")
        return "".join(path.read_text() for name in names if (path := BASELINES / f"{name}.c").exists())

    def compile(self, toolchain: Toolchain, target: Target, spec: OperatorSpec, defines: Sequence[str] = ()) -> Path:
        """Compile the adapter; raise `BaselineUnavailable` where it does not build."""
        names = names_header(tuple(spec.dims())) + dtype_names(spec) + "".join(f"#define {one}\n" for one in defines)
        machine = Machine.of(target)
        built = toolchain.compile_c(self.source(spec), names, machine, trusted=True, may_import=True)
        if isinstance(built, Verdict):
            raise BaselineUnavailable(f"{self.library}: the {spec.operator} adapter does not build: {built.reason}")
        return built

    def build(
        self,
        toolchain: Toolchain,
        target: Target,
        case: Case,
        libraries: Sequence[Path],
        defines: Sequence[str] = (),
    ) -> NativeObject:
        """Return the library's objects, in load order, and the adapter after them."""
        built = self.compile(toolchain, target, case.spec, defines)
        return NativeObject(name=self.library, libraries=(*libraries, built), trusted=True)


def signature(spec: OperatorSpec) -> str:
    """Return the dtype of the inputs, and after ``to`` that of the output where it is another: ``int8 to int32``."""
    operands = spec.operands()
    first, last = operands[0].dtype, next(operand.dtype for operand in operands if operand.mode != "in")
    return first.value if last is first else f"{first.value} to {last.value}"


def dtype_names(spec: OperatorSpec) -> str:
    """Return the dtypes of the operands for C: ``OPW_TYPE_A`` is ``OPW_FP32``, so that ``#if`` can tell them apart."""
    lines = [f"#define OPW_{dtype.value.upper()} {index}" for index, dtype in enumerate(DType, start=1)]
    lines += [f"#define OPW_TYPE_{operand.name.upper()} OPW_{operand.dtype.value.upper()}" for operand in spec.operands()]
    return "\n".join(lines) + "\n"


def shared_library(name: str) -> Path | None:
    """Return a shared object that a wheel put into this environment's `lib`, or None."""
    import sysconfig

    path = Path(sysconfig.get_path("data")) / "lib" / name
    return path if path.exists() else None

"""
Launch plans: what a sketch is on a GPU (DESIGN.md, section 3).

NVRTC compiles no host code, so the host's part is data: workspaces, tensor maps and ordered launches whose numbers are
formulas over spec, tunables and hardware factors. A plan may come from a language model: whatever is not on the list
below is refused with the entry's name, and no formula runs before it was read.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.dtype import DType
from harness.errors import BadRequest
from harness.formula import evaluate
from harness.operator import OperatorSpec

Names = dict[str, float]
SWIZZLES = (0, 32, 64, 128)
ELEMENTS = {"fp16": 2, "bf16": 2, "fp32": 4, "tf32": 4, "int8": 1, "fp8": 1, "int32": 4}
"""Element types of tensor maps and their bytes."""
PREFIXES = ("map", "operand", "workspace", "int", "long", "float")
LIMIT = 64
"""Entries of one kind that a plan may have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """Device memory the plan needs besides the operands; bytes are a formula."""

    name: str
    bytes: str
    when: str = "1"


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorMap:
    """
    What the copy engine is told of a buffer, innermost dimension first.

    ``dims`` and ``box`` in elements, ``strides`` (of all but the innermost dimension) in bytes. With ``kind`` im2col,
    ``box`` is channels and pixels, ``lower`` and ``upper`` the corners, ``steps`` the traversal strides. Of several
    maps of one name the first whose ``when`` holds is used.
    """

    name: str
    buffer: str
    """An operand's name, with or without ``operand:`` before it, or ``workspace:NAME``."""
    element: str
    dims: tuple[str, ...]
    strides: tuple[str, ...]
    box: tuple[str, ...]
    swizzle: int = 128
    kind: str = "tiled"
    lower: tuple[str, ...] = ()
    upper: tuple[str, ...] = ()
    steps: tuple[str, ...] = ()
    offset: str = "0"
    """Bytes into the buffer."""
    when: str = "1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """One kernel launch; ``args`` are ``map:NAME``, ``operand:NAME``, ``workspace:NAME`` or ``int:``, ``long:``, ``float:`` and a formula."""

    kernel: str
    """A role of the kernel script."""
    grid: tuple[str, ...]
    block: str
    args: tuple[str, ...]
    cluster: str = "1"
    shared_bytes: str = "0"
    early: str = "0"
    """1: it may begin while the launch before it ends (programmatic dependent launch); its kernel waits for that itself."""
    when: str = "1"


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchPlan:
    """A whole plan; ``names`` are formulas evaluated in order, each sees the ones before."""

    names: tuple[tuple[str, str], ...]
    workspaces: tuple[Workspace, ...]
    tensor_maps: tuple[TensorMap, ...]
    launches: tuple[Launch, ...]

    @classmethod
    def from_mapping(cls, data: Mapping[str, Any]) -> "LaunchPlan":
        """Read the ``plan`` table of a sketch; raise `BadRequest` naming the entry that is wrong."""
        _only("plan", data, {"names", "workspace", "tensor_map", "launch"})
        plan = cls(
            names=tuple((key, _formula(f"plan.names.{key}", text)) for key, text in data.get("names", {}).items()),
            workspaces=tuple(_read(Workspace, "workspace", entry) for entry in _list(data, "workspace")),
            tensor_maps=tuple(_read(TensorMap, "tensor_map", entry) for entry in _list(data, "tensor_map")),
            launches=tuple(_read(Launch, "launch", entry) for entry in _list(data, "launch")),
        )
        if not plan.launches:
            raise BadRequest("plan: it has no launch")
        for tensor_map in plan.tensor_maps:
            _check_map(plan, tensor_map)
        for launch in plan.launches:
            _check_args(plan, launch)
        return plan

    @property
    def roles(self) -> tuple[str, ...]:
        """Return the kernels it launches, each once, in order."""
        return tuple(dict.fromkeys(launch.kernel for launch in self.launches))

    def resolve(self, names: Mapping[str, float]) -> "Resolved":
        """Compute every number; raise `BadRequest` naming what has no value or an impossible one."""
        known: Names = dict(names)
        for key, formula in self.names:
            known[key] = evaluate(formula, known)
        workspaces = {w.name: max(16, int(evaluate(w.bytes, known))) for w in self.workspaces if evaluate(w.when, known)}
        maps: dict[str, ResolvedMap] = {}
        for entry in self.tensor_maps:
            if entry.name not in maps and evaluate(entry.when, known):
                maps[entry.name] = _resolve_map(entry, known)
        launches = [_resolve_launch(launch, known) for launch in self.launches if evaluate(launch.when, known)]
        resolved = Resolved(workspaces=workspaces, maps=maps, launches=tuple(launches))
        for launch in launches:
            for kind, name in launch.args:
                if (kind == "map" and name not in maps) or (kind == "workspace" and name not in workspaces):
                    raise BadRequest(f"launch {launch.kernel}: the {kind} {name} is not there in this case; check `when`")
        return resolved


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedMap:
    """A tensor map in numbers."""

    buffer: str
    element: str
    dims: tuple[int, ...]
    strides: tuple[int, ...]
    box: tuple[int, ...]
    swizzle: int
    kind: str
    lower: tuple[int, ...]
    upper: tuple[int, ...]
    steps: tuple[int, ...]
    offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedLaunch:
    """A launch in numbers; ``args`` are (kind, name or value)."""

    kernel: str
    grid: tuple[int, int, int]
    block: int
    cluster: int
    shared_bytes: int
    early: bool
    args: tuple[tuple[str, Any], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """A plan in numbers, ready for a device."""

    workspaces: Mapping[str, int]
    maps: Mapping[str, ResolvedMap]
    launches: tuple[ResolvedLaunch, ...]

    @property
    def roles(self) -> tuple[str, ...]:
        """Return the kernels that are launched in this case."""
        return tuple(dict.fromkeys(launch.kernel for launch in self.launches))

    def refusal(self, limits: Mapping[str, float]) -> str:
        """Say which hardware limit (``factors`` of the target) a launch exceeds, or nothing."""
        for launch in self.launches:
            checks = (
                ("threads of a block", launch.block, limits["threads_per_block"]),
                ("bytes of shared memory", launch.shared_bytes, limits["shared_per_block_bytes"]),
                ("blocks of a cluster", launch.cluster, limits["cluster_limit"]),
                ("blocks along x", launch.grid[0], 2**31 - 1),
                ("blocks along y", launch.grid[1], 65535),
                ("blocks along z", launch.grid[2], 65535),
            )
            for what, got, most in checks:
                if got > most:
                    return f"launch {launch.kernel}: {got} {what}, the limit is {most:.0f}"
            if launch.grid[0] % launch.cluster:
                return f"launch {launch.kernel}: {launch.grid[0]} blocks are no multiple of a cluster of {launch.cluster}"
        return next((wrong for name, entry in self.maps.items() if (wrong := _map_refusal(name, entry))), "")

    def stranger(self, spec: OperatorSpec) -> str:
        """Say which operand the spec does not have, or nothing."""
        named = [value for launch in self.launches for kind, value in launch.args if kind == "operand"]
        named += [entry.buffer for entry in self.maps.values() if not entry.buffer.startswith("workspace:")]
        known = [operand.name for operand in spec.operands()]
        unknown = next((name for name in named if name not in known), None)
        return f"there is no operand {unknown!r}; the operator has {', '.join(known)}" if unknown is not None else ""


def case_names(spec: OperatorSpec) -> dict[str, float]:
    """Return what formulas of a plan see of a spec: dims, alpha and beta, the dtype's flags and size."""
    dtypes = {f"dtype_{dtype}": int(spec.dtype is dtype) for dtype in DType}
    scalars = dict(zip(("alpha", "beta"), spec.scalars(), strict=False))
    return {"alpha": 1.0, "beta": 0.0, **scalars, **dtypes, "element_bytes": spec.dtype.bytes, **spec.dims()}


def _map_refusal(name: str, entry: ResolvedMap) -> str:
    """CUDA driver API, cuTensorMapEncodeTiled: what the copy engine demands."""
    size = ELEMENTS[entry.element]
    if any(stride % 16 or not 0 < stride < 2**40 for stride in entry.strides):
        return f"tensor map {name}: strides {list(entry.strides)} must be positive multiples of 16 bytes"
    if any(not 0 < extent <= 2**32 for extent in entry.dims):
        return f"tensor map {name}: dims {list(entry.dims)} must be 1 to 2^32"
    if any(not 0 < extent <= 256 for extent in entry.box) and entry.kind == "tiled":
        return f"tensor map {name}: box {list(entry.box)} must be 1 to 256"
    if entry.swizzle and entry.box[0] * size > entry.swizzle:
        return f"tensor map {name}: {entry.box[0] * size} bytes a row of the box, the swizzle takes {entry.swizzle}"
    return f"tensor map {name}: a row of the box is no multiple of 16 bytes" if entry.box[0] * size % 16 else ""


def _resolve_map(entry: TensorMap, known: Names) -> ResolvedMap:
    def numbers(formulas: Sequence[str]) -> tuple[int, ...]:
        return tuple(int(evaluate(formula, known)) for formula in formulas)

    return ResolvedMap(
        buffer=entry.buffer.removeprefix("operand:"),
        element=entry.element,
        dims=numbers(entry.dims),
        strides=numbers(entry.strides),
        box=numbers(entry.box),
        swizzle=entry.swizzle,
        kind=entry.kind,
        lower=numbers(entry.lower),
        upper=numbers(entry.upper),
        steps=numbers(entry.steps),
        offset=int(evaluate(entry.offset, known)),
    )


def _resolve_launch(launch: Launch, known: Names) -> ResolvedLaunch:
    grid = [int(evaluate(formula, known)) for formula in launch.grid]
    block, cluster = int(evaluate(launch.block, known)), int(evaluate(launch.cluster, known))
    if min(*grid, block, cluster) < 1:
        raise BadRequest(f"launch {launch.kernel}: grid {grid}, block {block}, cluster {cluster} must be 1 or more")
    args: list[tuple[str, Any]] = []
    for arg in launch.args:
        kind, text = arg.split(":", 1)
        if kind in ("int", "long"):
            args.append((kind, int(evaluate(text, known))))
        else:
            args.append((kind, float(evaluate(text, known)) if kind == "float" else text))
    return ResolvedLaunch(
        kernel=launch.kernel,
        grid=tuple([*grid, 1, 1][:3]),
        block=block,
        cluster=cluster,
        shared_bytes=int(evaluate(launch.shared_bytes, known)),
        early=bool(evaluate(launch.early, known)),
        args=tuple(args),
    )


def _check_map(plan: LaunchPlan, entry: TensorMap) -> None:
    at = f"tensor map {entry.name}"
    if entry.element not in ELEMENTS:
        raise BadRequest(f"{at}: element {entry.element!r}; choose {', '.join(ELEMENTS)}")
    if entry.swizzle not in SWIZZLES:
        raise BadRequest(f"{at}: swizzle {entry.swizzle}; choose {', '.join(map(str, SWIZZLES))}")
    if entry.kind not in ("tiled", "im2col"):
        raise BadRequest(f"{at}: kind {entry.kind!r}; choose tiled or im2col")
    if not 2 <= len(entry.dims) <= 5 or len(entry.strides) != len(entry.dims) - 1:
        raise BadRequest(f"{at}: give 2 to 5 dims and one stride less, innermost first")
    wanted = 2 if entry.kind == "im2col" else len(entry.dims)
    if len(entry.box) != wanted:
        raise BadRequest(f"{at}: the box has {len(entry.box)} extents, {wanted} are needed")
    if entry.kind == "im2col" and not len(entry.lower) == len(entry.upper) == len(entry.dims) - 2:
        raise BadRequest(f"{at}: im2col needs lower and upper corners of {len(entry.dims) - 2} dimensions")
    _check_workspace(plan, at, entry.buffer)


def _check_args(plan: LaunchPlan, launch: Launch) -> None:
    at, maps = f"launch {launch.kernel}", {entry.name for entry in plan.tensor_maps}
    if not 1 <= len(launch.grid) <= 3:
        raise BadRequest(f"{at}: the grid has 1 to 3 extents")
    for arg in launch.args:
        kind, _, text = arg.partition(":")
        if kind not in PREFIXES or not text:
            raise BadRequest(f"{at}: argument {arg!r}; write KIND:WHAT with a kind of {', '.join(PREFIXES)}")
        if kind == "map" and text not in maps:
            raise BadRequest(f"{at}: there is no tensor map {text!r}")
        _check_workspace(plan, at, arg)


def _check_workspace(plan: LaunchPlan, at: str, text: str) -> None:
    kind, _, name = text.partition(":")
    if kind == "workspace" and name not in {entry.name for entry in plan.workspaces}:
        raise BadRequest(f"{at}: there is no workspace {name!r}")


def _list(data: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    entries = data.get(key, [])
    if not isinstance(entries, list) or len(entries) > LIMIT:
        raise BadRequest(f"plan.{key}: write at most {LIMIT} entries [[plan.{key}]]")
    return entries


def _read(kind: type, what: str, entry: Mapping[str, Any]) -> Any:
    """Build one entry: text fields are formulas or names, lists become tuples of text."""
    if not isinstance(entry, Mapping):
        raise BadRequest(f"plan.{what}: {entry!r} is no table")
    fields = kind.__dataclass_fields__
    _only(f"plan.{what}", entry, set(fields))
    values = {key: _value(f"plan.{what}.{key}", value, fields[key].type) for key, value in entry.items()}
    try:
        return kind(**values)
    except TypeError:
        missing = [key for key in fields if key not in entry and not _has_default(kind, key)]
        raise BadRequest(f"plan.{what}: {', '.join(missing)} is missing") from None


def _has_default(kind: type, key: str) -> bool:
    from dataclasses import MISSING, fields

    return next(field for field in fields(kind) if field.name == key).default is not MISSING


def _value(at: str, value: Any, kind: Any) -> Any:
    if kind in ("int", int):
        if not isinstance(value, int) or isinstance(value, bool):
            raise BadRequest(f"{at}: {value!r} is no whole number")
        return value
    if "tuple" in str(kind):
        if not isinstance(value, list) or len(value) > LIMIT:
            raise BadRequest(f"{at}: write a list")
        return tuple(_formula(at, item) for item in value)
    return _formula(at, value)


def _formula(at: str, value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise BadRequest(f"{at}: {value!r} is neither text nor a number")
    return str(value)


def _only(at: str, entry: Mapping[str, Any], known: set[str]) -> None:
    if unknown := sorted(set(entry) - known):
        raise BadRequest(f"{at}: unknown entry {unknown[0]!r}; known: {', '.join(sorted(known))}")

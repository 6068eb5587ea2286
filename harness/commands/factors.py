"""`python -m harness factors TARGET`: the hardware factors of a target, each with its source."""

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from textwrap import fill

from harness.store import Store, default_store
from harness.target import DETECTED, Fact, Target, load_target
from harness.workbench import Workbench

WIDTH = 110


class Factors:
    """Show what is known of a machine, and from where."""

    summary = "print the hardware factors of a target, each with its source; `host` is detected"

    def arguments(self, parser: ArgumentParser) -> None:
        """Declare which target."""
        parser.add_argument("target", nargs="?", default="host", help="as in --target (default: host, this machine)")

    def run(self, options: Namespace) -> int:
        """Print one factor a line."""
        if options.target in DETECTED or load_target(options.target).runner == "emulated":  # which may be the core we run on
            with Store.open(default_store()) as store:
                target = Workbench(store).target(options.target)
        else:
            target = load_target(options.target)
        print(f"{target.name}: {target.isa}, {target.runner}{f', {target.model}' if target.model else ''}")
        for name, fact in facts(target):
            print(fill(f"{name:21}{fact.value}  ({fact.source})", WIDTH, initial_indent="  ", subsequent_indent=" " * 23))
        return 0


def facts(target: Target) -> Iterator[tuple[str, Fact]]:
    """Yield every factor of a target under the paper's four headings (section 2.3), then clock and peaks."""
    for cache in target.caches:
        size = f"{cache.bytes // 1024} KiB, {cache.ways} ways, lines of {cache.line_bytes} bytes, {cache.shared_by} to share it"
        yield f"L{cache.level}", Fact(value=size, source=cache.source)
    yield "instructions", Fact(value=" ".join(target.features), source=target.features_source)
    for name in ("fma_per_cycle", "vector_bits", "vector_registers", "scalar_registers", "streaming_processors", "cores"):
        if (fact := getattr(target, name)) is not None:
            yield name, fact
    yield "clock", Fact(value=f"{target.clock_hz.value / 1e9:.2f} GHz", source=target.clock_hz.source)
    for dtype, fact in target.peak_gflops.items():
        yield f"peak {dtype}", Fact(value=f"{fact.value:.1f} GFLOP/s", source=fact.source)
    yield from target.gpu.items()


COMMAND = Factors()

"""`python -m harness calibrate TARGET`: microbenchmarks for a board out, their results back into the target's file."""

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.calibrate.fit import fit, read_output, rewritten
from harness.calibrate.probes import probes
from harness.calibrate.program import program
from harness.errors import BadRequest
from harness.store import Store, default_store
from harness.target import TARGETS, load_target
from harness.workbench import Workbench

NEXT = """{path} is a static program of {count} probes, about {seconds} s. On the board, alone on a core at its full clock:
  ./{path.name} > {name}.txt
Then here: python -m harness calibrate {name} --results {name}.txt --board "BOARD, DATE"
"""
PROBE_S = 0.06


class Calibrate:
    """Fit a modelled target to its owner's board."""

    summary = "fit a modelled target's parameters to microbenchmarks that you run on your board"

    def arguments(self, parser: ArgumentParser) -> None:
        """Declare what to make or read."""
        parser.add_argument("target")
        parser.add_argument("--program", type=Path, metavar="FILE", help="where to put the program (default calibrate-TARGET)")
        parser.add_argument("--results", type=Path, metavar="FILE", help="what the program printed: fit the target's file to it")
        parser.add_argument("--board", default="", metavar="TEXT", help="which board, and when; the source of every fitted value")
        parser.add_argument("--output", type=Path, metavar="FILE", help="where to write the fitted target (default: its own file)")

    def run(self, options: Namespace) -> int:
        """Make the program, or fit to its results."""
        target = load_target(options.target)
        if target.runner != "emulated":
            raise BadRequest(f"calibrate {target.name}: it runs on real hardware ({target.runner}); only modelled targets are fitted")
        if options.results is None:
            return self._make(options, target)
        if not options.board.strip() or '"' in options.board or "\\" in options.board or not options.board.isprintable():
            raise BadRequest('calibrate: name the board and the date with --board "BPI-F3, 2026-11-22": every fitted value needs a source')
        try:
            took_ps = read_output(options.results.read_text(errors="replace"))
        except OSError as error:
            raise BadRequest(f"calibrate: {options.results} cannot be read ({error.strerror}); give the program's output") from None
        changes, path = fit(target, took_ps), TARGETS / f"{target.name}.toml"
        for change in changes:
            print(f"{change.table:14}{change.key:18}{change.before:32} -> {change.after}")
        output = options.output or path
        with _writing(output, "--output"):
            output.write_text(rewritten(path, changes, options.board.strip()))
        print(f"{len(changes)} values fitted, written to {output}; libraries' shipped times are of the model before and not used now")
        return 0

    @staticmethod
    def _make(options: Namespace, target) -> int:
        path, chosen = options.program or Path(f"calibrate-{target.name}"), probes(target)
        with Store.open(default_store()) as store:
            binary = program(Workbench(store).toolchain, target, chosen)
        with _writing(path, "--program"):
            path.write_bytes(binary)
            path.chmod(0o755)
        print(NEXT.format(path=path, name=target.name, count=len(chosen), seconds=round(len(chosen) * PROBE_S)), end="")
        return 0


@contextmanager
def _writing(path: Path, option: str) -> Iterator[None]:
    """Turn a file that cannot be written into a `BadRequest` that names the option to choose another with."""
    try:
        yield
    except OSError as error:
        raise BadRequest(f"calibrate: {path} cannot be written ({error.strerror}); choose another file with {option}") from None


COMMAND = Calibrate()

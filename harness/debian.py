"""
Debian packages, and sources, for peers that no wheel has: fetched by apt-get, pinned by version and hash, kept in the store.

`python -m harness.debian blis libxsmm` fetches packages; nothing is installed. Who builds from a source, or for another
processor, fetches that by a script of its own.
"""

import argparse
import hashlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from harness.errors import BaselineUnavailable
from harness.store import default_store

FETCH_S = 300
BASELINES = ("blis", "libxsmm")
MIRROR = "http://deb.debian.org/debian"


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """One .deb and the files wanted of it."""

    name: str
    version: str
    sha256: str
    members: tuple[str, ...]
    """Paths within the package."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourcePackage:
    """The archive of a source package as its authors released it."""

    name: str
    version: str
    archive: str
    sha256: str


def fetched(package: Package) -> list[Path]:
    """Return the members of a package in order, or nothing where it has not been fetched."""
    found = [_place(package) / Path(member).name for member in package.members]
    return found if all(path.exists() for path in found) else []


def fetch(package: Package) -> list[Path]:
    """Fetch a package and return its members; raise `BaselineUnavailable` with what went wrong and what to do."""
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise BaselineUnavailable(f"{package.name}: this is no Debian; install the library and name it instead")
    with tempfile.TemporaryDirectory(prefix="opwright-deb-") as name:
        work = Path(name)
        _run(["apt-get", "download", f"{package.name}={package.version}"], work, package)
        file = next(work.glob("*.deb"))
        _check(file, package)
        _run(["dpkg-deb", "-x", file.name, "files"], work, package)
        place = _place(package)
        place.mkdir(parents=True, exist_ok=True)
        for member in package.members:
            partial = place / f"partial-{Path(member).name}"
            shutil.copyfile((work / "files" / member).resolve(), partial)
            partial.replace(place / Path(member).name)
    return fetched(package)


def fetch_foreign(packages: Sequence[Package], suite: str, architecture: str, into: Path) -> None:
    """Unpack whole packages of a release of Debian for another processor; raise `BaselineUnavailable` with what went wrong."""
    with _own_lists(f"deb {MIRROR} {suite} main\n", packages[0], architecture) as (apt, work):
        for package in packages:
            _run([*apt, "download", f"{package.name}={package.version}"], work, package)
            file = next(work.glob(f"{package.name}_*.deb"))
            _check(file, package)
            _run(["dpkg-deb", "-x", str(file), str(into)], work, package)


def fetch_source(source: SourcePackage) -> Path:
    """Return a source's archive, fetched the first time; raise `BaselineUnavailable` with what went wrong."""
    kept = _place(source) / source.archive
    if kept.exists():
        return kept
    with _own_lists(f"deb-src {MIRROR} bookworm main\n", source) as (apt, work):
        _run([*apt, "source", "--download-only", f"{source.name}={source.version}"], work, source)
        file = work / source.archive
        _check(file, source)
        kept.parent.mkdir(parents=True, exist_ok=True)
        partial = kept.with_name(f"partial-{kept.name}")
        shutil.copyfile(file, partial)
        partial.replace(kept)
    return kept


@contextmanager
def _own_lists(
    sources: str, wanted: Package | SourcePackage, architecture: str | None = None
) -> Iterator[tuple[list[str], Path]]:
    """Yield apt-get with lists, caches and an architecture of our own, lists read, and the folder to run it in."""
    if shutil.which("apt-get") is None:
        raise BaselineUnavailable(f"{wanted.name}: this is no Debian, and it comes by apt-get")
    with tempfile.TemporaryDirectory(prefix="opwright-apt-") as name:
        work = Path(name)
        (work / "lists" / "partial").mkdir(parents=True)
        (work / "cache" / "archives" / "partial").mkdir(parents=True)
        (work / "status").touch()
        (work / "sources.list").write_text(sources)
        own = [f"Dir::Etc::sourcelist={work / 'sources.list'}", "Dir::Etc::sourceparts=-"]
        own += [f"Dir::State::lists={work / 'lists'}", f"Dir::State::status={work / 'status'}", f"Dir::Cache={work / 'cache'}"]
        if architecture:
            own += [f"APT::Architecture={architecture}", f"APT::Architectures={architecture}"]
        apt = ["apt-get", "-q", *(word for option in own for word in ("-o", option))]
        _run([*apt, "update"], work, wanted)
        yield apt, work


def _check(file: Path, package: Package | SourcePackage) -> None:
    if hashlib.sha256(file.read_bytes()).hexdigest() != package.sha256:
        raise BaselineUnavailable(f"{package.name}: {file.name} is not the file that is pinned")


def _run(command: list[str], work: Path, package: Package | SourcePackage) -> None:
    try:
        done = subprocess.run(command, cwd=work, capture_output=True, text=True, timeout=FETCH_S, check=False)
    except subprocess.TimeoutExpired:
        raise BaselineUnavailable(f"{package.name}: {command[0]} gave no answer within {FETCH_S} s; try again") from None
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
        raise BaselineUnavailable(f"{package.name}: {' '.join(command)} failed ({said}); run apt-get update first")


def _place(package: Package | SourcePackage) -> Path:
    return default_store() / "packages" / package.sha256


def main() -> int:
    """Fetch the packages of the baselines named."""
    parser = argparse.ArgumentParser(prog="python -m harness.debian", description=__doc__.split("\n\n")[0])
    parser.add_argument("baseline", nargs="+", choices=BASELINES)
    for name in parser.parse_args().baseline:
        try:
            for path in fetch(import_module(f"harness.baselines.{name}").PACKAGE):
                print(path)
        except BaselineUnavailable as refused:
            print(refused, file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

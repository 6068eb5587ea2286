"""A case: one spec on one target; its id is what pytest shows, what a record keeps and what a user types."""

from dataclasses import dataclass

from harness.operator import OperatorSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What a test asks for."""

    target: str
    spec: OperatorSpec
    threads: int = 1

    @property
    def slug(self) -> str:
        """Return the id, as in ``host-sgemm-512x512x512``; the thread count shows when it is not 1."""
        threads = "" if self.threads == 1 else f"-threads-{self.threads}"
        return f"{self.target}-{self.spec.slug}{threads}"

"""Random search without replacement: the yardstick every other search has to beat."""

from harness.search.walk import Questions, Walk


class Uniform(Walk):
    """Ask for every legal candidate once, in random order."""

    def steps(self) -> Questions[None]:
        """Draw until the space is exhausted."""
        while candidate := self.unseen():
            yield from self.measure(candidate)


SEARCH = Uniform

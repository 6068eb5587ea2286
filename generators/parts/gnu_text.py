"""What kernel scripts in GNU syntax share: the text of one function, its labels and the marks of its blocks."""


class Text:
    """Assembly text of one function; `mark` is what opens a type: @ where that is no comment, else %."""

    def __init__(self, name: str, mark: str) -> None:
        self.name, self.mark = name, mark
        self.lines = [".text", ".p2align 6", f".globl {name}", f".type {name}, {mark}function", f"{name}:"]

    def __call__(self, *instructions: str) -> None:
        """Append instructions."""
        self.lines += [f"    {line}" for line in instructions]

    def label(self, suffix: str) -> None:
        """Put a label of this function here."""
        self.lines.append(f"{self.local(suffix)}:")

    def local(self, suffix: str) -> str:
        """Return the whole name of a label of this function."""
        return f".L{self.name}_{suffix}"

    def block(self, name: str, instructions: list[str]) -> None:
        """Mark a straight-line block that the harness may reorder."""
        self.lines.append(f"#@block {name}")
        self(*instructions)
        self.lines.append("#@end")

    def finish(self) -> str:
        """Close the function."""
        self.lines += [f".size {self.name}, .-{self.name}", f'.section .note.GNU-stack,"",{self.mark}progbits']
        return "\n".join(self.lines) + "\n"

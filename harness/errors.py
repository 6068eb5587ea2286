"""
What can go wrong that is not a kernel's fault.

A bad kernel is a result (an `Outcome`), a missing board a skip; what is left is an exception from here.
Every message names the thing, the reason and the next step, in one sentence.
"""


class HarnessError(Exception):
    """Something the user or the machine has to put right; shown as one sentence, never as a traceback."""


class BadRequest(HarnessError):
    """A prompt, option or shape that cannot be read or is not legal."""


class TargetUnavailable(HarnessError):
    """The target is known but cannot run here: a skip, or a failure under `--require-target`."""


class BaselineUnavailable(HarnessError):
    """The library to compare with is not installed or does not serve this operator."""


class ToolchainError(HarnessError):
    """The compiler, assembler or linker is missing or broken (not: a candidate it refused)."""


class SandboxRefused(HarnessError):
    """The sandbox cannot protect this machine from generated code, so nothing was run."""


class StoreError(HarnessError):
    """The record store cannot be read or written; what it held is untouched."""


class IllegalMove(HarnessError):
    """An instruction-order move that would change what a block computes."""


class RunnerError(HarnessError):
    """The guarded worker itself (not the candidate in it) failed."""


class AuthorError(HarnessError):
    """An author answered a question with something that is not an answer."""

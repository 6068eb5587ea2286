"""Generated text, and the toolchain on it, run here and nowhere else: limits, Landlock, seccomp, bubblewrap."""

from harness.sandbox.launcher import Completed, Limits, Sandbox, SandboxNotice
from harness.sandbox.protections import Protections

__all__ = ["Completed", "Limits", "Protections", "Sandbox", "SandboxNotice"]

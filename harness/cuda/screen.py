"""
The screen for CUDA text that a language model wrote: NVRTC may open no file for it.

A kernel has no reason for a directive other than macros and conditions; `#include` would read any file the process can,
and an error message would quote it. So every `#` has to begin an allowed directive, also in comments and strings;
spliced lines, digraphs and `_Pragma` are refused, so that none hides.
"""

import re

from harness.record import Outcome, Verdict

TEXT_LIMIT = 1 << 20
DIRECTIVE = re.compile(r"#[ \t]*(?:(?:define|undef|if|ifdef|ifndef|elif|else|endif|error)\b|pragma[ \t]+unroll\b)")
HIDDEN = ("%:", "\\\n", "_Pragma", "__has_include", "__has_embed", "__FILE__", "__BASE_FILE__")
PTX = re.compile(r"\.(?:file|include)\b")


def screen_cuda(name: str, text: str) -> Verdict:
    """Return OK, or SCREENED with what a kernel has no business to say."""
    if len(text) > TEXT_LIMIT:
        return _screened(name, f"{len(text)} characters; the limit is {TEXT_LIMIT}")
    for word in HIDDEN:
        if word in text:
            return _screened(name, f"{word.encode('unicode_escape').decode()} is not allowed in a kernel")
    for at in (found.start() for found in re.finditer("#", text)):  # also in comments: what looks like one may be a string
        if not DIRECTIVE.match(text, at):
            return _screened(name, f"{text[at : at + 20].splitlines()[0]!r} is not allowed in a kernel; write the text itself")
    if found := PTX.search(text):
        return _screened(name, f"the PTX directive {found[0]} is not allowed in a kernel")
    return Verdict(outcome=Outcome.OK)


def _screened(name: str, reason: str) -> Verdict:
    return Verdict(outcome=Outcome.SCREENED, reason=f"{name}: {reason}")

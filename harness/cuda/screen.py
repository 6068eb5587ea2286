"""
The screen for CUDA text that a language model wrote: NVRTC may open no file for it.

A kernel has no reason for a directive other than macros and conditions; `#include` would read any file the process can,
and an error message would quote it. So every `#` has to begin an allowed directive, also in comments and strings;
digraphs, trigraphs and `_Pragma` are refused, so that none hides. A line may go on after a backslash (macros do): the
text is screened as it stands and as the compiler joins it, whether or not blanks behind the backslash count.
"""

import re

from harness.record import Outcome, Verdict

TEXT_LIMIT = 1 << 20
DIRECTIVE = re.compile(r"#[ \t]*(?:(?:define|undef|if|ifdef|ifndef|elif|else|endif|error)\b|pragma[ \t]+unroll\b)")
HIDDEN = ("%:", "??=", "??/", "_Pragma", "__has_include", "__has_embed", "__FILE__", "__BASE_FILE__")
SPLICE = re.compile(r"\\[ \t\r\f\v]*\n")
PTX = re.compile(r"\.(?:file|include)\b")


def screen_cuda(name: str, text: str) -> Verdict:
    """Return OK, or SCREENED with what a kernel has no business to say."""
    if len(text) > TEXT_LIMIT:
        return _screened(name, f"{len(text)} characters; the limit is {TEXT_LIMIT}")
    readings = dict.fromkeys((text, text.replace("\\\n", ""), SPLICE.sub("", text)))
    return next((verdict for one in readings if not (verdict := _reading(name, one)).ok), Verdict(outcome=Outcome.OK))


def _reading(name: str, text: str) -> Verdict:
    """Screen a text as one of the ways to join its lines makes it."""
    for word in HIDDEN:
        if word in text:
            return _screened(name, f"{word} is not allowed in a kernel")
    for at in (found.start() for found in re.finditer("#", text)):  # also in comments: what looks like one may be a string
        if not DIRECTIVE.match(text, at):
            return _screened(name, f"{text[at : at + 20].splitlines()[0]!r} is not allowed in a kernel; write the text itself")
    if found := PTX.search(text):
        return _screened(name, f"the PTX directive {found[0]} is not allowed in a kernel")
    return Verdict(outcome=Outcome.OK)


def _screened(name: str, reason: str) -> Verdict:
    return Verdict(outcome=Outcome.SCREENED, reason=f"{name}: {reason}")

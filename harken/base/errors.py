"""Two kinds of trouble: the input was wrong (exit 2), or the run could not go on (exit 1). Both are one sentence."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class HarkenError(Exception):
    """Anything harken reports in one sentence instead of a traceback."""

    exit_code = 1


class InputError(HarkenError, ValueError):
    """The input was wrong: the message names the file, the line or the field, and the mend."""

    exit_code = 2


class RunError(HarkenError, RuntimeError):
    """The input was fine but the work could not be finished (disk full, loss not a number)."""


class Interrupted(HarkenError):
    """The user or the system asked us to stop (Ctrl-C, SIGTERM); the message says how to go on."""

    exit_code = 130


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """` (did you mean 'steps'?)`, or a list of what is known when nothing is close."""
    known = sorted(known)
    close = difflib.get_close_matches(word, known, n=2, cutoff=0.6)
    if close:
        return " (did you mean " + " or ".join(repr(c) for c in close) + "?)"
    return f" (known: {', '.join(known)})"

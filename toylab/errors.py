"""What toylab says when it is given something that cannot work."""

import difflib
from collections.abc import Iterable


class BadInput(ValueError):
    """The caller asked for something impossible; the message is one line that says what is allowed."""


class Unable(RuntimeError):
    """What was asked for is possible, but not now and here; the message is one line that says why."""


def unknown(kind: str, name: str, allowed: Iterable[str]) -> str:
    """The one line for a name nobody knows: the nearest one, then all that are allowed."""
    allowed = list(allowed)
    near = difflib.get_close_matches(name, allowed, n=1)
    hint = f"; did you mean '{near[0]}'?" if near else ";"
    return f"unknown {kind} '{name[:60]}'{hint} allowed: {', '.join(allowed) or 'none'}"


def one_line(error: BaseException) -> str:
    """An error's message on one line; its kind where it has none."""
    return " ".join(str(error).split()) or type(error).__name__

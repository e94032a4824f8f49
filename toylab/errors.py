"""What toylab says when it is given something that cannot work.

ToylabError              whatever toylab raises by itself; one line, with what is allowed or what to do
├── BadInput             impossible as it was asked for (a ValueError too)
│   ├── UnknownName      a name that is not there (a KeyError too)
│   ├── Damaged          a file is not as it was written (toylab/checksums.py)
│   ├── NoFile, TooLarge what is not read as a file (toylab/files.py)
│   └── SingularLaw      a law without a density where one was asked for (toylab/distributions/base.py)
└── Unable               possible, but not now and here (a RuntimeError too)
"""

import difflib
import re
from collections.abc import Iterable

_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""All but tab and line feed, what turns the direction of writing, and what is no character."""
HALF = "a text has half of a character in it, as \\ud800 is"
"""The one line for what JSON and Python can spell, and no file holds."""


class ToylabError(Exception):
    """What toylab raises by itself; the message is one line that says what to do about it."""


class BadInput(ToylabError, ValueError):
    """The caller asked for something impossible; the message is one line that says what is allowed."""


class UnknownName(BadInput, KeyError):
    """There is nothing of this name in a mapping; the message says what there is."""

    __str__ = Exception.__str__  # a KeyError's is in quotation marks


class Unable(ToylabError, RuntimeError):
    """What was asked for is possible, but not now and here; the message is one line that says why."""


def unknown(kind: str, name: str, allowed: Iterable[str]) -> str:
    """The one line for a name nobody knows: the nearest one, then all that are allowed."""
    allowed = list(allowed)
    near = difflib.get_close_matches(name, allowed, n=1)
    hint = f"; did you mean '{near[0]}'?" if near else ";"
    return f"unknown {kind} '{name[:60]}'{hint} allowed: {', '.join(allowed) or 'none'}"


def needs(what: str, module: str, extra: str) -> str:
    """The one line for something that asks for a package which is not installed, of one of our extras."""
    return f"{what} needs {module}: {pip(extra)}"


def pip(extra: str) -> str:
    """What installs an extra."""
    return f"pip install 'toylab[{extra}]'"


def one_line(error: BaseException) -> str:
    """An error's message on one line; its kind where it has none."""
    return printable(" ".join(str(error).split())) or type(error).__name__


def printable(text: str) -> str:
    """A text that does nothing to a terminal but stand there, whoever wrote it."""
    return _CONTROLS.sub("\N{REPLACEMENT CHARACTER}", text)

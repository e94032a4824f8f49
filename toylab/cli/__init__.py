"""The command line: parsing and printing only. One module a group of commands."""

import io
import os
import sys
from typing import NoReturn

import typer

from toylab import process

# what a module's commands do is imported when they are called: --help loads neither torch nor pandas
from toylab.cli import (
    benchmarking,
    calibrating,
    catalogue,
    comparing,
    doctoring,
    drawing,
    reading,
    reporting,
    running,
    sweeping,
)  # isort: skip  # in the order of --help
from toylab.cli.app import app
from toylab.cli.printing import say
from toylab.errors import BadInput, Unable, one_line

__all__ = [
    "app", "benchmarking", "calibrating", "catalogue", "comparing", "doctoring", "drawing", "main", "reading",
    "reporting", "running", "sweeping",
]  # fmt: skip

# typer carries a click of its own in new releases and uses the package of that name in old ones
(_UsageError,) = (c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException")


def main() -> NoReturn:
    """The entry point. Exit codes: 0 done, 1 the run failed, 2 bad input, 130 interrupted."""
    process.settle()
    os.environ["MPLBACKEND"] = "agg"  # figures are drawn into files alone
    _open_streams()
    try:
        code = app(standalone_mode=False, prog_name="toylab")
        sys.stdout.flush()
    except BadInput as error:
        say(f"error: {one_line(error)}", err=True)
        code = 2
    except Unable as error:
        say(f"error: {one_line(error)}", err=True)
        code = 1
    except MemoryError as error:
        say(f"error: this needs more memory than there is: {one_line(error)}", err=True)
        code = 1
    except (KeyboardInterrupt, typer.Abort):
        code = 130
    except OSError as error:  # of standard output; those of files are said where they are read and written
        if not isinstance(error, BrokenPipeError):  # who reads it has read enough
            say(f"error: {error.filename or 'cannot write the output'}: {error.strerror or error}", err=True)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # else what is left of it fails once more at the end
        code = 1
    except Exception as error:
        if not isinstance(error, _UsageError):
            raise
        message = " ".join(str(error.format_message()).split())  # type: ignore[attr-defined]
        say(f"error: {message} (toylab --help lists what there is)", err=True)
        code = 2
    sys.exit(code if isinstance(code, int) else 0)


def _open_streams() -> None:
    """Where one is closed nothing is read or said; a terminal without ε and ± shows something else, and goes on."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")

"""How far something is, from Python: a bar in a notebook; without one, or without ipywidgets, lines of text."""

import importlib.util
import sys
import time
from typing import Any, Protocol

_BAR_SECONDS, _LINE_SECONDS = 0.1, 5.0


def in_notebook() -> bool:
    """Whether there is a Jupyter kernel to show things in."""
    if "IPython" not in sys.modules:
        return False
    from IPython.core.getipython import get_ipython

    return getattr(get_ipython(), "kernel", None) is not None


def has_widgets() -> bool:
    """Whether sliders and bars can be shown."""
    return in_notebook() and importlib.util.find_spec("ipywidgets") is not None


class Clock:
    """Says when something is due: every so many seconds, but not at once."""

    def __init__(self, every: float):
        self.every, self.last = every, time.perf_counter()

    def due(self) -> bool:
        """Whether it is time; if so, the next is counted from now."""
        if time.perf_counter() - self.last < self.every:
            return False
        self.last = time.perf_counter()
        return True


class Bar(Protocol):
    """How far something is."""

    def at(self, share: float, label: str) -> None:
        """Show a share of the whole, between 0 and 1."""

    def end(self, line: str) -> None:
        """Put one line in its place."""


def new_bar(shown: bool = True) -> Bar:
    """One that fits where this runs; shown: else nothing is said."""
    if not shown:
        return _Silent()
    return _Live() if has_widgets() else _Lines()


class _Live:
    """A bar of ipywidgets; what remains of it in the saved notebook is its last line."""

    def __init__(self) -> None:
        from IPython.display import display
        from ipywidgets import FloatProgress, HBox, Label

        self.bar, self.label, self.clock = FloatProgress(0.0, max=1.0), Label(), Clock(_BAR_SECONDS)
        self.box = HBox([self.bar, self.label])
        self.handle: Any = display(self.box, display_id=True)

    def at(self, share: float, label: str) -> None:
        if self.clock.due():
            self.bar.value, self.label.value = share, label

    def end(self, line: str) -> None:
        self.handle.update({"text/plain": line}, raw=True)
        for widget in (self.box, self.bar, self.label):
            widget.close()


class _Lines:
    """A line of text now and then."""

    def __init__(self) -> None:
        self.clock = Clock(_LINE_SECONDS)

    def at(self, share: float, label: str) -> None:
        if self.clock.due():
            print(f"{label}: {share:.0%}", flush=True)

    def end(self, line: str) -> None:
        print(line, flush=True)


class _Silent:
    """Nothing."""

    def at(self, share: float, label: str) -> None:
        pass

    def end(self, line: str) -> None:
        pass

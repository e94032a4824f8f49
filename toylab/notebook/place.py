"""A place in a notebook that is drawn anew."""

from typing import Any

from matplotlib.figure import Figure

from toylab.bars import in_notebook
from toylab.notebook.formats import png


class Place:
    """A place in a notebook's output that shows one thing after the other; outside a notebook nothing is shown."""

    def __init__(self) -> None:
        self.handle: Any = None

    def show(self, what: Figure | str) -> None:
        """Put a figure or a line of text there."""
        if not in_notebook():
            return
        from IPython.display import display

        bundle = {"text/plain": what} if isinstance(what, str) else {"image/png": png(what), "text/plain": "a figure"}
        if self.handle is None:
            self.handle = display(bundle, raw=True, display_id=True)
        else:
            self.handle.update(bundle, raw=True)

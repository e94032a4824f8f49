"""toylab in Jupyter: laws and runs that show themselves, trainings under a bar, sliders over any figure. What runs an
experiment, here as elsewhere, is `tl.run` (toylab/api.py).

    from toylab import process
    process.settle()  # before torch is imported: small networks then train far faster
    %load_ext toylab.notebook

With the extension laws, estimates, evaluations, runs and matplotlib's figures are shown as what they are. The functions
work without it, and outside a notebook: what is then missing is said in plain text.
"""

from typing import TYPE_CHECKING

from toylab.notebook.formats import register, show, unregister
from toylab.notebook.progress import watch
from toylab.notebook.sliders import explore

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

__all__ = ["explore", "show", "watch"]


def load_ipython_extension(shell: "InteractiveShell") -> None:
    """What %load_ext toylab.notebook does."""
    if shell.display_formatter is not None:
        register(shell.display_formatter)


def unload_ipython_extension(shell: "InteractiveShell") -> None:
    """What %unload_ext toylab.notebook does."""
    if shell.display_formatter is not None:
        unregister(shell.display_formatter)

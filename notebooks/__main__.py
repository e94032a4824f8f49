"""Make the notebooks anew: each NAME.py is run from top to bottom, and written with its outputs as NAME.ipynb.

    python -m notebooks                     all of them
    python -m notebooks 01_quickstart       those named

What depends on when or where it was made, and not on the cells, is left out: times, widgets without a kernel.
"""

import os
import sys
import time
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).parent
_WIDGET = "application/vnd.jupyter.widget-view+json"


def made(path: Path) -> nbformat.NotebookNode:
    """The notebook of a NAME.py, run. Raises CellExecutionError."""
    notebook = jupytext.read(path, fmt="py:percent")
    notebook.metadata = nbformat.from_dict({"kernelspec": {"display_name": "Python 3", "name": "python3"}})
    NotebookClient(
        notebook,
        timeout=600,
        record_timing=False,
        store_widget_state=False,
        resources={"metadata": {"path": str(FOLDER)}},
    ).execute()
    notebook.metadata.language_info = {"name": "python"}
    for number, cell in enumerate(notebook.cells):
        cell.id, cell.metadata = f"cell-{number}", {}
        for output in cell.get("outputs", []):
            output.get("data", {}).pop(_WIDGET, None)
    return notebook


def main() -> None:
    os.environ["PYTHONPATH"] = os.pathsep.join([str(FOLDER.parent), os.environ.get("PYTHONPATH", "")])
    for path in sorted(FOLDER.glob("[0-9]*.py")):
        if len(sys.argv) > 1 and path.stem not in sys.argv[1:]:
            continue
        start = time.perf_counter()
        target = path.with_suffix(".ipynb")
        nbformat.write(made(path), target)
        print(f"{target.name}: {time.perf_counter() - start:.0f} s, {target.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()

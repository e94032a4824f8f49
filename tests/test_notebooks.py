"""What is committed in notebooks/: pairs in step, small outputs, nothing of the machine that made them."""

import re
from pathlib import Path

import jupytext
import nbformat
import pytest

FOLDER = Path(__file__).parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
_PATH = re.compile(r"(?:^|[\s\"'(=`])(/(?:[\w.+-]+/)+[\w.+-]*|[A-Z]:\\\w)")


def texts(notebook: nbformat.NotebookNode) -> list[str]:
    """All that a notebook's outputs say in words."""
    found = []
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            found.append(output.get("text", ""))
            found += [data for kind, data in output.get("data", {}).items() if kind.startswith("text/")]
    return found


def test_every_notebook_has_its_pair():
    assert [path.stem for path in NOTEBOOKS] == sorted(path.stem for path in FOLDER.glob("[0-9]*.py"))
    assert len(NOTEBOOKS) >= 5


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
class TestCommitted:
    def test_the_pair_is_in_step(self, path: Path):
        committed, text = nbformat.read(path, 4), jupytext.read(path.with_suffix(".py"), fmt="py:percent")
        assert [(c.cell_type, c.source) for c in committed.cells] == [(c.cell_type, c.source) for c in text.cells]

    def test_outputs_are_there_small_and_without_errors(self, path: Path):
        assert path.stat().st_size < 400_000
        notebook = nbformat.read(path, 4)
        outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
        assert any("image/png" in output.get("data", {}) for output in outputs)
        assert not [output for output in outputs if output.output_type == "error" or output.get("name") == "stderr"]
        counts = [cell.execution_count for cell in notebook.cells if cell.cell_type == "code"]
        assert counts == list(range(1, len(counts) + 1))  # one run, from top to bottom

    def test_nothing_tells_of_the_machine(self, path: Path):
        notebook = nbformat.read(path, 4)
        assert not [found for text in texts(notebook) for found in _PATH.findall(text)]
        assert not [text for text in texts(notebook) if " object at 0x" in text]
        assert "widgets" not in notebook.metadata  # the state of widgets without a kernel

    def test_threads_are_settled_first(self, path: Path):
        first = next(cell for cell in nbformat.read(path, 4).cells if cell.cell_type == "code")
        assert first.source.startswith("from toylab import process\n\nprocess.settle()\n")


@pytest.mark.parametrize("text", ["in /home/me/runs/x", "'/tmp/ipykernel_1/2.py'", "C:\\Users", "=/usr/lib/python3"])
def test_paths_are_seen(text: str):
    assert _PATH.search(text)


@pytest.mark.parametrize("text", ["runs/gmm-outliers", "σ/α = 0.5", "</div> / 2", "https://arxiv.org/abs/1", "W2/d/n"])
def test_what_is_no_path_is_not(text: str):
    assert not _PATH.search(text)

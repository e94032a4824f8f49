"""The notebooks as tests: pytest runs each from top to bottom (nbmake), the cheapest in the default suite."""

import os
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
_QUICK = {"02_exact_laws_and_scores.ipynb"}

# for their kernels: the toylab beside them, wherever another is installed, and one thread each
os.environ["PYTHONPATH"] = os.pathsep.join([str(FOLDER.parent), os.environ.get("PYTHONPATH", "")])
os.environ["OMP_NUM_THREADS"] = "1"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent == FOLDER and item.path.name not in _QUICK:
            item.add_marker("slow")

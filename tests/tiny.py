"""tiny: an experiment of a second, to be run and drawn by tests.

A second paragraph, which is not shown.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from toylab import index
from toylab.entries import Entry
from toylab.experiments.lab import Lab
from toylab.experiments.pipeline import study_experiment
from toylab.experiments.sweep import sweep_experiment
from toylab.launch import configure, prepare

_TINY: dict[str, Any] = {
    "training": {"steps": 4, "batch": 16},
    "network": {"width": 8, "depth": 1},
    "nfe": 3,
    "samples": 60,
    "size": 100,
    "seeds": 2,
    "contamination": "outliers",
    "evaluation": {"levels": 2, "points": 8, "pair": 20, "metrics": ["eps-mse", "outlier-mass"]},
}

EXPERIMENT = study_experiment(
    Lab, {"smoke": _TINY, "default": _TINY, "other": _TINY | {"nfe": 4}}, figures=("outlier-mass",)
)

GRIDDED = sweep_experiment({"smoke": _TINY | {"methods": {"ddpm": "ddpm"}}, "default": {}}, figures=("outlier-mass",))
"""The same, over a grid."""


@contextmanager
def offered(which: str = "EXPERIMENT") -> Iterator[pytest.MonkeyPatch]:
    """As the one experiment that there is, called tiny, without figures."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(index.EXPERIMENTS, "_entries", {"tiny": Entry(f"tests.tiny:{which}", "tiny")})
        patch.setattr("toylab.figures.draw", lambda run, names, into=None: [])
        yield patch


def finished(root: Path) -> Path:
    """The folder of a finished run of it."""
    with offered():
        launched = prepare(configure("tiny"), "cpu", root)
        list(launched.carry_out())
    return launched.folder.path

"""tiny: an experiment of a second, to be run and drawn by tests.

A second paragraph, which is not shown.
"""

from typing import Any

from toylab.experiments.lab import Lab
from toylab.experiments.pipeline import study_experiment
from toylab.experiments.sweep import sweep_experiment

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

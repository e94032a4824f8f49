"""benchmark-task: one method on one task of the benchmark.

`toylab benchmark` lays the law and contamination of a task (toylab/suite/tasks.py) and one method over these presets,
and keeps each in a run folder of its own, so that the next method finds those of the others. What is set here is set
for every task and belongs to the suite's version. Methods in different folders are still compared in pairs: data and
noise follow from the seed alone.

Eight seeds, so that Holm's correction over the tasks leaves something to find; they are none of 0 to 7 and 100, 101, on
which objectives of our own were chosen and shown.
"""

from typing import Any

from toylab.experiments.pipeline import study_experiment
from toylab.experiments.study import SMOKE, MethodStudy

_COMMON: dict[str, Any] = {
    "law": "three-gaussians",
    "contamination": "outliers",
    "methods": {"ddpm": "ddpm"},
    "size": 10_000,
    "schedule": "ddpm",
    "parametrization": "eps",
    "network": {"width": 64, "depth": 3},
    "training": {"steps": 5000, "batch": 256},
    "sampler": "ddim",
    "nfe": 100,
    "samples": 3000,
    "evaluation": {"levels": 12, "points": 2000, "pair": 1000, "metrics": ["eps-mse", "w1", "w2"]},
    "seed": 2000,
    "seeds": 8,
}

EXPERIMENT = study_experiment(MethodStudy, {"smoke": _COMMON | SMOKE | {"seeds": 4}, "default": _COMMON}, figures=())

"""memorization: few training points, some of them many times: who learns the points instead of the law?

Three Gaussians from 50, 200 and 1,000 points, without contamination and with 30 % of the points copies of five. The
paper (arXiv:2505.21742) claims that equivariant training memorizes less; its denoiser is asked to be locally constant,
and that of a memorized training set is constant about every point. `training-leakage` is 0 for the law's score and 1
for that of the training set, `nearest-ratio` the distance of samples to their nearest training point over that of
exact samples (1 is chance), `duplicate-share` those nearer than 1 % of exact samples are. W2 says whether a method that
memorizes less is nearer to the law, or merely blurred.
"""

from typing import Any

from toylab.experiments.study import CHEAP
from toylab.experiments.sweep import SMOKE, sweep_experiment

_METRICS = {"metrics": [*CHEAP, "nearest-ratio", "duplicate-share", "training-leakage", "training-mse"]}
_CONTAMINATIONS = ["none", {"name": "duplicates", "fraction": 0.3, "points": 5}]

_COMMON: dict[str, Any] = {
    "law": "three-gaussians",
    "methods": {
        "ddpm": "ddpm",
        "robust-adv": "robust-adv",
        "robust-ran-flat": {"name": "robust-ran", "radius": "flat"},
        "robust-adv-flat": {"name": "robust-adv", "radius": "flat"},
    },
}

EXPERIMENT = sweep_experiment(
    {
        "smoke": _COMMON | SMOKE
        | {
            "grid": {"contamination": _CONTAMINATIONS, "size": [50, 1000]},
            "evaluation": SMOKE["evaluation"] | _METRICS,
        },
        "default": _COMMON
        | {
            "grid": {"contamination": _CONTAMINATIONS, "size": [50, 200, 1000]},
            "training": {"steps": 3000},
            "nfe": 50,
            "evaluation": {"levels": 8, "points": 1000, **_METRICS},
        },
    },
    figures=("sweep-training-leakage", "sweep-nearest-ratio", "sweep-duplicate-share", "sweep-w2"),
)  # fmt: skip

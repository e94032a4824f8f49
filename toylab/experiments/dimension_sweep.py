"""dimension-sweep: the same circle and the same line in spaces of ever more dimensions.

A circle, and a Gaussian on a line, on random subspaces of R^D; 90 % of the points carry Gaussian noise of 0.1 in every
coordinate, so that its length grows as √D while the data stay as simple as they are. Does a method that removes noise
off a manifold in three dimensions do so in hundreds, and does plain denoising learn the noise there at all?
`normal-std` is the noise left in each direction normal to the plane or line (0.1 in noisy points), `distance` that to
the manifold itself, and ε MSE the error of the score. oracle-clean shows what the network, the same everywhere, makes
of clean data. Many dimensions are slow: trainings are short and batches small.
"""

from typing import Any

from toylab.experiments.sweep import SMOKE, sweep_experiment

_METRICS = {"metrics": ["eps-mse", "leakage", "w2", "distance", "normal-std", "tangent-std"]}
_LAWS = [{"name": "circle"}, {"name": "subspace", "intrinsic": 1}]

_COMMON: dict[str, Any] = {
    "law": "circle",
    "contamination": {"name": "inlier-noise", "fraction": 0.9, "std": 0.1},
    "methods": {
        "ddpm": "ddpm",
        "robust-adv-flat": {"name": "robust-adv", "radius": "flat"},
        "robust-l2": "robust-l2",
        "oracle-clean": "oracle-clean",
    },
}

EXPERIMENT = sweep_experiment(
    {
        "smoke": _COMMON | SMOKE
        | {"grid": {"law": _LAWS[:1], "law.dim": [2, 8]}, "evaluation": SMOKE["evaluation"] | _METRICS},
        "default": _COMMON
        | {
            "grid": {"law": _LAWS, "law.dim": [2, 8, 32, 128, 512]},
            "training": {"steps": 1500, "batch": 128},
            "nfe": 50,
            "samples": 2000,
            "evaluation": {"levels": 8, "points": 500, **_METRICS},
        },
    },
    figures=("sweep-normal-std", "sweep-distance", "sweep-eps-mse"),
)  # fmt: skip

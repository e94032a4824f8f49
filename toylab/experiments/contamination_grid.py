"""contamination-grid: how much noise, on how many points, against whom?

A square in an oblique plane of R³; a share p of the points carries Gaussian noise σ, over p in {0.3, 0.6, 0.9, 1} and σ
in {0.05, 0.1, 0.2}. The paper (arXiv:2505.21742) shows p = 0.9 and compares with ddpm trained for as many steps. Here
its methods with its settings stand beside what its reviewers asked for: oracles that are told the noise (ambient, which
learns nothing below σ where every point is noisy) or see clean data, and `ddpm-longer`, trained three times as long:
robust-adv evaluates the network three times a step, so this is ddpm with as many evaluations. robust-l2 is ours.

`normal-std` is what is left of the noise off the plane, `tangent-std` (0.577 clean) and W2 what removing it cost. The
trainings are short, to be twelve times as many; the preset `paper` trains as long as other experiments do.
"""

from typing import Any

from toylab.experiments.sweep import SMOKE, sweep_experiment

_STDS = "contamination.std,methods.ambient.std"
"""The oracle is told the noise."""
_METRICS = {"metrics": ["eps-mse", "leakage", "w2", "distance", "normal-std", "tangent-std"]}

_COMMON: dict[str, Any] = {
    "law": "oblique-plane",
    "contamination": "inlier-noise",
    "methods": {
        "ddpm": "ddpm",
        "ddpm-longer": "ddpm",
        "robust-ran": "robust-ran",
        "robust-adv": "robust-adv",
        "robust-l2": "robust-l2",
        "ambient": "ambient",
        "oracle-clean": "oracle-clean",
    },
    "longer": {"ddpm-longer": 3.0},
    "grid": {
        "contamination.fraction": [0.3, 0.6, 0.9, 1.0],
        _STDS: [[0.05, 0.05], [0.1, 0.1], [0.2, 0.2]],
    },
    "evaluation": _METRICS,
}

EXPERIMENT = sweep_experiment(
    {
        "smoke": _COMMON | SMOKE
        | {
            "grid": {"contamination.fraction": [0.3, 0.9], _STDS: [[0.1, 0.1], [0.2, 0.2]]},
            "evaluation": SMOKE["evaluation"] | _METRICS,
        },
        "default": _COMMON
        | {
            "training": {"steps": 1200, "batch": 256},
            "nfe": 50,
            "samples": 2000,
            "evaluation": {"levels": 6, "points": 1000, **_METRICS},
        },
        "paper": _COMMON | {"seeds": 8, "samples": 20_000},
    },
    figures=("sweep-normal-std", "sweep-tangent-std", "sweep-w2"),
    untried=["paper"],
)  # fmt: skip

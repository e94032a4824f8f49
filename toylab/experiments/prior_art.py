"""prior-art: robust losses, equivariance and distributional robustness, each with as many evaluations of the network.

Outliers among three Gaussians, or, by the preset `plane`, noise on nine points in ten of a square in an oblique plane.
A step of plain denoising evaluates the network once, the others up to five times, so methods are trained for different
numbers of steps: `longer` makes steps times evaluations the same for all. Beside ddpm and the paper's methods
(arXiv:2505.21742), with its radius and flat, stand what was there before: pseudo-Huber losses (arXiv:2403.16728),
trimming by loss, and adversarial training whose target is the sample itself (DRO, arXiv:2502.17099); and our own. ddpm
on clean data is the oracle.

Outlier mass and mode-width say of the first what was removed and what that cost, normal-std and tangent-std of the
second, W2 of both.
"""

from typing import Any

from toylab.experiments.pipeline import study_experiment
from toylab.experiments.study import SMOKE, MethodStudy

_METRICS = {"metrics": ["eps-mse", "leakage", "w2", "outlier-mass", "mode-width", "normal-std", "tangent-std"]}

_OUTLIERS: dict[str, Any] = {"law": "three-gaussians", "contamination": {"name": "outliers", "fraction": 0.1}}
_NOISE: dict[str, Any] = {
    "law": "oblique-plane",
    "contamination": {"name": "inlier-noise", "fraction": 0.9, "std": 0.2},
}

_COMMON: dict[str, Any] = {
    "methods": {
        "ddpm": "ddpm",
        "pseudo-huber": "pseudo-huber",
        "trimmed": "trimmed",
        "dro": "dro",
        "robust-ran": "robust-ran",
        "robust-adv": "robust-adv",
        "robust-adv-flat": {"name": "robust-adv", "radius": "flat"},
        "robust-onesided": "robust-onesided",
        "robust-l2": "robust-l2",
        "oracle-clean": "oracle-clean",
    },
    "longer": {
        **dict.fromkeys(("ddpm", "pseudo-huber", "trimmed", "oracle-clean"), 3.0),  # than robust-adv: 3 evaluations
        **dict.fromkeys(("dro", "robust-ran", "robust-onesided"), 1.5),  # 2
        "robust-l2": 0.6,  # 5
    },
    "evaluation": _METRICS,
}

EXPERIMENT = study_experiment(
    MethodStudy,
    {
        "smoke": _COMMON | _OUTLIERS | SMOKE | {"evaluation": SMOKE["evaluation"] | _METRICS},
        "default": _COMMON | _OUTLIERS | {"training": {"steps": 2000}},
        "plane": _COMMON | _NOISE | {"training": {"steps": 2000}},
    },
    figures=("w2", "outlier-mass", "normal-std", "samples", "score-error"),
)

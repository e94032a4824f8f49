"""few-steps: how few evaluations of the network does a good sample need, by which sampler?

gmm-outliers, sampled by four samplers with 5 to 1,000 evaluations. The paper (arXiv:2505.21742) claims that equivariant
training, whose flow is smoother, keeps its quality with few steps. The networks are trained once and sampled by every
sampler from the same noise; `exact-clean` and `exact-contaminated` go through the same samplers, so that what a curve
loses with few steps can be told from what its network never knew. W2 and outlier mass answer it.
"""

from typing import Any

from toylab.experiments.sweep import SMOKE, sweep_experiment

_METRICS = {"metrics": ["eps-mse", "w2", "outlier-mass", "mode-width"]}

_COMMON: dict[str, Any] = {
    "law": "three-gaussians",
    "contamination": {"name": "outliers", "fraction": 0.1},
    "methods": {
        "ddpm": "ddpm",
        "robust-adv": "robust-adv",
        "robust-adv-flat": {"name": "robust-adv", "radius": "flat"},
        "robust-onesided": "robust-onesided",
    },
}

EXPERIMENT = sweep_experiment(
    {
        "smoke": _COMMON | SMOKE
        | {
            "grid": {"sampler": ["ddim", "dpm-solver++"]},
            "few_steps": [5, 10],
            "evaluation": SMOKE["evaluation"] | _METRICS,
        },
        "default": _COMMON
        | {
            "grid": {"sampler": ["ddim", "ddpm", "heun", "dpm-solver++"]},
            "nfe": 1000,
            "few_steps": [5, 10, 20, 50, 100, 300],
            "samples": 2000,
            "evaluation": {"levels": 6, "points": 1000, **_METRICS},
        },
    },
    figures=("sweep-w2", "sweep-outlier-mass", "sweep-mode-width"),
)  # fmt: skip

"""invariance-failure: what adversarial training of classifiers would ask for, and why it cannot work here.

Three Gaussians, clean and with 10 % outliers. `invariance` asks that pushing the noisy state leave the predicted noise
where it is, with random pushes and with FGSM's; robust-ran and robust-adv ask, with the same pushes and the same λ,
that it move along. All have the paper's settings (arXiv:2505.21742).

The theory says why invariance fails (toylab/theory): on a Gaussian its optimum is ε = σ(α²Σ + σ²(I + λS))⁻¹(x - αμ), so
that at every level too little noise is predicted, and sampling does not come down to the data. `noise-share` is how
much of it is, 1 for the exact score; the exact optimum for random pushes is known here and measured beside its network
(`optimum-`). W2 and outlier mass are what that does to samples.
"""

from typing import Any

from toylab.experiments.study import CHEAP
from toylab.experiments.sweep import SMOKE, sweep_experiment

_METRICS = {"metrics": [*CHEAP, "noise-share"]}

_COMMON: dict[str, Any] = {
    "law": "three-gaussians",
    "grid": {"contamination": ["none", {"name": "outliers", "fraction": 0.1}]},
    "methods": {
        "ddpm": "ddpm",
        "invariance-ran": {"name": "invariance", "direction": "random"},
        "invariance-adv": {"name": "invariance", "direction": "fgsm"},
        "robust-ran": "robust-ran",
        "robust-adv": "robust-adv",
    },
    "nfe": 50,
}

EXPERIMENT = sweep_experiment(
    {
        "smoke": _COMMON | SMOKE | {"evaluation": SMOKE["evaluation"] | _METRICS},
        "default": _COMMON | {"evaluation": {"theory": True, **_METRICS}},
    },
    figures=("sweep-noise-share", "sweep-outlier-mass", "sweep-w2"),
)

"""fine-tune: how much of a training must be robust?

gmm-outliers; the regulariser begins after none, half, three quarters or nine tenths of the training, as the paper
(arXiv:2505.21742) fine-tunes in the last part of one, at a fraction of the cost. λ = 1 and a radius that has a clear
effect, so that there is something to keep. The learning rate falls to 0 over the whole training, whenever the
regulariser begins, so that late ones have small steps left. Leakage and outlier mass over `start` say what of the
effect is kept; ddpm, which is the limit of a start at the end, stands beside it. Eight seeds, on the same data.
"""

from typing import Any

from toylab.experiments.study import SMOKE
from toylab.experiments.sweep import sweep_experiment

_COMMON: dict[str, Any] = {
    "law": "three-gaussians",
    "contamination": {"name": "outliers", "fraction": 0.1},
    "methods": {
        "ddpm": "ddpm",
        "robust-ran": {
            "name": "robust-ran",
            "lam": 1.0,
            "radius": {"r0": 3.0, "rho": 0.0, "bias": 0.0, "random": False},
        },
        "robust-adv": {
            "name": "robust-adv",
            "lam": 1.0,
            "radius": {"r0": 1.5, "rho": 0.0, "bias": 0.0, "random": False},
        },
    },
    "grid": {"methods.*.plan.start": [0.0, 0.5, 0.75, 0.9]},
}

EXPERIMENT = sweep_experiment(
    {
        "smoke": _COMMON | SMOKE | {"grid": {"methods.*.plan.start": [0.0, 0.75]}},
        "default": _COMMON | {"seeds": 8},
    },
    figures=("sweep-leakage", "sweep-outlier-mass", "sweep-mode-width"),
)

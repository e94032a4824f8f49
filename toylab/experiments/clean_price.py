"""clean-price: no contamination at all: what does robust training cost?

One Gaussian and three, every training point clean, λ from small to large, a flat radius of one noise unit. On one
Gaussian the theory knows the price: with S = E[ωωᵀ] = sI equivariance learns the law N(μ, Σ/(1 + λs)), s = r²/3 for
random pushes and r² for FGSM's where the axes are those of the data (toylab/theory/gaussian.py). That law is measured
like a method (`implied-`), and so is, for random pushes, the exact optimum over all functions (`optimum-`), here and on
three Gaussians, where no closed form is known. `mode-width` is the shrinkage, W2 and ε MSE the price as a whole.
"""

from typing import Any

from toylab.experiments.sweep import SMOKE, sweep_experiment

_LAWS = [{"name": "gaussian", "condition": 4.0}, "three-gaussians"]

_COMMON: dict[str, Any] = {
    "methods": {
        "ddpm": "ddpm",
        "robust-ran": {"name": "robust-ran", "radius": "flat"},
        "robust-adv": {"name": "robust-adv", "radius": "flat"},
        "robust-onesided": "robust-onesided",
    },
    "evaluation": {"theory": True},
}

EXPERIMENT = sweep_experiment(
    {
        "smoke": _COMMON | SMOKE
        | {"grid": {"law": _LAWS, "methods.*.lam": [0.3, 1.0]}, "evaluation": SMOKE["evaluation"] | {"theory": True}},
        "default": _COMMON
        | {
            "grid": {"law": _LAWS, "methods.*.lam": [0.1, 0.3, 0.5, 1.0]},
            "training": {"steps": 3000},
            "nfe": 50,
            "samples": 2000,
            "evaluation": {"theory": True, "levels": 8, "points": 1000},
        },
    },
    figures=("sweep-mode-width", "sweep-w2", "sweep-eps-mse"),
)  # fmt: skip

"""other-families: is it about diffusion models of one kind, or about all?

gmm-outliers with three families: the DDPM table with ε predicted and DDIM; EDM, variance exploding with its own
parametrisation and Heun's steps evenly in its own spacing (arXiv:2206.00364); and flow matching, straight paths with
the velocity predicted and Euler's steps (arXiv:2210.02747). The regulariser is defined on the denoiser, in units of
noise, so it means the same in all (docs/objectives.md). Outlier mass, mode-width and leakage, family by family, say
whether what holds for one holds for all; noise levels are the same in all of them.
"""

from typing import Any

from toylab.experiments.sweep import SMOKE, sweep_experiment

_COMMON: dict[str, Any] = {
    "law": "three-gaussians",
    "contamination": {"name": "outliers", "fraction": 0.1},
    "methods": {
        "ddpm": "ddpm",
        "robust-adv": "robust-adv",
        "robust-ran-flat": {"name": "robust-ran", "radius": "flat"},
        "robust-adv-flat": {"name": "robust-adv", "radius": "flat"},
        "robust-onesided": "robust-onesided",
    },
    "grid": {
        "schedule,parametrization,sampler,spacing": [
            ["ddpm", "eps", "ddim", "t"],
            ["ve", "edm", "heun", "edm"],
            ["rectified-flow", "flow", "euler", "t"],
        ],
    },
}

EXPERIMENT = sweep_experiment(
    {"smoke": _COMMON | SMOKE, "default": _COMMON},
    figures=("sweep-outlier-mass", "sweep-mode-width", "sweep-w2", "sweep-leakage"),
)

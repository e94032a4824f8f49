"""cost: what a cheaper regulariser keeps of the full one's effect.

Three Gaussians with 10 % outliers, as in gmm-outliers. The two regularised objectives with an effect that is large
(λ = 1, a flat radius) stand beside versions that save: on one sample in k of every batch; with a gradient of the
penalty that is computed in one step of k and serves until the next. All methods see the same data and noise, on seeds
other than those on which savings were tried out (0 to 7). The figure shows how far each version is from the full one,
as a share of the full one's effect on ddpm; what a step costs is measured by `python -m benchmarks.objectives`.
"""

from typing import Any

from toylab.experiments.pipeline import study_experiment
from toylab.experiments.study import SMOKE, MethodStudy

_FULL: dict[str, dict[str, Any]] = {
    "robust-ran": {"lam": 1.0, "radius": {"r0": 3.0, "rho": 0.0, "bias": 0.0, "random": False}},
    "robust-adv": {"lam": 1.0, "radius": {"r0": 1.5, "rho": 0.0, "bias": 0.0, "random": False}},
}
_SAVINGS = {"sample-in-4": {"one_in": 4}, "step-in-4": {"every": 4}, "step-in-10": {"every": 10}}

_COMMON: dict[str, Any] = {
    "law": "three-gaussians",
    "contamination": {"name": "outliers", "fraction": 0.1},
    "methods": {"ddpm": "ddpm"}
    | {name: {"name": name, **settings} for name, settings in _FULL.items()}
    | {
        f"{name}-{saving}": {"name": name, "plan": plan, **settings}
        for name, settings in _FULL.items()
        for saving, plan in _SAVINGS.items()
    },
    "seed": 8,
    "seeds": 16,
    "samples": 10_000,
}

EXPERIMENT = study_experiment(
    MethodStudy,
    {"smoke": _COMMON | SMOKE, "default": _COMMON},
    figures=("savings", "outlier-mass", "score-error"),
)

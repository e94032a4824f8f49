"""radius-map: which λ and which radius?

gmm-outliers over λ, and over the radius r = r0 s^ρ of the pushes, s the noise scale: ρ = 2 is how we read the paper
(arXiv:2505.21742), 0 a flat radius, negative one that grows as the noise falls. Exact optima on a line say that ρ
matters most, and that outliers are paid for with narrow modes; `python -m benchmarks.frontier` maps these. Here are
networks in the plane: maps of the outlier mass, of the width of the modes (0.3 in the clean law) and of W2, all of one
run, ddpm and the exact scores beside them. Metrics are few and trainings short, as there are 48 of them.
"""

from typing import Any

from toylab.experiments.study import SMOKE
from toylab.experiments.sweep import sweep_experiment

_METRICS = {"metrics": ["eps-mse", "leakage", "w2", "outlier-mass", "mode-width"]}

_COMMON: dict[str, Any] = {
    "law": "three-gaussians",
    "contamination": {"name": "outliers", "fraction": 0.1},
    "methods": {
        "ddpm": "ddpm",
        "robust-ran": {"name": "robust-ran", "radius": "flat"},
        "robust-adv": {"name": "robust-adv", "radius": "flat"},
    },
}

EXPERIMENT = sweep_experiment(
    {
        "smoke": _COMMON | SMOKE
        | {
            "grid": {"methods.*.lam": [0.3, 1.0], "methods.*.radius.r0": [1.0], "methods.*.radius.rho": [0.0, 2.0]},
            "evaluation": SMOKE["evaluation"] | _METRICS,
        },
        "default": _COMMON
        | {
            "grid": {
                "methods.*.lam": [0.3, 1.0],
                "methods.*.radius.r0": [1.0, 2.0, 4.0],
                "methods.*.radius.rho": [-0.5, 0.0, 1.0, 2.0],
            },
            "training": {"steps": 2000},
            "nfe": 50,
            "samples": 2000,
            "evaluation": {"levels": 6, "points": 1000, **_METRICS},
        },
    },
    figures=("sweep-outlier-mass", "sweep-mode-width", "sweep-w2"),
)  # fmt: skip

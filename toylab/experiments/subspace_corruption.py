"""subspace-corruption: images on a known subspace, 90 % of them noisy: who leaves the subspace?

The paper (arXiv:2505.21742) projects images on their principal subspace, corrupts most of them and judges samples by
their PSNR against the subspace. Here the clean law is a mixture fitted to digits in a subspace of R^64, which looks
like them and has a known score at every noise level; pixels lie about between -1 and 1, and 90 % of the points get
Gaussian noise of 0.2. `psnr` is that of each sample against its projection, `normal-std` the noise left in each normal
direction (0.2 in noisy points), `tangent-std` and W2 what removing it cost, ε MSE the error of the score itself. The
paper's settings run beside a flat radius of one noise unit, PGD of a fixed length in the data, and two oracles. The
network is wider than elsewhere, as there are 64 pixels.
"""

from typing import Any

from toylab.experiments.pipeline import study_experiment
from toylab.experiments.plane_inliers import METHODS
from toylab.experiments.study import SMOKE, MethodStudy

_METRICS = ["eps-mse", "leakage", "w2", "distance", "normal-std", "tangent-std", "psnr"]

_COMMON: dict[str, Any] = {
    "law": "digits",
    "contamination": {"name": "inlier-noise", "fraction": 0.9, "std": 0.2},
    "methods": {name: method for name, method in METHODS.items() if name != "invariance"},
}

EXPERIMENT = study_experiment(
    MethodStudy,
    {
        "smoke": _COMMON | SMOKE | {"evaluation": {**SMOKE["evaluation"], "metrics": _METRICS}},
        "default": _COMMON
        | {
            "network": {"width": 128},
            "training": {"steps": 4000},
            "nfe": 50,
            "samples": 2000,
            "evaluation": {"metrics": _METRICS, "levels": 8, "points": 1000},
        },
    },
    figures=("images", "psnr", "score-error"),
)

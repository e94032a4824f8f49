"""plane-inliers: a square in an oblique plane of R³, 90 % of the training points with Gaussian noise of 0.2 added.

Who learns the noise? Off the plane the clean law has no extent, so the normal standard deviation of samples is what is
left of the noise; within it the tangential one, 0.577 for the clean law, tells what that cost. The paper's settings run
beside a flat radius of one noise unit, PGD of a fixed length in the data, and two oracles: one trained on clean data,
one told the noise and the noisy points.
"""

from typing import Any

from toylab.experiments.pipeline import study_experiment
from toylab.experiments.study import SMOKE, MethodStudy

METHODS: dict[str, Any] = {
    "ddpm": "ddpm",
    "robust-ran": "robust-ran",
    "robust-adv": "robust-adv",
    "invariance": "invariance",
    "robust-adv-flat": {"name": "robust-adv", "radius": "flat"},
    "robust-l2": "robust-l2",
    "oracle-clean": "oracle-clean",
    "ambient": {"name": "ambient", "std": 0.2},
}

_COMMON: dict[str, Any] = {
    "law": "oblique-plane",
    "contamination": {"name": "inlier-noise", "fraction": 0.9, "std": 0.2},
    "methods": METHODS,
}

EXPERIMENT = study_experiment(
    MethodStudy,
    {"smoke": _COMMON | SMOKE, "default": _COMMON | {"evaluation": {"drawn_ratio": 0.2}}},  # that of the noise
)

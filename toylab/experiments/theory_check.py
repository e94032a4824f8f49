"""theory-check: what each objective is asked for, exactly, and whether a network finds it.

Two Gaussians on the line, 10 % of the points uniform on [-6, 6], endless data. On a line the exact optimum of every
objective over all functions is known at every noise level (toylab.theory; the adversarial one as far as its fixed point
settles), and is measured like a method, as `optimum-METHOD`. `against` = theory is a network's distance to its own
optimum: the learning error. The optimum's distance to the contaminated law's score is the objective's bias.

The perturbations are of one noise unit (up to two where they are random and most are smaller) and λ is 1: larger than
the paper's, so that there is something to see. At low noise ε turns within a few hundredths of the data's width, which
a network that sees x_t alone learns late: this one sees it as Fourier features too, so that the learning error is below
what it is to resolve.
"""

from typing import Any

from toylab.experiments.pipeline import study_experiment
from toylab.experiments.study import SMOKE, MethodStudy


def _push(r: float) -> dict[str, Any]:
    return {"lam": 1.0, "radius": {"name": "flat", "r0": r}}


_COMMON: dict[str, Any] = {
    "law": "two-gaussians",
    "contamination": {"name": "outliers", "fraction": 0.1},
    "size": None,
    "methods": {
        "ddpm": "ddpm",
        "robust-ran": {"name": "robust-ran", **_push(2.0)},
        "robust-adv": {"name": "robust-adv", **_push(1.0)},
        "invariance": {"name": "invariance", "direction": "random", **_push(1.0)},
    },
    "evaluation": {"theory": True},
}

EXPERIMENT = study_experiment(
    MethodStudy,
    {
        "smoke": _COMMON | SMOKE | {"evaluation": SMOKE["evaluation"] | {"theory": True}},
        "default": _COMMON | {"network": {"width": 128, "fourier": 6}, "training": {"steps": 12_000}},
    },
    figures=("what-is-learned", "score-error", "leakage", "samples", "trajectories", "outlier-mass"),
)

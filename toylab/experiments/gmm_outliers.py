"""gmm-outliers: three Gaussians in the plane, 10 % of the training points uniform on [-6, 6]².

Who learns the outliers? The paper's claim (arXiv:2505.21742) is that equivariant adversarial training does
not, and that invariance breaks. robust-ran and robust-adv run with the paper's settings, radius σ² + 8/255 times
a random draw, and with a flat radius of one noise unit; nothing else differs between the two. robust-onesided is ours;
oracle-clean is trained on as many points without outliers, and shows what the network and its training set add. The
preset `ledger` says where each method's error comes from (toylab/ledger.py), and trains twice as much for it.
"""

from typing import Any

from toylab.experiments.pipeline import study_experiment
from toylab.experiments.study import CHEAP, SMOKE, MethodStudy

METHODS = {
    "ddpm": "ddpm",
    "robust-ran": "robust-ran",
    "robust-adv": "robust-adv",
    "invariance": "invariance",
    "robust-ran-flat": {"name": "robust-ran", "radius": "flat"},
    "robust-adv-flat": {"name": "robust-adv", "radius": "flat"},
    "robust-onesided": "robust-onesided",
    "oracle-clean": "oracle-clean",
}

COMMON: dict[str, Any] = {
    "law": "three-gaussians",
    "contamination": {"name": "outliers", "fraction": 0.1},
    "methods": METHODS,
}

EXPERIMENT = study_experiment(
    MethodStudy,
    {
        "smoke": COMMON | SMOKE,
        "default": COMMON | {"evaluation": {"metrics": [*CHEAP, "lyapunov"]}},  # how much the flow stretches noise
        "ledger": COMMON | {"evaluation": {"ledger": True}},
        "paper": COMMON
        | {
            "network": {"width": 256, "depth": 4},
            "training": {"steps": 200_000, "batch": 1024},
            "sampler": "ddpm",
            "nfe": 1000,
            "samples": 20_000,
            "seeds": 16,
        },
    },
    untried=["paper"],
)

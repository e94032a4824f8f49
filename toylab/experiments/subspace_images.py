"""subspace-images: a U-Net on images whose score is known, in 64 to 3,072 dimensions.

The bridge from toy laws to image data sets. The law is the mixture of subspace-corruption, fitted to digits in a
subspace of pixel space; here the digits are 8 x 8, 16 x 16, and 32 x 32 in three colours, and the network is the U-Net
that image data sets are trained with, by the same loop. 90 % of the training images get Gaussian noise of 0.2 in units
of [-1, 1]. ε MSE is the error of the U-Net's score, `normal-std` the noise it leaves in each direction off the
subspace, W2 that of samples to the clean law, beside exact scores through the same sampler. Trainings are short, and
the network predicts v, as in digits-noise.
"""

from typing import Any

from toylab.experiments.sweep import SMOKE, sweep_experiment

_METRICS = ["eps-mse", "leakage", "w2", "distance", "normal-std", "tangent-std", "psnr"]

_COMMON: dict[str, Any] = {
    "law": "digits",
    "contamination": {"name": "inlier-noise", "fraction": 0.9, "std": 0.2},
    "network": {"name": "unet", "channels": [16, 32]},
    "parametrization": "v",
    "methods": {
        "ddpm": "ddpm",
        "robust-adv": "robust-adv",
        "robust-adv-flat": {"name": "robust-adv", "radius": "flat"},
        "oracle-clean": "oracle-clean",
    },
}

EXPERIMENT = sweep_experiment(
    {
        "smoke": _COMMON
        | SMOKE
        | {
            "network": {"name": "unet", "channels": [4, 8], "heads": 2},
            "grid": {"law.dim": [64, 768]},
            "training": {"steps": 10, "batch": 16},
            "nfe": 5,
            "samples": 50,
            "evaluation": {"levels": 2, "points": 20, "pair": 25, "metrics": _METRICS},
        },
        "default": _COMMON
        | {
            "grid": {"law.dim": [64, 256, 3072]},
            "training": {"steps": 600, "batch": 32},
            "nfe": 25,
            "samples": 200,
            "seeds": 2,
            "evaluation": {"metrics": _METRICS, "levels": 6, "points": 100, "pair": 200},
        },
    },
    figures=("images", "sweep-normal-std", "sweep-eps-mse", "sweep-psnr"),
)

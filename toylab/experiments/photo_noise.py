"""cifar10-noise, celeba-noise, lsun-noise: the paper's protocol for image data sets, at full size.

As arXiv:2505.21742 has it: Gaussian noise of 0.1 or 0.2 in 90 % of the training images, the U-Net of Improved DDPM
(arXiv:2102.09672) for each resolution, a thousand steps of ancestral sampling and fewer, FID of 50,000 samples to clean
images. Where the source says nothing, these are our settings: pixels between -1 and 1, no dropout, 500,000 steps for
CIFAR-10 and 300,000 for the others, one seed. FID needs Inception's weights, which are the user's:

    toylab run cifar10-noise --preset paper --set data.download=true \\
        --set evaluation.features.name=inception --set evaluation.features.weights=inception-2015-12-05.pt

`--dry-run` says what this takes here. None of the three was ever run at full size by its authors.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from toylab.experiments.experiment import Experiment
from toylab.experiments.image_pipeline import image_experiment
from toylab.index import IMAGE_METRICS

_METHODS = {name: name for name in ("ddpm", "robust-ran", "robust-adv", "robust-l2")}
_RECIPE = {"batch": 128, "lr": 1e-4, "beta2": 0.999, "warmup": 0.01, "ema": 0.9999}
_SMOKE: dict[str, Any] = {
    "network": {"name": "unet", "channels": [4, 8], "heads": 2},
    "training": {"steps": 4, "batch": 4},
    "sampler": "ddim",
    "nfe": 3,
    "few_steps": [],
    "samples": 24,
    "seeds": 1,
}


def _experiment(data: str, network: Mapping[str, Any], grid: Sequence[float], **changes: Any) -> Experiment:
    """The protocol on one data set; grid: the noise levels."""
    common: dict[str, Any] = {
        "data": data,
        "corruption": {"name": "gaussian-noise", "fraction": 0.9, "std": 0.2},
        "methods": _METHODS,
        "grid": {"corruption.std": list(grid)},
        "evaluation": {
            "split": "train",
            "batch": 250,
            "metrics": [name for name in IMAGE_METRICS if name != "pixel-fd"],
        },
    }
    paper = {
        "network": {"name": "unet", "heads": 4, "channels_last": True, "attention": [16, 8], **network},
        "training": {"steps": 300_000, **_RECIPE},
        "sampler": "ddpm",
        "nfe": 1000,
        "few_steps": [300, 500],
        "samples": 50_000,
        "seeds": 1,
        **changes,
    }
    presets = {"smoke": common | _SMOKE, "paper": common | paper}
    return image_experiment(presets, ("images", "image-quality"), untried=["paper"])


CIFAR10 = _experiment(
    "cifar10", {"channels": [128, 256, 256, 256], "layers": 3}, [0.0, 0.1, 0.2],
    training={"steps": 500_000, **_RECIPE},
)  # fmt: skip
CELEBA = _experiment("celeba", {"channels": [128, 256, 384, 512], "layers": 3}, [0.2])
LSUN = _experiment("lsun-bedroom", {"channels": [128, 256, 384, 512], "layers": 3}, [0.2])

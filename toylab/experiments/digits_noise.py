"""digits-noise: the paper's protocol for image data sets, at the size of scikit-learn's digits.

The paper (arXiv:2505.21742) adds Gaussian noise to 90 % of CIFAR-10, CelebA and LSUN Bedroom and compares the FID of
samples to clean images. Here the images are 8 x 8 digits, clean or with noise of 0.1 or 0.2 in units of [-1, 1] in 90
% of them, a small U-Net is trained by the same loop as every other model, and distances are those of the features of
a classifier of digits: FD-digits, which is no FID and hardly sees small noise, and of the pixels, which do. Held-out
digits are what samples are compared with; `clean-samples` are digits of the training set, what perfect samples would
reach, `contaminated-samples` the training set as it is trained on; ddpm without noise is what noise-free data are
worth. robust-ran and robust-adv have the paper's settings, robust-l2 is ours, made for noise off a manifold. Fewer
steps, and random pushes before every step, come after.

The network predicts v, not ε. So short a training leaves an error in ε at every noise level, which large noise levels
multiply by σ/α in x_0: with ε plain denoising of clean images ends about twelve times as far from them in pixels as
with v, each at the best of five learning rates, and that error hides what the noise in the data does. See for yourself,
once with parametrization=eps and once with v: `toylab run digits-noise --methods ddpm --seeds 5
--set 'grid={"corruption.std":[0.0]}' --set parametrization=eps --set 'training.lr=[0.01,0.004,0.002,0.001,0.0005]'
--set few_steps=[] --set attack.budgets=[]`.
"""

from typing import Any

from toylab.experiments.image_pipeline import image_experiment

_COMMON: dict[str, Any] = {
    "data": "digits",
    "corruption": {"name": "gaussian-noise", "fraction": 0.9, "std": 0.2},
    "network": {"name": "unet", "channels": [16, 32]},
    "parametrization": "v",
    "methods": {
        "ddpm": "ddpm",
        "robust-ran": "robust-ran",
        "robust-adv": "robust-adv",
        "robust-l2": "robust-l2",
    },
}

EXPERIMENT = image_experiment(
    {
        "smoke": _COMMON
        | {
            "grid": {"corruption.std": [0.0, 0.2]},
            "network": {"name": "unet", "channels": [4, 8], "heads": 2},
            "training": {"steps": 10, "batch": 16},
            "nfe": 5,
            "few_steps": [3],
            "samples": 40,
            "seeds": 2,
            "attack": {"budgets": [0.2]},
        },
        "default": _COMMON
        | {
            "grid": {"corruption.std": [0.0, 0.1, 0.2]},
            "training": {"steps": 800, "batch": 64},
            "nfe": 50,
            "few_steps": [10],
            "samples": 400,
            "seeds": 3,
            "attack": {"budgets": [0.2]},
        },
    },
    figures=("images", "image-quality"),
)

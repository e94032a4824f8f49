"""Networks with a leading axis of members: M independent models, trained and sampled as one.

Every parameter has shape (M, ...), so member m of the output depends on member m of the input and of the parameters
alone. A network takes the scaled x_t (M, n, d), flat, and log σ/α (M, n), and returns (M, n, d). A configuration names
one of `toylab.index.NETWORKS`, which is called with (shape, members, generators): the shape of a sample, (C, H, W) of
an image, and a generator a member, on the CPU, for the initial weights. The U-Net is in `unet`, imported where it is
used.
"""

from collections.abc import Mapping

from torch import Tensor

from toylab.networks.perceptron import MLP, Affine, MemberLinear, mlp

__all__ = ["MLP", "Affine", "MemberLinear", "mlp", "shape_of"]


def shape_of(weights: Mapping[str, Tensor]) -> tuple[int, ...]:
    """The shape of the samples of a network, from the stored state of a denoiser."""
    if "network.shape" in weights:
        return tuple(weights["network.shape"][0].tolist())
    last = max((name for name in weights if name.endswith(".bias")), key=lambda name: int(name.split(".")[-2]))
    return (weights[last].shape[-1] - 1,)  # an MLP's last layer has the gate beside its output

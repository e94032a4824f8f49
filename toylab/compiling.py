"""torch.compile is believed only where it computes the gradient that the network has.

A compiler's defect shows in no loss. PyTorch 2.13.0 on the CPU leaves every layer before the first upsampling of a
small U-Net without a gradient (tests/test_unet.py), and what is left of the network trains on.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from toylab.errors import Unable

TOLERANCE = 0.1
"""Of the gradient of a parameter: bf16 rounds to 1/256, and a sign in an attack may turn."""
_FLOOR = 1e-3
"""Of the gradient of all parameters: what is smaller is rounding."""


def check(gradient: Callable[[], Sequence[Tensor]]) -> None:
    """gradient: the same one at every call, a tensor a parameter. Raises Unable where compiled it is another."""
    compiled = gradient()
    with torch.compiler.set_stance("force_eager"):
        own = gradient()
    sizes = torch.stack([one.norm() for one in own])
    gaps = torch.stack([(one - other).norm() for one, other in zip(compiled, own, strict=True)])
    wrong = int((~(gaps <= TOLERANCE * sizes + _FLOOR * sizes.norm())).sum())
    if wrong:
        where = f"torch {torch.__version__} on {own[0].device.type}"
        raise Unable(
            f"training.compile: {where} compiles this network to one with other gradients of {wrong} of {len(own)}"
            " parameters; leave it off"
        )

"""torch.compile is believed only where it computes the gradient that the network has.

A compiler's defect shows in no loss. PyTorch 2.13.0 on the CPU leaves every layer before the first upsampling of a
small U-Net without a gradient (tests/test_unet.py), and what is left of the network trains on.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from toylab.errors import Unable

TOLERANCE = 0.3
"""Of the gradient of a parameter: bf16 alone changes some by more than a tenth, and signs in an attack may turn."""
_FLOOR = 1e-3
"""Of all gradients together: what is smaller is rounding."""


def check(gradient: Callable[[], Sequence[Tensor]]) -> None:
    """gradient: the same ones at every call, each of a parameter of all members (M, ...). Raises Unable where compiled
    one is another, of a member that has one: not of one that diverged."""
    compiled = gradient()
    with torch.compiler.set_stance("force_eager"):
        own = gradient()
    sizes = _sizes(own)
    gaps = _sizes([one - other for one, other in zip(compiled, own, strict=True)])
    agree = (gaps <= TOLERANCE * sizes + _FLOOR * sizes.norm(dim=0)) | ~sizes.isfinite().all(0)
    if wrong := int((~agree).any(1).sum()):
        where = f"torch {torch.__version__} on {own[0].device.type}"
        raise Unable(
            f"training.compile: {where} compiles this network to one with other gradients, {wrong} of {len(own)}; leave"
            " it off"
        )


def _sizes(gradients: Sequence[Tensor]) -> Tensor:
    """Norms, (parameters, M)."""
    return torch.stack([one.flatten(1).norm(dim=1) for one in gradients])

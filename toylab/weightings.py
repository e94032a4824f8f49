"""Loss weights: how much each noise level counts.

A weight w(t) multiplies the whole loss at t, penalty included, so it changes how a network spends its capacity and
never what the objective's optimum is. In units of the ε-loss, with SNR = α²/σ² and b of the table in denoisers.py,

    name          w                       the loss is then
    bounded       min(1, bound/b²)        ‖ε_θ - ε‖², held back where ε magnifies the network's error
    eps           1                       ‖ε_θ - ε‖² at every level (Ho et al., arXiv:2006.11239, eq. 14)
    x0            1/SNR                   ‖x0_θ - x_0‖²
    snr-clipped   min(1, bound/SNR)       min(SNR, bound) ‖x0_θ - x_0‖² (Hang et al., arXiv:2303.09556)
    flow          (1 + σ/α)²              ‖v_θ - (ε - x_0)‖² of straight paths (Lipman et al., arXiv:2210.02747)
    edm           1 + 1/(s_d² SNR)        (σ̃² + s_d²)/(σ̃ s_d)² ‖x0_θ - x_0‖², σ̃ = σ/α (Karras et al., arXiv:2206.00364)

With the default, `bounded`, eps, v, flow and edm have w = 1 (there b is about 1 at most), and x0, whose
ε = (x_t - α F)/σ, the weights of snr-clipped.
"""

from dataclasses import dataclass
from typing import Literal, get_args

from torch import Tensor

from toylab.denoisers import NoiseLevel
from toylab.errors import BadInput

Kind = Literal["bounded", "eps", "x0", "snr-clipped", "flow", "edm"]


@dataclass(frozen=True)
class Weighting:
    """A noise level -> its weight, of the shape of t, or 1. bound: of the kinds that have one. Raises BadInput."""

    kind: Kind = "bounded"
    bound: float = 400.0

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise BadInput(f"the weighting must be one of {', '.join(get_args(Kind))}, not {self.kind!r}")
        if not 0 < self.bound < float("inf"):
            raise BadInput(f"bound must be positive and finite, not {self.bound}")

    def __call__(self, level: NoiseLevel) -> Tensor | float:
        inverse_snr = (level.sigma / level.alpha).square()
        match self.kind:
            case "bounded":
                b = level.gain
                return (self.bound / b.square()).clamp(max=1) if isinstance(b, Tensor) else min(1.0, self.bound / b**2)
            case "eps":
                return 1.0
            case "x0":
                return inverse_snr
            case "flow":
                return (1 + level.sigma / level.alpha).square()
            case "snr-clipped":
                return (self.bound * inverse_snr).clamp(max=1)
            case _:
                return 1 + inverse_snr / level.data_std**2

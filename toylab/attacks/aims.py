"""What an attacker wants: a height for every end point, which attacks climb.

An aim is built from the clean law, and called with the end points under attack and those of the same noise left alone.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from toylab.distributions import Distribution, SingularLaw
from toylab.distributions.base import space
from toylab.errors import BadInput
from toylab.perturbations import at_least_zero

Aim = Callable[[Tensor, Tensor], Tensor]
"""(ends (M, n, d), ends without attack (M, n, d)) -> heights (M, n), differentiable in the first."""


def displacement(law: Distribution | None = None) -> Aim:
    """Move the end most: ‖x_0(ω) - x_0(0)‖². The law is not needed."""
    return lambda ends, unattacked: (ends - unattacked).square().sum(-1)


def leave_support(law: Distribution, std: float = 0.0) -> Aim:
    """Leave the law: -log p(x_0) of the law with Gaussian noise of `std` added, in nats.

    Without noise, and where log p is not finite on all of R^d, the distance to the support stands for it; inside a
    thick support, such as a box, that is flat, and an ascent does not find the way out: there std should be positive.
    Raises BadInput unless std is finite and at least 0.
    """
    at_least_zero("std", std)
    if std > 0 or has_density_everywhere(law):
        return lambda ends, _: -law.log_prob(ends, 1.0, std)
    return lambda ends, _: law.distance(ends)


def target_point(law: Distribution, point: Sequence[float]) -> Aim:
    """End near a point: -‖x_0 - point‖². Raises BadInput where it is no point of the law's space."""
    if len(point) != law.dim:
        raise BadInput(f"a target in {space(law.dim)} has {law.dim} coordinates, not {len(point)}")
    goal = torch.as_tensor(point, dtype=torch.float64)
    return lambda ends, _: -(ends - goal.to(ends)).square().sum(-1)


def target_mode(law: Distribution, mode: int = 0) -> Aim:
    """End near the centre of a mode, by its number from 0. Raises BadInput where the law has no such mode."""
    means = getattr(law, "means", None)
    if not isinstance(means, Tensor):
        raise BadInput(f"a target mode needs a Gaussian mixture, not {type(law).__name__}; give a point instead")
    if not 0 <= mode < len(means):
        raise BadInput(f"mode must be between 0 and {len(means) - 1}, not {mode}")
    return target_point(law, means[mode].tolist())


def has_density_everywhere(law: Distribution) -> bool:
    """Whether log p is finite on all of R^d, and so tells how far out a point is: not for manifolds and boxes."""
    try:
        law.log_prob(law.mean[None])
    except SingularLaw:
        return False
    return law.support == space(law.dim)

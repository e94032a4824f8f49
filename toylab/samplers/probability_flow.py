"""The probability-flow ODE in the variable in which it is mildest, and its solution to a tolerance.

With φ = atan σ/α and y = x/√(α² + σ²) the α and σ of any schedule become cos φ and sin φ, and the flow

    dy/dφ = cos φ eps - sin φ x0

is the v of Salimans and Ho (arXiv:2202.00512, appendix D), bounded whatever the noise; under it N(0, I) stands still.
Exact mixtures of Gaussians take about a third fewer evaluations in φ than in log σ/α, for samples and for likelihoods.
"""

from collections.abc import Callable
from typing import Annotated, TypeAlias

import torch
from pydantic import Field
from torch import Tensor

from toylab.denoisers import Denoiser
from toylab.errors import BadInput, one_line

Tolerance: TypeAlias = Annotated[float, Field(gt=0, lt=1)]

State: TypeAlias = tuple[Tensor, ...]
"""y (M, n, d) or (..., d), and whatever else is integrated along with it, its leading axes the same."""


class ProbabilityFlow:
    """The flow of a denoiser."""

    def __init__(self, denoiser: Denoiser):
        self.denoiser, self.schedule = denoiser, denoiser.schedule

    def angle(self, t: Tensor | float) -> Tensor:
        """φ at time t."""
        alpha, sigma = self.schedule(t)
        return torch.atan2(sigma, alpha)

    def velocity(self, y: Tensor, angle: Tensor) -> Tensor:
        """dy/dφ: (..., d) -> (..., d), by one evaluation of the denoiser, which sees √(α² + σ²) y."""
        t = self.schedule.times(angle.double().cpu().tan())
        alpha, sigma = self.schedule(t)
        x0, eps = self.denoiser.predict(torch.hypot(alpha, sigma) * y, t)
        return angle.cos() * eps - angle.sin() * x0

    def solve(
        self, field: Callable[[State, Tensor], State], start: State, angles: Tensor, rtol: float, atol: float
    ) -> State:
        """The state at each of the angles (K+1,), in (K+1, ...): field gives its rates, start is that at the first.

        Dormand and Prince's method of order 5 (torchdiffeq's dopri5), whose steps end at every angle and never leave
        their range. Error: root mean square over points and coordinates, of the worst member and part of the state.
        Raises BadInput where the tolerance cannot be met, or is not between 0 and 1.
        """
        from torchdiffeq import odeint

        for name, value in (("rtol", rtol), ("atol", atol)):
            if not 0 < value < 1:
                raise BadInput(f"{name} must be between 0 and 1, not {value}")
        low, high, members = angles.min(), angles.max(), start[0].ndim == 3

        def rates(angle: Tensor, state: State) -> State:
            return field(state, angle.clamp(low, high))  # the solver's first trial step may lie outside

        def norm(state: State) -> Tensor:
            rows = [part.flatten(1) if members else part.reshape(1, -1) for part in state]
            return torch.stack([row.square().mean(-1).sqrt().amax() for row in rows]).amax()

        options = {"norm": norm, "step_t": angles[1:]}
        try:
            path: State = odeint(rates, start, angles, rtol=rtol, atol=atol, method="dopri5", options=options)
        except AssertionError as error:  # how torchdiffeq says that steps vanish or states are not finite
            raise BadInput(
                f"rtol = {rtol:g} and atol = {atol:g} cannot be met: {one_line(error)[:80]}; "
                "the denoiser is too rough for them, or its flow grows without bound"
            ) from None
        return path

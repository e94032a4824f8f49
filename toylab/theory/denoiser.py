"""The exact optimum of an objective as a denoiser: what sampling and metrics say of it without any network."""

import torch
from torch import Tensor

from toylab.denoisers import Denoiser, NoiseLevel
from toylab.distributions import Distribution
from toylab.errors import BadInput
from toylab.objectives import Objective
from toylab.schedules import Schedule
from toylab.theory.grid import GridSolution, grid_optimum
from toylab.theory.lattice import FITTED, Fitted, Grid


class GridOptimum(Denoiser):
    """The exact minimiser of `objective` over all functions, at every noise level: for laws in one or two dimensions.

    A level is solved when it is first asked for (`grid_optimum`, whose grid and tolerance these are) and kept; `levels`
    is how many are kept, the oldest leaving first, and how many one call may ask for. With λ = 0 it is
    Exact(law, schedule); beyond a level's grid it differs from that by what it does at the edge, which suits
    equivariance. Differentiable in x_t. `solution(t).errors()` tells how exact a level is. Raises BadInput at the first
    level whose errors are above the tolerance, and for more distinct times in one call than `levels`.
    """

    def __init__(
        self,
        objective: Objective,
        law: Distribution,
        schedule: Schedule,
        grid: Grid | Fitted = FITTED,
        tolerance: float | None = None,
        levels: int = 256,
    ):
        self.objective, self.law, self.schedule = objective, law, schedule
        self.grid, self.tolerance, self.levels = grid, tolerance, levels
        self._kept: dict[tuple[float, float], GridSolution] = {}

    def at(self, t: Tensor | float) -> NoiseLevel:
        alpha, sigma = self.schedule(t)
        distinct, index = torch.stack([alpha, sigma], -1).double().reshape(-1, 2).unique(dim=0, return_inverse=True)
        if len(distinct) > self.levels:
            raise BadInput(f"{len(distinct)} distinct times at once; at most levels = {self.levels} are solved for")
        solutions = [self._solution(*pair) for pair in distinct.tolist()]
        return _GridLevel(alpha, sigma, solutions, index.reshape(alpha.shape))

    def solution(self, t: float) -> GridSolution:
        """The grid, density and difference to the exact ε at one time."""
        alpha, sigma = self.schedule(t)
        return self._solution(float(alpha), float(sigma))

    def _solution(self, alpha: float, sigma: float) -> GridSolution:
        key = (alpha, sigma)
        if key not in self._kept:
            solved = grid_optimum(self.objective, self.law, alpha, sigma, self.grid, self.tolerance)
            while len(self._kept) >= self.levels:
                del self._kept[next(iter(self._kept))]
            self._kept[key] = solved
        return self._kept[key]


class _GridLevel(NoiseLevel):
    def __init__(self, alpha: Tensor, sigma: Tensor, solutions: list[GridSolution], index: Tensor):
        self.alpha, self.sigma, self._solutions, self._index = alpha, sigma, solutions, index

    def predict(self, x_t: Tensor) -> tuple[Tensor, Tensor]:
        eps = self.eps(x_t)
        return (x_t - self.sigma[..., None] * eps) / self.alpha[..., None], eps

    def eps(self, x_t: Tensor) -> Tensor:
        if len(self._solutions) == 1:
            return self._solutions[0].eps(x_t)
        index = self._index.to(x_t.device).expand(x_t.shape[:-1])
        eps = torch.zeros_like(x_t)
        for k, solution in enumerate(self._solutions):
            here = index == k
            eps = eps.masked_scatter(here[..., None], solution.eps(x_t[here]))
        return eps

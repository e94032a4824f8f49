"""The exact optimum of an objective over all functions, in one and two dimensions: a linear system on a grid.

At one noise level, with p the density of x = αX + σZ, ε* = -σ ∇ log p, ω symmetric and independent of x, and
K f(x) = E f(x + σω), setting the first variation of

    E‖e(x) - ε‖² + λ E‖e(x + σω) - e(x) - κω‖²,     κ = 1 (equivariance) or 0 (invariance)

to zero gives, for each coordinate of e by itself,

    p (e - ε*) + λ [(Kp) e - K(p e) - p K e + p e] = λκ E[ω p(x - σω)]

The right-hand side is what the bracket makes of x/σ. So with u = αD = x - σe, D the denoiser, for equivariance, and
u = e for invariance, *the optimum is the exact field smoothed over the pushes*, in both cases by the same smoothing:

    p (u - u*) + λ [(Kp) u - K(p u) - p K u + p u] = 0            without `through`: the bracket is (Kp) u - K(p u)

Equivariant training smooths E[x_0 | x_t]; invariance smooths ε itself, which must not be smooth.

On nodes h apart with ω's law on multiples of h (lattice.py) this is solved without further error (smoothing.py), for
the difference e - ε*, which a cubic spline carries to where it is asked for. So what is inexact is: ω's law from its
sixth moment on, the spline, and the ends of the grid, where pushes out are dropped and beyond which the difference
is what it is at the edge. `GridSolution.errors` measures all three.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from toylab.distributions import Distribution
from toylab.errors import BadInput
from toylab.objectives import Objective, Regularised
from toylab.perturbations import Ascent, Direction, Gaussian, Random
from toylab.theory.adversarial import RESOLUTION, blurred, settle, signed_pushes
from toylab.theory.gaussian import AffineOptimum
from toylab.theory.lattice import FITTED, Fitted, Grid, disc_law, gaussian_law, uniform_law
from toylab.theory.perturbation import radii, reach, regularised, strength, unknown_direction
from toylab.theory.smoothing import Pushes, Shifts, on_a_line, on_a_plane
from toylab.theory.splines import Spline

_FLOOR = 1e-30  # of the largest density: below it, p counts as this


class Errors(NamedTuple):
    """Root mean squares over p of the change of ε, in noise units: with twice the step (about 16 times the error, as
    the order is 4), with the grid wider by a quarter on every side, and by one more iteration of the fixed point."""

    step: float
    domain: float
    unsettled: float


@dataclass(frozen=True, eq=False)
class GridSolution:
    """The minimiser at one noise level. density: p at the nodes, relative to its largest; shift: ε - ε* there;
    unsettled: how far a fixed point is from being one (0 where ω does not depend on the field)."""

    objective: Regularised
    law: Distribution
    alpha: float
    sigma: float
    grid: Grid
    density: Tensor
    shift: Tensor
    unsettled: float = 0.0

    def eps(self, x: Tensor) -> Tensor:
        """ε at x (..., dim), differentiable in x: the exact ε* plus the interpolated difference."""
        return -self.sigma * self.law.score(x, self.alpha, self.sigma) + self._between(x)

    def against(self, eps: Callable[[Tensor], Tensor]) -> "GridSolution":
        """The optimum for the pushes of another field, x (n, dim) -> ε (n, dim), instead of its own.

        Training is stationary at a field that is the optimum for its own pushes. Where pushes depend on no field, this
        is the optimum itself; where several fields are stationary, it tells whether a given one is.
        """
        x = self.grid.points()
        field = eps(x.reshape(-1, self.law.dim)).reshape(x.shape).to(x)
        return _solve(self.objective, self.law, self.alpha, self.sigma, self.grid, field)

    def distance(self, eps: Callable[[Tensor], Tensor]) -> float:
        """The root mean square over p of ε minus another field's, x (n, dim) -> (n, dim), in noise units."""
        x = self.grid.points().reshape(-1, self.law.dim)
        return _rms((eps(x).to(x) - self.eps(x)).reshape(self.shift.shape), self.density)

    def affine(self) -> AffineOptimum:
        """The best affine function instead: the same discrete objective over the span of 1 and the coordinates."""
        x = self.grid.points()
        basis = torch.cat([torch.ones_like(x[..., :1]), x], -1).movedim(-1, 0)  # (1 + d, n...)
        p, target = self.density, self._field(x, -self.sigma * self.law.score(x, self.alpha, self.sigma))
        lam = strength(self.objective, self.alpha, self.sigma)
        push = _pushes(self.objective, self.alpha, self.sigma, self.grid)
        moved = push(p) * basis - push(p * basis)
        if self.objective.through:
            moved = moved + p * (push(torch.ones_like(p)) * basis - push(basis))
        flat, image = basis.flatten(1), (p * basis + lam * moved).flatten(1)
        coefficients = torch.linalg.solve(flat @ image.mT, flat @ (p[..., None] * target).flatten(0, -2))
        bias, matrix = coefficients[0], coefficients[1:].mT
        if not self.objective.equivariant:
            return AffineOptimum(matrix, bias)
        return AffineOptimum((torch.eye(self.law.dim, dtype=torch.float64) - matrix) / self.sigma, -bias / self.sigma)

    def errors(self) -> Errors:
        """What the grid costs: solved again with every second node, and on a wider grid."""
        more = max(self.grid.nodes) // 4
        inner = (slice(more, -more),) * self.grid.dim
        coarse = _solve(self.objective, self.law, self.alpha, self.sigma, self.grid.thinned())
        wide = _solve(self.objective, self.law, self.alpha, self.sigma, self.grid.widened(more))
        return Errors(
            _rms(coarse._between(self.grid.points()) - self.shift, self.density),
            _rms(wide.shift[inner] - self.shift, self.density),
            self.unsettled,
        )

    def _field(self, x: Tensor, eps: Tensor) -> Tensor:
        """What is smoothed: u of the module's text."""
        return x - self.sigma * eps if self.objective.equivariant else eps

    def _between(self, x: Tensor) -> Tensor:
        """ε - ε* at any x."""
        rows = x.reshape(-1, x.shape[-1]).to(self.law.precision)
        return self._spline(rows).reshape(x.shape).to(x.dtype)

    @cached_property
    def _spline(self) -> Spline:
        return Spline(self.grid, self.shift)


def grid_optimum(
    objective: Objective,
    law: Distribution,
    alpha: float,
    sigma: float,
    grid: Grid | Fitted = FITTED,
    tolerance: float | None = None,
) -> GridSolution:
    """The exact minimiser of `objective` over all functions at one noise level, for a law in one or two dimensions.

    With a Random or Gaussian direction exact but for the grid; with FGSM or PGD, on a line only, a stationary point as
    far as it settles (adversarial.py). grid: nodes, or how to choose them. tolerance: BadInput is raised where one of
    `GridSolution.errors` is above it. Raises BadInput for what has no linear system here, too.
    """
    if not (alpha >= 0 and sigma > 0):
        raise BadInput(f"alpha must be at least 0 and sigma positive, not {alpha} and {sigma}")
    asked = regularised(objective)
    if isinstance(grid, Fitted):
        grid = grid(law, alpha, sigma, reach(asked, alpha, sigma, law.dim))
    if grid.dim != law.dim:
        raise BadInput(f"the grid has {grid.dim} axes, the law {law.dim}")
    solution = _solve(asked, law, alpha, sigma, grid)
    if tolerance is not None and not max(errors := solution.errors()) <= tolerance:
        nodes = "x".join(map(str, grid.nodes))
        raise BadInput(
            f"at alpha = {alpha:.3g}, sigma = {sigma:.3g} the grid of {nodes} nodes is off by about {errors.step:.1e} "
            f"(step), {errors.domain:.1e} (ends) and {errors.unsettled:.1e} (fixed point): more than {tolerance:g}"
        )
    return solution


def _solve(
    asked: Regularised, law: Distribution, alpha: float, sigma: float, grid: Grid, field: Tensor | None = None
) -> GridSolution:
    """Where a direction becomes a linear system, or a fixed point of them; or the system for the pushes of `field`, ε
    at the nodes. Raises BadInput for an unknown direction."""
    x = grid.points()
    log_p = law.log_prob(x, alpha, sigma)
    p = (log_p - log_p.max()).exp().clamp(min=_FLOOR)
    plain = GridSolution(asked, law, alpha, sigma, grid, p, torch.zeros_like(x))
    lam = strength(asked, alpha, sigma)
    if lam == 0:
        return plain
    exact = -sigma * law.score(x, alpha, sigma)
    target, unit = plain._field(x, exact), -1 / sigma if asked.equivariant else 1.0

    def along(right: Tensor, left: Tensor) -> Tensor:
        return unit * on_a_line(p, target, right, left, lam, asked.through)

    match asked.direction:
        case Random() | Gaussian() if grid.dim == 1:
            k = _mean_law(asked, alpha, sigma, grid.step[0])[:, None].expand(-1, len(p))
            return replace(plain, shift=along(k, k))
        case Random() | Gaussian():
            push = _pushes(asked, alpha, sigma, grid)
            return replace(plain, shift=unit * on_a_plane(p, target, push, lam, asked.through))
        case Ascent(draws=1) as ascent if grid.dim == 1:
            sizes, weights = radii(asked.radius, alpha, sigma)

            def best(eps: Tensor) -> Tensor:
                seen = blurred(eps, grid, RESOLUTION * sigma)
                return along(*signed_pushes(seen, grid, (sigma * sizes, weights), ascent))

            if field is not None:
                return replace(plain, shift=best(field))
            shift, unsettled = settle(exact, best, lambda change: _rms(change, p))
            return replace(plain, shift=shift, unsettled=unsettled)
        case _:
            raise unknown_direction(asked.direction, "Random, Gaussian, and on a line FGSM and PGD of one draw")


def _mean_law(asked: Regularised, alpha: float, sigma: float, h: float) -> Tensor:
    """The law of a random ω of a line on its nodes, k_0, ..., k_m: the mean over the radii."""
    sizes, weights = radii(asked.radius, alpha, sigma)
    return _summed([w * _axis_law(asked.direction, float(r) * sigma / h) for r, w in zip(sizes, weights, strict=True)])


def _axis_law(direction: Direction, ratio: float) -> Tensor:
    """The law of one coordinate of σω, ratio = σr/h. Raises BadInput where ω is not random."""
    match direction:
        case Gaussian():
            return gaussian_law(ratio / math.sqrt(3))
        case Random():
            return uniform_law(ratio)
        case _:
            raise unknown_direction(direction, "Random and Gaussian")


def _pushes(asked: Regularised, alpha: float, sigma: float, grid: Grid) -> Pushes | Shifts:
    """K of a random ω. Raises BadInput for another direction."""
    if grid.dim == 1:
        return Pushes(torch.ones(1), [(_mean_law(asked, alpha, sigma, grid.step[0]),)], grid.nodes)
    sizes, weights = radii(asked.radius, alpha, sigma)
    ratios = [[float(r) * sigma / h for h in grid.step] for r in sizes]
    if asked.direction == Random("l2"):
        long = math.sqrt(2)  # |ω| <= r√d
        discs = [disc_law(long * rows, long * columns) for rows, columns in ratios]
        return Shifts(_summed([w * k for w, k in zip(weights, discs, strict=True)]))
    return Pushes(weights, [tuple(_axis_law(asked.direction, ratio) for ratio in pair) for pair in ratios], grid.nodes)


def _summed(laws: Sequence[Tensor]) -> Tensor:
    """Laws on more and fewer nodes, added."""
    total = torch.zeros([max(sizes) for sizes in zip(*(k.shape for k in laws), strict=True)], dtype=torch.float64)
    for k in laws:
        total[tuple(slice(size) for size in k.shape)] += k
    return total


def _rms(change: Tensor, density: Tensor) -> float:
    """√ of the mean of ‖change‖²/d over the density."""
    return float(((change.square().mean(-1) * density).sum() / density.sum()).sqrt())

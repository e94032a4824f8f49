"""Ascents on a line: pushes that depend on the field, and a fixed point.

From a start ρu, u uniform on [-1, 1] and ρ the radius, FGSM goes one step, and PGD several, where |e(x + σρu) - e(x)|
grows, in either norm:

    u <- clip(u + step·s, -1, 1),     s = sign[(e(x + σρu) - e(x)) e'(x + σρu)],     at last ω = ρu

As ω carries no gradient, training is stationary at a field that is the optimum for the law of its own pushes; for a
given law of pushes from every node, that is the linear system of smoothing.py.

Rough fields hide. Over all functions there are equilibria that are rough from node to node: small wiggles turn the
sign of e' to and fro, pushes lose their direction, and the field moves less. That is gradient masking; it depends on
the nodes, and no network has it. So s is that of e seen at a resolution, e * N(0, (δσ)²) with δ = 0.2 noise units:
fields vary over one, as x does, and nodes are a tenth of one apart.

What converges. Where e is monotone along the pushes, s = sign(u), and ω = ±ρ (steps of 1 or more in all) whatever e is:
one iteration ends it. So on one Gaussian, and at high noise on any law. What does not: where e is flat or folds back,
between modes and over a broad background, s flips as e is corrected, and the iteration, whose share of the new field
falls as 2/(k + 1), settles to an average over flips. On two Gaussians with 10 % uniform outliers (λ = 1, r = 1) FGSM
moves the field by 0.14 to 0.28, root mean square in noise units; another start ends within 0.03 of it, and half as many
nodes within 0.02 (`pytest -m '' tests/test_grid_optimum.py -k whatever_the_start`).
"""

import math
from collections.abc import Callable

import torch
from scipy import ndimage
from torch import Tensor

from toylab.perturbations import Ascent
from toylab.theory.lattice import Grid
from toylab.theory.splines import Spline

_STARTS = 64  # of the uniform start, the midpoints of as many cells
_ITERATIONS = 40
_SETTLED = 1e-10
RESOLUTION = 0.2
"""δ, at which the sign of a step is taken, in noise units."""


def blurred(eps: Tensor, grid: Grid, width: float) -> Tensor:
    """e (n, 1) seen at a resolution: its mean over N(0, width²) about every node."""
    return torch.from_numpy(ndimage.gaussian_filter1d(eps.numpy(), width / grid.step[0], axis=0, mode="nearest"))


def signed_pushes(eps: Tensor, grid: Grid, radii: tuple[Tensor, Tensor], ascent: Ascent) -> tuple[Tensor, Tensor]:
    """The law of σω from every node: eps (n, 1), radii of σω as nodes and weights -> right and left (m + 1, n), the
    probabilities of i -> i + j and of i -> i - j. A push that ends between two nodes is shared by them: its mean is
    kept, and σ²ω² grows by at most h²/4."""
    n, h = grid.nodes[0], grid.step[0]
    most = math.ceil(float(radii[0].max()) / h) + 1
    laws = torch.zeros(2 * most + 1, n, dtype=torch.float64)
    start = (torch.arange(_STARTS, dtype=torch.float64) + 0.5) * 2 / _STARTS - 1
    field, column = Spline(grid, eps), torch.arange(n)[:, None].expand(n, _STARTS)
    for size, weight in zip(*radii, strict=True):
        u = start.expand(n, -1)
        for _ in range(ascent.steps):
            u = (u + ascent.step * _climbing(field, eps, grid.points() + size * u)).clamp(-1, 1)
        end = u * size / h
        below = (end + 1e-9).floor()  # an end on a node is on it to rounding
        above = (end - below).clamp(0, 1)
        for offset, share in ((0, 1 - above), (1, above)):
            laws.index_put_((below.long() + most + offset, column), share * weight / _STARTS, accumulate=True)
    return laws[most:], laws[: most + 1].flip(0)


def _climbing(field: Spline, eps: Tensor, x: Tensor) -> Tensor:
    """The sign of d/dx |e(x) - e at the node|², at points x (n, s) about n nodes."""
    x = x.reshape(-1, 1).requires_grad_()
    with torch.enable_grad():
        there = field(x)
        (slope,) = torch.autograd.grad(there.sum(), x)
    return ((there.detach() - eps.repeat_interleave(_STARTS, 0)) * slope).sign().reshape(-1, _STARTS)


def settle(
    exact: Tensor,
    best: Callable[[Tensor], Tensor],
    distance: Callable[[Tensor], float],
    start: Tensor | None = None,
) -> tuple[Tensor, float]:
    """A field that is the optimum for its own pushes, as its difference to `exact`, from `exact` or another field.

    best: a field -> the optimum for its pushes, as that difference; distance: the size of a difference of fields.
    Also returns the distance to the optimum for its own pushes, 0 where it settled to 1e-10.
    """
    shift = (exact if start is None else start) - exact
    for k in range(1, _ITERATIONS + 1):
        step = best(exact + shift) - shift
        left = distance(step)
        if left <= _SETTLED:
            return shift + step, 0.0
        shift = shift + 2 / (k + 1) * step
    return shift, distance(best(exact + shift) - shift)

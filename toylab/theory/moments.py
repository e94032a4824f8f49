"""S = E[ωωᵀ] of the perturbations of an affine model ε(x) = A x + b.

From any x, and from any noise of the same x_0, ε moves by σAω when x is pushed by σω: the height that an ascent climbs
is ωᵀGω with G = AᵀA, times σ² and the number of draws. So ω has one law for every x and for any number of draws, is
odd in its start, of mean 0, and as steps and balls scale with the radius, ω = r w with w of radius 1:

    S = E[r²] E[wwᵀ]

Random and Gaussian: E[wwᵀ] = I/3; Random in the L2 ball: d/(d + 2) I. One signed step: w = clip(u + step·sign(G u)), u
uniform on the cube, piecewise linear in each coordinate of u, and integrated exactly along one of them. All other
ascents are carried out (`Ascent.climbed`) from quasi-random starts.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from toylab.objectives import Regularised
from toylab.perturbations import Ascent, Gaussian, Norm, Random
from toylab.theory.perturbation import mean_square, unknown_direction

_SIGNED = 1 << 14  # quasi-random starts of one signed step
_CLIMBING = 1 << 16  # of every other ascent


def second_moment(asked: Regularised, matrix: Tensor, alpha: float, sigma: float) -> Tensor:
    """S = E[ωωᵀ] (d, d) for the affine model of this matrix. Raises BadInput for an unknown direction."""
    size, dim = mean_square(asked.radius, alpha, sigma), len(matrix)
    match asked.direction:
        case Random(norm="linf") | Gaussian():
            return size / 3 * torch.eye(dim, dtype=torch.float64)
        case Random():
            return size * dim / (dim + 2) * torch.eye(dim, dtype=torch.float64)
        case Ascent(steps=1, step=step, norm="linf"):
            return size * signed_moment(matrix.mT @ matrix, step)
        case Ascent():
            return size * climbed_moment(matrix, asked.direction)
        case _:
            raise unknown_direction(asked.direction, "Random, Gaussian, FGSM and PGD")


def climbed_moment(matrix: Tensor, ascent: Ascent, points: int = _CLIMBING) -> Tensor:
    """E[wwᵀ] (d, d) of the ascent of |A w|² in the ball of radius 1, A (d, d), from scrambled Sobol starts (seeded)."""
    dim, total = len(matrix), torch.zeros_like(matrix)
    engine = torch.quasirandom.SobolEngine(dim + (ascent.norm == "l2"), scramble=True, seed=0)
    size = max(1, (1 << 20) // dim)
    for start in range(0, points, size):
        u = engine.draw(min(size, points - start), dtype=torch.float64)
        w = ascent.climbed(lambda w: (w @ matrix.mT).square().sum(), _in_ball(u, ascent.norm), torch.ones(len(u)))
        total += w.mT @ w
    return total / points


def _in_ball(u: Tensor, norm: Norm) -> Tensor:
    """Points of the unit cube (n, d), or (n, d + 1) for l2, as points of the ball of radius 1 (n, d)."""
    if norm == "linf":
        return 2 * u - 1
    z, dim = torch.special.ndtri(u[:, :-1].clamp(1e-12, 1 - 1e-12)), u.shape[1] - 1
    return math.sqrt(dim) * u[:, -1:] ** (1 / dim) * z / z.norm(dim=1, keepdim=True)


def signed_moment(gram: Tensor, step: float, points: int = _SIGNED) -> Tensor:
    """E[wwᵀ] (d, d) of w = clip(u + step·sign(G u), -1, 1), u uniform on [-1, 1]^d; G (d, d) with a positive diagonal.

    Along u_i, with the other coordinates fixed, w_i is piecewise linear with one jump and w_j has two values: their
    product is integrated exactly, and averaged over quasi-random other coordinates (scrambled Sobol, seeded).
    """
    dim = len(gram)
    engine = torch.quasirandom.SobolEngine(dim, scramble=True, seed=0)
    size = max(1, (1 << 21) // dim**2)
    total = torch.zeros_like(gram)
    for start in range(0, points, size):
        u = 2 * engine.draw(min(size, points - start), dtype=torch.float64) - 1
        total += _along_one_coordinate(u, gram, step).sum(0)
    return (total + total.mT) / (2 * points)


def _along_one_coordinate(u: Tensor, gram: Tensor, step: float) -> Tensor:
    """The mean of w_i w_j over u_i, (n, i, j), at the other coordinates of u (n, d)."""
    rest = (u @ gram)[:, None, :] - gram * u[:, :, None]  # (G u)_j without its term in u_i
    upwards = torch.where(gram < 0, -1.0, 1.0)  # the sign of (G u)_j above where it vanishes
    jump = (-rest / (gram.abs() * upwards + torch.where(gram == 0, 1e-300, 0.0))).clamp(-1, 1)
    w = [(u + step * sign).clamp(-1, 1)[:, None, :] for sign in (-1.0, 1.0)]
    below, above = torch.where(upwards > 0, w[0], w[1]), torch.where(upwards > 0, w[1], w[0])
    own = jump.diagonal(dim1=1, dim2=2)[..., None]  # where w_i jumps
    end = torch.ones_like(own)
    until = _integral(_ramp, jump, own, step)  # of w_i, to where w_j jumps
    product = below * until + above * (_integral(_ramp, end, own, step) - until)
    square = _integral(_square_ramp, end, own, step)
    return torch.where(torch.eye(len(gram), dtype=torch.bool), square, product) / 2


def _integral(antiderivative: Callable[[Tensor], Tensor], x: Tensor, jump: Tensor, step: float) -> Tensor:
    """∫ from -1 to x of f(y + step·s), s = -1 below the jump and 1 above."""
    start = antiderivative(torch.full_like(jump, -1 - step))
    below = antiderivative(torch.minimum(x, jump) - step) - start
    return below + antiderivative(torch.maximum(x, jump) + step) - antiderivative(jump + step)


def _ramp(z: Tensor) -> Tensor:
    """An antiderivative of clip(z, -1, 1)."""
    return torch.where(z.abs() <= 1, z * z / 2, z.abs() - 0.5)


def _square_ramp(z: Tensor) -> Tensor:
    """An antiderivative of clip(z, -1, 1)²."""
    return torch.where(z.abs() <= 1, z**3 / 3, z - 2 * z.sign() / 3)

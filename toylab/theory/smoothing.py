"""The linear systems of the grid optimum: smoothing a field over the pushes.

Nodes i of density p_i, and pushes that carry node i to node j with probability k_ij. The minimiser of

    Σ_i p_i [(u_i - u*_i)² + λ Σ_j k_ij (u_j - u_i)²]

solves, with the edge weights w_ij = p_i k_ij + p_j k_ji of a graph and its Laplacian (Lu)_i = Σ_j w_ij (u_i - u_j),

    p_i (u_i - u*_i) + λ (Lu)_i = 0                                         gradient through the target
    p_i (u_i - u*_i) + λ Σ_j p_j k_ji (u_i - u_j) = 0                       without: only the pushed end moves

Divided by its diagonal, either is u = c + Tu with T ≥ 0 and row sums below 1, whatever the range of p: u_i is an
average of u* over a random walk from i that stops at rate p and steps at rate λw, so that u stays within the range of
u*, and the solution is stable to rounding down to the smallest p. It is solved for δ = u - u*, which vanishes with λ.
Multiplied by p_i, the second is symmetric as well for symmetric k: edge weights p_i p_j k_ij, and p_i² in place of p_i.
"""

from collections.abc import Callable, Sequence

import numpy as np
import scipy.linalg
import torch
from torch import Tensor

from toylab.errors import Unable

_EXACT = 1e-12  # of the field's largest value: the residual of conjugate gradients, relative to the diagonal
_ITERATIONS = 2000


def on_a_line(p: Tensor, target: Tensor, right: Tensor, left: Tensor, lam: float, through: bool) -> Tensor:
    """δ (n, c) by elimination: p (n,), u* (n, c), right and left (m + 1, n): k of i -> i + j and of i -> i - j.

    Pushes beyond the ends are left out. Row 0, pushes to where they started, counts for nothing.
    """
    n = len(p)
    bandwidth = min(len(right), n) - 1
    bands = torch.zeros(2 * bandwidth + 1, n, dtype=torch.float64)  # bands[m + i - j, j] = A_ij
    diagonal, flow = p.clone(), torch.zeros_like(target)
    for j in range(1, bandwidth + 1):
        down, up = p[:-j] * right[j, :-j], p[j:] * left[j, j:]  # what is pushed from i to i + j, and back
        out, back = (down + up, down + up) if through else (up, down)  # the weight in row i, and in row i + j
        bands[bandwidth - j, j:], bands[bandwidth + j, :-j] = -lam * out, -lam * back
        diagonal[:-j] += lam * out
        diagonal[j:] += lam * back
        difference = target[:-j] - target[j:]
        flow[:-j] -= lam * out[:, None] * difference
        flow[j:] += lam * back[:, None] * difference
    bands[bandwidth] = diagonal
    for j in range(-bandwidth, bandwidth + 1):
        columns = slice(max(0, -j), n - max(0, j))
        bands[bandwidth + j, columns] /= diagonal[max(0, j) : n - max(0, -j)]
    right_side = (flow / diagonal[:, None]).numpy()
    solved = scipy.linalg.solve_banded((bandwidth, bandwidth), bands.numpy(), right_side, check_finite=False)
    return torch.from_numpy(np.ascontiguousarray(solved))


class Pushes:
    """K on a grid, (Kf)_i = Σ_j k_ij f_j: the mean over radii of a product of one law an axis.

    weights: of the radii; laws: for each radius and axis, k_0, ..., k_m; nodes: of each axis.
    """

    def __init__(self, weights: Tensor, laws: Sequence[tuple[Tensor, ...]], nodes: Sequence[int]):
        self.weights, self.line = weights, len(nodes) == 1
        self.tables = [
            [_mirrored(k) if self.line else _toeplitz(k, n) for k, n in zip(axes, nodes, strict=True)] for axes in laws
        ]

    def __call__(self, f: Tensor) -> Tensor:
        """f (..., n) or (..., n, m) -> Kf."""
        parts = [w * self._pushed(f, *tables) for w, tables in zip(self.weights, self.tables, strict=True)]
        return torch.stack(parts).sum(0) if len(parts) > 1 else parts[0]

    def _pushed(self, f: Tensor, first: Tensor, second: Tensor | None = None) -> Tensor:
        if second is not None:
            return first @ f @ second
        rows = f.reshape(-1, 1, f.shape[-1])
        return torch.nn.functional.conv1d(rows, first[None, None], padding="same").reshape(f.shape)


class Shifts:
    """K in the plane for a law of both axes together: k_ij (l + 1, m + 1) with k_±i±j = k_ij."""

    def __init__(self, k: Tensor):
        self.rows = torch.cat([k.flip(1)[:, :-1], k], 1)[:, None]  # one filter a row

    def __call__(self, f: Tensor) -> Tensor:
        """f (..., n, m) -> Kf: every row smoothed along itself by every filter, and added where that shifts it."""
        *_, n, m = f.shape
        along = torch.nn.functional.conv1d(f.reshape(-1, 1, m), self.rows, padding="same").reshape(
            -1, n, *self.rows.shape[:1], m
        )
        total = along[:, :, 0].clone()
        for i in range(1, min(len(self.rows), n)):
            total[:, i:] += along[:, :-i, i]
            total[:, :-i] += along[:, i:, i]
        return total.reshape(f.shape)


def on_a_plane(p: Tensor, target: Tensor, push: Callable[[Tensor], Tensor], lam: float, through: bool) -> Tensor:
    """δ (n, m, c) by conjugate gradients, p (n, m) and u* (n, m, c), until no node's residual is above 1e-12 max |u*|
    of its diagonal. Unable where that is not reached."""
    density, one = push(p), push(torch.ones_like(p))

    def weighted(u: Tensor) -> Tensor:
        """Σ_j w_ij u_j, coordinates first."""
        return push(p * u) + p * push(u) if through else p * push(p * u)

    total = density + p * one if through else p * density
    mass = p if through else p * p
    diagonal = mass + lam * total
    star = target.movedim(-1, 0)
    right_side = -lam * (total * star - weighted(star))
    solved = _conjugate_gradients(
        lambda u: diagonal * u - lam * weighted(u), right_side, diagonal, _EXACT * float(star.abs().max())
    )
    return solved.movedim(0, -1)


def _conjugate_gradients(
    matrix: Callable[[Tensor], Tensor], right_side: Tensor, diagonal: Tensor, tolerance: float
) -> Tensor:
    """Every field of right_side (c, n, m) at once, preconditioned by the diagonal."""
    x, residual = torch.zeros_like(right_side), right_side
    z = residual / diagonal
    direction, power = z, (residual * z).sum((-2, -1), keepdim=True)
    for _ in range(_ITERATIONS):
        if float(z.abs().max()) <= tolerance:
            return x
        image = matrix(direction)
        share = power / (direction * image).sum((-2, -1), keepdim=True).clamp(min=1e-300)
        x, residual = x + share * direction, residual - share * image
        z = residual / diagonal
        before, power = power, (residual * z).sum((-2, -1), keepdim=True)
        direction = z + power / before.clamp(min=1e-300) * direction
    raise Unable(f"conjugate gradients ended at a residual of {float(z.abs().max()):.1e}, not {tolerance:.1e}")


def _mirrored(k: Tensor) -> Tensor:
    """k_-m, ..., k_m."""
    return torch.cat([k.flip(0)[:-1], k])


def _toeplitz(k: Tensor, n: int) -> Tensor:
    """The symmetric matrix (n, n) with k_|i-j| on its diagonals."""
    column = torch.zeros(n, dtype=torch.float64)
    column[: len(k)] = k[:n]
    index = torch.arange(n)
    return column[(index[:, None] - index).abs()]

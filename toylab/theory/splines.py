"""Cubic splines on evenly spaced nodes, differentiable in x."""

import torch
from scipy import ndimage
from torch import Tensor

from toylab.theory.lattice import Grid


class Spline:
    """The cubic B-spline through values (n, c) or (n, m, c) at a grid's nodes; beyond it, the value at its edge.

    Twice continuously differentiable inside; at the edge its slope across is 0. Evaluated in float64.
    """

    def __init__(self, grid: Grid, values: Tensor):
        self.grid = grid
        fields = [ndimage.spline_filter(v.numpy(), order=3, mode="mirror") for v in values.unbind(-1)]
        inner = torch.stack([torch.from_numpy(f) for f in fields])
        pad = [1, 1] * grid.dim  # the node beyond an edge mirrors the one before it
        self.coefficients = torch.nn.functional.pad(inner[None], pad, mode="reflect")[0]

    def __call__(self, x: Tensor) -> Tensor:
        """(n, dim) -> (n, c)."""
        c = self.coefficients.to(x.device)
        indices, weights = zip(*(self._cell(x[:, axis], axis) for axis in range(self.grid.dim)), strict=True)
        if self.grid.dim == 1:
            return torch.einsum("cna,na->nc", c[:, indices[0]], weights[0])
        values = c[:, indices[0][:, :, None], indices[1][:, None, :]]
        return torch.einsum("cnab,na,nb->nc", values, weights[0], weights[1])

    def _cell(self, x: Tensor, axis: int) -> tuple[Tensor, Tensor]:
        """The four coefficients about each point (n, 4) and their weights (n, 4)."""
        low, high, n = self.grid.low[axis], self.grid.high[axis], self.grid.nodes[axis]
        position = (x.clamp(low, high) - low) / self.grid.step[axis]
        cell = position.detach().floor().clamp(0, n - 2)
        s = position - cell
        r = 1 - s
        weights = [r**3, 4 - 6 * s**2 + 3 * s**3, 4 - 6 * r**2 + 3 * r**3, s**3]
        return cell.long()[:, None] + torch.arange(4, device=x.device), torch.stack(weights, -1) / 6

"""Grids, and laws of ω on them.

On evenly spaced nodes a push moves a node to a node: the law of σω is replaced by weights k_j ≥ 0 on the multiples j of
the step h, symmetric and with the same moments of order 0, 2 and 4 (of order 0 and 2 where σω is shorter than a step or
a few, as the least positive j is 1). With nothing else replaced, the objective on the nodes is exactly what it is off
them, and every property that rests on weights being positive is kept. For a coordinate uniform on [-a, a] this is
`uniform_law`, for a Gaussian one `gaussian_law`, for a point uniform on a disc `disc_law`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from toylab import randomness
from toylab.distributions import Distribution
from toylab.errors import BadInput

_STEP = {1: 1 / 12, 2: 1 / 6}  # h in units of σ
_MOST = {1: 2401, 2: 201}  # nodes an axis, where the step has to give way
_PROBES = 2048  # exact samples that say where a law is
_LEAST = 1e-13  # of the largest density: what the grid has to reach
_TAIL = 8.0  # standard deviations, beyond which a Gaussian has 1e-15


@dataclass(frozen=True)
class Grid:
    """Evenly spaced nodes on a box: low, high and the number of nodes, of each axis. Raises BadInput."""

    low: Sequence[float]
    high: Sequence[float]
    nodes: Sequence[int]

    def __post_init__(self) -> None:
        if len({len(self.low), len(self.high), len(self.nodes)}) != 1 or len(self.low) not in _MOST:
            raise BadInput("a grid has low, high and nodes for each of one or two axes")
        if not all(-math.inf < low < high < math.inf for low, high in zip(self.low, self.high, strict=True)):
            raise BadInput(f"low must be below high, both finite, not {self.low} and {self.high}")
        if min(self.nodes) < 9 or math.prod(self.nodes) > 1_000_000:
            raise BadInput(f"a grid has at least 9 nodes an axis and at most 1,000,000 in all, not {self.nodes}")

    @property
    def dim(self) -> int:
        return len(self.low)

    @property
    def step(self) -> list[float]:
        """h, of each axis."""
        return [(high - low) / (n - 1) for low, high, n in zip(self.low, self.high, self.nodes, strict=True)]

    def points(self) -> Tensor:
        """The nodes, (n, 1) or (n, m, 2) float64."""
        axes = [
            torch.linspace(low, high, n, dtype=torch.float64)
            for low, high, n in zip(self.low, self.high, self.nodes, strict=True)
        ]
        return torch.stack(torch.meshgrid(*axes, indexing="ij"), -1)

    def thinned(self) -> "Grid":
        """Every second node."""
        nodes = [(n + 1) // 2 for n in self.nodes]
        high = [low + 2 * h * (n - 1) for low, h, n in zip(self.low, self.step, nodes, strict=True)]
        return Grid(self.low, high, nodes)

    def widened(self, more: int) -> "Grid":
        """The same nodes and `more` on every side."""
        low = [end - more * h for end, h in zip(self.low, self.step, strict=True)]
        high = [end + more * h for end, h in zip(self.high, self.step, strict=True)]
        return Grid(low, high, [n + 2 * more for n in self.nodes])


@dataclass(frozen=True)
class Fitted:
    """A grid fitted to the law at each noise level.

    step: h in units of σ, by default 1/12 in 1-D and 1/6 in 2-D; most: nodes an axis at which the step gives way, by
    default 2,401 and 201. The box holds all that has 1e-13 of the largest density, as far as 2,048 exact samples and
    the faces of the box tell, and one radius σr more; a heavy tail is cut at the samples' range and as much again on
    either side. The step divides σr where that is at least four steps.

    What is left is fourth order in h/σ and mostly below 1e-4 in ε, but where the step gave way: in 2-D on three
    Gaussians with outliers (λ = r = 1) halving the nodes changes ε by 8e-5 at σ = 0.6 and by 3e-3 at σ = 0.05, where
    h = 1.3 σ and the optimum is 0.05 from the exact score.
    """

    step: float | None = None
    most: int | None = None

    def __post_init__(self) -> None:
        if (self.step is not None and not 0 < self.step < math.inf) or (self.most is not None and self.most < 9):
            raise BadInput(f"step must be positive and most at least 9, not {self.step} and {self.most}")

    def __call__(self, law: Distribution, alpha: float, sigma: float, radius: float) -> Grid:
        """The grid at (alpha, sigma) for pushes ω of at most `radius`."""
        if law.dim not in _MOST:
            raise BadInput(f"a grid is for laws in one or two dimensions, not {law.dim}")
        low, high = _box(law, alpha, sigma)
        reach = radius * sigma
        widths = [end - start + 2 * reach for start, end in zip(low, high, strict=True)]
        step = max((self.step or _STEP[law.dim]) * sigma, max(widths) / ((self.most or _MOST[law.dim]) - 1))
        if reach >= 4 * step:
            step = reach / math.ceil(reach / step)
        nodes = [max(9, math.ceil(width / step) + 1) for width in widths]
        middle = [(start + end) / 2 for start, end in zip(low, high, strict=True)]
        ends = [[m + side * step * (n - 1) / 2 for m, n in zip(middle, nodes, strict=True)] for side in (-1, 1)]
        return Grid(ends[0], ends[1], nodes)


FITTED = Fitted()
"""The default grids."""


def _box(law: Distribution, alpha: float, sigma: float) -> tuple[list[float], list[float]]:
    """The ends of each axis beyond which αX + σZ has less than 1e-13 of its largest density."""
    generator = randomness.stream(0, "grid")
    x = alpha * law.sample(_PROBES, generator)
    x = x + sigma * torch.randn(x.shape, dtype=x.dtype, generator=generator)
    floor = float(law.log_prob(x, alpha, sigma).max()) + math.log(_LEAST)
    low, high = x.amin(0).tolist(), x.amax(0).tolist()
    for axis in range(law.dim):
        limit = high[axis] - low[axis] + 12 * sigma
        face = _face(x, axis)
        for ends, sign in ((low, -1), (high, 1)):
            start, margin = ends[axis], 0.0
            while margin < limit:
                face[:, axis] = start + sign * margin
                if float(law.log_prob(face, alpha, sigma).max()) < floor:
                    break
                margin = max(1.2 * margin, margin + sigma / 2)
            ends[axis] = start + sign * margin
    return low, high


def _face(x: Tensor, axis: int) -> Tensor:
    """Points across the samples' range in the other coordinates."""
    if x.shape[1] == 1:
        return torch.zeros(1, 1, dtype=x.dtype)
    other = x[:, 1 - axis]
    across = torch.linspace(float(other.min()), float(other.max()), 65, dtype=x.dtype)
    return torch.stack([across, across], -1)


def uniform_law(ratio: float) -> Tensor:
    """k_0, ..., k_m (m + 1,), with k_-j = k_j: the uniform law on [-a, a] on multiples of h, ratio = a/h.

    Positive, of total 1, second moment a²/3, and fourth a⁴/5 where a >= 1.29 h; away from ±a it is h/(2a), as it
    should be.
    """
    second, fourth = ratio**2 / 3, ratio**4 / 5
    if fourth <= second:
        return torch.tensor([1 - second, second / 2], dtype=torch.float64)
    if ratio < 2.5:
        k = torch.zeros(3, dtype=torch.float64)
        top = 2
    else:
        j = torch.arange(math.ceil(ratio) + 1, dtype=torch.float64)
        k = (_hat_below(ratio - j) - _hat_below(-ratio - j)) / (2 * ratio)
        top = math.floor(ratio + 0.5)
    return _matched(k, second, fourth, top)


def gaussian_law(ratio: float) -> Tensor:
    """k_0, ..., k_m (m + 1,), with k_-j = k_j: N(0, s²) on multiples of h, ratio = s/h.

    Positive, of total 1, second moment s² and, where s >= 0.58 h, fourth 3s⁴: by the masses at 0, h and 2h up to
    s = 1.15 h, then by the density at the nodes, whose moments are off by less than 1e-8 of themselves.
    """
    square = ratio**2
    if square < 1 / 3:
        return torch.tensor([1 - square, square / 2], dtype=torch.float64)
    if square < 4 / 3:
        two = (3 * square**2 - square) / 24
        one = square / 2 - 4 * two
        return torch.tensor([1 - 2 * (one + two), one, two], dtype=torch.float64)
    k = (-0.5 * (torch.arange(math.ceil(_TAIL * ratio) + 1, dtype=torch.float64) / ratio).square()).exp()
    return k / (2 * k.sum() - k[0])


def disc_law(rows: float, columns: float) -> Tensor:
    """k_ij (l + 1, m + 1), with k_±i±j = k_ij: the uniform law on a disc of radius a on multiples of the steps h of two
    axes, rows and columns = a/h of each.

    Positive, of total 1, of second moments a²/4 and, where a >= 3 h, of fourth moments E x²y² = a⁴/24 and E x⁴ = a⁴/8
    (but for what chords shorter than 1.29 h lack). A disc is a mixture of its chords: the rows have the law of a
    coordinate, and a chord at height y is uniform, of half length √(a² - y²); the mean of that along either axis. A
    smaller disc counts as the square of its second moments.
    """
    if min(rows, columns) < 3:
        side = math.sqrt(3) / 2
        return torch.outer(uniform_law(side * rows), uniform_law(side * columns))
    along, across = _chords(rows, columns), _chords(columns, rows).mT
    k = torch.zeros(max(len(along), len(across)), max(along.shape[1], across.shape[1]), dtype=torch.float64)
    for part in (along, across):
        k[: part.shape[0], : part.shape[1]] += part / 2
    return k


def _chords(rows: float, columns: float) -> Tensor:
    """The disc as chords along the columns, (l + 1, m + 1)."""
    share = _coordinate_law(rows)
    laws = [uniform_law(columns * math.sqrt(max(0.0, 1 - (i / rows) ** 2))) for i in range(len(share))]
    k = torch.zeros(len(share), max(map(len, laws)), dtype=torch.float64)
    for i, law in enumerate(laws):
        k[i, : len(law)] = share[i] * law
    return k


def _coordinate_law(ratio: float) -> Tensor:
    """A coordinate y of the disc, of density 2√(a² - y²)/(πa²), on multiples of h within [-a, a]; a >= 3 h."""
    j = torch.arange(math.floor(ratio + 1e-9) + 1, dtype=torch.float64)
    k = 2 / (math.pi * ratio**2) * (ratio**2 - j**2).clamp(min=0).sqrt()
    return _matched(k, ratio**2 / 4, ratio**4 / 8, len(j) - 1)


def _matched(k: Tensor, second: float, fourth: float, top: int) -> Tensor:
    """k of total 1 and these moments, by its values at top - 2, top - 1 and top."""
    sides = torch.where(torch.arange(len(k)) == 0, 1.0, 2.0).double()
    powers = (torch.arange(len(k), dtype=torch.float64) / top) ** torch.tensor([[0.0], [2.0], [4.0]])
    wanted = torch.tensor([1.0, second / top**2, fourth / top**4], dtype=torch.float64)
    missing = wanted - powers @ (sides * k)
    k[top - 2 : top + 1] += torch.linalg.solve((sides * powers)[:, top - 2 : top + 1], missing)
    return k


def _hat_below(z: Tensor) -> Tensor:
    """The integral up to z of the hat function on [-1, 1]."""
    z = z.clamp(-1, 1)
    return torch.where(z < 0, (1 + z) ** 2 / 2, 1 - (1 - z) ** 2 / 2)

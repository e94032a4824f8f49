"""The multilayer perceptron, and the affine map whose optimum is known."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from toylab import randomness
from toylab.randomness import Generators

_FIRST_GAIN = 2.0  # of the first layer's initial weights: sharp features of x_t are learned sooner


class MemberLinear(nn.Module):
    """x (M, n, inputs) -> (M, n, outputs), one affine map a member; initialised as torch's Linear is, times gain."""

    def __init__(self, inputs: int, outputs: int, members: int = 1, generators: Generators = None, gain: float = 1.0):
        super().__init__()
        bound = gain / math.sqrt(inputs)
        like = torch.empty(0)
        draw = randomness.rand((members, inputs + 1, outputs), generators, like)
        both = bound * (2 * draw - 1)
        self.weight = nn.Parameter(both[:, :-1].contiguous())
        self.bias = nn.Parameter(both[:, -1:].contiguous())

    def forward(self, x: Tensor) -> Tensor:
        return torch.baddbmm(self.bias, x, self.weight)


class MLP(nn.Module):
    """A multilayer perceptron of x_t and the noise level, with a gated skip: F(x, l) = f(h) + g(h) x.

    dim: of the samples; width and depth: of the hidden layers h (GELU); generators: one a member, on the CPU, for
    the initial weights. The level l = log σ/α enters the first layer as itself and as sines and cosines at
    `frequencies` octaves, next to x_t, each of whose coordinates does so at `fourier` octaves: what is finer than data
    is learned sooner (Fourier features, Tancik et al., arXiv:2006.10739), in few dimensions. The gate g, one number a
    point, lets the network copy x_t where the noise says so; without it x_0 at low noise and ε at high noise must be
    built from the hidden units.
    """

    def __init__(
        self,
        dim: int,
        width: int = 128,
        depth: int = 3,
        frequencies: int = 4,
        members: int = 1,
        generators: Sequence[torch.Generator] | None = None,
        fourier: int = 0,
    ):
        super().__init__()
        self.dim = dim
        sizes = [dim * (1 + 2 * fourier) + 1 + 2 * frequencies, *[width] * depth, dim + 1]
        gains = [_FIRST_GAIN, *[1.0] * depth]
        self.layers = nn.ModuleList(
            MemberLinear(i, o, members, generators, gain) for (i, o), gain in zip(pairwise(sizes), gains, strict=True)
        )
        self.register_buffer("octaves", _octaves(frequencies), persistent=False)
        self.register_buffer("fourier", _octaves(fourier), persistent=False)

    octaves: Tensor
    fourier: Tensor

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        """x (M, n, dim), level (M, n) -> (M, n, dim)."""
        level = level[..., None]
        angle = level * self.octaves
        inputs = [x, level / 4, angle.sin(), angle.cos()]
        if len(self.fourier):
            waves = (x[..., None] * self.fourier).flatten(-2)
            inputs += [waves.sin(), waves.cos()]
        h = torch.cat(inputs, -1)
        for layer in self.layers[:-1]:
            h = nn.functional.gelu(layer(h))
        out = self.layers[-1](h)
        return torch.addcmul(out[..., :-1], out[..., -1:], x)


def mlp(
    shape: Sequence[int],
    members: int = 1,
    generators: Sequence[torch.Generator] | None = None,
    width: Annotated[int, Field(ge=1, le=8192)] = 64,
    depth: Annotated[int, Field(ge=1, le=64)] = 3,
    frequencies: Annotated[int, Field(ge=0, le=16)] = 4,
    fourier: Annotated[int, Field(ge=0, le=16)] = 0,
) -> MLP:
    """An `MLP` of samples of this shape."""
    return MLP(math.prod(shape), width, depth, frequencies, members, generators, fourier)


def _octaves(count: int) -> Tensor:
    """Angular frequencies, π/8 and its doubles."""
    return torch.tensor([math.pi / 8 * 2**k for k in range(count)])


class Affine(nn.Module):
    """x -> A x + b at every noise level: the model whose optimum is known in closed form on Gaussians."""

    def __init__(self, dim: int, members: int = 1, generators: Sequence[torch.Generator] | None = None):
        super().__init__()
        self.dim = dim
        self.linear = MemberLinear(dim, dim, members, generators)

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        """x (M, n, dim), level ignored -> (M, n, dim)."""
        return self.linear(x)

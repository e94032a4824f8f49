"""Random numbers: explicit generators, one stream a purpose, one generator a member.

Every stream is derived from (seed, purpose), so two methods trained with the same seed share their data and
noise and can be compared in pairs, and a member's draws do not depend on how many members train beside it.
"""

import hashlib
from collections.abc import Callable, Sequence
from typing import TypeAlias

import torch
from torch import Tensor

Generators: TypeAlias = torch.Generator | Sequence[torch.Generator] | None
"""One generator for a whole tensor, or one for each entry of its leading axis (the members)."""


def stream(seed: int, purpose: str, device: torch.device | str = "cpu") -> torch.Generator:
    """The generator of `purpose` (weights, data, noise, ...) for one seed, the same on every run."""
    digest = hashlib.sha256(f"{seed}/{purpose}".encode()).digest()
    return torch.Generator(device).manual_seed(int.from_bytes(digest[:8], "big") >> 1)


def streams(seeds: Sequence[int], purpose: str, device: torch.device | str = "cpu") -> list[torch.Generator]:
    """One `stream` a member."""
    return [stream(seed, purpose, device) for seed in seeds]


def rand(shape: Sequence[int], generators: Generators, like: Tensor) -> Tensor:
    """Uniform on [0, 1), of `shape`, with the dtype and device of `like`."""
    return _draw(torch.rand, shape, generators, like)


def randn(shape: Sequence[int], generators: Generators, like: Tensor) -> Tensor:
    """Standard normal, of `shape`, with the dtype and device of `like`."""
    return _draw(torch.randn, shape, generators, like)


def _draw(draw: Callable[..., Tensor], shape: Sequence[int], generators: Generators, like: Tensor) -> Tensor:
    options = {"dtype": like.dtype, "device": like.device}
    if generators is None or isinstance(generators, torch.Generator):
        return draw(tuple(shape), generator=generators, **options)
    if len(generators) != shape[0]:
        raise ValueError(f"{len(generators)} generators cannot draw for {shape[0]} members")
    return torch.stack([draw(tuple(shape[1:]), generator=g, **options) for g in generators])

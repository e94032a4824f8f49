"""Random numbers: explicit generators, one stream a purpose, one generator a member.

Every stream is derived from (seed, purpose), so two methods trained with the same seed share their data and
noise and can be compared in pairs, and a member's draws do not depend on how many members train beside it.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TypeAlias

import torch
from torch import Tensor

from toylab.errors import BadInput

Generators: TypeAlias = torch.Generator | Sequence[torch.Generator] | None
"""One generator for a whole tensor, or one for each entry of its leading axis (the members)."""


def stream(seed: int, purpose: str, device: torch.device | str = "cpu") -> torch.Generator:
    """The generator of `purpose` (weights, data, noise, ...) for one seed, the same on every run."""
    digest = hashlib.sha256(f"{seed}/{purpose}".encode()).digest()
    return torch.Generator(device).manual_seed(int.from_bytes(digest[:8], "big") >> 1)


def streams(seeds: Sequence[int], purpose: str, device: torch.device | str = "cpu") -> list[torch.Generator]:
    """One `stream` a member."""
    return [stream(seed, purpose, device) for seed in seeds]


def replays(generators: Generators, count: int) -> list[Callable[[], Generators]]:
    """`count` noises that can be drawn again: each is a function whose generators are the same at every call.

    Their seeds are drawn from `generators`, a member's from its own.
    """
    if isinstance(generators, Sequence):
        of_members = [_seeds(g, count) for g in generators]
        devices = [g.device for g in generators]
        return [partial(_seeded, seeds, devices) for seeds in zip(*of_members, strict=True)]
    device = torch.device("cpu") if generators is None else generators.device
    return [lambda seed=seed: _seeded([seed], [device])[0] for seed in _seeds(generators, count)]  # type: ignore[misc]


@contextmanager
def unmoved(generators: Iterable[torch.Generator]) -> Iterator[None]:
    """What is drawn from them in here is drawn again after it."""
    states = [(generator, generator.get_state()) for generator in generators]
    try:
        yield
    finally:
        for generator, state in states:
            generator.set_state(state)


def _seeds(generator: torch.Generator | None, count: int) -> list[int]:
    device = "cpu" if generator is None else generator.device
    return list(torch.randint(2**62, (count,), generator=generator, device=device).tolist())


def _seeded(seeds: Sequence[int], devices: Sequence[torch.device]) -> list[torch.Generator]:
    return [torch.Generator(device).manual_seed(seed) for seed, device in zip(seeds, devices, strict=True)]


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
        raise BadInput(f"{len(generators)} generators cannot draw for {shape[0]} members")
    return torch.stack([draw(tuple(shape[1:]), generator=g, **options) for g in generators])

"""What settings of models stand for: streams, sources, untrained networks, and samples of trained ones."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch

from toylab import randomness
from toylab.data import Source
from toylab.denoisers import Denoiser, Learned
from toylab.experiments.models import Models
from toylab.objectives import Objective
from toylab.samplers import Counted, prior, sample

_POINTS, _NUMBERS = 10_000, 1 << 25
"""In the batch that tells the spread of data, at most."""


class Workshop(ABC):
    """The objects of some settings.

    Networks train on `device`; everything exact happens on `exact_device`, the CPU where a device has no float64.
    """

    def __init__(self, models: Models, device: torch.device):
        self.models, self.device = models, device
        self.exact_device = torch.device("cpu") if device.type == "mps" else device
        self.seeds = [models.seed + member for member in range(models.seeds)]
        self.schedule = models.schedule.build()

    @property
    @abstractmethod
    def shape(self) -> Sequence[int]:
        """That of a sample."""

    @abstractmethod
    def sources_for(self, objective: Objective, endless: bool = False) -> Sequence[Source]:
        """Those an objective is trained on, one a seed; endless: instead of training sets, where there is such data."""

    @property
    @abstractmethod
    def data_std(self) -> torch.Tensor:
        """Root mean variance of a coordinate, of each seed's training data (M,)."""

    def streams(self, purpose: str) -> list[torch.Generator]:
        """One generator a seed, on the exact device."""
        return randomness.streams(self.seeds, purpose, self.exact_device)

    def denoiser(self) -> Learned:
        """An untrained denoiser, its weights drawn on the CPU so that they are the same on every device."""
        generators = randomness.streams(self.seeds, "weights")
        network = self.models.network.build(self.shape, len(self.seeds), generators)
        denoiser = Learned(network, self.schedule, self.models.parametrization, self.data_std.cpu())
        return denoiser.to(self.device)

    def noise(self, n: int, purpose: str = "sampling") -> tuple[torch.Tensor, list[torch.Generator]]:
        """The noise (M, n, d) that every denoiser's samples start from, and the streams that go on from there."""
        streams, dim = self.streams(purpose), torch.Size(self.shape).numel()
        x = prior(self.schedule, (len(self.seeds), n, dim), streams, torch.empty(0, device=self.exact_device))
        return x, streams

    def walked(
        self, denoiser: Denoiser, x: torch.Tensor, noise: list[torch.Generator], nfe: int
    ) -> tuple[torch.Tensor, int]:
        """Samples (M, n, d) from x_T, and the evaluations they took."""
        counted, models = Counted(denoiser), self.models
        x = sample(models.sampler.bind(), counted, x, nfe, noise, models.spacing.bind())
        return x, counted.evaluations


def spread_of(sources: Sequence[Source], seeds: Sequence[int]) -> torch.Tensor:
    """Root mean variance of a coordinate, of each source (M,), from a batch."""
    streams, n = (
        randomness.streams(seeds, "data-std", sources[0].device),
        max(100, min(_POINTS, _NUMBERS // sources[0].dim)),
    )
    batches = [source.batch(n, stream) for source, stream in zip(sources, streams, strict=True)]
    return torch.stack([batch.var(0).mean().sqrt() for batch in batches])

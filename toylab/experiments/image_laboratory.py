"""What the settings of a study of images stand for: images, sources, samples, and what metrics are computed from."""

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from toylab.attacks import Threat, Victim
from toylab.configuration import Corruption
from toylab.data import Source
from toylab.denoisers import Denoiser
from toylab.errors import BadInput
from toylab.experiments.image_study import ImageStudy
from toylab.experiments.workshop import Workshop, spread_of
from toylab.images.features import Features
from toylab.images.sets import Images
from toylab.images.source import ImageSource
from toylab.metrics.images import provenance
from toylab.objectives import Objective


class ImageLaboratory(Workshop):
    """The objects of a study of images. Raises BadInput where they are not there, or do not fit the network."""

    def __init__(self, study: ImageStudy, device: torch.device):
        super().__init__(study, device)
        self.study = study
        self.trained_on: Images = study.data.build()
        self.held_out: Images = study.split.build()
        if self.held_out.shape != self.trained_on.shape:
            raise BadInput(f"images of {self.held_out.shape} cannot be compared with {self.trained_on.shape}")
        study.network_fits(self.shape)

    @property
    def shape(self) -> Sequence[int]:
        return self.trained_on.shape

    @cached_property
    def sources(self) -> list[ImageSource]:
        """The training set of each seed, corrupted from the seed."""
        return self._sources(self.study.corruption)

    def sources_for(self, objective: Objective, endless: bool = False) -> Sequence[Source]:
        if getattr(objective, "oracle", None) == "clean":
            return self._sources(Corruption.model_validate("none"))
        return self.sources

    def _sources(self, corruption: Corruption) -> list[ImageSource]:
        return [ImageSource(self.trained_on, corruption.build(), seed) for seed in self.seeds]

    @cached_property
    def data_std(self) -> Tensor:
        return spread_of(self.sources, self.seeds)

    # -- samples (M, n, d), on the CPU ---------------------------------------------------------------------

    def sample(self, denoiser: Denoiser, nfe: int | None = None) -> tuple[Tensor, int]:
        """By the study's budget of evaluations or `nfe`, and the evaluations each took."""
        budget = nfe or self.study.nfe
        return self._in_batches(lambda x, streams, _: self.walked(denoiser, x, streams, budget))

    def attacked(self, denoiser: Denoiser, budget: float) -> tuple[Tensor, int]:
        """Under pushes of this size before every evaluation."""
        study, threat = self.study, Threat(budget, place="every")
        search, aim = study.attack.attack.build(), study.attack.aim.build(None)

        def end(x: Tensor, streams: list[torch.Generator], attacker: list[torch.Generator]) -> tuple[Tensor, int]:
            victim = Victim(study.sampler.bind(), denoiser, x, study.nfe, study.spacing.bind())
            omega = search(victim, threat, aim, attacker)
            with torch.no_grad():
                return victim.end(omega, threat.steps(victim.times), streams), study.nfe

        return self._in_batches(end)

    def _in_batches(self, draw: Callable[..., tuple[Tensor, int]]) -> tuple[Tensor, int]:
        """All denoisers meet the same noise, a batch after the other."""
        parts, evaluations, n, batch = [], 0, self.study.samples, self.study.evaluation.batch
        attacker = self.streams("attack")
        for number, start in enumerate(range(0, n, batch)):
            x, streams = self.noise(min(batch, n - start), f"sampling/{number}" if number else "sampling")
            part, evaluations = draw(x, streams, attacker)
            parts.append(part.cpu())
        return torch.cat(parts, 1), evaluations

    def clean_samples(self) -> Tensor:
        """Clean images of the training set, in another order for each seed."""
        return torch.stack([self.trained_on.points(index) for index in self._shuffled()])

    def contaminated_samples(self) -> Tensor:
        """Images of the training set as they are trained on, the same ones."""
        pairs = zip(self.sources, self._shuffled(), strict=True)
        return torch.stack([source.rows(index).cpu() for source, index in pairs])

    def _shuffled(self) -> Iterator[Tensor]:
        n = min(self.study.samples, len(self.trained_on))
        for stream in self.streams("references"):
            yield torch.randperm(len(self.trained_on), generator=stream, device=stream.device)[:n].cpu()

    # -- what metrics are computed from --------------------------------------------------------------------

    @cached_property
    def features(self) -> Features:
        """The extractor, on the device of the networks."""
        found: Features = self.study.evaluation.features.build()
        return found.to(self.device)

    @cached_property
    def images(self) -> Tensor:
        """The clean images that samples are held against (N, d)."""
        return self.held_out.points(self._first(len(self.held_out)))

    @cached_property
    def training(self) -> Tensor:
        """The training sets (M, N', d)."""
        return torch.stack([source.rows(self._first(len(self.trained_on))).cpu() for source in self.sources])

    def _first(self, n: int) -> Tensor:
        """At most `most` of n images, the same for all seeds."""
        generator = torch.Generator().manual_seed(0)
        return torch.randperm(n, generator=generator)[: self.study.evaluation.most]

    def provided(self, samples: Tensor, metric: str) -> dict[str, Callable[[], Any]]:
        """What an image metric can ask for, by parameter name."""
        return {
            "samples": lambda: samples,
            "shape": lambda: self.shape,
            "features": lambda: self.features,
            "images": lambda: self.images,
            "training": lambda: self.training,
            "generators": lambda: self.streams(f"evaluation/{metric}"),
        }

    def provenance(self, samples: Tensor) -> dict[str, str]:
        """What to record beside the numbers."""
        sets = {"training set": self.trained_on.name, "compared with": self.held_out.name}
        split = self.study.evaluation.split
        return sets | provenance(self.features, self.shape, samples, self.images, split)

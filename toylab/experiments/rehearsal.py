"""What a run would take on this machine: a few steps of everything, timed, and nothing written."""

import resource
import time
from typing import Any, NamedTuple

import torch

from toylab.denoisers import Learned
from toylab.experiments.image_laboratory import ImageLaboratory
from toylab.experiments.image_study import ImageStudy
from toylab.experiments.laboratory import Laboratory
from toylab.experiments.models import Models, Training
from toylab.experiments.study import Study
from toylab.experiments.sweep import Gridded
from toylab.experiments.workshop import Workshop
from toylab.objectives import Objective
from toylab.training import Trainer

_STEPS = 3
_SAMPLES = 500
_STATES = 4
"""Copies of the weights that a training keeps: raw, averaged, and Adam's two moments."""


class Part(NamedTuple):
    """A training, or the samples of one: how often it is done, and seconds each time."""

    name: str
    times: float
    seconds: float

    @property
    def hours(self) -> float:
        """All of it."""
        return self.times * self.seconds / 3600


class Rehearsal(NamedTuple):
    """What a run takes: its parts, the most memory held so far, and bytes that it will write. Metrics are not in it."""

    parts: list[Part]
    memory: int
    disk: int

    @property
    def hours(self) -> float:
        """On this machine, one part after the other."""
        return sum(part.hours for part in self.parts)


def workshop(models: Models, device: torch.device) -> Workshop:
    """The objects of these settings. Raises BadInput where data are missing."""
    if isinstance(models, ImageStudy):
        return ImageLaboratory(models, device)
    assert isinstance(models, Study)
    return Laboratory(models, device)


def rehearse(settings: Models, device: torch.device) -> Rehearsal:
    """Time three steps of every training and of sampling. A sweep is taken for so many of its first cell.

    Raises BadInput where what the settings name is not there.
    """
    cells = settings.cells if isinstance(settings, Gridded) else []
    models: Models = cells[0].study if cells else settings
    lab = workshop(models, device)
    count, parts, size = max(1, len(cells)), [], 0
    for name, training in models.trainings.items():
        trainer, seconds = _trained(lab, training)
        parts.append(Part(f"{name}: training", count * training.steps, seconds))
        size += count * sum(p.numel() * p.element_size() for p in trainer.ema.parameters())
    steps = models.nfe + sum(models.few_steps)
    batches = count * len(models.trainings) * steps * models.samples / _SAMPLES
    parts.append(Part(f"sampling: evaluations of {_SAMPLES}", batches, _evaluated(lab, trainer.ema)))
    return Rehearsal(parts, _most_memory(device), (1 + _STATES) * size)


def _trained(lab: Workshop, training: Training) -> tuple[Trainer, float]:
    """A trainer after a few steps, and seconds a step; the first is not counted."""
    objective: Objective = training.method.build()
    recipe: Any = lab.models.training.model_copy(update={"steps": training.steps})
    trainer = Trainer(lab.denoiser(), lab.sources_for(objective, training.endless), objective, recipe, lab.seeds)
    start = 0.0
    for step in trainer:
        if step.number in (1, _STEPS + 1):
            _wait(lab.device)
            if step.number > 1:
                break
            start = time.perf_counter()
    return trainer, (time.perf_counter() - start) / max(1, step.number - 1)


@torch.no_grad()
def _evaluated(lab: Workshop, denoiser: Learned) -> float:
    """Seconds of one evaluation of so many samples of every seed."""
    x, _ = lab.noise(_SAMPLES)
    x, times = x.to(lab.device), []
    for _ in range(1 + _STEPS):
        start = time.perf_counter()
        denoiser.eps(x, 0.5)
        _wait(lab.device)
        times.append(time.perf_counter() - start)
    return sum(times[1:]) / _STEPS


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _most_memory(device: torch.device) -> int:
    """Bytes, of the device where it has its own memory, else of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

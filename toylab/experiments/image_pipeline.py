"""The path of a study of images: train, sample, attack, measure."""

import inspect
import threading
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from toylab.denoisers import Denoiser
from toylab.errors import BadInput
from toylab.experiments.experiment import Experiment, Progress
from toylab.experiments.image_laboratory import ImageLaboratory
from toylab.experiments.image_study import ImageStudy
from toylab.experiments.sweep import Gridded, Kind, sweep_experiment
from toylab.experiments.trainings import Effort, diverged, honest, loaded, side_by_side, train_all, workers
from toylab.index import IMAGE_METRICS
from toylab.metrics.images import MOST_PIXELS
from toylab.results import Measurement
from toylab.runs import Run

_REFERENCES = ("clean-samples", "contaminated-samples")


class Work(Effort):
    """That of a study of images."""

    def __init__(self, study: ImageStudy):
        super().__init__(study)
        steps = study.nfe * (1 + 2 * len(study.attack.budgets)) + sum(study.few_steps)
        self.measuring = 100 + 0.2 * steps * study.samples / study.training.batch
        self.subjects = len(self.costs)


def run(study: ImageStudy, folder: Run, device: torch.device) -> Generator[Progress, None, list[Measurement]]:
    """Train every method, then sample, attack and measure; returns the measurements."""
    lab, work, stop = ImageLaboratory(study, device), Work(study), threading.Event()
    yield from train_all(lab, folder, work)
    subjects: dict[str, Denoiser | None] = {name: loaded(name, lab, folder) for name in study.trainings}
    subjects |= dict.fromkeys(_REFERENCES if study.corruption.name != "none" else _REFERENCES[:1])
    yield work.at("measuring")
    tasks = [partial(_measured, name, denoiser, lab, folder, stop) for name, denoiser in subjects.items()]
    _ = lab.images, lab.training, lab.features  # made before subjects share them
    found: list[tuple[list[Measurement], Tensor]] = []
    for found in side_by_side(tasks, workers(lab, len(tasks)), stop):
        work.done = work.training + work.measuring * min(len(found), work.subjects)
        yield work.at(f"measuring, {len(found)} of {len(tasks)} done")
    first = {name: x[:, : study.evaluation.kept].numpy().copy() for name, (_, x) in zip(subjects, found, strict=True)}
    for name, x in first.items():
        x[list(diverged(name, lab, folder))] = np.nan
    folder.write_arrays("samples.npz", first)
    folder.write_json("provenance.json", lab.provenance(found[0][1]))
    return honest((row for rows, _ in found for row in rows), lab, folder)


def train(study: ImageStudy, folder: Run, device: torch.device) -> Iterator[Progress]:
    """Train every method with the first process, which does the rest."""
    yield from train_all(ImageLaboratory(study, device), folder, Work(study))


class _Drawn(NamedTuple):
    """Samples (M, n, d), and how results say that they were drawn."""

    samples: Tensor
    how: Mapping[str, Any]


def _measured(
    name: str, denoiser: Denoiser | None, lab: ImageLaboratory, folder: Run, stop: threading.Event
) -> tuple[list[Measurement], Tensor]:
    """The measurements of one subject, and its samples."""
    start, rows, kept = time.perf_counter(), list[Measurement](), torch.empty(0)
    for drawn in _drawn(name, denoiser, lab):
        if stop.is_set():
            break
        kept = drawn.samples if not len(rows) else kept
        for metric in lab.study.evaluation.metrics:
            rows += _rows(name, metric, drawn, lab)
    folder.time(name, "sampling and measuring", time.perf_counter() - start)
    return rows, kept


def _drawn(name: str, denoiser: Denoiser | None, lab: ImageLaboratory) -> Iterator[_Drawn]:
    """Those of the study's own sampler first, then by fewer steps, then under attack."""
    if denoiser is None:
        yield _Drawn(lab.clean_samples() if name == _REFERENCES[0] else lab.contaminated_samples(), {})
        return
    study = lab.study
    for budget in (study.nfe, *study.few_steps):
        samples, nfe = lab.sample(denoiser, budget)
        yield _Drawn(samples, {"sampler": study.sampler.name, "nfe": nfe})
    for pushed in study.attack.budgets:
        samples, nfe = lab.attacked(denoiser, pushed)
        attack = {"attack": study.attack.attack.name, "place": "every", "budget": pushed}
        yield _Drawn(samples, {"sampler": study.sampler.name, "nfe": nfe, **attack})


def _rows(name: str, metric: str, drawn: _Drawn, lab: ImageLaboratory) -> Iterator[Measurement]:
    """One metric of the samples, a row a seed, under the name that its extractor gives it."""
    measure = IMAGE_METRICS.load(metric)
    if name in _REFERENCES and metric.endswith("nearest-ratio"):
        return  # they are the training set
    given = lab.provided(drawn.samples, metric)
    needs = [p.name for p in inspect.signature(measure).parameters.values() if p.default is p.empty]
    value, stderr = measure(**{need: given[need]() for need in needs})
    called = lab.features.metric_name(metric) if "features" in needs else metric
    for member, seed in enumerate(lab.seeds):
        numbers = float(value[member]), float(stderr[member])
        yield Measurement(name, seed, called, "clean", *numbers, **drawn.how)


def _check(sweep: Gridded) -> None:
    """Raises BadInput where images are missing, or would be judged by a classifier of digits though they are none."""
    study: ImageStudy = sweep.cells[0].study
    if study.evaluation.features.name == "digits" and study.data.name != "digits":
        raise BadInput(
            f"features of digits say nothing of {study.data.name}: give Inception's weights by --set "
            "evaluation.features.name=inception --set evaluation.features.weights=FILE.pt, or an extractor of your own"
        )
    dim = ImageLaboratory(study, torch.device("cpu")).trained_on.dim
    if "pixel-fd" in study.evaluation.metrics and dim > MOST_PIXELS:
        raise BadInput(f"pixel-fd is for at most {MOST_PIXELS} pixels, not {dim}: leave it out of evaluation.metrics")


class ImageSweep(Gridded, ImageStudy):
    """A study of images, and the grid it goes over."""

    cells_are = Kind(ImageStudy, run, train, Work, _check)


def image_experiment(
    presets: Mapping[str, Mapping[str, Any]], figures: Sequence[str], untried: Sequence[str] = ()
) -> Experiment:
    """An experiment that is a study of images, or a sweep of several, with these presets."""
    return sweep_experiment(presets, figures, untried, ImageSweep)

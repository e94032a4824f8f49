"""The path of a study: train, sample, measure, going on where an earlier attempt stopped.

What is measured, and beside what, is in subjects.py.
"""

import threading
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch

from toylab import parallel, randomness
from toylab.configuration import Sampler, Spacing, validate
from toylab.experiments import fields
from toylab.experiments.experiment import Experiment, Progress
from toylab.experiments.laboratory import Laboratory
from toylab.experiments.measuring import Subject, measure, prepare
from toylab.experiments.study import Study
from toylab.experiments.subjects import SampleSource, sample_sources
from toylab.experiments.trainings import Effort, diverged, honest, side_by_side, train_all, workers
from toylab.results import Measurement
from toylab.runs import Run
from toylab.samplers import prior, sample

FIGURES = (
    "samples", "score-error", "outlier-mass", "normal-std", "w2", "leakage", "score-field", "trajectories", "ledger",
)  # fmt: skip


_METRIC = 80.0
"""Units of work that a metric takes, on the average: by timings.csv of the default runs, where it is 60 to 100."""


def study_experiment(
    settings: type[Study],
    presets: Mapping[str, Mapping[str, Any]],
    untried: Sequence[str] = (),
    figures: Sequence[str] = FIGURES,
) -> Experiment:
    """An experiment that is a study with these presets."""
    return Experiment(settings, presets, run, figures, frozenset(untried), lambda study: Work(study).total, train)


def run(study: Study, folder: Run, device: torch.device) -> Generator[Progress, None, list[Measurement]]:
    """Train every method, then sample and measure methods and references; returns the measurements."""
    work = Work(study)
    lab, subjects = yield from trained(study, folder, device, work)
    rows = yield from measured(lab, subjects, folder, work)
    return honest(rows, lab, folder)


def train(study: Study, folder: Run, device: torch.device) -> Iterator[Progress]:
    """Train every method with the first process, which does the rest."""
    yield from train_all(Laboratory(study, device), folder, Work(study))


def trained(
    study: Study, folder: Run, device: torch.device, work: "Work"
) -> Generator[Progress, None, tuple[Laboratory, list[SampleSource]]]:
    """Train every method; returns all that a study measures."""
    lab = Laboratory(study, device)
    lab.rehearse()
    yield from train_all(lab, folder, work)
    parallel.part()
    return lab, sample_sources(lab, folder)


def measured(
    lab: Laboratory, sources: Sequence[SampleSource], folder: Run, work: "Work"
) -> Generator[Progress, None, list[Measurement]]:
    """Sample and measure the subjects, and store samples and fields; returns the measurements."""
    bench, study, stop = lab.bench, lab.study, threading.Event()

    def taken(source: SampleSource) -> tuple[list[Measurement], np.ndarray]:
        """The measurements of one subject, and its samples."""
        name, denoiser, law = source.name, source.denoiser, source.law
        start = time.perf_counter()
        x, nfe = (lab.exact_samples(law), 0) if denoiser is None else lab.sample(denoiser, law=source.start)
        sampled = time.perf_counter()
        subject = Subject(name, denoiser, x, study.sampler.name, nfe, source.optimum, source.sources, source.chain)
        rows = list(_until(stop, measure(subject, bench)))
        if denoiser is not None:
            for budget in study.few_steps:
                x_fewer, nfe = lab.sample(denoiser, budget, source.start)
                rows += _until(stop, measure(subject._replace(samples=x_fewer, nfe=nfe), bench, of_samples=True))
        folder.time(name, "sampling", sampled - start)
        folder.time(name, "measuring", time.perf_counter() - sampled)
        return rows, x.float().cpu().numpy()

    work.subjects = len(sources)
    yield work.at("measuring")  # before what the subjects share is made
    prepare(bench)
    results: list[tuple[list[Measurement], np.ndarray]] = []
    for results in side_by_side([partial(taken, source) for source in sources], workers(lab, len(sources)), stop):
        work.done = work.training + work.measuring * len(results)
        yield work.at(f"measuring, {len(results)} of {len(sources)} done")
    yield work.at("writing")
    failed = {source.name: list(diverged(source.name, lab, folder)) for source in sources}
    for source, (_, x) in zip(sources, results, strict=True):
        x[failed[source.name]] = np.nan
    folder.write_arrays("samples.npz", {source.name: x for source, (_, x) in zip(sources, results, strict=True)})
    denoisers = {source.name: source.denoiser for source in sources if source.denoiser is not None}
    drawn = {
        "fields.npz": fields.on_grid(denoisers, lab) | fields.along_paths(denoisers, lab),
        "trajectories.npz": fields.paths(denoisers, lab),
    }
    for name, arrays in drawn.items():  # of the first member
        for key in arrays:
            if 0 in failed.get(key.rpartition("/")[2], ()):
                arrays[key][:] = np.nan
        folder.write_arrays(name, arrays)
    return [row for rows, _ in results for row in rows]


def sample_from(
    folder: Run, method: str, seed: int | None, n: int, nfe: int | None = None, draw: int = 0
) -> np.ndarray:
    """n samples (n, d) of a finished run's trained model, by the run's own sampler; `draw` seeds the noise."""
    denoiser = folder.denoiser(method, seed)
    noise = randomness.stream(draw, "fresh-samples")  # not the noise of the run's own samples
    dim = int(denoiser.network.dim)  # type: ignore[arg-type]
    x = prior(denoiser.schedule, (1, n, dim), noise, torch.empty(0))
    walk = validate(Sampler, folder.config["sampler"]).bind()
    spacing = validate(Spacing, folder.config.get("spacing", {"name": "t"})).bind()  # older runs had no choice
    return sample(walk, denoiser, x, nfe or folder.config["nfe"], noise, spacing)[0].numpy()


class Work(Effort):
    """That of a study."""

    def __init__(self, study: Study):
        super().__init__(study)
        steps = study.nfe + sum(study.few_steps)
        sampling = 0.2 * steps * study.samples / study.training.batch
        self.measuring = sampling + _METRIC * len(study.evaluation.metrics) * (1 + len(study.few_steps))
        references = len(study.evaluation.references) // (2 if study.contamination.name == "none" else 1)
        optima = len(study.objectives) if study.evaluation.theory else 0
        self.subjects = len(self.costs) + references + optima  # until it is known


def _until(stop: threading.Event, rows: Iterator[Measurement]) -> Iterator[Measurement]:
    for row in rows:
        if stop.is_set():
            return
        yield row

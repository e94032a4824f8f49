"""The path of a study: train, sample, measure, going on where an earlier attempt stopped.

Besides the methods, four references are measured in the same way:

    exact-clean, exact-contaminated      the exact score of either law through the same sampler
    clean-samples, contaminated-samples  fresh exact samples: the floor of the transport metrics
"""

import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from toylab import randomness
from toylab.configuration import Method, Sampler, validate
from toylab.denoisers import Denoiser, Exact
from toylab.distributions import Distribution
from toylab.experiments import fields
from toylab.experiments.experiment import Experiment, Progress
from toylab.experiments.laboratory import Laboratory
from toylab.experiments.measuring import Subject, measure
from toylab.experiments.study import Study
from toylab.results import Measurement
from toylab.runs import Run
from toylab.samplers import prior, sample
from toylab.training import Trainer

CHECKPOINT_SECONDS = 15.0
REPORT_STEPS = 20
FIGURES = ("samples", "score-error", "outlier-mass", "score-field")


def study_experiment(
    settings: type[Study], presets: Mapping[str, Mapping[str, Any]], untried: Sequence[str] = ()
) -> Experiment:
    """An experiment that is a study with these presets."""
    return Experiment(settings, presets, run, FIGURES, frozenset(untried))


def run(study: Study, folder: Run, device: torch.device) -> Generator[Progress, None, list[Measurement]]:
    """Train every method, then sample and measure methods and references; returns the measurements."""
    lab, work = Laboratory(study, device), _Work(study)
    for name, method in study.objectives.items():
        yield from _train(name, method, lab, folder, work)
    bench, subjects = lab.bench(), _subjects(lab, folder)
    measurements: list[Measurement] = []
    samples: dict[str, np.ndarray] = {}
    for name, denoiser, law in subjects:
        yield work.at(f"measuring {name}")
        start = time.perf_counter()
        x = lab.exact_samples(law) if denoiser is None else lab.sample(denoiser)
        sampled = time.perf_counter()
        measurements += measure(Subject(name, denoiser, x, study.sampler.name, study.nfe), bench)
        folder.time(name, "sampling", sampled - start)
        folder.time(name, "measuring", time.perf_counter() - sampled)
        samples[name] = x.float().cpu().numpy()
        work.done += work.measuring
    yield work.at("writing")
    folder.write_arrays("samples.npz", samples)
    denoisers = {name: denoiser for name, denoiser, _ in subjects if denoiser is not None}
    folder.write_arrays("fields.npz", fields.on_grid(denoisers, lab))
    return measurements


def sample_from(
    folder: Run, method: str, seed: int | None, n: int, nfe: int | None = None, draw: int = 0
) -> np.ndarray:
    """n samples (n, d) of a finished run's trained model, by the run's own sampler; `draw` seeds the noise."""
    denoiser = folder.denoiser(method, seed)
    noise = randomness.stream(draw, "fresh-samples")  # not the noise of the run's own samples
    dim = int(denoiser.network.dim)  # type: ignore[arg-type]
    x = prior(denoiser.schedule, (1, n, dim), noise, torch.empty(0))
    walk = validate(Sampler, folder.config["sampler"]).bind()
    return sample(walk, denoiser, x, nfe or folder.config["nfe"], noise)[0].numpy()


class _Work:
    """The bar's arithmetic: one unit is one evaluation of the network in training."""

    def __init__(self, study: Study):
        cost = {name: study.training.steps * m.build().evaluations for name, m in study.objectives.items()}
        self.measuring = 100 + 0.2 * study.nfe * study.samples / study.training.batch
        references = 2 if study.contamination.name == "none" else 4
        self.total = sum(cost.values()) + self.measuring * (len(cost) + references)
        self.done = 0.0

    def at(self, label: str, extra: float = 0.0) -> Progress:
        return Progress(label, min(self.done + extra, self.total), self.total)


def _train(name: str, method: Method, lab: Laboratory, folder: Run, work: _Work) -> Iterator[Progress]:
    weights, checkpoint = f"weights/{name}.safetensors", f"checkpoints/{name}.safetensors"
    objective, settings = method.build(), lab.study.training
    if not (folder.path / weights).exists():
        trainer = Trainer(lab.denoiser(), lab.sources, objective, settings, lab.seeds)
        if (folder.path / checkpoint).exists():
            trainer.restore(folder.load_tensors(checkpoint))
            folder.log(f"{name}: going on from step {trainer.step}")
        start = saved = time.perf_counter()
        step = None
        for step in trainer:
            if time.perf_counter() - saved > CHECKPOINT_SECONDS:
                folder.write_tensors(checkpoint, trainer.state())
                saved = time.perf_counter()
            if step.number % REPORT_STEPS == 0:
                yield work.at(f"training {name}", step.number * objective.evaluations)
        folder.write_tensors(weights, trainer.ema.state_dict())
        folder.log(f"{name}: trained" + (f", last losses {step.loss.tolist()}" if step else ""))
        folder.time(name, "training", time.perf_counter() - start)
    work.done += settings.steps * objective.evaluations


def _subjects(lab: Laboratory, folder: Run) -> list[tuple[str, Denoiser | None, Distribution]]:
    """(name, denoiser or None for exact samples, the law of those samples)."""
    subjects: list[tuple[str, Denoiser | None, Distribution]] = []
    for name in lab.study.objectives:
        denoiser = lab.denoiser().to(lab.exact_device)
        denoiser.load_state_dict(folder.load_tensors(f"weights/{name}.safetensors"))
        subjects.append((name, denoiser.requires_grad_(False), lab.seen))
    laws = {"clean": lab.clean} | ({"contaminated": lab.contaminated} if lab.contaminated is not None else {})
    for name, law in laws.items():
        subjects.append((f"exact-{name}", Exact(law, lab.schedule), law))
    for name, law in laws.items():
        subjects.append((f"{name}-samples", None, law))
    return subjects

"""A study: methods trained on one contaminated law, sampled, and measured against the exact laws.

This is the path from an exact law to a figure that most experiments share; they differ in their settings.
Besides the methods, four references are measured in the same way:

    exact-clean, exact-contaminated      the exact score of either law through the same sampler
    clean-samples, contaminated-samples  fresh exact samples: the floor of the transport metrics
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Self

import numpy as np
import torch
from pydantic import Field, model_validator

from toylab import randomness
from toylab.configuration import Contamination, Law, Method, Sampler, ScheduleChoice, Settings, validate
from toylab.data import Endless, Finite, Source
from toylab.denoisers import Denoiser, Exact, Learned, Parametrization
from toylab.distributions import Distribution
from toylab.errors import BadInput, unknown
from toylab.experiments import fields
from toylab.experiments.experiment import Experiment, Progress, RunSettings
from toylab.experiments.measuring import Bench, Subject, measure
from toylab.networks import MLP
from toylab.results import Measurement, to_csv
from toylab.runs import Run
from toylab.samplers import prior, sample
from toylab.training import Trainer, Training

CHECKPOINT_SECONDS = 15.0

SMOKE: Mapping[str, Any] = {
    "network": {"width": 64},
    "training": {"steps": 300, "batch": 128},
    "nfe": 20,
    "samples": 500,
    "evaluation": {"levels": 6, "points": 500, "pair": 250},
}
"""What a study's smoke preset changes: seconds, to see that everything works, and no result."""


class Network(Settings):
    """The MLP: hidden width and depth, and the octaves at which it sees log σ/α."""

    width: int = Field(128, ge=1)
    depth: int = Field(3, ge=1)
    frequencies: int = Field(4, ge=0)


class Evaluation(Settings):
    """Field metrics at `levels` noise levels, evenly spaced in log σ/α, with `points` points a level and seed."""

    levels: int = Field(12, ge=1)
    ratio_low: float = Field(0.05, gt=0)
    ratio_high: float = Field(8.0, gt=0)
    points: int = Field(2000, ge=2)
    pair: int = Field(1000, ge=2, description="points on either side of one transport problem")
    drawn_ratio: float = Field(0.5, gt=0, description="σ/α of the score field drawn")


class Study(RunSettings):
    """The settings of a study. size: training points of each seed, None for endless fresh ones."""

    law: Law = Law.model_validate("three-gaussians")
    contamination: Contamination = Contamination.model_validate("none")
    size: int | None = Field(10_000, ge=1)
    schedule: ScheduleChoice = ScheduleChoice.model_validate("ddpm")
    parametrization: Parametrization = "eps"
    network: Network = Network()
    training: Training = Training()
    sampler: Sampler = Sampler.model_validate("ddim")
    nfe: int = Field(100, ge=2)
    samples: int = Field(4000, ge=2, description="of each seed")
    evaluation: Evaluation = Evaluation()
    seed: int = Field(0, ge=0)
    seeds: int = Field(4, ge=1)

    @property
    def objectives(self) -> Mapping[str, Method]:
        """What is trained, by name."""
        raise NotImplementedError

    @model_validator(mode="after")
    def _can_be_built(self) -> Self:
        law = self.law.build()
        self.contamination.build(law)
        schedule = self.schedule.build()
        for ratio in (self.evaluation.ratio_low, self.evaluation.ratio_high, self.evaluation.drawn_ratio):
            schedule.time(ratio)
        if not self.objectives:
            raise ValueError("methods: at least one is needed")
        for name, method in self.objectives.items():
            if not name or not set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-"):
                raise ValueError(f"methods: a name has a-z, 0-9 and '-' only, not '{name}'")
            method.build()
        return self


class MethodStudy(Study):
    """A study with a free choice of methods."""

    methods: dict[str, Method]

    @property
    def objectives(self) -> Mapping[str, Method]:
        return self.methods

    def with_methods(self, names: Sequence[str]) -> "MethodStudy":
        for name in names:
            if name not in self.methods:
                raise BadInput(unknown("method", name, self.methods))
        return self.model_copy(update={"methods": {name: self.methods[name] for name in names}})


class Laboratory:
    """What a study's settings stand for: laws, schedule and streams. Networks train on `device`; everything
    exact happens on `exact`, which is the CPU where the device has no float64."""

    def __init__(self, study: Study, device: torch.device):
        self.study, self.device = study, device
        self.exact = torch.device("cpu") if device.type == "mps" else device
        self.seeds = [study.seed + member for member in range(study.seeds)]
        self.clean: Distribution = study.law.build()
        self.seen: Distribution = study.contamination.build(self.clean)
        self.contaminated = self.seen if self.seen is not self.clean else None
        self.schedule = study.schedule.build()

    def streams(self, purpose: str) -> list[torch.Generator]:
        """One generator a seed, on the exact device."""
        return randomness.streams(self.seeds, purpose, self.exact)

    @cached_property
    def sources(self) -> list[Source]:
        """The training set of each seed, the same for every method."""
        if self.study.size is None:
            return [Endless(self.seen) for _ in self.seeds]
        return [Finite(self.seen, self.study.size, generator) for generator in self.streams("data")]

    @cached_property
    def data_std(self) -> torch.Tensor:
        """Root mean variance of a coordinate, of each seed's training data (M,)."""
        points = [s.batch(10_000, g) for s, g in zip(self.sources, self.streams("data-std"), strict=True)]
        return torch.stack([p.var(0).mean().sqrt() for p in points])

    def denoiser(self) -> Learned:
        """An untrained denoiser, its weights drawn on the CPU so that they are the same on every device."""
        study = self.study
        generators = randomness.streams(self.seeds, "weights")
        network = MLP(
            self.clean.dim, **study.network.model_dump(), members=len(self.seeds), generators=generators
        )
        return Learned(network, self.schedule, study.parametrization, self.data_std.cpu()).to(self.device)

    def sample(self, denoiser: Denoiser) -> torch.Tensor:
        """(M, n, d) samples; every denoiser starts from the same noise."""
        study, noise = self.study, self.streams("sampling")
        x = prior(self.schedule, (len(self.seeds), study.samples, self.clean.dim), noise, torch.empty(0, device=self.exact))
        return sample(study.sampler.bind(), denoiser, x, study.nfe, noise)

    def exact_samples(self, law: Distribution) -> torch.Tensor:
        """(M, n, d) fresh samples of a law."""
        return torch.stack([law.sample(self.study.samples, g) for g in self.streams("exact-samples")])

    def bench(self) -> Bench:
        """What the metrics need."""
        e = self.study.evaluation
        ratios = torch.logspace(*(torch.tensor([e.ratio_low, e.ratio_high]).double().log10()), e.levels)
        times = [self.schedule.time(min(max(float(r), e.ratio_low), e.ratio_high)) for r in ratios]
        return Bench(self.clean, self.contaminated, self.schedule, times, self.seeds, e.points, e.pair, self.exact)


def run(study: Study, folder: Run, device: torch.device, experiment: Experiment) -> Iterator[Progress]:
    """Train, sample, measure and draw, going on where an earlier attempt stopped."""
    lab = Laboratory(study, device)
    work = _Work(study)
    for name, method in study.objectives.items():
        yield from _train(name, method, lab, folder, work)
    subjects = _subjects(lab, folder)
    measurements: list[Measurement] = []
    samples, bench = {}, lab.bench()
    for subject_name, denoiser, law in subjects:
        yield work.at(f"measuring {subject_name}")
        start = time.perf_counter()
        x = lab.exact_samples(law) if denoiser is None else lab.sample(denoiser)
        folder.time(subject_name, "sampling", time.perf_counter() - start)
        start = time.perf_counter()
        subject = Subject(subject_name, denoiser, x, study.sampler.name, study.nfe)
        measurements += measure(subject, bench)
        folder.time(subject_name, "measuring", time.perf_counter() - start)
        samples[subject_name] = x.float().cpu().numpy()
        work.done += work.measuring
    yield work.at("writing")
    fields_ = fields.on_grid({n: d for n, d, _ in subjects if d is not None}, lab.clean, lab.schedule, study)
    folder.write_arrays("samples.npz", samples)
    folder.write_arrays("fields.npz", fields_)
    names = {key: folder.config[key] for key in ("experiment", "preset")}
    folder.write("results.csv", to_csv(measurements, names, experiment.changed(names["preset"], study)))
    yield work.at("drawing")
    experiment.draw(folder)
    yield Progress("done", work.total, work.total)


class _Work:
    """The bar's arithmetic: one unit is one evaluation of the network in training."""

    def __init__(self, study: Study):
        cost = {name: study.training.steps * m.build().evaluations for name, m in study.objectives.items()}
        self.measuring = 100 + 0.2 * study.nfe * study.samples / study.training.batch
        self.total = sum(cost.values()) + self.measuring * (len(cost) + 4)
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
        losses: list[float] = []
        for step in trainer:
            if step.number == settings.steps:
                losses = [round(v, 5) for v in step.loss.tolist()]
            if step.number % 20 == 0:
                yield work.at(f"training {name}", step.number * objective.evaluations)
            if time.perf_counter() - saved > CHECKPOINT_SECONDS:
                folder.write_tensors(checkpoint, trainer.state())
                saved = time.perf_counter()
        folder.write_tensors(weights, trainer.ema.state_dict())
        folder.log(f"{name}: trained, last losses {losses}")
        folder.time(name, "training", time.perf_counter() - start)
    work.done += settings.steps * objective.evaluations


def _subjects(lab: Laboratory, folder: Run) -> list[tuple[str, Denoiser | None, Distribution]]:
    """(name, denoiser or None for exact samples, the law of those samples)."""
    subjects: list[tuple[str, Denoiser | None, Distribution]] = []
    for name in lab.study.objectives:
        denoiser = lab.denoiser().to(lab.exact)
        denoiser.load_state_dict(folder.load_tensors(f"weights/{name}.safetensors"))
        subjects.append((name, denoiser.requires_grad_(False), lab.seen))
    laws = {"clean": lab.clean} | ({"contaminated": lab.contaminated} if lab.contaminated is not None else {})
    for name, law in laws.items():
        subjects.append((f"exact-{name}", Exact(law, lab.schedule), law))
    for name, law in laws.items():
        subjects.append((f"{name}-samples", None, law))
    return subjects


def sample_from(
    folder: Run, method: str, seed: int | None, n: int, nfe: int | None = None, draw: int = 0
) -> np.ndarray:
    """n samples (n, d) of a finished run's trained model, by the run's own sampler; `draw` seeds the noise."""
    denoiser = folder.denoiser(method, seed)
    noise = randomness.stream(draw, "sampling")
    dim = folder.arrays("samples.npz")[method].shape[-1]
    x = prior(denoiser.schedule, (1, n, dim), noise, torch.empty(0))
    walk = validate(Sampler, folder.config["sampler"]).bind()
    return sample(walk, denoiser, x, nfe or folder.config["nfe"], noise)[0].numpy()


def experiment(
    settings: type[Study], presets: Mapping[str, Mapping[str, Any]], untried: Sequence[str] = ()
) -> Experiment:
    """An experiment that is a study with these presets."""
    from toylab import figures

    def runner(study: Study, folder: Run, device: torch.device) -> Iterator[Progress]:
        return run(study, folder, device, made)

    made = Experiment(settings, presets, runner, figures.draw_study, frozenset(untried))
    return made

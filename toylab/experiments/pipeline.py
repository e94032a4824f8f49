"""The path of a study: train, sample, measure, going on where an earlier attempt stopped.

What is measured, and beside what, is in subjects.py.
"""

import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from functools import partial
from typing import Any, TypeVar

import numpy as np
import torch

from toylab import parallel, randomness
from toylab.configuration import Sampler, Spacing, validate
from toylab.experiments import fields
from toylab.experiments.experiment import Experiment, Progress
from toylab.experiments.laboratory import Laboratory
from toylab.experiments.measuring import Subject, measure, prepare
from toylab.experiments.study import Study
from toylab.experiments.subjects import SampleSource, Training, sample_sources, trainings
from toylab.results import Measurement
from toylab.runs import Run
from toylab.samplers import prior, sample
from toylab.training import Trainer

T = TypeVar("T")

CHECKPOINT_SECONDS = 15.0
POLL_SECONDS = 0.2
FIGURES = (
    "samples", "score-error", "outlier-mass", "normal-std", "w2", "leakage", "score-field", "trajectories", "ledger",
)  # fmt: skip


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
    return (yield from measured(lab, subjects, folder, work))


def train(study: Study, folder: Run, device: torch.device) -> Iterator[Progress]:
    """Train every method with the first process, which does the rest."""
    yield from _train_all(Laboratory(study, device), folder, Work(study))


def trained(
    study: Study, folder: Run, device: torch.device, work: "Work"
) -> Generator[Progress, None, tuple[Laboratory, list[SampleSource]]]:
    """Train every method; returns all that a study measures."""
    lab = Laboratory(study, device)
    lab.rehearse()
    yield from _train_all(lab, folder, work)
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
    folder.write_arrays("samples.npz", {source.name: x for source, (_, x) in zip(sources, results, strict=True)})
    denoisers = {source.name: source.denoiser for source in sources if source.denoiser is not None}
    folder.write_arrays("fields.npz", fields.on_grid(denoisers, lab))
    folder.write_arrays("trajectories.npz", fields.paths(denoisers, lab))
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


class Work:
    """The bar's arithmetic: one unit is one evaluation of the network in training. beyond: what is still to be done
    after measuring."""

    beyond: float = 0.0

    def __init__(self, study: Study):
        todo = trainings(study)
        self.costs = {name: training.method.build().evaluations for name, training in todo.items()}
        self.training = sum(training.steps * self.costs[name] for name, training in todo.items())
        steps = study.nfe + sum(study.few_steps)
        self.measuring = 100 + 0.2 * steps * study.samples / study.training.batch
        references = len(study.evaluation.references) // (2 if study.contamination.name == "none" else 1)
        optima = len(study.objectives) if study.evaluation.theory else 0
        self.subjects = len(self.costs) + references + optima  # until it is known
        self.done = 0.0

    @property
    def total(self) -> float:
        """All of it."""
        return self.training + self.measuring * self.subjects + self.beyond

    def at(self, label: str) -> Progress:
        """Where the run is."""
        return Progress(label, min(self.done, self.total), self.total)


def _train_all(lab: Laboratory, folder: Run, work: Work) -> Iterator[Progress]:
    """Train the methods side by side, the longest first. Leaving early makes each write a checkpoint and stop."""
    todo, stop = trainings(lab.study), threading.Event()
    steps = dict.fromkeys(todo, 0)
    _ = lab.data_std  # drawn before the trainings share it

    def train(name: str) -> None:
        for number in _train(name, todo[name], lab, folder, stop):
            steps[name] = number

    longest_first = sorted(todo, key=lambda name: todo[name].steps * work.costs[name], reverse=True)
    for done in side_by_side([partial(train, name) for name in longest_first], workers(lab, len(todo)), stop):
        work.done = sum(steps[name] * cost for name, cost in work.costs.items())
        yield work.at(f"training, {len(done)} of {len(todo)} done")


def workers(lab: Laboratory, tasks: int) -> int:
    """How many tasks run side by side: on the CPU small networks keep one thread busy, not several; a compiler's cache
    is not shared by threads."""
    alone = lab.device.type != "cpu" or lab.study.training.compile != "off" or parallel.here().size > 1
    return 1 if alone else min(tasks, torch.get_num_threads())


def side_by_side(tasks: Sequence[Callable[[], T]], workers: int, stop: threading.Event) -> Iterator[list[T]]:
    """Run tasks in threads that share out torch's own; yields now and then what the ended ones returned, at last all
    in order. Leaving early, by an interrupt or an error, sets `stop` and waits for those that run.

    In these threads numbers below the smallest normal one are 0 (1e-38 in float32, 1e-308 in float64): the tails of
    GELU are full of them, and they are slow.
    """
    threads = torch.get_num_threads()

    def run(task: Callable[[], T]) -> T:
        torch.set_num_threads(threads // workers)
        torch.set_flush_denormal(True)
        return task()

    with ThreadPoolExecutor(workers) as pool:
        try:
            futures = [pool.submit(run, task) for task in tasks]
            pending = set(futures)
            while pending:
                ended, pending = wait(pending, timeout=POLL_SECONDS, return_when=FIRST_COMPLETED)
                for future in ended:
                    future.result()
                yield [future.result() for future in futures if future not in pending]
        finally:
            stop.set()
            pool.shutdown(cancel_futures=True)
            torch.set_num_threads(threads)


def _until(stop: threading.Event, rows: Iterator[Measurement]) -> Iterator[Measurement]:
    for row in rows:
        if stop.is_set():
            return
        yield row


def _train(name: str, training: Training, lab: Laboratory, folder: Run, stop: threading.Event) -> Iterator[int]:
    """Do one training from where it is to its end, yielding its steps; a checkpoint now and then, and on stop."""
    weights, checkpoint = f"weights/{name}.safetensors", f"checkpoints/{name}.safetensors"
    if not (folder.path / weights).exists():
        objective = training.method.build()
        sources = lab.sources_for(objective, training.endless)
        recipe = lab.study.training.model_copy(update={"steps": training.steps})
        company = parallel.here()
        trainer = Trainer(lab.denoiser(), sources, objective, recipe, lab.seeds, company=company)
        if (folder.path / checkpoint).exists():
            trainer.restore(folder.load_tensors(checkpoint))
            folder.log(f"{name}: going on from step {trainer.step}")
        start = saved = time.perf_counter()
        step = None
        for step in trainer:
            due = stop.is_set() or time.perf_counter() - saved > CHECKPOINT_SECONDS
            if company.size > 1:  # all of them or none, and not in every step
                due = step.number % parallel.AGREED_EVERY == 0 and company.told(due)
            if due:
                folder.write_tensors(checkpoint, trainer.state())
                saved = time.perf_counter()
            if stop.is_set():
                return
            yield step.number
        folder.write_tensors(weights, trainer.ema.state_dict())
        folder.log(f"{name}: trained" + (f", last losses {step.loss.tolist()}" if step else ""))
        folder.time(name, "training", time.perf_counter() - start)
        company.told(None)  # the others wait until the weights are there
    yield training.steps

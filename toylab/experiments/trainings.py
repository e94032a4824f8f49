"""Training all that a run trains, side by side, going on where an earlier attempt stopped."""

import json
import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from functools import partial
from typing import TypeVar

import torch

from toylab import parallel
from toylab.checkpoints import Checkpoints
from toylab.denoisers import Denoiser, Learned
from toylab.experiments.experiment import Progress
from toylab.experiments.models import Course, Models
from toylab.experiments.workshop import Workshop
from toylab.results import DIVERGED, Measurement
from toylab.runs import Run
from toylab.tracking import steps_of
from toylab.training import Trainer

T = TypeVar("T")

CHECKPOINT_SECONDS = 15.0
POLL_SECONDS = 0.2
_SMOOTHING = 0.01  # of the loss, a step


class Effort:
    """The bar's arithmetic: one unit is one evaluation of the network in training.

    measuring: that of one of the subjects; beyond: what is still to be done after them.
    """

    measuring: float = 0.0
    subjects: int = 0
    beyond: float = 0.0

    def __init__(self, models: Models):
        todo = models.trainings
        self.costs = {name: training.method.build().evaluations for name, training in todo.items()}
        self.training = sum(training.steps * self.costs[name] for name, training in todo.items())
        self.done = 0.0

    @property
    def total(self) -> float:
        """All of it."""
        return self.training + self.measuring * self.subjects + self.beyond

    def at(self, label: str) -> Progress:
        """Where the run is."""
        return Progress(label, min(self.done, self.total), self.total)


def train_all(lab: Workshop, folder: Run, work: Effort) -> Iterator[Progress]:
    """Train the methods side by side, the longest first. Leaving early makes each write a checkpoint and stop."""
    todo, stop = lab.models.trainings, threading.Event()
    steps = dict.fromkeys(todo, 0)
    _ = lab.data_std  # drawn before the trainings share it

    def train(name: str) -> None:
        for number in _train(name, todo[name], lab, folder, stop):
            steps[name] = number

    longest_first = sorted(todo, key=lambda name: todo[name].steps * work.costs[name], reverse=True)
    for done in side_by_side([partial(train, name) for name in longest_first], workers(lab, len(todo)), stop):
        work.done = sum(steps[name] * cost for name, cost in work.costs.items())
        yield work.at(f"training, {len(done)} of {len(todo)} done")


def loaded(name: str, lab: Workshop, folder: Run) -> Denoiser:
    """What was trained, with averaged weights; of a member that diverged they are 0, so that it can be sampled beside
    the others, and what is measured of it is NaN (`honest`)."""
    denoiser = lab.denoiser().to(lab.exact_device)
    denoiser.load_state_dict(folder.load_tensors(f"weights/{name}.safetensors"))
    return without(diverged(name, lab, folder), denoiser.requires_grad_(False))


def without(members: Iterable[int], denoiser: Learned) -> Learned:
    """The denoiser, the weights of some members 0."""
    for member in members:
        for weights in denoiser.network.parameters():
            weights.data[member] = 0
    return denoiser


def diverged(name: str, lab: Workshop, folder: Run) -> dict[int, int]:
    """The members of a training that diverged, and in which step; none of what was not trained."""
    found = folder.diverged(name) if name in lab.models.trainings else {}
    return {lab.seeds.index(seed): step for seed, step in found.items()}


def honest(measured: Iterable[Measurement], lab: Workshop, folder: Run) -> list[Measurement]:
    """Measurements with NaN for every member that diverged, whatever a metric made of it, and a row that says in which
    step it did."""
    return marked(measured, lab.seeds, {name: diverged(name, lab, folder) for name in lab.models.trainings})


def marked(
    measured: Iterable[Measurement], seeds: Sequence[int], failed: Mapping[str, Mapping[int, int]]
) -> list[Measurement]:
    """The same with what failed by method: members, and the step."""
    steps = {(name, seeds[member]): step for name, of in failed.items() for member, step in of.items()}
    rows = [
        row._replace(value=math.nan, stderr=math.nan) if (row.method, row.seed) in steps else row for row in measured
    ]
    return rows + [Measurement(*of, DIVERGED, "clean", float(step), 0.0) for of, step in steps.items()]


def workers(lab: Workshop, tasks: int) -> int:
    """How many tasks run side by side: on the CPU small networks keep one thread busy, not several; a compiler's cache
    is not shared by threads."""
    alone = lab.device.type != "cpu" or lab.models.training.compile != "off" or parallel.here().size > 1
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


def _train(name: str, training: Course, lab: Workshop, folder: Run, stop: threading.Event) -> Iterator[int]:
    """Do one training from where it is to its end, yielding its steps; a checkpoint now and then, and on stop."""
    weights, checkpoints = f"weights/{name}.safetensors", Checkpoints(folder, name)
    if not folder.has(weights):
        objective = training.method.build()
        sources = lab.sources_for(objective, training.endless)
        recipe = lab.models.training.model_copy(update={"steps": training.steps})
        company = parallel.here()
        trainer = Trainer(lab.denoiser(), sources, objective, recipe, lab.seeds, company=company)
        state = checkpoints.latest()
        if state is not None:
            trainer.restore(state)
            folder.log(f"{name}: going on from step {trainer.step}")
        start, first = time.perf_counter(), trainer.step + 1
        saved = start
        step, smoothed = None, torch.full((), torch.nan)
        for step in steps_of(trainer, folder.path, name):
            smoothed = torch.lerp(smoothed, step.loss.sum(), _SMOOTHING) if step.number > first else step.loss.sum()
            due = stop.is_set() or time.perf_counter() - saved > CHECKPOINT_SECONDS
            if company.size > 1:  # all of them or none, and not in every step
                due = step.number % parallel.AGREED_EVERY == 0 and company.told(due)
            if due:
                state = trainer.state()  # of all processes
                if company.rank == 0:
                    checkpoints.save(state, step.number, float(smoothed))
                saved = time.perf_counter()
            if stop.is_set():
                return
            yield step.number
        failed = {lab.seeds[member]: number for member, number in trainer.diverged().items()}
        for seed, number in failed.items():
            folder.log(f"{name}: seed {seed} diverged in step {number}: its loss, gradient or weights were not finite")
        folder.write_tensors(weights, trainer.ema.state_dict(), {DIVERGED: json.dumps(failed)} if failed else None)
        folder.log(f"{name}: trained" + (f", last losses {step.loss.tolist()}" if step else ""))
        folder.time(name, "training", time.perf_counter() - start)
        company.told(None)  # the others wait until the weights are there
    yield training.steps

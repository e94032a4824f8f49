"""What a run would take on this machine: a few steps of everything, timed as a run would do them, and nothing written.

Trainings are tried side by side, as many at once and each with as many threads as in a run, so that what they take from
each other is in their times. A run then takes what its schedule does, the longest training first, and after it the
sampling and measuring, in units of an evaluation of the network in training (`Effort`), shared out likewise.
"""

import heapq
import json
import resource
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch

from toylab import parallel
from toylab.experiments.experiment import RunSettings
from toylab.experiments.image_laboratory import ImageLaboratory
from toylab.experiments.image_study import ImageStudy
from toylab.experiments.laboratory import Laboratory
from toylab.experiments.models import Course, Models
from toylab.experiments.study import Study
from toylab.experiments.sweep import Gridded, training_key
from toylab.experiments.trainings import Effort, side_by_side, workers
from toylab.experiments.workshop import Workshop
from toylab.objectives import Objective
from toylab.training import Trainer

Work = Callable[[Any], float]
"""All of a run, from its settings, in the units of its progress (experiments/experiment.py)."""

_STEPS, _SECONDS = 3, 0.25
"""How many steps are timed at least, and for how long where they are short."""
_SHARE = 0.03
"""Of the trainings: what an estimate that nobody has asked for may take."""
_STATES = 4
"""Copies of the weights that a training keeps: raw, averaged, and Adam's two moments."""


class Part(NamedTuple):
    """A training, or what comes after all of them: how often it is done, and seconds each time, by one of those that
    are at work at once."""

    name: str
    times: float
    seconds: float

    @property
    def hours(self) -> float:
        """All of it."""
        return self.times * self.seconds / 3600


class Rehearsal(NamedTuple):
    """What a run takes: its parts, of which at_once are done side by side with so many threads each; seconds in all;
    the most memory held so far, and bytes that it will write. is_whole: metrics are in it."""

    parts: list[Part]
    at_once: int
    threads: int
    seconds: float
    memory: int
    disk: int
    is_whole: bool


class _Tried(NamedTuple):
    """Seconds a step, and bytes of the weights."""

    seconds: float
    size: int


def workshop(models: Models, device: torch.device) -> Workshop:
    """The objects of these settings. Raises BadInput where data are missing."""
    if isinstance(models, ImageStudy):
        return ImageLaboratory(models, device)
    assert isinstance(models, Study)
    return Laboratory(models, device)


def rehearse(settings: Models, device: torch.device, work: Work | None = None) -> Rehearsal:
    """Time a few steps of every training, of a sweep in each `shape` of its cells; what cells share is done once.

    Raises BadInput where what the settings name is not there.
    """
    studies, tries = _studies(settings), dict[str, dict[str, _Tried]]()
    todo, threads = studies[0].trainings, torch.get_num_threads()
    steps, spent, seconds, size, at_once = Counter[str](), Counter[str](), 0.0, 0, 1
    for study, new in zip(studies, _new(studies), strict=True):
        if (of := shape(study.model_dump(mode="json"))) not in tries:
            lab = workshop(study, device)
            at_once = workers(lab, len(todo))
            tries[of] = _timed(lab, at_once)
        took = {name: n * tries[of][name].seconds for name, n in new.items()}
        steps.update(new)
        spent.update(took)
        seconds += makespan(took.values(), at_once)
        size += sum(one.size for one in tries[of].values())
    parts = [Part(f"{name}: training", steps[name], spent[name] / steps[name]) for name in todo]
    if work is not None:
        after = work(settings) - sum(Effort(study).training for study in studies)
        units = sum(steps[name] * training.method.build().evaluations for name, training in todo.items())
        parts.append(Part("sampling and measuring", after, 3600 * sum(part.hours for part in parts) / units))
        seconds += 3600 * parts[-1].hours / at_once
    memory, disk = most_memory(device), (1 + _STATES) * size
    return Rehearsal(parts, at_once, max(1, threads // at_once), seconds, memory, disk, work is not None)


def shape(config: Mapping[str, Any]) -> str:
    """All that decides what a step of its trainings costs; of laws and data whole numbers and names do."""
    counted = {key: _counts(config.get(key)) for key in ("law", "data", "objective")}
    own = {key: config.get(key) for key in ("network", "parametrization", "seeds")}
    methods = [method["name"] for method in config.get("methods", {}).values()]
    return json.dumps([counted, own, config.get("training", {}).get("batch"), methods], sort_keys=True)


def _counts(value: object) -> object:
    """Without what is a fraction."""
    if isinstance(value, Mapping):
        return {key: _counts(part) for key, part in value.items()}
    return None if isinstance(value, float) else value


def expected(settings: RunSettings, device: torch.device, work: Work | None) -> Rehearsal | None:
    """The same before a run, to tell who waits: None where a few steps would be more than a few per cent of it, where
    it trains nothing, or with several others, and where a compiler would take most of the time."""
    if not isinstance(settings, Models) or settings.training.compile != "off" or parallel.here().size > 1:
        return None
    fewest = min(training.steps for training in _studies(settings)[0].trainings.values())
    return rehearse(settings, device, work) if _SHARE * fewest >= 1 + _STEPS else None


def makespan(seconds: Iterable[float], at_once: int) -> float:
    """How long tasks take of which so many are done at once, the longest first."""
    ends = [0.0] * at_once
    for one in sorted(seconds, reverse=True):
        heapq.heapreplace(ends, ends[0] + one)
    return max(ends)


def most_memory(device: torch.device) -> int:
    """Bytes, of the device where it has its own memory, else of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _studies(settings: Models) -> Sequence[Models]:
    return [cell.study for cell in settings.cells] if isinstance(settings, Gridded) else [settings]


def _new(studies: Sequence[Models]) -> Iterable[dict[str, int]]:
    """What each study trains that none before it has, and for how many steps."""
    done: set[str] = set()
    for study in studies:
        keys = {name: training_key(study, name) for name in study.trainings}
        yield {name: study.trainings[name].steps for name, key in keys.items() if key not in done}
        done |= {*keys.values()}


def _timed(lab: Workshop, at_once: int) -> dict[str, _Tried]:
    """Every training of these settings, as many side by side as in a run."""
    todo = lab.models.trainings
    _ = lab.data_std  # drawn before the trainings share it
    *_, found = side_by_side([partial(_tried, lab, training) for training in todo.values()], at_once, threading.Event())
    return dict(zip(todo, found, strict=True))


def _tried(lab: Workshop, training: Course) -> _Tried:
    """A few steps of a training, the first not counted."""
    objective: Objective = training.method.build()
    recipe: Any = lab.models.training.model_copy(update={"steps": training.steps})
    trainer = Trainer(lab.denoiser(), lab.sources_for(objective, training.endless), objective, recipe, lab.seeds)
    most, start = max(1 + _STEPS, _SHARE * training.steps), 0.0
    for step in trainer:
        if lab.device.type == "cuda":
            torch.cuda.synchronize(lab.device)
        if step.number == 1:
            start = time.perf_counter()
        elif step.number >= most or (step.number > _STEPS and time.perf_counter() - start > _SECONDS):
            break
    seconds = (time.perf_counter() - start) / max(1, step.number - 1)
    return _Tried(seconds, sum(p.numel() * p.element_size() for p in trainer.ema.parameters()))

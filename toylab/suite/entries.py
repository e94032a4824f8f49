"""Entries: objectives that take part, and their runs, one folder for each task."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from toylab import launch, outside, randomness
from toylab.configuration import Method, validate
from toylab.denoisers import Learned
from toylab.errors import BadInput, one_line
from toylab.launch import Configured
from toylab.networks import MLP
from toylab.objectives import Batch
from toylab.results import Row
from toylab.runs import Run
from toylab.schedules import DDPM
from toylab.suite.records import Line, Values, reference
from toylab.suite.tasks import BASELINE, FIELD, TASKS, ZERO

_REHEARSED, _POINTS = 100, 64  # steps of a rehearsal, and points of each


@dataclass(frozen=True)
class Entry:
    """An objective with its defaults, by its name as it was typed."""

    name: str
    method: Method

    @classmethod
    def of(cls, name: str) -> "Entry":
        """By a name of the index, or by `module:object`, which is imported. Raises BadInput where that is no
        objective."""
        if outside.is_code(name):
            outside.admit(name)
        return cls(name, validate(Method, {"name": name}))

    @property
    def oracle(self) -> str | None:
        """What it is told that others are not."""
        return getattr(self.method.build(), "oracle", None)

    @cached_property
    def evaluations(self) -> float:
        """Of the denoiser a step, counted. Raises BadInput where it cannot be trained."""
        return rehearsed(self.name, self.method.build())

    @property
    def tasks(self) -> list[str]:
        """All, but for an oracle that is told which points are noisy those with such points."""
        return [name for name, task in TASKS.items() if task.can_be_told or self.oracle != "labelled"]

    def configured(self, task: str, preset: str) -> Configured:
        """The run of a task; that of plain denoising holds the exact reference, too."""
        references = [ZERO] if self.name == BASELINE else []
        changes = {
            **TASKS[task].changes,
            "methods": {self.method.label: self.method.model_dump()},
            "evaluation": {"metrics": [TASKS[task].metric, FIELD], "references": references},
        }
        return launch.configure("benchmark-task", preset, changes=[changes], methods=[self.method.label])

    def finished(self, preset: str, device: str, root: Path) -> dict[str, Run] | None:
        """Task -> its run, None unless all are finished."""
        found: dict[str, Run] = {}
        for task in self.tasks:
            run = launch.finished(self.configured(task, preset), device, root)
            if run is None:
                return None
            found[task] = run
        return found

    def lines(self, runs: Mapping[str, Run]) -> list[Line]:
        """What its runs measured, of plain denoising with the exact reference."""
        own = Line(self.name, self.oracle is not None, self.evaluations, _values(self.method.label, runs))
        return [own, reference(_values(ZERO, runs))] if self.name == BASELINE else [own]


def rehearsed(name: str, objective: Any) -> float:
    """How many evaluations of the denoiser a step takes, on average over a training of 100 steps that changes nothing.

    Points through the network are counted, a backward pass is not. Raises BadInput where a step fails, or does not
    return one finite loss a member that depends on the network.
    """
    streams = randomness.streams([0, 1], "rehearsal")
    network = MLP(2, width=8, depth=1, members=2, generators=streams)
    denoiser, seen = Learned(network, DDPM()), [0]
    network.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].shape[:-1].numel()))
    x0, eps = (randomness.randn((2, _POINTS, 2), streams, torch.empty(0)) for _ in range(2))
    low, high = denoiser.schedule.t_min, denoiser.schedule.t_max
    t, noisy = low + (high - low) * randomness.rand((2, _POINTS), streams, x0), x0[..., 0] > 0
    for step in range(_REHEARSED):
        try:
            loss = objective(denoiser, Batch(x0, t, eps, step, _REHEARSED, noisy), streams)
            loss.sum().backward()
        except Exception as error:  # whatever a stranger's code raises
            raise BadInput(f"{name} fails in training: {type(error).__name__}: {one_line(error)}") from None
        if loss.shape != (2,) or not bool(loss.isfinite().all()):
            given = f"{loss.tolist()} of shape {tuple(loss.shape)}"
            raise BadInput(f"{name} must return one finite loss a member, for two members of shape (2,), not {given}")
    return sum(seen) / (2 * _POINTS * _REHEARSED)


def _values(method: str, runs: Mapping[str, Run]) -> Values:
    found: Values = {}
    for task, run in runs.items():
        for metric in (TASKS[task].metric, FIELD):
            rows = [row for row in run.rows if _is(row, method, metric)]
            if rows:
                found[task, metric] = {int(row["seed"]): float(row["value"]) for row in rows}
    return found


def _is(row: Row, method: str, metric: str) -> bool:
    """Against the clean law, averaged over noise levels where there are any."""
    return (row["method"], row["metric"], row["against"], row["t"]) == (method, metric, "clean", "")

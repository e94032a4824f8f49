"""Trainings and runs, watched."""

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import torch
from matplotlib.figure import Figure

from toylab.figures.style import STYLE
from toylab.figures.training import loss_curve
from toylab.launch import Launch, configure, prepare
from toylab.notebook.bars import Clock, Place, in_notebook, new_bar
from toylab.runs import Run
from toylab.training import Step, Trainer


def watch(trainer: Trainer, draw: Callable[[Trainer], Figure] | None = None, every: float = 1.0) -> Iterator[Step]:
    """The steps of a training, as `for step in trainer` has them, under a bar.

    Below it a figure is drawn anew every so many seconds, and at the end: the loss, or `draw(trainer)`.
    """
    bar, place, clock, steps = new_bar(), Place(), Clock(every), trainer.settings.steps
    losses: list[torch.Tensor] = []
    first, start = trainer.step + 1, time.perf_counter()

    def show() -> None:
        if losses and in_notebook():
            with mpl.rc_context(STYLE):
                place.show(draw(trainer) if draw else loss_curve(torch.stack(losses).cpu(), first))

    try:
        for step in trainer:
            losses.append(step.loss)
            bar.at(step.number / steps, f"step {step.number} of {steps}")
            if clock.due():
                show()
            yield step
    finally:
        bar.end(_summary(trainer, losses, time.perf_counter() - start))
        show()


def _summary(trainer: Trainer, losses: Sequence[torch.Tensor], seconds: float) -> str:
    done = f"{type(trainer.objective).__name__}: {trainer.step} of {trainer.settings.steps} steps"
    if not losses:
        return done
    recent = torch.stack([loss.cpu() for loss in losses[-100:]]).mean()
    return f"{done}, {seconds:.1f} s, mean loss of the last {min(100, len(losses))}: {float(recent):.3g}"


def run(
    name: str,
    preset: str | None = None,
    methods: Sequence[str] | None = None,
    root: str | Path = "runs",
    fresh: bool = False,
    **settings: Any,
) -> Run:
    """Run an experiment under a bar, as `toylab run` does, and return its folder: a finished one is reused.

    settings: what differs from the preset, by key, groups as tables: seeds=2, training={"steps": 500}. methods: only
    these. root: where run folders are kept. fresh: neither reuse nor resume. Raises BadInput.
    """
    configured = configure(name, preset, changes=[settings], methods=methods)
    if configured.preset in configured.experiment.untried:
        print(f"note: the preset '{configured.preset}' of {name} has never been run to its end by its authors")
    return carry_out(prepare(configured, root=Path(root), fresh=fresh))


def carry_out(launch: Launch) -> Run:
    """Carry a launch out under a bar, and return its folder; one that is interrupted goes on when it is repeated."""
    bar, start, finished = new_bar(), time.perf_counter(), launch.folder.finished
    if finished:
        bar.end(f"reusing the run finished {finished['date']} with toylab {finished['version']}")
        return launch.folder
    how = "interrupted; the same call goes on"
    try:
        for progress in launch.carry_out():
            bar.at(progress.done / progress.total, progress.label)
        how = f"{launch.configured.name} ({launch.configured.preset}): done, {time.perf_counter() - start:.1f} s"
    except Exception as error:
        how = f"the run failed: {error}"
        raise
    finally:
        launch.folder.log(how)
        bar.end(how)
    return launch.folder

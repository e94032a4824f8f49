"""Trainings, watched."""

import time
from collections.abc import Callable, Iterator, Sequence

import matplotlib as mpl
import torch
from matplotlib.figure import Figure

from toylab.bars import Clock, in_notebook, new_bar
from toylab.figures.style import STYLE
from toylab.figures.training import loss_curve
from toylab.notebook.place import Place
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

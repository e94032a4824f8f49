"""Scalars of a training, given to whoever keeps them, while it goes on.

    for step in track(trainer, log):                  # log({"loss": ..., "lr": ...}, step), now and then
        ...
    with TensorBoard("runs/tensorboard") as log:      # extra `track`
        for step in track(trainer, log):
            ...

Losses stay on the device until they are given away, so that the device is waited for once in `every` steps. In a run,
`toylab run --track tensorboard` keeps those of every training in its folder, under tensorboard/METHOD; the results are
the same bits with it and without.
"""

import importlib.util
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import torch
from torch import Tensor

from toylab.errors import BadInput, needs, unknown
from toylab.training import Step, Trainer

Log = Callable[[dict[str, float], int], object]
"""(scalars by name, step) -> whatever: what keeps scalars. `log` of Weights & Biases is one."""

TENSORBOARD = "tensorboard"
EVERY = 50
"""Steps between two entries."""

_chosen: set[str] = set()  # of the whole process, as trainings go on in threads of their own


def track(trainer: Trainer, log: Log, every: int = EVERY) -> Iterator[Step]:
    """The steps of a training, as `for step in trainer` has them; after every so many, and the last, `log` is given

        loss            mean over members, and over the steps since the last entry
        loss/SEED       that of each member, where there are several
        lr              the learning rate in that step, the largest of the members'

    Raises BadInput unless every >= 1.
    """
    if every < 1:
        raise BadInput(f"every must be at least 1, not {every}")
    losses: list[Tensor] = []

    def entry() -> dict[str, float]:
        of_members = torch.stack(losses).double().mean(0).tolist()
        losses.clear()
        members = {f"loss/{seed}": loss for seed, loss in zip(trainer.seeds, of_members, strict=True)}
        mean = sum(of_members) / len(of_members)
        return {"loss": mean, **(members if len(members) > 1 else {}), "lr": trainer.lr}

    try:
        for step in trainer:
            losses.append(step.loss)
            if step.number % every == 0:
                log(entry(), step.number)
            yield step
    finally:
        if losses:
            log(entry(), trainer.step)


def _check_installed() -> None:
    if importlib.util.find_spec("tensorboard") is None:
        raise BadInput(needs("TensorBoard", "tensorboard", "track"))


class TensorBoard:
    """Keeps scalars in an event file of TensorBoard in a folder; a context that closes it. after: the last step of an
    earlier attempt that still counts, those of later ones are hidden. Raises BadInput where tensorboard is missing."""

    def __init__(self, folder: str | Path, after: int = 0):
        _check_installed()
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(folder), purge_step=after + 1 if after else None)

    def __call__(self, scalars: Mapping[str, float], step: int) -> None:
        for name, value in scalars.items():
            self._writer.add_scalar(name, value, step)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: object, traceback: TracebackType | None) -> None:
        self._writer.close()


def choose(name: str | None) -> None:
    """From now on runs of this process keep the scalars of their trainings; name: tensorboard, or None for not at all.
    Raises BadInput for another name, and where what it needs is missing."""
    if name not in (None, TENSORBOARD):
        raise BadInput(unknown("tracker", name, [TENSORBOARD]))
    if name:
        _check_installed()
    _chosen.clear()
    _chosen.update([name] if name else [])


@contextmanager
def tracked_by(name: str) -> Iterator[None]:
    """The same for the runs inside."""
    before = next(iter(_chosen), None)
    choose(name)
    try:
        yield
    finally:
        choose(before)


def steps_of(trainer: Trainer, folder: Path, name: str) -> Iterator[Step]:
    """The steps of a training of a run, kept in the run's folder where that was asked for."""
    if not _chosen or trainer.company.rank:
        yield from trainer
        return
    with TensorBoard(folder / TENSORBOARD / name, after=trainer.step) as log:
        yield from track(trainer, log)

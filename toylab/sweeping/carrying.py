"""Carrying out the cells of a plan, from where they are to their end."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch

from toylab import launch
from toylab.experiments.rehearsal import shape
from toylab.sweeping.engines import Engine
from toylab.sweeping.folder import Standing, State, SweepFolder
from toylab.sweeping.job import is_held
from toylab.sweeping.plan import Cell


@dataclass
class Progress:
    """How far the cells are. stopped: ended without a result and without an error of their own, and why, by name."""

    cells: Sequence[Cell]
    standings: dict[str, Standing]
    stopped: dict[str, str] = field(default_factory=dict)
    queued: int = 0

    def of(self, state: State) -> list[Cell]:
        """The cells of a state."""
        return [cell for cell in self.cells if self.standings[cell.name].state is state]

    @property
    def over(self) -> list[Cell]:
        """The cells of which nothing more is to be expected."""
        return [*self.of(State.FINISHED), *self.of(State.FAILED), *(c for c in self.cells if c.name in self.stopped)]

    @property
    def label(self) -> str:
        """In a line."""
        running = len(self.of(State.RUNNING)) - self.queued
        counts = {"done": len(self.of(State.FINISHED)), "running": running, "queued": self.queued}
        counts["failed"] = len(self.of(State.FAILED)) + len(self.stopped)
        return f"{len(self.cells)} cells: " + ", ".join(
            f"{n} {what}" for what, n in counts.items() if n or what == "done"
        )


def look(cells: Sequence[Cell], folder: SweepFolder) -> Progress:
    """Where the cells are, from files."""
    return Progress(cells, {cell.name: folder.standing(cell) for cell in cells})


def carry_out(found: Progress, folder: SweepFolder, engine: Engine, retry: bool = False) -> Iterator[Progress]:
    """Run what is missing, and what has failed if that is to be tried again; yields how far it is, now and then.

    A cell that has a job, or that another process runs, is not started again but waited for. None is started twice.
    """
    cells = {cell.name: cell for cell in found.cells}
    others = {cell.name for cell in found.of(State.RUNNING)}
    waiting = engine.alive().keys() & cells.keys() - {cell.name for cell in found.of(State.FINISHED)} | others
    again = {State.MISSING, State.FAILED} if retry else {State.MISSING}
    todo = [c for c in found.cells if found.standings[c.name].state in again and c.name not in waiting]
    while True:
        others = {name for name in others if is_held(folder.files(cells[name]).lock)}
        alive = engine.alive()
        busy = others | alive.keys()
        for name in waiting - busy:
            found.standings[name] = standing = folder.standing(cells[name])
            if standing.state not in (State.FINISHED, State.FAILED):
                found.stopped[name] = engine.reason(cells[name]) or "it was stopped on its way"
        waiting &= busy
        if todo and (room := engine.at_once - len(waiting)) > 0:
            now, todo = todo[:room], todo[room:]
            engine.submit(now)
            waiting |= {cell.name for cell in now}
            alive = engine.alive()
        found.standings |= dict.fromkeys(waiting, Standing(State.RUNNING))
        found.queued = sum(state == "queued" for name, state in alive.items() if name in waiting)
        yield found
        if not todo and not waiting:
            return
        time.sleep(engine.poll)


def estimates(cells: Sequence[Cell], device: torch.device, threads: int) -> list[float | None]:
    """Seconds of every cell with so many threads here, from its work and a few steps, tried once for each shape of
    training; starting up is not in it. None where settings do not tell the work."""
    before, units = torch.get_num_threads(), dict[str, float | None]()
    torch.set_num_threads(threads)
    try:
        for cell in cells:
            if (kind := shape(cell.configured.config)) not in units:
                seconds = launch.estimate(cell.configured, device)
                units[kind] = None if seconds is None else seconds / cell.work
    finally:
        torch.set_num_threads(before)
    return [None if (unit := units[shape(cell.configured.config)]) is None else unit * cell.work for cell in cells]

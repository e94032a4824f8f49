"""Sweeps: a study at every point of a grid, inside one run.

The grid maps keys, as for `--set`, to lists of values,

    {"contamination.fraction": [0.3, 0.9], "methods.*.lam": [0.3, 1.0]}

and the sweep goes over all combinations. Keys with commas between them change together, each value then a list with
one for each of them. A key of methods, `methods.NAME.KEY`, or `methods.*.KEY` for all that have it, makes versions of a
method: they are trained side by side in one study, beside whatever does not depend on the key, which is there once.
Every other key makes a study, a cell, of each of its values.

Where there are several cells, each is a run folder of its own under cells/NAME. The sweep's results.csv has the rows of
all, with the keys as `set.KEY` columns, and versions under the name of their method. A sweep that was interrupted goes
on where it stopped: finished cells are kept, and no training is done twice.
"""

import json
import re
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from itertools import product
from math import prod
from typing import Any, ClassVar, NamedTuple, Self, TypeVar

import torch
from pydantic import BaseModel, Field, field_validator, model_validator

from toylab import parallel
from toylab.configuration import nested, overlay, validate
from toylab.errors import BadInput
from toylab.experiments import pipeline, study
from toylab.experiments.experiment import Experiment, Progress
from toylab.experiments.grid import MOST, Axis, Labels, Version, entries, in_full, versions
from toylab.experiments.models import FreeMethods, Models
from toylab.experiments.study import MethodStudy
from toylab.experiments.trainings import Effort
from toylab.results import REFERENCES, Measurement, to_csv
from toylab.runs import CELLS, Run

SMOKE: dict[str, Any] = study.SMOKE | {
    "training": {"steps": 50, "batch": 128},
    "evaluation": {"levels": 3, "points": 200, "pair": 250},
}
"""What the smoke preset of a sweep of several cells changes."""

_AFTER_TRAINING = {"sampler", "spacing", "nfe", "few_steps", "samples", "evaluation"}
"""Settings on which no training depends."""


class Cell(NamedTuple):
    """One study of a sweep: the name of its folder, where it is in the grid, and the versions it trains, by name."""

    name: str
    study: Any
    at: Labels
    versions: Mapping[str, Version]

    def gathered(self, measured: Iterable[Measurement]) -> Iterator[Measurement]:
        """Its measurements as those of the sweep."""
        for m in measured:
            prefix = next((prefix for prefix in REFERENCES if m.method.startswith(prefix)), "")
            version = self.versions.get(m.method.removeprefix(prefix))
            if version is None:
                yield m._replace(cell=self.at)
            else:
                yield m._replace(method=prefix + version.method, cell={**self.at, **version.at})


class Kind(NamedTuple):
    """What cells are: their settings, how one is run, or only trained, and what that takes; check: as an experiment's,
    of the sweep."""

    settings: type[BaseModel]
    run: Callable[[Any, Run, torch.device], Generator[Progress, None, list[Measurement]]]
    train: Callable[[Any, Run, torch.device], Iterator[Progress]]
    effort: Callable[[Any], Effort]
    check: Callable[[Any], None] | None = None


class Gridded(FreeMethods, Models):
    """Settings of one cell, and the grid they go over."""

    cells_are: ClassVar[Kind]

    grid: dict[str, list[Any]] = Field({})

    @field_validator("grid", mode="before")
    @classmethod
    def _with_dotted_keys(cls, given: Any) -> Any:
        return entries(given)

    @model_validator(mode="after")
    def _every_cell_can_be_built(self) -> Self:
        if (count := prod(len(axis.points) for axis in self.axes)) > MOST:
            raise ValueError(f"grid: at most {MOST} combinations, not {count}")
        for key in (key for axis in self.axes for key in axis.keys):
            if not self._in_full(key):
                raise ValueError(f"grid: no method has the key of '{key}'")
        try:
            _ = self.cells
        except BadInput as error:
            raise ValueError(f"grid: {error}") from None
        return self

    @property
    def axes(self) -> list[Axis]:
        """Those of the grid."""
        return [Axis.of(text, values) for text, values in self.grid.items()]

    @property
    def cells(self) -> list[Cell]:
        """The studies of the sweep, in the order of the grid. Raises BadInput where one of them cannot be."""
        axes = [axis for axis in self.axes if not axis.of_methods]
        points = product(*(axis.points for axis in axes))
        return [self._cell(number, list(zip(axes, point, strict=True))) for number, point in enumerate(points, 1)]

    def _cell(self, number: int, place: Sequence[tuple[Axis, tuple[Any, ...]]]) -> Cell:
        values: Mapping[str, Any] = self.model_dump(exclude={"grid"})
        at: dict[str, object] = {}
        for axis, point in place:
            at |= axis.labels(point)
            for key, value in zip(axis.keys, point, strict=True):
                for full in self._in_full(key):
                    values = overlay(self.cells_are.settings, values, nested(full, value))
        built: Any = validate(self.cells_are.settings, values)
        built, own = in_versions(built, [axis for axis in self.axes if axis.of_methods])
        return Cell(_folder_name(number, at), built, at, own)

    def _in_full(self, key: str) -> list[str]:
        return in_full(key, self.model_dump(include={"methods"})["methods"])

    def _only(self, names: Sequence[str]) -> Self:
        """The grid keeps what is left to go over."""
        chosen = super()._only(names)
        kept = [axis.only(keys) for axis in self.axes if (keys := [key for key in axis.keys if chosen._in_full(key)])]
        return chosen.model_copy(update={"grid": dict(axis.entry for axis in kept)})


class Sweep(Gridded, MethodStudy):
    """A study, and the grid it goes over."""

    cells_are = Kind(MethodStudy, pipeline.run, pipeline.train, pipeline.Work)


S = TypeVar("S", bound=FreeMethods)


def in_versions(study: S, axes: Sequence[Axis]) -> tuple[S, dict[str, Version]]:
    """The study that trains every method at every point of these axes, all of methods, and its versions by name.
    Raises BadInput where it cannot be."""
    plain = study.model_dump()
    found = list(versions(plain["methods"], axes))
    methods = {name: settings for name, _, settings in found}
    longer = {name: study.longer[of.method] for name, of, _ in found if of.method in study.longer}
    if methods != plain["methods"]:
        study = validate(type(study), plain | {"methods": methods, "longer": longer})
    return study, {name: of for name, of, _ in found}


def sweep_experiment(
    presets: Mapping[str, Mapping[str, Any]],
    figures: Sequence[str],
    untried: Sequence[str] = (),
    settings: type[Gridded] = Sweep,
) -> Experiment:
    """An experiment that is a sweep with these presets."""
    return Experiment(settings, presets, run, figures, frozenset(untried), _work, train, settings.cells_are.check)


def _work(sweep: Gridded) -> float:
    return sum(sweep.cells_are.effort(cell.study).total for cell in sweep.cells)


def run(sweep: Gridded, folder: Run, device: torch.device) -> Generator[Progress, None, list[Measurement]]:
    """Carry out every cell; returns the measurements of all."""
    cells, kind = sweep.cells, sweep.cells_are
    if parallel.here().size > 1:  # the others train with this process, and do not wait while it measures
        yield from train(sweep, folder, device)
        parallel.part()
    if len(cells) == 1:
        measured = yield from kind.run(cells[0].study, folder, device)
        return list(cells[0].gathered(measured))
    found: list[Measurement] = []
    trained: dict[str, tuple[Run, str]] = {}
    shares, before = [kind.effort(cell.study).total for cell in cells], 0.0
    for number, (cell, share) in enumerate(zip(cells, shares, strict=True), 1):
        own, done = Run(folder.path / CELLS / cell.name), before
        with closing(_filled(cell, own, folder, lambda study, own: kind.run(study, own, device), trained)) as steps:
            for progress in steps:
                done = max(done, before + share * progress.done / progress.total)
                yield Progress(f"{number} of {len(cells)}: {progress.label}", done, sum(shares))
        found += cell.gathered(map(Measurement.of, own.rows))
        before += share
    yield Progress("gathering", sum(shares), sum(shares))
    return found


def train(sweep: Gridded, folder: Run, device: torch.device) -> Iterator[Progress]:
    """Train what all cells train, by several processes."""
    cells, kind, trained = sweep.cells, sweep.cells_are, dict[str, tuple[Run, str]]()
    for cell in cells:
        own = folder if len(cells) == 1 else type(folder)(folder.path / CELLS / cell.name)
        weights = _begun(cell, own, folder, trained) if own is not folder else {}
        parallel.here().told(None)  # all find what the first has written
        yield from kind.train(cell.study, own, device)
        trained |= weights


def _filled(
    cell: Cell, folder: Run, sweep: Run, carried_out: Callable[..., Any], trained: dict[str, tuple[Run, str]]
) -> Generator[Progress, None, None]:
    """Fill the folder of a cell, unless it is finished. trained: the weights of all that earlier cells have trained, by
    what the training depends on; those of this cell are added."""
    weights = _begun(cell, folder, sweep, trained)
    if not folder.is_done:
        measured = yield from carried_out(cell.study, folder)
        folder.write("results.csv", to_csv(measured, _names(sweep), cell.at))
        folder.finish()
    trained |= weights


def _begun(cell: Cell, folder: Run, sweep: Run, trained: Mapping[str, tuple[Run, str]]) -> dict[str, tuple[Run, str]]:
    """Begin the folder of a cell with all that is known before it is trained; returns where its weights are, by what
    their training depends on."""
    weights = {training_key(cell.study, name): (folder, f"weights/{name}.safetensors") for name in cell.study.trainings}
    if not folder.is_done:
        folder.reopen(folder.damaged())
        folder.write_json("config.json", {**_names(sweep), **cell.study.model_dump(mode="json"), "grid": {}})
        folder.write_json("environment.json", sweep.environment)
        for key, (_, name) in weights.items():
            if key in trained:
                earlier, there = trained[key]
                folder.write(name, earlier.read(there))
    return weights


def _names(sweep: Run) -> dict[str, Any]:
    return {key: sweep.config[key] for key in ("experiment", "preset")}


def training_key(of: Models, name: str) -> str:
    """All that a training depends on."""
    shared = of.model_dump(mode="json", exclude=_AFTER_TRAINING | {"methods", "longer"})
    method, *rest = of.trainings[name]
    return json.dumps([shared, method.model_dump(mode="json"), rest], sort_keys=True)


def _folder_name(number: int, at: Labels) -> str:
    """The number tells cells apart, the rest is for who looks for one."""
    text = "-".join(f"{key.rpartition('.')[2]}-{value}" for key, value in at.items())
    return f"{number:02d}-{re.sub('[^a-zA-Z0-9.+-]+', '-', text)[:60].strip('.-')}"

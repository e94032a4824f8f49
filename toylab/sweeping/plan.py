"""From a sweep's file to its cells.

    experiment = "gmm-outliers"
    preset = "smoke"
    methods = ["ddpm", "robust-adv"]
    seeds = 4

    [settings]                               # as in a file for `toylab run --config`
    training.steps = 500

    [grid]                                   # as in experiments/sweep.py: all combinations
    "contamination.fraction" = [0.05, 0.1]
    "methods.*.lam" = [0.1, 0.3, 1.0]

    [[cells]]                                # a list of settings instead, or as well: the grid is gone over in each
    law = "ring-of-gaussians"

    [slurm]                                  # what --engine slurm asks for
    minutes = 30

A cell is one run. Its seeds are members of one training; keys of methods make versions of a method inside one run,
where what does not depend on them is trained and measured once (`group = false`: a run for each value instead). A sweep
that is an experiment, as contamination-grid, brings a grid of its own, which a file's [grid] replaces.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from math import prod
from pathlib import Path
from typing import Annotated, Any, NamedTuple, Self

from pydantic import Field, field_validator, model_validator

from toylab import outside, runs
from toylab.configuration import Settings, nested, overlay, read, validate
from toylab.errors import BadInput
from toylab.experiments.experiment import RunSettings, flat
from toylab.experiments.grid import MOST, Axis, Labels, entries, in_full
from toylab.experiments.models import FreeMethods
from toylab.experiments.sweep import Gridded, in_versions
from toylab.launch import Configured, configure_from

_Word = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.,:@|&*+-]{1,100}$")]  # it stands in a script


class Slurm(Settings):
    """What is asked of Slurm for each job: time in minutes, memory in GB, threads, GPUs; parallel: so many at once."""

    partition: _Word | None = None
    account: _Word | None = None
    qos: _Word | None = None
    constraint: _Word | None = None
    minutes: int = Field(60, ge=1, le=525_600)
    memory: float | None = Field(None, gt=0, le=100_000)
    cpus: int = Field(1, ge=1, le=1024)
    gpus: int = Field(0, ge=0, le=1)
    parallel: int = Field(256, ge=1)


class SweepFile(Settings):
    """A sweep's file, as it is written."""

    experiment: str
    preset: str = "default"
    seed: int | None = None
    seeds: int | None = None
    methods: Annotated[list[str], Field(min_length=1)] | None = None
    group: bool = True
    settings: dict[str, Any] = Field({})
    grid: dict[str, list[Any]] = Field({})
    cells: list[dict[str, Any]] = Field([{}], min_length=1)
    slurm: Slurm = Slurm()

    @field_validator("grid", mode="before")
    @classmethod
    def _with_dotted_keys(cls, given: Any) -> Any:
        return entries(given)

    @model_validator(mode="after")
    def _each_in_its_place(self) -> Self:
        for place, table in [("settings", self.settings), *(("cells", cell) for cell in self.cells)]:
            if "grid" in table:
                raise ValueError(f"{place}: the grid is a table of its own, [grid]")
        return self


class Cell(NamedTuple):
    """A run of the sweep: the name of its folder, its settings, and where it is in the sweep."""

    name: str
    configured: Configured
    at: Labels

    @property
    def place(self) -> str:
        """Where it is, in words: keys by their last part."""
        return ", ".join(f"{key.rpartition('.')[2]} {value}" for key, value in self.at.items()) or "all"

    @property
    def work(self) -> float:
        """In units of its experiment, where that tells."""
        work = self.configured.experiment.work
        return 1.0 if work is None else work(self.configured.settings)


class Plan(NamedTuple):
    """The cells of a sweep, each once, and what is asked of Slurm."""

    cells: list[Cell]
    slurm: Slurm


def plan(path: Path, allow_code: bool = False) -> Plan:
    """The plan in a file. Raises BadInput, before anything is written, where a single cell cannot be run.

    allow_code: import and run what the file names as `module:object`, which is refused otherwise.
    """
    table = read(path)
    if allow_code:
        outside.admit(*outside.named(table))
    try:
        file = validate(SweepFile, table)
        return Plan(_once(_cells(file)), file.slurm)
    except BadInput as error:
        raise BadInput(f"{path}: {error}") from None


def _once(cells: Iterator[Cell]) -> list[Cell]:
    found: dict[str, Cell] = {}
    for cell in cells:
        same = found.setdefault(cell.name, cell)
        if same.configured.config != cell.configured.config:
            raise BadInput(f"two cells would be called {cell.name}: change the seed of one")
    return [*found.values()]


def _cells(file: SweepFile) -> Iterator[Cell]:
    common = {key: value for key in ("seed", "seeds") if (value := getattr(file, key)) is not None}
    base = configure_from(file.settings, file.experiment, file.preset, [common], file.methods)
    axes = [Axis.of(text, values) for text, values in _grid(file, base.settings).items()]
    groups = file.group and isinstance(base.settings, FreeMethods)
    inside = [axis for axis in axes if groups and axis.of_methods]
    across = [axis for axis in axes if axis not in inside]
    if (count := len(file.cells) * prod(len(axis.points) for axis in axes)) > MOST:
        raise BadInput(f"at most {MOST} combinations, not {count}: make several files of it")
    for entry in file.cells:
        values = overlay(type(base.settings), base.settings.model_dump(), entry)
        if isinstance(base.settings, Gridded):
            values["grid"] = {}
        start = validate(type(base.settings), values)
        for place in product(*(axis.points for axis in across)):
            settings, at = _at(start, list(zip(across, place, strict=True)))
            configured = replace(base, settings=_grouped(settings, inside))
            yield Cell(runs.name_of(configured.config), configured, {**flat(entry), **at})


def _grid(file: SweepFile, settings: RunSettings) -> Mapping[str, Any]:
    own = settings.grid if isinstance(settings, Gridded) else {}
    return file.grid or own


def _at(settings: RunSettings, place: Sequence[tuple[Axis, tuple[Any, ...]]]) -> tuple[RunSettings, dict[str, object]]:
    """The settings at a point of these axes, and what it is called. Raises BadInput."""
    values = settings.model_dump()
    methods, at = values.get("methods", {}), dict[str, object]()
    for axis, point in place:
        at |= axis.labels(point)
        for key, value in zip(axis.keys, point, strict=True):
            for full in _known(key, methods):
                values = overlay(type(settings), values, nested(full, value))
    return (validate(type(settings), values) if place else settings), at


def _known(key: str, methods: Mapping[str, Mapping[str, Any]]) -> list[str]:
    if not (full := in_full(key, methods)):
        raise BadInput(f"grid: no method has the key of '{key}'")
    return full


def _grouped(settings: RunSettings, axes: Sequence[Axis]) -> RunSettings:
    """The run that holds every version of its methods: an experiment that is a sweep goes over the axes itself."""
    if not axes or not isinstance(settings, FreeMethods):
        return settings
    methods = settings.model_dump(include={"methods"})["methods"]
    for key in (key for axis in axes for key in axis.keys):
        _known(key, methods)
    if isinstance(settings, Gridded):
        return validate(type(settings), settings.model_dump() | {"grid": dict(axis.entry for axis in axes)})
    return in_versions(settings, axes)[0]

"""What an experiment is: presets of a configuration, what it measures, and the figures of it."""

import importlib
import inspect
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch

from toylab.configuration import Settings, overlay, validate
from toylab.errors import BadInput
from toylab.index import EXPERIMENTS
from toylab.results import Measurement, to_csv
from toylab.runs import Run


class Progress(NamedTuple):
    """How far a run is: what it is doing, and done of total, in arbitrary units of work."""

    label: str
    done: float
    total: float


class RunSettings(Settings):
    """What every experiment's configuration has."""

    seed: int = 0
    seeds: int = 4

    def with_methods(self, names: Sequence[str]) -> "RunSettings":
        """Only these methods. Raises BadInput for an unknown one."""
        raise BadInput("this experiment has no methods to choose from")


@dataclass(frozen=True)
class Experiment:
    """presets: name -> what differs from the settings' defaults. measure: fills the run folder, yields its
    progress and returns the measurements. figures: names in figures.FIGURES. untried: presets that were never
    run to their end. work: the whole of a run in the units of its progress, as far as settings tell. train: the part of
    a run that other processes carry out with the first (toylab/parallel.py), where they can. check: raises BadInput
    where what settings name is not there, data for example."""

    settings: type[RunSettings]
    presets: Mapping[str, Mapping[str, Any]]
    measure: Callable[[Any, Run, torch.device], Generator[Progress, None, list[Measurement]]]
    figures: Sequence[str]
    untried: frozenset[str] = frozenset()
    work: Callable[[Any], float] | None = None
    train: Callable[[Any, Run, torch.device], Iterator[Progress]] | None = None
    check: Callable[[Any], None] | None = None

    def run(self, settings: Any, folder: Run, device: torch.device) -> Iterator[Progress]:
        """Carry the experiment out in a folder made for these settings, and write its results.csv."""
        measurements = yield from self.measure(settings, folder, device)
        names = {key: folder.config[key] for key in ("experiment", "preset")}
        folder.write("results.csv", to_csv(measurements, names, self.changed(names["preset"], settings)))

    def configure(
        self, preset: str, changes: Sequence[Mapping[str, Any]] = (), file: Mapping[str, Any] | None = None
    ) -> Any:
        """The complete settings: a preset's, under those of a file, under the changes in turn. Raises BadInput."""
        values: Mapping[str, Any] = validate(self.settings, self.presets[preset]).model_dump()
        values = overlay(self.settings, values, file or {}, whole_tables=True)
        for change in changes:
            values = overlay(self.settings, values, change)
        return validate(self.settings, values)

    def changed(self, preset: str, settings: RunSettings) -> dict[str, object]:
        """The keys in which settings differ from the preset, dotted; rows name their seed and place in a grid."""
        base, new = (flat(s.model_dump()) for s in (self.configure(preset), settings))
        named = {key: value for key, value in new.items() if base.get(key) != value}
        return {key: value for key, value in named.items() if key.partition(".")[0] not in ("seed", "seeds", "grid")}


def told(name: str) -> tuple[str, str]:
    """What an experiment of the index is, and what it asks: the first two paragraphs of its module, without its name,
    each on one line; empty where it has none."""
    module = importlib.import_module(EXPERIMENTS[name].target.partition(":")[0])
    first, second, *_ = (" ".join(part.split()) for part in f"{inspect.getdoc(module) or ''}\n\n".split("\n\n"))
    return first.removeprefix(f"{name}: "), second


def flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, object]:
    """Nested tables as one, with dotted keys."""
    result: dict[str, object] = {}
    for key, value in table.items():
        if isinstance(value, Mapping):
            result |= flat(value, f"{prefix}{key}.")
        else:
            result[f"{prefix}{key}"] = value
    return result

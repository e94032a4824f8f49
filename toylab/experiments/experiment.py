"""What an experiment is: presets of a configuration, a run that fills a folder, and figures of it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch

from toylab.configuration import Settings, merged, validate
from toylab.errors import BadInput, unknown
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


class Runner(Protocol):
    """Fills the folder, yielding as it goes."""

    def __call__(self, settings: Any, run: Run, device: torch.device) -> Iterator[Progress]: ...


@dataclass(frozen=True)
class Experiment:
    """presets: name -> what differs from the settings' defaults. untried: presets never run by the authors."""

    settings: type[RunSettings]
    presets: Mapping[str, Mapping[str, Any]]
    run: Runner
    draw: Callable[[Run], list[Path]]
    untried: frozenset[str] = frozenset()

    def configure(self, preset: str, changes: Sequence[Mapping[str, Any]] = ()) -> Any:
        """The complete settings of a preset with changes laid over it in turn. Raises BadInput."""
        if preset not in self.presets:
            raise BadInput(unknown("preset", preset, self.presets))
        values: Mapping[str, Any] = validate(self.settings, self.presets[preset]).model_dump()
        for change in changes:
            values = merged(values, change)
        return validate(self.settings, values)

    def changed(self, preset: str, settings: RunSettings) -> dict[str, object]:
        """The keys in which settings differ from the preset, dotted."""
        base, new = (flat(s.model_dump()) for s in (self.configure(preset), settings))
        named = {key: value for key, value in new.items() if base.get(key) != value}
        return {key: value for key, value in named.items() if key not in ("seed", "seeds")}


def flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, object]:
    """Nested tables as one, with dotted keys."""
    result: dict[str, object] = {}
    for key, value in table.items():
        if isinstance(value, Mapping):
            result |= flat(value, f"{prefix}{key}.")
        else:
            result[f"{prefix}{key}"] = value
    return result

"""Launching an experiment: from its name and changes to a finished run folder.

launch = prepare(configure("gmm-outliers", "smoke", changes=[{"seeds": 8}]))
for progress in launch.carry_out():
    print(progress)
launch.folder.results
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from toylab import figures, index, outside, parallel, runs
from toylab.configuration import read
from toylab.errors import BadInput, ToylabError, unknown
from toylab.experiments.experiment import Experiment, Progress, RunSettings
from toylab.experiments.models import Models
from toylab.experiments.rehearsal import rehearse
from toylab.runs import Run


@dataclass(frozen=True)
class Configured:
    """An experiment with complete settings."""

    name: str
    experiment: Experiment
    preset: str
    settings: RunSettings

    @property
    def config(self) -> dict[str, Any]:
        """What a run folder's config.json holds."""
        return {"experiment": self.name, "preset": self.preset, **self.settings.model_dump(mode="json")}

    @property
    def note(self) -> str:
        """What is to be known before it is run; empty where there is nothing."""
        if self.preset not in self.experiment.untried:
            return ""
        return f"note: the preset '{self.preset}' of {self.name} has never been run to its end by its authors"


@dataclass(frozen=True)
class Launch:
    """A configured experiment and the folder it fills."""

    configured: Configured
    folder: Run
    device: torch.device

    @property
    def reusing(self) -> str:
        """Which finished run is there already, in words; empty where there is none."""
        done = self.folder.finished
        return f"reusing the run finished {done['date']} with toylab {done['version']}" if done else ""

    def carry_out(self) -> Iterator[Progress]:
        """Run the experiment, draw its figures and mark the folder as finished; nothing where it has been finished in
        the meantime. Raises Unable where another process is at work in the folder, OSError where it cannot be written.
        """
        experiment, start = self.configured.experiment, time.perf_counter()
        with self._alone() as is_done:
            if is_done:
                return
            if parallel.here().rank and experiment.train:
                yield from experiment.train(self.configured.settings, self.folder, self.device)
                parallel.part()
                return
            try:
                yield from experiment.run(self.configured.settings, self.folder, self.device)
                figures.draw(self.folder, experiment.figures)
            finally:
                self.folder.time("", runs.WHOLE, time.perf_counter() - start)
            self.folder.finish()

    @contextmanager
    def _alone(self) -> Iterator[bool]:
        """Whether the run is finished, while no other process is at work on it: the first of several asks for all."""
        with ExitStack() as stack:

            def held() -> bool:
                stack.enter_context(self.folder.held())
                self.folder.tidy()
                return self.folder.is_done

            yield parallel.by_first(held)


def configure(
    name: str,
    preset: str | None = None,
    file: Path | None = None,
    changes: Sequence[Mapping[str, Any]] = (),
    methods: Sequence[str] | None = None,
    allow_code: bool = False,
) -> Configured:
    """Preset, then file, then changes in turn, then the choice of methods: the later wins.

    The preset is "default" unless it is given here or in the file. A file's methods are the methods of the
    run, not changes to the preset's. allow_code: import and run what the file names as `module:object`, which is
    refused otherwise (toylab/outside.py). Raises BadInput.
    """
    index.EXPERIMENTS.load(name)  # its name is told first where it is unknown
    loaded = read(file) if file else {}
    if allow_code:
        outside.admit(*outside.named(loaded))
    meant, preset_of_file = loaded.pop("experiment", name), loaded.pop("preset", "default")
    if meant != name:
        raise BadInput(f"{file} is a configuration of {meant}, not of {name}")
    return configure_from(loaded, name, preset_of_file if preset is None else preset, changes, methods)


def configure_from(
    loaded: Mapping[str, Any],
    name: str,
    preset: str = "default",
    changes: Sequence[Mapping[str, Any]] = (),
    methods: Sequence[str] | None = None,
) -> Configured:
    """The same with the settings of a file as a table, which names neither experiment nor preset. Raises BadInput."""
    experiment: Experiment = index.EXPERIMENTS.load(name)
    if preset not in experiment.presets:
        raise BadInput(unknown("preset", str(preset), experiment.presets))
    settings = experiment.configure(preset, changes, loaded)
    return Configured(name, experiment, preset, settings if methods is None else settings.with_methods(methods))


def prepare(configured: Configured, device: str = "auto", root: Path = Path("runs"), fresh: bool = False) -> Launch:
    """Find or make the run folder: a finished one, one to go on with, or a new one.

    Raises BadInput, also where several processes are to carry out what is for one.
    """
    where = device_of(device)
    if configured.experiment.check:
        configured.experiment.check(configured.settings)
    if parallel.here().size > 1 and configured.experiment.train is None:
        raise BadInput(f"{configured.name} is more than training and measuring: run it on one device")
    return Launch(configured, runs.open_run(root, configured.config, where, fresh), where)


def finished(configured: Configured, device: str = "auto", root: Path = Path("runs")) -> Run | None:
    """Its finished run, if there is one. Raises BadInput."""
    found = runs.find(root, configured.config, device_of(device))
    return found if found is not None and found.is_done else None


def estimate(configured: Configured, device: torch.device) -> float | None:
    """Seconds of a run without a compiler, from a few of its steps; None where settings do not tell its work, and where
    it fails, which is for the run itself to say."""
    study, work = configured.settings, configured.experiment.work
    if work is None or not isinstance(study, Models):
        return None
    training = study.training.model_copy(update={"compile": "off"})
    try:
        return rehearse(study.model_copy(update={"training": training}), device, work).seconds
    except ToylabError:
        raise
    except Exception:
        return None


def device_of(name: str) -> torch.device:
    """auto is CUDA where there is one, else the CPU."""
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        return torch.device("cuda" if available["cuda"] else "cpu")
    if name not in available:
        raise BadInput(unknown("device", name, ["auto", *available]))
    if not available[name]:
        here = ", ".join(device for device, is_there in available.items() if is_there)
        raise BadInput(f"there is no {name} device here; allowed: auto, {here}")
    return torch.device(name)

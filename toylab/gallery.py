"""The gallery: a folder of figures, one sub-folder an experiment, made from run folders.

    OUT/NAME/     figures as PNG and SVG, results.csv and what else says how they were made: config.json,
                  environment.json, finished.json. OUT/NAME-PRESET/ for a preset other than default
    OUT/README.md     what each shows, its command and its date, between two marks; what stands outside them is kept

A run that is missing is made, one that was interrupted goes on, and one that is finished is drawn again: figures
follow the present code of figures, and numbers that of the run.
"""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import torch

from toylab import figures, runs
from toylab.errors import BadInput, one_line, unknown
from toylab.experiments.experiment import told
from toylab.files import write_whole
from toylab.index import EXPERIMENTS
from toylab.launch import Configured, Launch, configure, device_of, estimate, prepare
from toylab.runs import Run

DEFAULT = "default"
WITHOUT_A_SUBJECT = ("lab", "benchmark-task")
"""Experiments that show nothing until settings are chosen: drawn where they are asked for."""
BEGIN, END = "<!-- made by toylab figures -->", "<!-- end -->"
COPIED = ("config.json", "environment.json", "results.csv", "finished.json")
LEAST = 1.0
"""Seconds that a finished run takes to be drawn, about."""


@dataclass(frozen=True)
class Exhibit:
    """An experiment to be drawn: its settings, the root of its run folder, and the run there, if one may be used."""

    configured: Configured
    root: Path
    device: torch.device
    run: Run | None

    @cached_property
    def before(self) -> Run | None:
        """The newest finished run of these settings, whatever sources of toylab and device made it. A setting that it
        did not have yet counts as what it is now by default."""
        name, preset = self.configured.name, self.configured.preset
        found = []
        for mark in self.root.glob(f"{name}-{preset}-*/finished.json"):
            run = Run(mark.parent)
            with contextlib.suppress(BadInput):  # of another experiment, of settings that are no more, or damaged
                _ = run.config  # refuses a pipe, for which `configure` would wait
                if run.is_done and configure(name, None, run.path / "config.json").config == self.configured.config:
                    found.append(((run.finished or {})["date"], run.path))
        return Run(max(found)[1]) if found else None

    @property
    def name(self) -> str:
        """Of its folder in the gallery."""
        preset = self.configured.preset
        return self.configured.name + ("" if preset == DEFAULT else f"-{preset}")

    @property
    def state(self) -> str:
        """What there is of its run."""
        if self.run is not None:
            return f"finished {(self.run.finished or {})['date'][:10]}" if self.run.is_done else "begun"
        return "missing" if self.before is None else "finished by other sources; --redraw draws it"

    @cached_property
    def seconds(self) -> float | None:
        """What it will take, about: as long as the same run took before, or else its work at the speed of a few steps
        of training, tried now. None where there is neither."""
        if self.run is not None and self.run.is_done:
            return LEAST
        whole = None if self.before is None else self.before.seconds
        if whole is None:
            whole = estimate(self.configured, self.device)
        done = 0.0 if self.run is None else self.run.seconds or 0.0
        return None if whole is None else LEAST + max(whole - done, 0.05 * whole)

    def launched(self) -> Launch:
        """The launch that makes its run, or goes on with it."""
        return prepare(self.configured, self.device.type, self.root)


def exhibits(
    names: Sequence[str], preset: str, root: Path, device: str = "auto", redraw: bool = False
) -> list[Exhibit]:
    """What these names, or all experiments that have the preset, come to. redraw: use finished runs of the same
    settings whatever sources made them. Raises BadInput."""
    for name in names:
        if name not in EXPERIMENTS:
            raise BadInput(unknown("experiment", name, EXPERIMENTS))
    known = [name for name in EXPERIMENTS if name not in WITHOUT_A_SUBJECT]
    chosen = names or [name for name in known if preset in EXPERIMENTS.load(name).presets]
    if not chosen:
        raise BadInput(f"no experiment has a preset '{preset}'")
    where, found = device_of(device), []
    for configured in (configure(name, preset) for name in dict.fromkeys(chosen)):
        exhibit = Exhibit(configured, root, where, runs.find(root, configured.config, where))
        if redraw and exhibit.before is not None:
            exhibit = replace(exhibit, run=exhibit.before)
        found.append(exhibit)
    return found


def hang(run: Run, exhibit: Exhibit, out: Path) -> list[Path]:
    """Draw a finished run into its folder of the gallery, with what is behind it; returns the figures written. Figures
    that are there of old and drawn no more go. Raises BadInput where the folder cannot be written."""
    folder = out / exhibit.name
    try:
        folder.mkdir(exist_ok=True)
        made = figures.draw(run, exhibit.configured.experiment.figures, folder)
        for path in folder.iterdir():
            if path.suffix in (".png", ".svg") and path not in made:
                path.unlink()
        for name in COPIED:
            write_whole(folder / name, run.read(name))
    except OSError as error:
        raise BadInput(f"cannot write {folder}: {one_line(error)}") from None
    return made


def write_readme(out: Path) -> Path:
    """Write OUT/README.md anew between its marks, OUT too where it is not there. Raises BadInput where the marks are
    lost or it cannot be written."""
    path = out / "README.md"
    try:
        out.mkdir(parents=True, exist_ok=True)
        before = path.read_text(encoding="utf-8") if path.exists() else f"# Figures\n\n{BEGIN}\n{END}\n"
        if before.count(BEGIN) != 1 or before.count(END) != 1:
            raise BadInput(f"{path} needs the lines {BEGIN} and {END}, once each: what is made stands between them")
        head, tail = before.split(BEGIN)[0], before.split(END)[1]
        write_whole(path, f"{head}{BEGIN}\n{_table(out)}\n{END}{tail}")
    except OSError as error:
        raise BadInput(f"cannot write {path}: {error.strerror}") from None
    return path


def summary_of(name: str) -> str:
    """What an experiment shows: the first paragraph of its module, or else its line in the index."""
    return (told(name)[0] or EXPERIMENTS[name].summary).removesuffix(".")


def _table(out: Path) -> str:
    lines = ["| folder | what it shows | command | made |", "| --- | --- | --- | --- |"]
    for path in sorted(out.glob("*/config.json")):
        run = Run(path.parent)
        name, preset = run.config["experiment"], run.config["preset"]
        command = f"toylab figures {name}" + ("" if preset == DEFAULT else f" --preset {preset}")
        shows = summary_of(name) if name in EXPERIMENTS else "-"
        lines.append(f"| [{path.parent.name}]({path.parent.name}) | {shows} | `{command}` | {_made(run)} |")
    return "\n".join(lines)


def _made(run: Run) -> str:
    """Date and versions, as the run folder has them."""
    if run.finished is None or not (run.path / "environment.json").exists():
        return "not recorded"
    by = run.environment
    return (
        f"{run.finished['date'][:10]}, toylab {by['toylab']}, torch {by['packages']['torch']}, {by['device']}, "
        f"{by['threads']} threads"
    )

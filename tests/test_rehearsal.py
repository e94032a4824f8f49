"""What a run takes, told before it starts."""

from collections.abc import Iterator
from typing import Any
from unittest.mock import Mock

import pytest
import torch

from toylab import launch
from toylab.cli import printing
from toylab.errors import BadInput
from toylab.experiments import rehearsal
from toylab.experiments.rehearsal import Part, Rehearsal, expected, makespan, rehearse, shape
from toylab.launch import configure

CPU = torch.device("cpu")
SMALL = {"training": {"steps": 8, "batch": 16}, "network": {"width": 8, "depth": 1}, "size": 100, "seeds": 1}


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_tasks_are_done_the_longest_first():
    assert makespan([2, 3, 2, 3, 2], 2) == 7  # 3, 3 | 2, 2 | 2
    assert makespan([2, 3, 2, 3, 2], 1) == 12
    assert makespan([5.0], 3) == 5
    assert makespan([], 2) == 0


def test_a_run_takes_what_its_trainings_do_side_by_side(two_threads: None, monkeypatch: pytest.MonkeyPatch):
    """Each is tried with the threads that it will have, and what comes after is shared out as well."""
    threads, tried = [], rehearsal._tried

    def seen(*arguments):
        threads.append(torch.get_num_threads())
        return tried(*arguments)

    monkeypatch.setattr(rehearsal, "_tried", seen)
    configured = configure("gmm-outliers", "smoke", changes=[SMALL], methods=["ddpm", "robust-ran", "robust-adv"])
    found = rehearse(configured.settings, CPU, configured.experiment.work)  # type: ignore[arg-type]
    assert (found.at_once, found.threads, threads, found.is_whole) == (2, 1, [1, 1, 1], True)
    assert torch.get_num_threads() == 2
    *trainings, after = (3600 * part.hours for part in found.parts)
    assert found.seconds == pytest.approx(makespan(trainings, 2) + after / 2)
    assert found.seconds < sum(trainings) + after
    assert rehearse(configured.settings, CPU).is_whole is False  # type: ignore[arg-type]


@pytest.mark.parametrize(("name", "shared"), [("few-steps", True), ("contamination-grid", False)])
def test_what_cells_share_is_trained_once(name: str, shared: bool):
    """Samplers do not matter to trainings, contaminations do."""
    settings: Any = configure(name, "smoke", changes=[SMALL], methods=["ddpm"]).settings
    assert len(settings.cells) > 1
    assert [part.times for part in rehearse(settings, CPU).parts] == [8 if shared else 8 * len(settings.cells)]


def test_cells_whose_steps_cost_something_else_are_tried_as_well(monkeypatch: pytest.MonkeyPatch):
    found, timed = [], rehearsal._timed

    def seen(lab, at_once):
        found.append(lab.clean.dim)
        return timed(lab, at_once)

    monkeypatch.setattr(rehearsal, "_timed", seen)
    grid = {"grid": {"law.dim": [3, 300], "contamination.std": [0.1, 0.2]}}
    settings: Any = configure("dimension-sweep", "smoke", changes=[SMALL, grid], methods=["ddpm"]).settings
    (part,) = rehearse(settings, CPU).parts
    assert (found, part.times) == ([3, 300], 8 * 4)


def test_a_shape_is_what_a_step_costs():
    """Of laws, data and objectives whole numbers, but no fractions."""
    config = configure("lab", "smoke").config
    other = {"law": config["law"] | {"std": 0.7}, "contamination": {"name": "inlier-noise"}}
    assert shape(config | other) == shape(config)
    for key, value in {"law": {"name": "sphere", "dim": 9}, "data": {"name": "a"}, "objective": {"name": "b"}}.items():
        assert shape(config | {key: value}) != shape(config)
    one, both = ["ddpm"], ["ddpm", "robust-ran"]
    assert shape(configure("gmm-outliers", "smoke", methods=both).config) != shape(
        configure("gmm-outliers", "smoke", methods=one).config
    )


def test_what_fails_has_no_estimate_and_what_is_wrong_is_said(monkeypatch: pytest.MonkeyPatch):
    configured = configure("lab", "smoke")
    monkeypatch.setattr(launch, "rehearse", Mock(side_effect=ValueError("the loss ran away")))
    assert launch.estimate(configured, CPU) is None
    monkeypatch.setattr(launch, "rehearse", Mock(side_effect=BadInput("no such file")))
    with pytest.raises(BadInput):
        launch.estimate(configured, CPU)


def test_only_runs_of_which_it_is_a_small_part_are_tried(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(rehearsal, "rehearse", lambda *arguments: "tried")
    for steps, found in ((133, None), (134, "tried")):
        configured = configure("lab", "smoke", changes=[{"training": {"steps": steps}}])
        assert expected(configured.settings, CPU, None) == found
    compiled = configure("lab", "smoke", changes=[{"training": {"steps": 500, "compile": "default"}}])
    assert expected(compiled.settings, CPU, None) is None


def test_a_long_run_says_what_it_takes_and_a_short_one_nothing(toylab, undrawn, tmp_path, monkeypatch):
    settings = ["--methods", "ddpm", "--seeds", 1, "--set", "training.steps=2", "--set", "samples=60", "--set", "nfe=3"]
    settings += ["--set", 'evaluation.metrics=["eps-mse"]', "--set", "evaluation.levels=2", "--out", tmp_path]
    said = {}
    for seconds in (printing.LONG - 1, 400.0):
        found = Rehearsal([Part("ddpm", 1, 1)], 2, 1, seconds, 3 * 2**29, 0, True)
        monkeypatch.setattr(rehearsal, "expected", lambda *arguments, found=found: found)
        code, out, said[seconds] = toylab("run", "gmm-outliers", "--preset", "smoke", "--fresh", *settings)
        assert code == 0
        assert "this takes" not in out
    line = "this takes about 7 min on this machine (2 at once, with 1 thread each), and 1.5 GiB of memory\n"
    assert [*said.values()] == ["", line]

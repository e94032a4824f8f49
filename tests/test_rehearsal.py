"""What a run takes, told before it starts."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from toylab.cli import printing
from toylab.experiments import rehearsal
from toylab.experiments.rehearsal import Part, Rehearsal, expected, makespan, rehearse
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

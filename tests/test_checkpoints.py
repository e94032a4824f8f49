"""Checkpoints: which are kept, and that a damaged one is never used."""

import json
import math
from pathlib import Path

import pytest
import torch

from toylab.checkpoints import Checkpoints
from toylab.runs import Run


def state(step: int) -> dict[str, torch.Tensor]:
    return {"step": torch.tensor(step), "raw.w": torch.full((3,), float(step))}


@pytest.fixture
def saved(tmp_path: Path) -> Checkpoints:
    own = Checkpoints(Run(tmp_path), "ddpm", kept=2)
    for step, loss in ((10, 3.0), (20, 1.0), (30, math.nan), (40, 2.0), (50, 1.5)):
        own.save(state(step), step, loss)
    return own


def test_the_last_few_and_the_best_are_kept(saved: Checkpoints, tmp_path: Path):
    assert [one.step for one in saved.known()] == [20, 40, 50]
    assert saved.best is not None
    assert saved.best.step == 20
    assert {path.name for path in (tmp_path / "checkpoints/ddpm").iterdir()} == {
        f"{step}.{kind}" for step in (20, 40, 50) for kind in ("json", "safetensors")
    }
    found = saved.latest()
    assert found is not None
    assert int(found["step"]) == 50
    assert json.loads((tmp_path / "checkpoints/ddpm/50.json").read_text())["loss"] == 1.5


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-4])


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [_cut, _flip, Path.unlink])
def test_a_damaged_one_is_passed_over_and_named(damage, saved: Checkpoints, tmp_path: Path):
    damage(tmp_path / "checkpoints/ddpm/50.safetensors")
    found = saved.latest()
    assert found is not None
    assert int(found["step"]) == 40
    assert torch.equal(found["raw.w"], torch.full((3,), 40.0))
    assert "ddpm/50.safetensors is damaged" in (tmp_path / "log.txt").read_text()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"step": 50}', '{"step": "x", "loss": 1, "sha256": ""}'])
def test_one_that_does_not_say_what_it_is_counts_for_nothing(text: str, saved: Checkpoints, tmp_path: Path):
    (tmp_path / "checkpoints/ddpm/50.json").write_text(text)
    found = saved.latest()
    assert found is not None
    assert int(found["step"]) == 40


def test_without_a_whole_one_training_begins_anew(saved: Checkpoints, tmp_path: Path):
    for path in (tmp_path / "checkpoints/ddpm").glob("*.safetensors"):
        _flip(path)
    assert saved.latest() is None
    assert Checkpoints(Run(tmp_path), "another").latest() is None

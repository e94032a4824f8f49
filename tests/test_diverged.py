"""Numbers that are not finite: one member that diverges is named, and no mean passes over it."""

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.test_training import run, trainer
from tests.tiny import offered
from toylab import randomness
from toylab.checkpoints import Checkpoints
from toylab.claims.measure import Measure, Missing
from toylab.data import Finite
from toylab.denoisers import Learned
from toylab.distributions.images import digits
from toylab.errors import BadInput
from toylab.index import OBJECTIVES
from toylab.launch import configure, prepare
from toylab.networks.unet import unet
from toylab.objectives import Batch, Denoising
from toylab.results import DIVERGED, interval
from toylab.runs import Run, load
from toylab.schedules import DDPM
from toylab.statistics import Interval, difference, mean
from toylab.summaries import summary
from toylab.training import Trainer, Training

SHORT = Training(steps=4, batch=16)
QUICK = ("ddpm", "robust-adv", "trimmed")


def sicken(monkeypatch: pytest.MonkeyPatch, member: int, step: int, spared: type | None = None) -> None:
    """From a step on the batches of a member are NaN, but for one kind of objective."""
    original = Trainer._batch

    def batch(self: Trainer, part: int) -> Batch:
        made = original(self, part)
        if self.step + 1 >= step and type(self.objective) is not spared:
            made.x0[member] = torch.nan
        return made

    monkeypatch.setattr(Trainer, "_batch", batch)


# -- training ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name not in QUICK)) for name in OBJECTIVES]
)
def test_a_member_that_diverges_leaves_the_others_untouched(name: str, monkeypatch: pytest.MonkeyPatch):
    """Bit for bit, with every objective; and the step is known, also after going on from a checkpoint."""
    healthy = run(trainer((0, 1), SHORT, OBJECTIVES.load(name)()))
    assert healthy.diverged() == {}
    sicken(monkeypatch, 0, 3)
    sick = run(trainer((0, 1), SHORT, OBJECTIVES.load(name)()), until=3)
    resumed = trainer((0, 1), SHORT, OBJECTIVES.load(name)())
    resumed.restore(sick.state())
    assert run(resumed).diverged() == {0: 3}
    expected = healthy.ema.state_dict()
    for key, value in resumed.ema.state_dict().items():
        assert torch.equal(value[1], expected[key][1]), key


@pytest.mark.slow
@pytest.mark.short
def test_members_of_a_unet_do_not_share_a_nan(monkeypatch: pytest.MonkeyPatch):
    def trained() -> Trainer:
        law, seeds = digits(rank=4, components=2), [0, 1]
        network = unet(law.shape, 2, randomness.streams(seeds, "weights"), [4, 8], heads=2)
        sources = [Finite(law, 50, randomness.stream(seed, "data")) for seed in seeds]
        return run(Trainer(Learned(network, DDPM(), data_std=torch.ones(2)), sources, Denoising(), SHORT, seeds))

    expected = trained().ema.state_dict()
    sicken(monkeypatch, 0, 2)
    sick = trained()
    assert sick.diverged() == {0: 2}
    for key, value in sick.ema.state_dict().items():
        assert torch.equal(value[1], expected[key][1]), key


def test_weights_that_are_not_finite_in_the_last_step_are_found():
    t = run(trainer((0, 1), SHORT))
    t._parameters[0].data[1] = torch.inf
    assert t.diverged() == {1: 4}


# -- a run -------------------------------------------------------------------------------------------------------


@pytest.fixture
def tiny() -> Iterator[None]:
    with offered():
        yield


def carried_out(root: Path) -> Run:
    launched = prepare(configure("tiny"), "cpu", root)
    list(launched.carry_out())
    return launched.folder


def test_a_run_with_a_member_that_diverged(tiny, toylab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Its numbers are NaN, whatever a metric makes of it, those of all others are as they were; everyone says so."""
    whole = carried_out(tmp_path / "whole")
    sicken(monkeypatch, 1, 3, Denoising)
    sick = carried_out(tmp_path / "sick")
    (row,) = (row for row in sick.rows if row["metric"] == DIVERGED)
    assert (row["method"], row["seed"], float(row["value"])) == ("robust-adv", "1", 3)
    assert "robust-adv: seed 1 diverged in step 3" in (sick.path / "log.txt").read_text()
    others = [row for row in sick.rows if row["metric"] != DIVERGED]
    for before, after in zip(whole.rows, others, strict=True):
        if (after["method"], after["seed"]) == ("robust-adv", "1"):
            assert after["value"] == after["stderr"] == "nan"
            assert before | {"value": "", "stderr": ""} == after | {"value": "", "stderr": ""}
        else:
            assert before == after
    samples = sick.arrays("samples.npz")["robust-adv"]
    assert np.isfinite(samples).all((1, 2)).tolist() == [True, False]
    with pytest.raises(BadInput, match="robust-adv of seed 1 diverged in step 3"):
        sick.denoiser("robust-adv", 1)
    _, out, _ = toylab("show", sick.path, "--markdown")
    assert "| robust-adv | nan |" in out or "| robust-adv † | nan |" in out
    assert "nan: no mean leaves out what diverged: robust-adv, seed 1, in step 3" in out
    with pytest.raises(Missing, match="not finite"):
        Measure("outlier mass", "outlier-mass").of(sick.rows, "robust-adv")
    before = (sick.path / "results.csv").read_bytes()
    (sick.path / "results.csv").unlink()  # made anew from the weights, which say who diverged
    carried_out(tmp_path / "sick")
    assert (sick.path / "results.csv").read_bytes() == before


@pytest.mark.slow
@pytest.mark.parametrize("spared", [Denoising, None])
@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("gmm-outliers", {}),
        ("trajectory-attack", {"attack": {"budgets": [0.0, 0.3], "points": 20, "attacks": {"adaptive": {"steps": 2}}}}),
    ],
)
def test_figures_are_drawn_with_members_that_diverged(name, more, spared, tmp_path: Path, monkeypatch):
    """One of a method, or the first member of all: a gap, not an error."""
    sicken(monkeypatch, 0, 3, spared)
    small = {"training": {"steps": 4, "batch": 16}, "network": {"width": 8, "depth": 1}, "samples": 60, "size": 100}
    small |= {"nfe": 3, "evaluation": {"levels": 2, "points": 20, "pair": 30}}
    launched = prepare(configure(name, "smoke", changes=[small, more], methods=["ddpm", "robust-adv"]), "cpu", tmp_path)
    list(launched.carry_out())
    assert load(launched.folder.path).is_done
    assert (launched.folder.path / "figures/samples.png").exists()


@pytest.mark.slow
@pytest.mark.parametrize("spared", [Denoising, None])
def test_a_study_of_images_with_a_member_that_diverged(spared, undrawn, tmp_path: Path, monkeypatch):
    sicken(monkeypatch, 0, 3, spared)
    small = {"grid": {"corruption.std": [0.2]}, "few_steps": [], "attack": {"budgets": []}}
    configured = configure("digits-noise", "smoke", changes=[small], methods=["ddpm", "robust-ran"])
    launched = prepare(configured, "cpu", tmp_path)
    list(launched.carry_out())
    failed = {row["method"] for row in launched.folder.rows if row["metric"] == DIVERGED}
    assert failed == ({"robust-ran"} if spared else {"ddpm", "robust-ran"})
    values: dict[tuple[str, str], set[bool]] = {}
    for row in launched.folder.rows:
        if row["metric"] != DIVERGED and row["method"] in ("ddpm", "robust-ran"):
            values.setdefault((row["method"], row["seed"]), set()).add(row["value"] == "nan")
    assert {of for of, nan in values.items() if nan == {True}} == {(name, "0") for name in failed}


# -- statistics --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_no_mean_passes_over_what_is_not_finite(bad: float):
    assert not math.isfinite(Interval.of([1.0, bad, 2.0]).mean)
    assert math.isnan(Interval.of([1.0, bad, 2.0]).half)
    assert not math.isfinite(difference([1.0, bad], [0.0, 0.0]).mean)


@pytest.mark.parametrize("values", [[math.inf, -math.inf], [1e308, 1e308]])
def test_a_mean_that_there_is_not_is_nan(values: list[float]):
    assert math.isnan(mean(values))
    assert str(Interval.of(values)) == "nan"


def test_a_huge_spread_is_infinite():
    assert Interval.of([1e200, -1e200]).half == math.inf


def test_the_summary_says_nan_and_not_the_mean_of_the_rest():
    def row(seed: int, value: str) -> dict[str, str]:
        empty = dict.fromkeys(("sampler", "t", "nfe", "attack", "place", "budget"), "")
        return empty | {"method": "a", "seed": str(seed), "metric": "w2", "against": "clean", "value": value}

    rows = [row(0, "1.0"), row(1, "nan"), row(2, "2.0")]
    assert summary(rows)[1] == ["a", "nan"]
    found = interval(rows, "a", "w2", "clean")
    assert found is not None
    assert math.isnan(found.mean)


def test_checkpoints_of_a_diverged_training_are_never_the_best(tmp_path: Path):
    own = Checkpoints(Run(tmp_path), "a")
    own.save({"step": torch.tensor(1)}, 1, 2.0)
    own.save({"step": torch.tensor(2)}, 2, math.nan)
    assert own.best is not None
    assert own.best.step == 1

"""The noise-aware oracle: it learns the clean law from noisy points, and nobody else is told."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.test_objectives import batch, network
from tests.test_theory import best_affine
from toylab import randomness
from toylab.contamination import compose, inlier_noise, outliers
from toylab.data import Endless, Finite, Labelled, LabelledEndless, LabelledFinite, batches, labelled_batches
from toylab.denoisers import Denoiser, Exact, Learned, NoiseLevel
from toylab.distributions import Distribution, GaussianMixture
from toylab.distributions.named import three_gaussians
from toylab.errors import BadInput
from toylab.index import OBJECTIVES
from toylab.networks import Affine
from toylab.objectives import Ambient, Batch, Denoising, OnCleanData
from toylab.schedules import VPLinear
from toylab.theory import gaussian_optimum
from toylab.training import Trainer, Training
from toylab.weightings import Weighting

SCHEDULE = VPLinear()
LAW = GaussianMixture([[0.5, -1.0, 0.2]], cov=[[0.8, 0.3, 0.0], [0.3, 0.5, -0.1], [0.0, -0.1, 0.04]])
STD = 0.4
ABOVE, BELOW = (SCHEDULE.time(ratio) for ratio in (0.75, 0.3))  # σ/α on either side of σ_n


def labelled(law: Distribution, members: int, n: int, t: float | tuple[float, float], seed: int = 0) -> Batch:
    """A float64 batch of an endless labelled source, at one time or uniform on an interval."""
    streams = randomness.streams(range(seed, seed + members), "test")
    source = LabelledEndless(law, dtype=torch.float64)
    x0, noisy = labelled_batches([source] * members, n, streams)
    low, high = t if isinstance(t, tuple) else (t, t)
    time = low + (high - low) * randomness.rand((members, n), streams, x0)
    return Batch(x0, time, randomness.randn(x0.shape, streams, x0), noisy=noisy)


def exact_affine(law: GaussianMixture, t: float) -> Tensor:
    matrix, bias = gaussian_optimum(Denoising(), law, *(float(level) for level in SCHEDULE(t)))
    return torch.cat([matrix, bias[:, None]], 1)


@pytest.mark.parametrize("fraction", [0.5, 1.0])
@pytest.mark.parametrize("ratio", [0.42, 0.75, 3.0])
def test_above_the_threshold_the_best_affine_model_is_the_clean_laws(fraction: float, ratio: float):
    """Normal equations on 32 members' batches of endless labelled data: their mean is within 4 standard errors of the
    clean law's closed form, which plain denoising of the same data misses by more than 10."""
    t, members = SCHEDULE.time(ratio), 32
    b = labelled(inlier_noise(LAW, fraction, STD), members, 3_000, t)
    errors = {}
    for objective in (Ambient(STD), Denoising()):
        found = best_affine(objective, b, SCHEDULE)
        errors[objective] = (found.mean(0) - exact_affine(LAW, t)) / (found.std(0) / members**0.5)
    assert errors[Ambient(STD)].abs().max() < 4
    assert errors[Denoising()].abs().max() > 10


def test_the_ordinary_loop_trains_it_to_the_clean_law():
    """All points noisy: the affine network within 2 % of the clean law's ε, 10 % and more from the noisy law's."""
    law, seeds = inlier_noise(LAW, 1.0, STD), [0, 1]
    model = Affine(3, len(seeds), randomness.streams(seeds, "weights"))
    settings = Training(steps=320, batch=3072, lr=0.03, ema=0.98, clip=100.0)
    sources, span = [LabelledEndless(law)] * 2, (ABOVE, ABOVE)
    trainer = Trainer(Learned(model, SCHEDULE), sources, Ambient(STD), settings, seeds, span)
    for _ in trainer:
        pass
    clean = exact_affine(LAW, ABOVE)[:, :3]
    seen = exact_affine(GaussianMixture(LAW.means, cov=law.laws[1].cov), ABOVE)[:, :3]
    for weight in trainer.ema.network.linear.weight.double():
        assert (weight.T - clean).norm() < 0.02 * clean.norm()
        assert (weight.T - seen).norm() > 0.1 * seen.norm()


def gradients(objective: Ambient | Denoising, b: Batch) -> tuple[Tensor, list[Tensor]]:
    denoiser = network(len(b.x0))
    loss = objective(denoiser, b)
    return loss, list(torch.autograd.grad(loss.sum(), list(denoiser.parameters())))


def test_below_the_threshold_the_clean_points_alone_teach():
    """Loss and gradient are those of denoising the clean points."""
    b = batch(members=1)
    noisy = torch.arange(64)[None] % 3 > 0
    b = replace(b, t=torch.full_like(b.t, 0.1), noisy=noisy)
    clean = Batch(b.x0[:, ~noisy[0]], b.t[:, ~noisy[0]], b.eps[:, ~noisy[0]])
    alpha, sigma = (float(level) for level in network(1).schedule(0.1))
    std = 1.01 * sigma / alpha
    for found, expected in zip(*(gradients(*pair) for pair in ((Ambient(std), b), (Denoising(), clean))), strict=True):
        torch.testing.assert_close(found, expected)
    moved = replace(b, x0=torch.where(noisy[..., None], b.x0 + 5.0, b.x0))
    assert torch.equal(gradients(Ambient(std), moved)[0], gradients(Ambient(std), b)[0])
    just_above = Ambient(0.99 * sigma / alpha)
    assert not torch.equal(gradients(just_above, moved)[0], gradients(just_above, b)[0])


def test_where_nothing_teaches_the_loss_is_zero():
    b = batch()
    b = replace(b, t=torch.full_like(b.t, 0.05), noisy=torch.ones_like(b.t, dtype=torch.bool))
    loss, gradient = gradients(Ambient(1.0), b)
    assert not loss.any()
    assert not any(g.any() for g in gradient)


def test_the_loss_is_the_error_of_the_noisy_point():
    """Recomputed from ŷ = (1 - τ²/σ²) x_t/α + (τ²/σ²) x̂_0, in units of τ/α; and clean points as in denoising."""
    denoiser = Exact(three_gaussians(), SCHEDULE)
    b = labelled(inlier_noise(three_gaussians(), 1.0, STD), 2, 100, (ABOVE, 1.0))
    alpha, sigma = (level[..., None] for level in SCHEDULE(b.t))
    tau = (sigma**2 - (alpha * STD) ** 2).sqrt()
    x_t = alpha * b.x0 + tau * b.eps
    share = (tau / sigma) ** 2
    y = (1 - share) * x_t / alpha + share * denoiser.x0(x_t, b.t)
    expected = (alpha / tau * (y - b.x0)).square().mean((1, 2))
    torch.testing.assert_close(Ambient(STD, Weighting("eps"))(denoiser, b), expected)
    clean = replace(b, noisy=torch.zeros_like(b.noisy))  # type: ignore[arg-type]
    torch.testing.assert_close(Ambient(STD)(denoiser, clean), Denoising()(denoiser, b))
    torch.testing.assert_close(Ambient(0.0)(denoiser, b), Denoising()(denoiser, b))


class Bent(Denoiser):
    """An exact ε plus Σ_k θ_k f_k(x_t), θ (M, k): for derivatives of a loss at the exact one."""

    def __init__(self, law: Distribution, theta: Tensor):
        self.exact, self.theta, self.schedule = Exact(law, SCHEDULE), theta, SCHEDULE

    def at(self, t: Tensor | float) -> NoiseLevel:
        return _BentLevel(self, t)


class _BentLevel(NoiseLevel):
    def __init__(self, bent: Bent, t: Tensor | float):
        self.level, self.theta = bent.exact.at(t), bent.theta
        self.alpha, self.sigma, self.gain = self.level.alpha, self.level.sigma, self.level.gain

    def eps(self, x_t: Tensor) -> Tensor:
        along = [torch.ones_like(x_t), x_t, x_t.flip(-1), x_t.sin(), x_t.square(), (3 * x_t).cos()]
        return self.level.eps(x_t) + sum(
            k[:, None, None] * f for k, f in zip(self.theta.unbind(-1), along, strict=True)
        )

    def predict(self, x_t: Tensor) -> tuple[Tensor, Tensor]:
        eps = self.eps(x_t)
        return (x_t - self.sigma[..., None] * eps) / self.alpha[..., None], eps


@pytest.mark.parametrize("fraction", [0.5, 1.0])
def test_the_clean_laws_denoiser_is_stationary(fraction: float):
    """Three Gaussians, all levels: the gradient along six directions, over 64 independent batches, is within 4
    standard errors of 0; that at the contaminated law's own denoiser is not, by more than 10."""
    law, members = three_gaussians(), 64
    seen = inlier_noise(law, fraction, STD)
    b = labelled(seen, members, 4000, (ABOVE if fraction == 1 else SCHEDULE.t_min, SCHEDULE.t_max))
    z = {}
    for at in (law, seen):
        theta = torch.zeros(members, 6, dtype=torch.float64, requires_grad=True)
        (gradient,) = torch.autograd.grad(Ambient(STD)(Bent(at, theta), b).sum(), theta)
        z[at] = gradient.mean(0) / (gradient.std(0) / members**0.5)
    assert z[law].abs().max() < 4
    assert z[seen].abs().max() > 10


# -- who is told ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seen", [inlier_noise(LAW), compose(LAW, partial(inlier_noise, fraction=0.5), outliers)])
def test_labelled_sources_have_the_points_and_batches_of_the_others(seen: Distribution):
    plain: list[Finite | Endless] = [Finite(seen, 50, randomness.stream(0, "data")), Endless(seen)]
    told: list[Labelled] = [LabelledFinite(seen, 50, randomness.stream(0, "data")), LabelledEndless(seen)]
    for one, other in zip(plain, told, strict=True):
        expected = batches([one], 300, [randomness.stream(1, "batches")])
        points, noisy = labelled_batches([other], 300, [randomness.stream(1, "batches")])
        assert torch.equal(points, expected)
        assert torch.equal(batches([other], 300, [randomness.stream(1, "batches")]), expected)
        assert (noisy.shape, noisy.dtype) == ((1, 300), torch.bool)
        assert 0 < noisy.double().mean() < 1
        assert (one.size, one.dim, one.shape, one.device) == (other.size, other.dim, other.shape, other.device)


def test_labels_are_those_of_their_points():
    """Outliers far away are the labelled ones, in the set and in its batches."""
    seen = outliers(GaussianMixture([[0.0, 0.0]], std=0.1), 0.3, low=5.0, high=6.0)
    for source in (LabelledFinite(seen, 500, torch.Generator().manual_seed(0)), LabelledEndless(seen)):
        points, noisy = source.labelled_batch(400, torch.Generator().manual_seed(1))
        assert torch.equal(noisy, points[:, 0] > 2.5)
        assert noisy.any()


@pytest.mark.parametrize("name", OBJECTIVES)
def test_labels_reach_the_oracle_that_asks_and_no_other(name: str):
    """From sources that have them; x_0, t and ε are those of plain denoising, bit for bit."""
    objective, seen = OBJECTIVES.load(name)(), inlier_noise(three_gaussians())

    def first_batch(objective: object) -> Batch:
        sources = [LabelledFinite(seen, 100, g) for g in randomness.streams([0, 1], "data")]
        return Trainer(network(), sources, objective, Training(steps=1, batch=16), [0, 1])._batch(0)  # type: ignore[arg-type]

    b, plain = first_batch(objective), first_batch(Denoising())
    assert (b.noisy is not None) == (name == "ambient")
    assert all(torch.equal(getattr(b, field), getattr(plain, field)) for field in ("x0", "t", "eps"))


def test_a_part_of_a_batch_keeps_its_labels():
    b = replace(batch(), noisy=torch.arange(64).expand(2, 64) % 2 == 0)
    part = b.part(slice(1, None, 2))
    assert part.noisy is not None
    assert part.noisy.shape == part.t.shape
    assert not part.noisy.any()
    assert batch().part(slice(0, 3)).noisy is None


def test_what_cannot_tell_is_refused():
    for build in (lambda: LabelledFinite(LAW, 10), lambda: LabelledEndless(LAW)):
        with pytest.raises(BadInput, match="labels are those of a contaminated law, not of GaussianMixture"):
            build()
    sources = [LabelledFinite(inlier_noise(three_gaussians()), 10), Finite(three_gaussians(), 10)]
    with pytest.raises(BadInput, match="needs sources that say which points are contaminated"):
        Trainer(network(), sources, Ambient(), Training(), [0, 1])
    Trainer(network(), sources, OnCleanData(), Training(), [0, 1])
    with pytest.raises(BadInput, match="its batches must say which points are noisy"):
        Ambient()(network(), batch())
    for std in (-0.1, float("nan"), float("inf")):
        with pytest.raises(BadInput, match="std must be finite"):
            Ambient(std)


SMALL = [
    "--preset", "smoke", "--set", "law=oblique-plane", "--set", "objective=ambient", "--set", "training.steps=4",
    "--set", "samples=60", "--set", "evaluation.levels=2", "--set", "evaluation.points=20",
    "--set", "evaluation.pair=30", "--set", "nfe=3",
]  # fmt: skip


@pytest.mark.parametrize("size", ["100", "null"])
def test_the_lab_trains_it_on_inlier_noise(toylab, undrawn, tmp_path: Path, size: str):
    noise = ["--set", "contamination=inlier-noise", "--set", f"size={size}"]
    code, _, err = toylab("run", "lab", *SMALL, *noise, "--out", tmp_path)
    assert code == 0, err
    assert list(tmp_path.glob("lab-smoke-*/weights/ambient.safetensors"))


def test_the_lab_refuses_it_on_clean_data(toylab, tmp_path: Path):
    code, _, err = toylab("run", "lab", *SMALL, "--set", "contamination=none", "--out", tmp_path)
    assert code == 2
    (line,) = err.strip().splitlines()
    assert "ambient is told which points are contaminated, so it needs a contamination" in line
    assert not list(tmp_path.iterdir())

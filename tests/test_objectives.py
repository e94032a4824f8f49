"""Objectives: what they compute, and that λ = 0 is the baseline bit for bit."""

from dataclasses import dataclass, replace

import pytest
import torch

from toylab.denoisers import Exact, Learned
from toylab.distributions.named import gaussian, three_gaussians
from toylab.errors import BadInput
from toylab.index import OBJECTIVES
from toylab.networks import MLP
from toylab.objectives import (
    Batch,
    Denoising,
    Objective,
    Plan,
    Regularised,
    invariance,
    robust_adv,
    robust_pgd,
    robust_ran,
)
from toylab.perturbations import FGSM, Direction, Gaussian, Radius, Random
from toylab.schedules import DDPM

FLAT = Radius(0.5, 0.0, 0.0, random=False)


def network(members: int = 2) -> Learned:
    return Learned(
        MLP(2, 16, 2, members=members, generators=[torch.Generator().manual_seed(k) for k in range(members)]), DDPM()
    )


def batch(members: int = 2, n: int = 64) -> Batch:
    g = torch.Generator().manual_seed(7)
    x0, eps = (torch.randn(members, n, 2, generator=g) for _ in range(2))
    return Batch(x0, torch.rand(members, n, generator=g) * 0.9 + 0.05, eps)


def batch_for(objective: Objective) -> Batch:
    """A batch with labels for an oracle that is told them, without for all others."""
    noisy = torch.arange(64).expand(2, 64) % 3 > 0
    return replace(batch(), noisy=noisy) if getattr(objective, "oracle", None) == "labelled" else batch()


@pytest.mark.parametrize("name", OBJECTIVES)
def test_contract(name: str):
    objective, denoiser = OBJECTIVES.load(name)(), network()
    loss = objective(denoiser, batch_for(objective), [torch.Generator().manual_seed(k) for k in range(2)])
    assert loss.shape == (2,)
    assert loss.isfinite().all()
    loss.sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in denoiser.parameters())


@pytest.mark.parametrize("name", OBJECTIVES)
def test_evaluations_are_counted(name: str, monkeypatch: pytest.MonkeyPatch):
    denoiser, calls = network(), []
    monkeypatch.setattr(
        denoiser.network,
        "forward",
        lambda x, level, f=denoiser.network.forward: (calls.append(x.shape[1]), f(x, level))[1],
    )
    objective = OBJECTIVES.load(name)()
    objective(denoiser, batch_for(objective), torch.Generator())
    assert sum(calls) == 64 * objective.evaluations


@pytest.mark.parametrize("build", [robust_ran, robust_adv, invariance])
def test_lambda_zero_is_the_baseline_bit_for_bit(build):
    losses, gradients = [], []
    for objective in (Denoising(), build(lam=0.0)):
        denoiser, g = network(), torch.Generator().manual_seed(0)
        loss = objective(denoiser, batch(), g)
        loss.sum().backward()
        losses.append(loss)
        gradients.append([p.grad for p in denoiser.parameters()])
        assert g.get_state().equal(torch.Generator().manual_seed(0).get_state())
    assert torch.equal(*losses)
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))


def test_lambda_zero_for_one_member_leaves_the_other_regularised():
    objective = Regularised(lam=torch.tensor([0.0, 1.0]), radius=FLAT)
    loss = objective(network(), batch(), torch.Generator().manual_seed(0))
    plain = Denoising()(network(), batch())
    torch.testing.assert_close(loss[0], plain[0])
    assert loss[1] > plain[1]


def test_exact_equivariance_costs_nothing():
    """A point mass at 0 has ε(x) = x/σ: perfectly equivariant, so only invariance is punished."""
    denoiser = Exact(gaussian(2, std=0.0), DDPM())
    b = batch()
    b = Batch(torch.zeros_like(b.x0), b.t, b.eps)
    for build in (robust_ran, robust_adv):
        loss = build(radius=FLAT)(denoiser, b, torch.Generator().manual_seed(0))
        torch.testing.assert_close(loss, torch.zeros(2), atol=1e-8, rtol=0)
    loss = invariance(lam=0.3, radius=FLAT)(denoiser, b, torch.Generator().manual_seed(0))
    torch.testing.assert_close(loss, torch.full((2,), 0.3 * 0.25), rtol=1e-4, atol=0)


def test_the_penalty_is_what_the_formula_says(generator: torch.Generator):
    """L_AT - L_DM over λ, recomputed from ω drawn with the same stream."""
    denoiser, b, lam = Exact(three_gaussians(), DDPM()), batch(), 0.7
    objective = robust_ran(lam, FLAT)
    loss = objective(denoiser, b, torch.Generator().manual_seed(3))
    alpha, sigma = (level[..., None] for level in DDPM()(b.t))
    x_t = alpha * b.x0 + sigma * b.eps
    omega = 0.5 * (2 * torch.rand(x_t.shape, generator=torch.Generator().manual_seed(3)) - 1)
    gap = denoiser.eps(x_t + sigma * omega, b.t) - denoiser.eps(x_t, b.t) - omega
    expected = (denoiser.eps(x_t, b.t) - b.eps).square().mean((1, 2)) + lam * gap.square().mean((1, 2))
    torch.testing.assert_close(loss, expected)


def test_gradient_through_the_target_is_a_setting():
    gradients = []
    for through in (True, False):
        denoiser = network()
        robust_ran(1.0, FLAT, through=through)(denoiser, batch(), torch.Generator().manual_seed(0)).sum().backward()
        gradients.append(next(denoiser.parameters()).grad)
    assert not torch.allclose(*gradients)


# -- plans ----------------------------------------------------------------------------------------------------


def drawn(objective: Regularised, b: Batch) -> torch.Tensor:
    return objective(Exact(three_gaussians(), DDPM()), b, torch.Generator().manual_seed(3))


def test_a_regulariser_rests_until_it_starts_and_then_grows():
    b = batch()
    plain = Denoising()(Exact(three_gaussians(), DDPM()), b)
    full = drawn(robust_ran(1.0, FLAT), b) - plain
    plan = Plan(start=0.5, ramp=0.2)
    for step, share in ((0, 0.0), (49, 0.0), (55, 0.25), (60, 0.5), (70, 1.0), (99, 1.0)):
        loss = drawn(robust_ran(1.0, FLAT, plan=plan), replace(b, step=step, steps=100))
        torch.testing.assert_close(loss, plain + share * full)
    assert robust_ran(plan=Plan(start=0.9)).evaluations == pytest.approx(1.1)


@pytest.mark.parametrize("direction", [Random(), FGSM(), Gaussian()])
def test_a_radius_may_grow_over_training(direction: Direction):
    """From 0 at its start: the same as a training with the share of the radius that it has in this step."""
    b, half = batch(), replace(FLAT, r0=0.5 * FLAT.r0)
    plan = Plan(start=0.5, widen=0.2)
    for step, radius in ((0, None), (50, replace(FLAT, r0=0.0)), (60, half), (70, FLAT), (99, FLAT)):
        here = replace(b, step=step, steps=100)
        wanted = Denoising() if radius is None else Regularised(1.0, radius, direction)
        torch.testing.assert_close(drawn(Regularised(1.0, FLAT, direction, plan=plan), here), drawn(wanted, here))
    done = replace(b, step=99, steps=100)
    grown = [drawn(Regularised(1.0, FLAT, direction, plan=p), done) for p in (Plan(widen=0.3), Plan())]
    assert torch.equal(*grown)


def test_a_penalty_by_itself_in_one_step_of_three():
    """The same as with the loss, on the same pushes; the loss is then the plain one."""
    b, denoiser = batch(), Exact(three_gaussians(), DDPM())
    plain = Denoising()(denoiser, b)
    for direction in (Random(), FGSM()):
        full = drawn(Regularised(1.0, FLAT, direction), b) - plain
        objective = Regularised(1.0, FLAT, direction, plan=Plan(every=3))
        lasting = [
            objective.lasting(denoiser, replace(b, step=step, steps=9), torch.Generator().manual_seed(3))
            for step in range(4)
        ]
        assert [part is None for part in lasting] == [False, True, True, False]
        torch.testing.assert_close(lasting[0], full)
        assert torch.equal(drawn(objective, b), plain)
    assert drawn(Regularised(1.0, FLAT), b).gt(plain).all()
    assert Regularised(1.0, FLAT).lasting(denoiser, b) is None
    assert Regularised(0.0, FLAT, plan=Plan(every=3)).lasting(denoiser, b) is None


def test_one_sample_in_four_has_the_mean_of_all():
    """Over four steps each sample is seen once: with ω fixed by its coordinates alone, the penalties average out."""
    b, denoiser = batch(), Exact(three_gaussians(), DDPM())

    @dataclass(frozen=True)
    class Constant:
        evaluations = 0

        def __call__(self, scene, radius, generators):
            return torch.full_like(scene.x_t, 0.4)

    plain = Denoising()(denoiser, b)
    full = drawn(Regularised(1.0, FLAT, Constant()), b) - plain
    objective = Regularised(1.0, FLAT, Constant(), plan=Plan(one_in=4))
    parts = [drawn(objective, replace(b, step=step, steps=4)) - plain for step in range(4)]
    torch.testing.assert_close(torch.stack(parts).mean(0), full)
    assert objective.evaluations == 1.25


def test_lambda_may_follow_the_noise():
    b = batch()
    t = torch.full_like(b.t, 0.3)
    b = Batch(b.x0, t, b.eps)
    plain = Denoising()(Exact(three_gaussians(), DDPM()), b)
    full, scaled = (drawn(robust_ran(1.0, FLAT, plan=Plan(rho=rho)), b) - plain for rho in (0.0, 2.0))
    torch.testing.assert_close(scaled, full * float(DDPM()(0.3)[1]) ** 2, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("build", [robust_ran, robust_adv, robust_pgd, invariance])
def test_a_part_of_the_batch_costs_its_share(build, monkeypatch: pytest.MonkeyPatch):
    denoiser, seen = network(), []
    forward = denoiser.network.forward
    monkeypatch.setattr(denoiser.network, "forward", lambda x, level: (seen.append(x.shape[1]), forward(x, level))[1])
    objective = build(plan=Plan(one_in=8))
    loss = objective(denoiser, batch(), torch.Generator())
    assert sum(seen) == 64 * objective.evaluations
    loss.sum().backward()
    seen.clear()
    objective = build(plan=Plan(one_in=8, every=2))
    objective(denoiser, batch(), torch.Generator())
    objective.lasting(denoiser, batch(), torch.Generator())
    assert 64 + (sum(seen) - 64) / 2 == 64 * objective.evaluations


@pytest.mark.parametrize(
    "bad",
    [
        {"start": 1.0},
        {"start": -0.1},
        {"ramp": 1.5},
        {"one_in": 0},
        {"every": 0},
        {"rho": float("nan")},
        {"widen": -0.1},
    ],
)
def test_bad_plans(bad: dict[str, float]):
    with pytest.raises(BadInput):
        Plan(**bad)  # type: ignore[arg-type]

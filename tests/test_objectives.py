"""Objectives: what they compute, and that λ = 0 is the baseline bit for bit."""

import pytest
import torch

from toylab.denoisers import Exact, Learned
from toylab.distributions.named import gaussian, three_gaussians
from toylab.index import OBJECTIVES
from toylab.networks import MLP
from toylab.objectives import Batch, Denoising, Regularised, invariance, robust_adv, robust_ran
from toylab.perturbations import Radius
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


@pytest.mark.parametrize("name", OBJECTIVES)
def test_contract(name: str):
    objective, denoiser = OBJECTIVES.load(name)(), network()
    loss = objective(denoiser, batch(), [torch.Generator().manual_seed(k) for k in range(2)])
    assert loss.shape == (2,)
    assert loss.isfinite().all()
    loss.sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in denoiser.parameters())


@pytest.mark.parametrize("name", [name for name in OBJECTIVES if name != "ddpm"])
def test_evaluations_are_counted(name: str, monkeypatch: pytest.MonkeyPatch):
    denoiser, calls = network(), []
    monkeypatch.setattr(
        denoiser.network,
        "forward",
        lambda x, level, f=denoiser.network.forward: (calls.append(x.shape[1]), f(x, level))[1],
    )
    objective = OBJECTIVES.load(name)()
    objective(denoiser, batch(), torch.Generator())
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

"""The closed forms on Gaussians: against a numerical minimiser, the perturbations themselves, and training."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import scipy.optimize
import torch
from torch import Tensor

from toylab import data, randomness
from toylab.data import Endless
from toylab.denoisers import Given, Learned
from toylab.distributions import GaussianMixture
from toylab.errors import BadInput
from toylab.networks import Affine
from toylab.objectives import (
    DRO,
    Ambient,
    Batch,
    Denoising,
    Objective,
    OnCleanData,
    Plan,
    PseudoHuber,
    Regularised,
    Trimmed,
    invariance,
    robust_adv,
    robust_l2,
    robust_onesided,
    robust_pgd,
    robust_ran,
)
from toylab.perturbations import FGSM, PGD, Gaussian, Norm, Radius, Random, Scene
from toylab.schedules import Schedule, VPLinear
from toylab.theory import AffineOptimum, gaussian_optimum, grid_optimum, implied_law
from toylab.theory.moments import climbed_moment, second_moment, signed_moment
from toylab.training import Trainer, Training

COV = np.array([[0.8, 0.3, 0.0], [0.3, 0.5, -0.1], [0.0, -0.1, 0.04]])
LAW = GaussianMixture([[0.5, -1.0, 0.2]], cov=torch.from_numpy(COV))
FLAT = Radius(1.0, 0.0, 0.0, random=False)
DRAWN = Radius(3.0, 1.0, 0.1)
LAM = 0.7
RAN, INV = robust_ran(LAM, FLAT), invariance(LAM, FLAT, direction="random")
ADV, INV_ADV = robust_adv(LAM, FLAT), invariance(LAM, FLAT)
OBJECTIVES = {
    "ddpm": Denoising(),
    "ran": RAN,
    "ran-drawn": robust_ran(LAM, DRAWN),
    "ran-detached": robust_ran(LAM, FLAT, through=False),
    "inv": INV,
    "adv": ADV,
    "adv-drawn-detached": robust_adv(LAM, DRAWN, through=False),
    "adv-short": robust_adv(LAM, FLAT, FGSM(0.4)),
    "inv-adv": INV_ADV,
    "eot": robust_adv(LAM, FLAT, FGSM(draws=3)),
    "fgsm-l2": robust_adv(LAM, FLAT, FGSM(0.8, norm="l2")),
    "pgd": robust_pgd(LAM, FLAT),
    "pgd-l2": robust_l2(LAM, DRAWN),
}


def affine_level(optimum: AffineOptimum, alpha: float, sigma: float):  # type: ignore[no-untyped-def]
    """A denoiser at a noise level whose ε is the affine map."""
    schedule = VPLinear()
    network = Affine(len(optimum.bias)).double()
    network.linear.weight.data[0], network.linear.bias.data[0] = optimum.matrix.T, optimum.bias[None]
    return Learned(network, schedule).double().at(torch.full((1, 1), schedule.time(sigma / alpha), dtype=torch.float64))


def best_affine(objective: Objective, batch: Batch, schedule: Schedule) -> Tensor:
    """(M, d, d + 1): the affine model [A b] with the least loss on this batch, at frozen perturbations. The loss is
    quadratic in it, so its gradients at 0 and at the unit vectors are its normal equations."""
    members, _, dim = batch.x0.shape
    model = Affine(dim, members).double()
    denoiser, parameters = Learned(model, schedule).double(), (model.linear.weight, model.linear.bias)

    def gradient(unit: int | None) -> Tensor:
        for p in parameters:
            p.data.zero_()
        if unit is not None:
            row, column = divmod(unit, dim)
            parameters[row == dim].data[:, row % dim, column] = 1.0
        streams = randomness.streams(range(members), "perturbation")
        gradients = torch.autograd.grad(objective(denoiser, batch, streams).sum(), parameters)
        return torch.cat(gradients, 1).flatten(1)

    start = gradient(None)
    hessian = torch.stack([gradient(unit) - start for unit in range(dim * (dim + 1))], -1)
    return torch.linalg.solve(hessian, -start).reshape(members, dim + 1, dim).mT


def test_denoising_optimum_is_the_exact_score():
    x = torch.randn(10, 3, dtype=torch.float64)
    matrix, bias = gaussian_optimum(Denoising(), LAW, 0.8, 0.6)
    torch.testing.assert_close(x @ matrix.T + bias, -0.6 * LAW.score(x, 0.8, 0.6))


def test_equivariant_optimum_is_the_score_of_the_shrunken_law():
    """ε of N(μ, Σ/(1 + λs)), s = r²/3; r²/9 with a drawn radius."""
    x = torch.randn(10, 3, dtype=torch.float64)
    for radius, s in ((FLAT, 1 / 3), (Radius(1.0, 0.0, 0.0), 1 / 9)):
        objective = robust_ran(LAM, radius)
        shrunken = GaussianMixture(LAW.means, cov=LAW.cov / (1 + LAM * s))
        matrix, bias = gaussian_optimum(objective, LAW, 0.8, 0.6)
        torch.testing.assert_close(x @ matrix.T + bias, -0.6 * shrunken.score(x, 0.8, 0.6))
        implied = implied_law(objective, LAW, 0.8, 0.6)
        torch.testing.assert_close(implied.cov, shrunken.cov)
        torch.testing.assert_close(implied.mean, LAW.mean)


def test_invariance_implies_a_law_that_grows_with_the_noise():
    """ε of N(μ, Σ + λs(σ/α)² I)."""
    for alpha, sigma in ((0.8, 0.6), (0.6, 0.8)):
        wider = LAW.cov + LAM / 3 * (sigma / alpha) ** 2 * torch.eye(3, dtype=torch.float64)
        torch.testing.assert_close(implied_law(INV, LAW, alpha, sigma).cov, wider)


def test_adversary_aligned_with_the_axes_shrinks_by_the_whole_radius():
    """With Σ diagonal AᵀA is, so ω = ±r in every coordinate and S = r²I; in another basis ε is no law's."""
    diagonal = GaussianMixture(LAW.means, std=[[0.9, 0.5, 0.2]])
    torch.testing.assert_close(implied_law(ADV, diagonal, 0.8, 0.6).cov, diagonal.cov / (1 + LAM))
    with pytest.raises(BadInput, match="not symmetric"):
        implied_law(ADV, LAW, 0.8, 0.6)
    with pytest.raises(BadInput, match="alpha = 0"):
        implied_law(RAN, LAW, 0.0, 1.0)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_optimum_minimises_the_expected_loss(name: str):
    """The expected loss of an affine model is a quadratic in (A, b) for the S of its own perturbations; scipy
    minimises it without our formula, S measured on the direction itself (200,000 draws)."""
    objective, alpha, sigma = OBJECTIVES[name], 0.8, 0.6
    optimum = gaussian_optimum(objective, LAW, alpha, sigma)
    s, error = np.zeros((3, 3)), 1e-6
    if isinstance(objective, Regularised):
        level, n = affine_level(optimum, alpha, sigma), 200_000
        x_t, generator = torch.zeros(1, n, 3, dtype=torch.float64), torch.Generator().manual_seed(0)
        radius = objective.radius(level.alpha.expand(1, n), level.sigma.expand(1, n), generator)
        omega = objective.direction(Scene(level, x_t, x_t), radius, generator)[0]
        product = omega[:, :, None] * omega[:, None, :]
        s = product.mean(0).numpy()
        error = 5 * float(product.std(0).max()) / n**0.5
        expected = second_moment(objective, optimum.matrix, alpha, sigma)
        assert float((expected - product.mean(0)).abs().max()) < error
    mean, p = alpha * LAW.mean.numpy(), alpha**2 * COV + sigma**2 * np.eye(3)
    lam = float(getattr(objective, "lam", 0.0))
    target = np.eye(3) if getattr(objective, "equivariant", True) else np.zeros((3, 3))

    def expected_loss(theta: np.ndarray) -> float:
        a, b = theta[:9].reshape(3, 3), theta[9:]
        gap, offset = sigma * a - target, a @ mean + b
        return np.trace(a @ p @ a.T) + offset @ offset - 2 * sigma * np.trace(a) + lam * np.trace(gap @ s @ gap.T)

    found = scipy.optimize.minimize(expected_loss, np.zeros(12), method="BFGS", options={"gtol": 1e-10}).x
    np.testing.assert_allclose(found[:9].reshape(3, 3), optimum.matrix.numpy(), atol=3 * error)
    np.testing.assert_allclose(found[9:], optimum.bias.numpy(), atol=3 * error)


@pytest.mark.parametrize(("dim", "step", "error"), [(1, 1.0, 1e-12), (2, 1.0, 1e-7), (3, 0.4, 3e-5), (3, 1.7, 1e-4)])
def test_moment_of_a_signed_step(dim: int, step: float, error: float):
    """Against 300,000 plain draws, and against 16 times as many quasi-random points."""
    generator = torch.Generator().manual_seed(dim)
    root = torch.randn(dim, dim, dtype=torch.float64, generator=generator)
    gram, n = root.T @ root, 300_000
    u = 2 * torch.rand(n, dim, dtype=torch.float64, generator=generator) - 1
    w = (u + step * (u @ gram).sign()).clamp(-1, 1)
    product = w[:, :, None] * w[:, None, :]
    moment = signed_moment(gram, step)
    assert bool(((moment - product.mean(0)).abs() <= 5 * product.std(0) / n**0.5 + error).all())
    assert float((moment - signed_moment(gram, step, points=1 << 18)).abs().max()) < error


@pytest.mark.parametrize(
    ("dim", "ascent", "error"),
    [
        (2, FGSM(0.7, norm="l2"), 2e-4),
        (3, PGD(norm="l2"), 2e-4),
        (2, PGD(), 3e-4),
        (3, PGD(5, 0.2), 1e-3),
        pytest.param(8, PGD(norm="l2"), 2e-3, marks=pytest.mark.slow),
        pytest.param(8, PGD(), 4e-3, marks=pytest.mark.slow),
    ],
)
def test_moment_of_an_ascent(dim: int, ascent: PGD, error: float):
    """Against 100,000 draws of the direction itself, and against 8 times as many quasi-random points."""
    generator, n = torch.Generator().manual_seed(dim), 100_000
    matrix = torch.randn(dim, dim, dtype=torch.float64, generator=generator)
    moment, more = climbed_moment(matrix, ascent), climbed_moment(matrix, ascent, 1 << 19)
    assert float((moment - more).norm() / more.norm()) < error
    level = affine_level(AffineOptimum(matrix, torch.zeros(dim, dtype=torch.float64)), 0.8, 0.6)
    x = torch.zeros(1, n, dim, dtype=torch.float64)
    w = ascent(Scene(level, x, x), torch.ones(1, n, dtype=torch.float64), generator)[0]
    product = w[:, :, None] * w[:, None, :]
    assert bool(((moment - product.mean(0)).abs() <= 5 * product.std(0) / n**0.5 + error).all())


def test_in_the_l2_ball_an_adversary_shrinks_what_is_thin_most_in_any_basis():
    """S commutes with Σ, so that ε is a law's; variances are divided by 1 + λs_i, s_i largest where Σ is smallest."""
    objective = robust_adv(LAM, FLAT, FGSM(norm="l2"))
    implied = implied_law(objective, LAW, 0.8, 0.6).cov
    torch.testing.assert_close(implied @ LAW.cov, LAW.cov @ implied)
    axes = torch.linalg.eigh(LAW.cov).eigenvectors
    shrunk = (axes.mT @ LAW.cov @ axes).diagonal() / (axes.mT @ implied @ axes).diagonal()
    s = second_moment(objective, gaussian_optimum(objective, LAW, 0.8, 0.6).matrix, 0.8, 0.6)
    torch.testing.assert_close(shrunk, 1 + LAM * (axes.mT @ s @ axes).diagonal(), rtol=1e-3, atol=0)
    assert float(shrunk.diff().max()) < 0


def test_an_average_over_noises_changes_no_affine_optimum():
    """The height is the same for each."""
    one, three = (gaussian_optimum(robust_adv(LAM, FLAT, FGSM(draws=n)), LAW, 0.8, 0.6) for n in (1, 3))
    assert torch.equal(one.matrix, three.matrix)


@pytest.mark.parametrize("objective", [OnCleanData(), PseudoHuber(0.2), PseudoHuber(3.0, "constant"), Trimmed(0.3)])
def test_a_gaussian_asks_robust_losses_for_plain_denoising(objective: Objective):
    """The closed form is that of denoising; and the loss of any other function is above that of E[ε | x_t], by more
    than 5 standard errors of their paired difference over 40 members."""
    optimum, plain = (gaussian_optimum(asked, LAW, 0.8, 0.6) for asked in (objective, Denoising()))
    torch.testing.assert_close(optimum, plain)
    members, n, g = 40, 512, torch.Generator().manual_seed(0)
    x0 = LAW.sample(members * n, g).reshape(members, n, 3)
    t = torch.full((members, n), VPLinear().time(0.75), dtype=torch.float64)
    batch = Batch(x0, t, torch.randn(x0.shape, dtype=torch.float64, generator=g))

    def losses(change: Callable[[Tensor], Tensor]) -> Tensor:
        def eps(x: Tensor, _: Tensor) -> Tensor:
            return x @ optimum.matrix.mT + optimum.bias + change(x)

        return objective(Given(eps, VPLinear(), torch.float64), batch)

    best = losses(torch.zeros_like)
    for change in (torch.sin, torch.sign, lambda x: x, torch.ones_like):
        for share in (0.2, -0.2):
            gap = losses(lambda x, share=share, change=change: share * change(x)) - best
            assert float(gap.mean()) > 5 * float(gap.std()) / members**0.5


TRAINED: dict[str, Objective] = {
    "ddpm": Denoising(),
    "ran-l2": robust_ran(LAM, FLAT, "l2"),
    "ran-gaussian": robust_ran(LAM, FLAT, "gaussian"),
    "onesided": robust_onesided(),
    "adv-drawn-detached": robust_adv(LAM, DRAWN, through=False),
    "pgd": robust_pgd(LAM, FLAT),
    "l2": robust_l2(LAM, FLAT),
    "inv": INV,
    "dro": DRO(FLAT, FGSM(step=0.0)),
    "pseudo-huber": PseudoHuber(),
    "trimmed": Trimmed(),
}


@pytest.mark.parametrize("name", TRAINED)
def test_affine_models_trained_on_endless_data_reach_the_optimum(name: str):
    """The mean of 8 members within 1 % (Frobenius norm), its standard error below half of that. Each goes down the
    gradient of the objective's own loss on fresh data, divided by the second moment of what the model sees, and is the
    mean of its last 30 states."""
    objective, schedule, members, n = TRAINED[name], VPLinear(), 8, 512
    t = schedule.time(0.75)
    network = Affine(3, members, randomness.streams(range(members), "weights")).double()
    denoiser, linear = Learned(network, schedule).double(), network.linear
    batches, noise, pushes = (randomness.streams(range(members), p) for p in ("batches", "noise", "perturbation"))
    states = []
    for step in range(45):
        x0 = data.batches([Endless(LAW, torch.float64)] * members, n, batches)
        times = torch.full((members, n), t, dtype=torch.float64)
        batch = Batch(x0, times, randomness.randn(x0.shape, noise, x0), step, 45)
        loss = objective(denoiser, batch, pushes)
        gradient = torch.cat(torch.autograd.grad(loss.sum(), (linear.weight, linear.bias)), 1)
        x = denoiser.at(times).noised(x0, batch.eps)
        x = torch.cat([x, torch.ones_like(x[..., :1])], -1)
        down = 0.6 * torch.linalg.solve(x.mT @ x / n, gradient)  # 3/2 of it would end it in one step of plain denoising
        linear.weight.data -= down[:, :-1]
        linear.bias.data -= down[:, -1:]
        states.append(torch.cat([linear.weight, linear.bias], 1).detach())
    found = torch.stack(states[15:]).mean(0).mT
    alpha, sigma = (float(level) for level in schedule(t))
    matrix, bias = gaussian_optimum(objective, LAW, alpha, sigma)
    wanted = torch.cat([matrix, bias[:, None]], 1)
    error = (found.var(0).sum() / members).sqrt()
    assert error < 0.005 * wanted.norm()
    assert (found.mean(0) - wanted).norm() < 0.01 * wanted.norm()
    if not isinstance(objective, Denoising | PseudoHuber | Trimmed):  # so that reaching it says something
        plain, _ = gaussian_optimum(Denoising(), LAW, alpha, sigma)
        assert (matrix - plain).norm() > 0.04 * matrix.norm()


@pytest.mark.parametrize(
    "name",
    [
        "inv-adv",
        *(pytest.param(name, marks=pytest.mark.slow) for name in OBJECTIVES if name not in ("ddpm", "inv-adv")),
    ],
)
def test_trained_affine_models_reach_the_optimum(name: str):
    """Every member within 1 % (Frobenius norm), trained by the ordinary loop on endless data."""
    objective, schedule, seeds = OBJECTIVES[name], VPLinear(), [0, 1]
    t = schedule.time(0.75)
    alpha, sigma = (float(level) for level in schedule(t))
    network = Affine(3, len(seeds), [torch.Generator().manual_seed(seed) for seed in seeds])
    settings = Training(steps=320, batch=3072, lr=0.03, ema=0.98, clip=100.0)
    trainer = Trainer(Learned(network, schedule), [Endless(LAW)] * 2, objective, settings, seeds, span=(t, t))
    for _ in trainer:
        pass
    matrix, bias = gaussian_optimum(objective, LAW, alpha, sigma)
    trained = trainer.ema.network.linear
    for member in range(2):
        learned = trained.weight[member].T.double()
        assert (learned - matrix).norm() < 0.01 * matrix.norm()
        assert (trained.bias[member, 0].double() - bias).norm() < 0.01 * bias.norm()
    plain, _ = gaussian_optimum(Denoising(), LAW, alpha, sigma)
    assert (matrix - plain).norm() > 0.02 * matrix.norm()  # so that reaching it says something


@pytest.mark.parametrize(
    ("radius", "norm"),
    [(FLAT, "linf"), (FLAT, "l2"), (DRAWN, "linf"), (Radius(0.6, unit="data", random=False), "linf")],
)
def test_dro_at_a_random_state_has_the_affine_optimum_of_robust_ran(radius: Radius, norm: Norm):
    """The closed form is that of L_AT with λ = 1, and the normal equations of DRO's own loss agree: the mean over 32
    members' samples within 4 standard errors, which plain denoising's optimum misses by more than 10."""
    objective, schedule, members, n = DRO(radius, FGSM(step=0.0, norm=norm)), VPLinear(), 32, 4_000
    t = schedule.time(0.75)
    alpha, sigma = (float(level) for level in schedule(t))
    optimum = gaussian_optimum(objective, LAW, alpha, sigma)
    torch.testing.assert_close(optimum, gaussian_optimum(robust_ran(1.0, radius, norm), LAW, alpha, sigma))
    generators = randomness.streams(range(members), "test")
    x0 = torch.stack([LAW.sample(n, g) for g in generators])
    batch = Batch(x0, torch.full((members, n), t, dtype=torch.float64), randomness.randn(x0.shape, generators, x0))
    found = best_affine(objective, batch, schedule)
    errors = []
    for matrix, bias in (optimum, gaussian_optimum(Denoising(), LAW, alpha, sigma)):
        gap = found.mean(0) - torch.cat([matrix, bias[:, None]], 1)
        errors.append(float((gap / (found.std(0) / members**0.5)).abs().max()))
    assert errors[0] < 4
    assert errors[1] > 10


def test_dro_that_climbs_has_no_closed_form():
    with pytest.raises(BadInput, match=r"DRO with an ascent step.*known is its uniform start, FGSM\(step=0\)"):
        gaussian_optimum(DRO(FLAT), LAW, 0.8, 0.6)
    with pytest.raises(BadInput, match="no closed form for DRO: known are Denoising and Regularised"):
        grid_optimum(DRO(FLAT, FGSM(step=0.0)), GaussianMixture([[0.0]], std=1.0), 0.8, 0.6)


@dataclass(frozen=True)
class Upwards:
    """A direction that theory does not know."""

    evaluations = 0

    def __call__(self, scene: Scene, radius: Tensor, generators: object) -> Tensor:
        return radius[..., None].expand_as(scene.x_t)


def test_what_has_no_closed_form_is_refused():
    with pytest.raises(
        BadInput, match=r"no closed form for the direction Upwards\(\) here: known are Random, Gaussian, FGSM and PGD"
    ):
        gaussian_optimum(Regularised(LAM, FLAT, Upwards()), LAW, 0.8, 0.6)
    with pytest.raises(BadInput, match="no closed form for function"):
        gaussian_optimum(lambda denoiser, batch, generator: batch.t, LAW, 0.8, 0.6)  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="no closed form for Ambient"):  # what it learns is not the law it sees
        gaussian_optimum(Ambient(), LAW, 0.8, 0.6)
    with pytest.raises(BadInput, match="one Gaussian"):
        gaussian_optimum(Denoising(), GaussianMixture([[0.0], [1.0]], std=1.0), 0.8, 0.6)
    with pytest.raises(BadInput, match="lam has 2 values"):
        gaussian_optimum(robust_ran(torch.tensor([0.3, 1.0]), FLAT), LAW, 0.8, 0.6)
    with pytest.raises(BadInput, match="r0 has 2 values"):
        gaussian_optimum(robust_ran(LAM, Radius(torch.tensor([0.3, 1.0]))), LAW, 0.8, 0.6)
    with pytest.raises(BadInput, match="sigma positive"):
        gaussian_optimum(RAN, LAW, 1.0, 0.0)


def test_known_directions_are_those_of_the_objectives():
    """Random and FGSM are told apart by class: equal settings of the two give different S."""
    eye = torch.eye(3, dtype=torch.float64)
    moments = [second_moment(Regularised(LAM, FLAT, d), eye, 0.8, 0.6) for d in (Random(), FGSM())]
    torch.testing.assert_close(moments[0], eye / 3)
    torch.testing.assert_close(moments[1], eye)


def test_other_random_directions_have_their_own_moment():
    """Gaussian draws that of the cube, L2 draws r² d/(d + 2); measured on the directions themselves."""
    eye, n = torch.eye(3, dtype=torch.float64), 200_000
    scene = Scene(None, torch.zeros(1, n, 3, dtype=torch.float64), torch.zeros(1, n, 3, dtype=torch.float64))  # type: ignore[arg-type]
    for direction in (Gaussian(), Random("l2")):
        moment = second_moment(Regularised(LAM, FLAT, direction), eye, 0.8, 0.6)
        omega = direction(scene, torch.ones(1, n, dtype=torch.float64), torch.Generator().manual_seed(0))[0]
        product = omega[:, :, None] * omega[:, None, :]
        assert bool(((moment - product.mean(0)).abs() < 5 * product.std(0) / n**0.5).all())


def test_a_plan_counts_by_its_mean_and_its_power_of_the_noise():
    plain = gaussian_optimum(robust_ran(0.25, FLAT), LAW, 0.8, 0.6)
    planned = gaussian_optimum(robust_ran(0.25 / 0.6**2, FLAT, plan=Plan(2.0, 0.5, 0.1, 4, 8)), LAW, 0.8, 0.6)
    torch.testing.assert_close(planned.matrix, plain.matrix)

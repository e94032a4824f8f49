"""Attacks on the sampling trajectory, where the worst is known: affine flows, and brute force in the plane."""

import math
from functools import partial
from itertools import pairwise, product

import pytest
import torch
from torch import Tensor

from toylab import randomness
from toylab.attacks import (
    Adaptive,
    Attack,
    Greedy,
    Random,
    Threat,
    Victim,
    displacement,
    leave_support,
    target_mode,
    target_point,
)
from toylab.attacks.search import Hill
from toylab.contamination import outliers
from toylab.denoisers import Denoiser, Exact, Learned
from toylab.distributions import Box, GaussianMixture, Sphere
from toylab.distributions.named import oblique_plane, three_gaussians
from toylab.errors import BadInput
from toylab.index import ATTACKS, SAMPLERS
from toylab.networks import MLP
from toylab.perturbations import PGD, Norm, Scene
from toylab.samplers import Walk, cost, ddim, ddpm, sample
from toylab.schedules import DDPM, VE, Schedule

ROTATION = torch.tensor([[0.8, -0.6], [0.6, 0.8]], dtype=torch.float64)  # columns: the axes of OBLIQUE
VARIANCES = torch.tensor([1.0, 0.09], dtype=torch.float64)
OBLIQUE = GaussianMixture([[0.0, 0.0]], cov=ROTATION @ torch.diag(VARIANCES) @ ROTATION.T)
NFE = 6
MIDDLE = DDPM().time(1.0)
PLACES = ["start", MIDDLE, "every"]
ATTACKABLE: dict[str, Walk] = {
    **{name: SAMPLERS.load(name) for name in SAMPLERS if cost(SAMPLERS.load(name)) is not None},
    "ddim, η = 0.5": partial(ddim, eta=0.5),
}


def streams(members: int, purpose: str = "attack") -> list[torch.Generator]:
    return randomness.streams(range(members), purpose)


def noise(members: int = 2, n: int = 5, dim: int = 2) -> Tensor:
    return randomness.randn((members, n, dim), streams(members, "x"), torch.empty(0, dtype=torch.float64))


def victim(law=OBLIQUE, walk: Walk = ddim, x: Tensor | None = None, schedule: Schedule | None = None) -> Victim:
    return Victim(walk, Exact(law, schedule or DDPM()), noise() if x is None else x, NFE)


def network(members: int = 1) -> Learned:
    """An untrained one in float64, in a parametrisation that keeps its walks bounded."""
    mlp = MLP(2, 16, 2, members=members, generators=streams(members, "weights"))
    return Learned(mlp, DDPM(), "x0").double().requires_grad_(False)


def slopes(variances: Tensor, times: Tensor, schedule: Schedule, eta: float) -> list[Tensor]:
    """dx_0/dx_t of DDIM on N(0, diag(variances)) at every evaluation, (d,): each step is affine, in closed form."""
    levels = [tuple(float(v) for v in schedule(float(t))) for t in times]
    a, s = levels[-1]
    found = [a * variances / (a * a * variances + s * s)]
    for (a, s), (c, d) in reversed(list(pairwise(levels))):
        total = a * a * variances + s * s
        fresh = (eta * d / s) ** 2 * (s * s - (a / c * d) ** 2)
        found.append(found[-1] * (c * a * variances / total + math.sqrt(d * d - fresh) * s / total))
    return found[::-1]


def moved(attack: Attack, on: Victim, threat: Threat, aim=None) -> Tensor:
    """‖x_0(ω) - x_0(0)‖ (M, n) under an attack, its noise drawn anew."""
    members = len(on.x)
    omega = attack(on, threat, aim or displacement(), streams(members))
    steps = threat.steps(on.times)
    ends = [on.end(o, steps, streams(members, "judge")) for o in (omega, torch.zeros_like(omega))]
    return (ends[0] - ends[1]).norm(dim=-1)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("walk", ATTACKABLE.values(), ids=ATTACKABLE)
def test_budget_0_is_clean_sampling_bit_for_bit(walk: Walk, place):
    denoiser, x = network(2), noise().float()
    on, clean = Victim(walk, denoiser, x, 2 * NFE), sample(walk, denoiser, x, 2 * NFE, streams(2, "judge"))
    for norm, attack in (("linf", Random()), ("l2", Greedy(1)), ("linf", Adaptive(1))):
        threat = Threat(0.0, norm, place)  # type: ignore[arg-type]
        omega = attack(on, threat, displacement(), streams(2))
        assert torch.equal(on.end(omega, threat.steps(on.times), streams(2, "judge")), clean)


def test_other_attacks_of_budget_0_leave_it_alone_too():
    """And what a sampler with noise is compared with is one noise of many."""
    denoiser, x = network(2), noise().float()
    on, threat = Victim(ddpm, denoiser, x, NFE), Threat(0.0, "l2", "every")
    clean = sample(ddpm, denoiser, x, NFE, streams(2, "judge"))
    assert not torch.equal(clean, sample(ddpm, denoiser, x, NFE, streams(2, "other")))
    for attack in (Random(2), Greedy(), Adaptive(2), Adaptive(2, checkpoint=False)):
        omega = attack(on, threat, displacement(), streams(2))
        assert torch.equal(on.end(omega, threat.steps(on.times), streams(2, "judge")), clean)


@pytest.mark.parametrize("name", ATTACKABLE)
def test_a_push_moves_the_state_and_not_what_a_solver_remembers(name: str):
    """By hand: the same walk on its own states, with x_t + σ_t ω in place of the one before the third step, and a
    denoiser that remembers what it has said before."""
    walk, denoiser, x = ATTACKABLE[name], Exact(three_gaussians(), DDPM()), noise()
    on = Victim(walk, denoiser, x, 2 * NFE)
    omega = 0.3 * torch.ones(1, *x.shape, dtype=torch.float64)
    end = on.end(omega, [2], streams(2, "judge"))
    states = [x, *walk(denoiser, x, on.times[:3], streams(2, "judge"))]
    drawn = streams(2, "judge")
    if "dpm-solver++" in name:
        expected = multistep(denoiser, states, omega[0], on.times, drawn, stochastic=name.startswith("sde"))
    else:  # no memory: a new walk from the pushed state
        for _ in walk(denoiser, x, on.times[:3], drawn):
            pass
        *_, last = walk(denoiser, on.pushed(states[2], 2, omega[0]), on.times[2:], drawn)
        expected = denoiser.x0(last, on.times[-1])
    torch.testing.assert_close(end, expected, rtol=1e-12, atol=1e-12)


def multistep(
    denoiser: Denoiser, states: list[Tensor], omega: Tensor, times: Tensor, drawn: list, stochastic: bool
) -> Tensor:
    """DPM-Solver++(2M) written out in λ, from states[2] pushed; what it remembers is x0 at states[1]."""
    alpha, sigma = DDPM()(times)
    lam, x = (alpha / sigma).log(), states[2] + sigma[2] * omega
    told = {1: denoiser.x0(states[1], times[1])}
    for _ in range(2 if stochastic else 0):
        randomness.randn(x.shape, drawn, x)
    for i in range(2, len(times) - 1):
        told[i] = denoiser.x0(x, times[i])
        h, before = lam[i + 1] - lam[i], lam[i] - lam[i - 1]
        d = (1 + h / (2 * before)) * told[i] - h / (2 * before) * told[i - 1]
        if stochastic:
            z = randomness.randn(x.shape, drawn, x)
            drift = sigma[i + 1] / sigma[i] * (-h).exp() * x + alpha[i + 1] * (1 - (-2 * h).exp()) * d
            x = drift + sigma[i + 1] * (1 - (-2 * h).exp()).sqrt() * z
        else:
            x = sigma[i + 1] / sigma[i] * x + alpha[i + 1] * (1 - (-h).exp()) * d
    return denoiser.x0(x, times[-1])


@pytest.mark.parametrize(
    ("walk", "eta", "schedule", "ratio"),
    [
        (ddim, 0.0, DDPM(), "start"),
        (ddim, 0.0, DDPM(), 1.0),
        (ddim, 0.0, DDPM(), "every"),
        (ddim, 0.0, VE(), "every"),
        (ddpm, 1.0, DDPM(), "every"),
        (ddpm, 1.0, VE(), 1.0),
    ],
)
def test_the_worst_l2_pushes_of_an_affine_flow(walk: Walk, eta: float, schedule: Schedule, ratio):
    """They lie along the widest axis: x_0 moves by r√d Σ_t σ_t a_t, a_t the largest slope of what remains."""
    place = ratio if isinstance(ratio, str) else schedule.time(ratio)
    on, threat = victim(OBLIQUE, walk, schedule=schedule), Threat(0.2, "l2", place)
    steps, a = threat.steps(on.times), slopes(VARIANCES, on.times, schedule, eta)
    assert all(float(slope[0]) > float(slope[1]) for slope in a)
    worst = sum(0.2 * math.sqrt(2) * float(schedule(on.times[k])[1]) * float(a[k][0]) for k in steps)
    found = moved(Adaptive(25, checkpoint=False), on, threat)
    assert (found <= worst * (1 + 1e-9)).all()
    assert (found >= worst * (1 - 1e-4)).all()


@pytest.mark.parametrize("place", ["start", MIDDLE])
def test_the_worst_linf_push_of_an_affine_flow_is_a_corner(place):
    on, threat = victim(), Threat(0.2, "linf", place)
    (step,) = threat.steps(on.times)
    a = ROTATION @ torch.diag(slopes(VARIANCES, on.times, DDPM(), 0.0)[step]) @ ROTATION.T
    corners = 0.2 * torch.tensor(list(product([-1.0, 1.0], repeat=2)), dtype=torch.float64)
    worst = float(DDPM()(on.times[step])[1]) * float((corners @ a).norm(dim=-1).max())
    torch.testing.assert_close(
        moved(Adaptive(6, restarts=6, checkpoint=False), on, threat), torch.full((2, 5), worst, dtype=torch.float64)
    )


def test_on_the_line_both_norms_are_one_and_every_push_adds_up():
    law, x = GaussianMixture([[0.5]], std=0.7), noise(dim=1)
    on = victim(law, x=x)
    a = slopes(torch.tensor([0.49], dtype=torch.float64), on.times, DDPM(), 0.0)
    sigma = [float(DDPM()(t)[1]) for t in on.times]
    worst = 0.3 * sum(s * float(slope) for s, slope in zip(sigma, a, strict=True))
    for norm, share in product(("linf", "l2"), ("step", "total")):
        found = moved(Adaptive(12, checkpoint=False), on, Threat(0.3, norm, "every", share))  # type: ignore[arg-type]
        expected = torch.full((2, 5), worst if share == "step" else worst / NFE, dtype=torch.float64)
        torch.testing.assert_close(found, expected)


def test_greedy_pushes_off_the_data_and_so_moves_the_end_least():
    """ε moves most along the narrowest axis, and there what remains of the flow shrinks most: in closed form too."""
    on, threat = victim(), Threat(0.2, "l2", MIDDLE)
    (step,) = threat.steps(on.times)
    size = 0.2 * math.sqrt(2)
    omega = Greedy(30)(on, threat, displacement(), streams(2)) @ ROTATION
    narrow = torch.tensor([0.0, size], dtype=torch.float64).expand_as(omega)
    torch.testing.assert_close(omega.abs(), narrow, atol=1e-4, rtol=0)
    a = float(slopes(VARIANCES, on.times, DDPM(), 0.0)[step][1])
    least = torch.full((2, 5), size * a * float(DDPM()(on.times[step])[1]), dtype=torch.float64)
    torch.testing.assert_close(moved(Greedy(30), on, threat), least, rtol=1e-4, atol=0)
    assert (moved(Random(), on, threat) < moved(Adaptive(), on, threat)).all()


def test_greedy_climbs_at_the_state_it_has_reached():
    """Its second push is that of the first state pushed: made here by hand from one-step walks."""
    law = three_gaussians()
    on, threat, x = victim(law), Threat(0.3, "linf", "every"), noise()
    pushes, drawn, aim = Greedy(2)(on, threat, displacement(), streams(2)), streams(2), displacement()
    randomness.replays(drawn, 1)
    for step, t in enumerate(on.times):
        omega = PGD(2, 0.5)(Scene(on.denoiser.at(t), x, x), torch.full((2, 5), 0.3, dtype=torch.float64), drawn)
        torch.testing.assert_close(pushes[step], omega)
        x = x + float(DDPM()(t)[1]) * omega
        for state in ddim(on.denoiser, x, on.times[step : step + 2]):
            x = state
    end = on.denoiser.x0(x, on.times[-1])
    torch.testing.assert_close(on.end(pushes, range(NFE), None), end)
    assert float(aim(end, on.end(0 * pushes, range(NFE), None)).min()) > 0


@pytest.mark.parametrize(
    ("law", "norm"),
    [
        (three_gaussians(), "linf"),
        (three_gaussians(), "l2"),
        pytest.param(outliers(three_gaussians(), 0.1), "l2", marks=pytest.mark.slow),
    ],
    ids=["clean-linf", "clean-l2", "contaminated-l2"],
)
def test_ascent_finds_what_brute_force_finds(law, norm: Norm):
    """The largest displacement over a grid of the ball in the plane, at 4 starts, for a flow with ridges; and a
    grid of 41 points an axis comes as near to what ascent finds."""
    x, r = noise(1, 4), 0.4
    on, threat = victim(law, x=x), Threat(r, norm, "start")
    side = torch.linspace(-1.0, 1.0, 41, dtype=torch.float64)
    ball = r * torch.cartesian_prod(side, side) * (1.0 if norm == "linf" else math.sqrt(2))
    ball = ball if norm == "linf" else ball[ball.norm(dim=-1) <= r * math.sqrt(2) * (1 + 1e-12)]
    many = Victim(ddim, on.denoiser, x[0, :, None].expand(4, len(ball), 2), NFE)
    with torch.no_grad():
        ends = many.end(ball.expand(1, 4, -1, 2), [0], None)
    brute = (ends - sample(ddim, on.denoiser, x, NFE)[0, :, None]).norm(dim=-1).amax(-1)
    found = moved(Adaptive(10, restarts=3, checkpoint=False), on, threat)[0]
    assert (found >= 0.995 * brute).all()
    assert (found <= 1.05 * brute).all()


def test_leaving_a_round_gaussian_goes_straight_out():
    """x_0 = a x_T: the worst push is radial, and log p falls by (|x_0| + a σ r√d)²/2s² - |x_0|²/2s²."""
    law = GaussianMixture([[0.0, 0.0]], std=0.5)
    on, threat = victim(law), Threat(0.3, "l2", "start")
    a = slopes(torch.tensor([0.25], dtype=torch.float64), on.times, DDPM(), 0.0)[0]
    far = a * (on.x.norm(dim=-1) + float(DDPM()(1.0)[1]) * 0.3 * math.sqrt(2))
    omega = Adaptive(40, checkpoint=False)(on, threat, leave_support(law), streams(2))
    ends = on.end(omega, [0], None)
    torch.testing.assert_close(ends.norm(dim=-1), far, rtol=1e-3, atol=0)


@pytest.mark.parametrize(
    ("law", "std"),
    [(Sphere(2), 0.0), (oblique_plane(), 0.0), (Box([-1.0, -1.0], [1.0, 1.0]), 0.1)],
    ids=["circle", "plane", "box"],
)
def test_laws_without_a_density_everywhere_are_left_all_the_same(law, std: float):
    """By distance where the support is thin, by the density of the blurred law from inside a box."""
    x, aim = noise(1, 6, law.dim), leave_support(law, std)
    on, threat = Victim(ddim, Exact(outliers(law, 0.2, -3.0, 3.0), DDPM()), x, NFE), Threat(0.3, "linf", "every")
    omega = Adaptive(3, 1.0, checkpoint=False)(on, threat, aim, streams(1))
    attacked, clean = (on.end(o, range(NFE), None) for o in (omega, torch.zeros_like(omega)))
    expected = law.distance(attacked) if std == 0 else -law.log_prob(attacked, 1.0, std)
    assert torch.equal(aim(attacked, clean), expected)
    assert float((law.distance(attacked) - law.distance(clean)).mean()) > 0.2


def test_targets_are_reached_where_they_can_be():
    """On a round Gaussian x_0 = a x_T: what is left of the distance is what exceeds a σ r√d."""
    law = GaussianMixture([[0.0, 0.0]], std=0.5)
    on, threat = victim(law), Threat(0.8, "l2", "start")
    reach = float(slopes(torch.tensor([0.25], dtype=torch.float64), on.times, DDPM(), 0.0)[0]) * 0.8 * math.sqrt(2)
    reach *= float(DDPM()(1.0)[1])
    clean = on.end(torch.zeros(1, *on.x.shape, dtype=torch.float64), [0], None)
    goal = [0.3, -0.2]
    omega = Adaptive(60, checkpoint=False)(on, threat, target_point(law, goal), streams(2))
    left = (on.end(omega, [0], None) - torch.tensor(goal)).norm(dim=-1)
    expected = ((clean - torch.tensor(goal)).norm(dim=-1) - reach).clamp(min=0)
    torch.testing.assert_close(left, expected, atol=0.01, rtol=0)
    assert (expected == 0).any()
    assert (expected > 0).any()


def test_a_target_mode_is_its_centre():
    law = three_gaussians()
    ends = torch.randn(1, 4, 2, dtype=torch.float64)
    at = target_point(law, law.means[2].tolist())
    assert torch.equal(target_mode(law, 2)(ends, ends), at(ends, ends))
    assert float(at(law.means[2], ends)) == 0.0
    with pytest.raises(BadInput, match="mode must be between 0 and 2"):
        target_mode(law, 3)
    with pytest.raises(BadInput, match="give a point instead"):
        target_mode(Sphere(2))
    with pytest.raises(BadInput, match="2 coordinates, not 3"):
        target_point(law, [0.0, 0.0, 0.0])


def test_all_samplers_but_the_one_that_chooses_its_steps_can_be_attacked():
    assert {*SAMPLERS} - {*ATTACKABLE} == {"adaptive"}


@pytest.mark.parametrize("walk", ATTACKABLE.values(), ids=ATTACKABLE)
def test_gradients_with_and_without_checkpoints_and_by_finite_differences(walk: Walk):
    on, threat = Victim(walk, network(), noise(1, 3), NFE * (cost(walk) or 1)), Threat(0.3, "linf", "every")
    plain, thrifty = (Hill(v, threat, leave_support(three_gaussians()), 2, streams(1)) for v in (on, on.checkpointed))
    omega = plain.start(streams(1, "start"))
    (height, gradient), (same_height, same_gradient) = plain.slope(omega), thrifty.slope(omega)
    torch.testing.assert_close(height, same_height, rtol=0, atol=0)
    torch.testing.assert_close(gradient, same_gradient, rtol=1e-12, atol=1e-14)
    h = 1e-5
    for index in ((0, 0, 0, 0), (3, 0, 1, 1), (len(on.times) - 1, 0, 2, 0)):
        step = torch.zeros_like(omega)
        step[index] = h
        difference = (plain.height(omega + step) - plain.height(omega - step)).sum() / (2 * h)
        assert float(difference) == pytest.approx(float(gradient[index]), rel=1e-6, abs=1e-8)


def test_what_is_kept_of_a_step_does_not_depend_on_the_network():
    """Bytes saved for the gradient outside checkpoints: a few states (M, n, d) a step, and not the hidden layers."""
    wide = Learned(MLP(2, 256, 3, generators=streams(1, "weights")), DDPM(), "x0").requires_grad_(False)

    def kept(nfe: int, checkpointed: bool) -> int:
        on = Victim(ddim, wide, noise(1, 50).float(), nfe)
        omega = torch.zeros(1, *on.x.shape, requires_grad=True)
        saved: list[int] = []
        with torch.autograd.graph.saved_tensors_hooks(lambda v: saved.append(v.nbytes) or v, lambda v: v):
            end = (on.checkpointed if checkpointed else on).end(omega, [0], None)
        assert end.requires_grad
        return sum(saved)

    state = 50 * 2 * 4
    assert kept(30, True) - kept(10, True) <= 20 * 8 * state
    assert kept(30, False) - kept(10, False) > 20 * 3 * 50 * 256 * 4


def test_averaging_over_noises_finds_pushes_that_hold_on_fresh_ones():
    """Towards one mode, by ancestral sampling: pushes found on one noise stop where that noise is brought there, and
    others are not. Paired, by 4 standard errors."""
    x, law = noise(1, 100), three_gaussians()
    on, threat, aim = victim(law, ddpm, x), Threat(0.2, "linf", "every"), target_mode(law, 1)

    def judged(attack: Adaptive) -> Tensor:
        omega = attack(on, threat, aim, streams(1))
        with torch.no_grad():
            return Hill(on, threat, aim, 16, streams(1, "fresh")).height(omega)[0]

    gain = judged(Adaptive(6, draws=5, checkpoint=False)) - judged(Adaptive(6, checkpoint=False))
    assert float(gain.mean()) > 4 * float(gain.std()) / math.sqrt(100)


def test_the_best_so_far_never_falls():
    """More restarts see all that fewer have seen; and no attack is worse than none."""
    law = three_gaussians()
    on, threat, aim = victim(law, x=noise(1, 20)), Threat(0.4, "linf", "start"), target_mode(law, 1)

    def heights(attack: Attack) -> Tensor:
        return Hill(on, threat, aim, 1, streams(1)).height(attack(on, threat, aim, streams(1)))

    with torch.no_grad():
        none = Hill(on, threat, aim, 1, streams(1)).height(torch.zeros(1, 1, 20, 2, dtype=torch.float64))
        for kind in (partial(Adaptive, 2), Random):
            found = [heights(kind(restarts=n)) for n in (2, 3, 6)]
            assert all((more >= fewer).all() for fewer, more in pairwise([none, *found]))
            assert (found[2] > found[0]).any()


EVERY_ATTACK = {"random": Random(), "greedy": Greedy(), "adaptive": Adaptive(6, checkpoint=False)}


def test_every_attack_is_held_against_its_budget():
    assert {*EVERY_ATTACK} == {*ATTACKS}


def gains(attack: Attack, walk: Walk, place) -> list[tuple[float, float]]:
    """How much farther the end is moved by the next larger budget, in the mean over 100 starts, and last by the largest
    than by the least: with the standard error of the paired difference. From nowhere without a budget."""
    radii = torch.tensor([0.0, 0.05, 0.1, 0.2, 0.4], dtype=torch.float64).repeat_interleave(100)
    on = Victim(walk, Exact(three_gaussians(), DDPM()), noise(1, 100).repeat(1, 5, 1), NFE * (cost(walk) or 1))
    found = moved(attack, on, Threat(radii, "linf", place)).reshape(5, 100)
    assert (found[0] == 0).all()
    pairs = [*pairwise(found), (found[1], found[-1])]
    return [(float((more - less).mean()), float((more - less).std()) / 10) for less, more in pairs]


@pytest.mark.parametrize("attack", EVERY_ATTACK.values(), ids=EVERY_ATTACK)
@pytest.mark.parametrize("place", PLACES)
def test_a_larger_budget_moves_the_end_farther(attack: Attack, place):
    """By DDIM at every step, beyond 2 standard errors."""
    assert all(gain > 2 * stderr for gain, stderr in gains(attack, ddim, place))


@pytest.mark.slow
@pytest.mark.parametrize("attack", EVERY_ATTACK.values(), ids=EVERY_ATTACK)
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("walk", ATTACKABLE.values(), ids=ATTACKABLE)
def test_no_sampler_is_moved_less_by_a_larger_budget(attack: Attack, place, walk: Walk):
    """Within 2 standard errors at every step, where single ends jump from mode to mode; beyond them over all."""
    *steps, whole = gains(attack, walk, place)
    assert all(gain > -2 * stderr or gain == 0 for gain, stderr in steps)
    assert whole[0] > 2 * whole[1]


@pytest.mark.parametrize("attack", [Random(3), Greedy(), Adaptive(2, draws=2, checkpoint=False)])
@pytest.mark.parametrize("walk", [ddim, ddpm])
def test_pushes_stay_in_their_balls_and_members_do_not_see_each_other(attack: Attack, walk: Walk):
    """Radii may differ by point; a member alone is attacked as beside another."""
    x, radius = noise(2, 6), torch.linspace(0.0, 0.5, 6, dtype=torch.float64)
    for norm, share in product(("linf", "l2"), ("step", "total")):
        threat = Threat(radius, norm, "every", share)  # type: ignore[arg-type]
        both = attack(victim(three_gaussians(), walk, x), threat, displacement(), streams(2))
        size = both.abs().amax(-1) if norm == "linf" else both.square().mean(-1).sqrt()
        assert (size <= radius / (NFE if share == "total" else 1) + 1e-12).all()
        assert (size[..., 1:] > 0).any()
        second = randomness.streams([1], "attack")
        alone = attack(victim(three_gaussians(), walk, x[1:]), threat, displacement(), second)
        torch.testing.assert_close(alone[:, 0], both[:, 1])


def test_a_place_is_the_evaluation_nearest_to_its_time():
    times = victim().times
    assert Threat(place="every").steps(times) == list(range(NFE))
    assert Threat(place="start").steps(times) == [0]
    assert Threat(place=float(times[3]) - 0.01).steps(times) == [3]
    assert Threat(place=1.0).steps(times) == [0]
    with pytest.raises(BadInput, match=r"place must be a time between 0.001 and 1, not 1.5"):
        Threat(place=1.5).steps(times)


@pytest.mark.parametrize(
    "build",
    [
        lambda: Threat(-0.1),
        lambda: Threat(math.nan),
        lambda: Threat(norm="l1"),  # type: ignore[arg-type]
        lambda: Threat(place="end"),  # type: ignore[arg-type]
        lambda: Threat(budget="both"),  # type: ignore[arg-type]
        lambda: Random(0),
        lambda: Greedy(0),
        lambda: Adaptive(0),
        lambda: Adaptive(step=-1.0),
        lambda: Adaptive(draws=0),
        lambda: leave_support(three_gaussians(), -1.0),
    ],
)
def test_bad_input_is_refused(build):
    with pytest.raises(BadInput):
        build()


def test_replays_are_the_same_at_every_call_and_a_members_own():
    like = torch.empty(0)

    def draws(generators, shape) -> list[Tensor]:
        return [randomness.randn(shape, replay(), like) for replay in randomness.replays(generators, 2) for _ in "ab"]

    first, again, second, _ = draws(streams(2), (2, 3))
    assert torch.equal(first, again)
    assert not torch.equal(first, second)
    assert not torch.equal(first[0], first[1])
    assert torch.equal(draws(randomness.streams([1], "attack"), (1, 3))[0][0], first[1])
    one, same, other, _ = draws(torch.Generator().manual_seed(0), (3,))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)

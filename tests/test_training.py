"""The loop: members, EMA, clipping, checkpoints."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import pytest
import torch

from toylab import compiling, randomness
from toylab.contamination import inlier_noise
from toylab.data import Finite, LabelledFinite
from toylab.denoisers import Learned
from toylab.distributions.named import three_gaussians
from toylab.errors import BadInput, Unable
from toylab.index import OBJECTIVES
from toylab.networks import MLP
from toylab.objectives import Batch, Denoising, Plan, robust_adv, robust_ran
from toylab.perturbations import Radius
from toylab.schedules import DDPM
from toylab.training import Trainer, Training

SETTINGS = Training(steps=12, batch=32)


def trainer(seeds=(0, 1), settings=SETTINGS, objective=None, device="cpu") -> Trainer:
    network = MLP(2, 16, 2, members=len(seeds), generators=randomness.streams(seeds, "weights"))
    told = getattr(objective, "oracle", None) == "labelled"
    law, source = (inlier_noise(three_gaussians()), LabelledFinite) if told else (three_gaussians(), Finite)
    sources = [source(law, 100, randomness.stream(seed, "data", device)) for seed in seeds]
    denoiser = Learned(network, DDPM(), data_std=torch.ones(len(seeds))).to(device)
    return Trainer(denoiser, sources, objective or Denoising(), settings, seeds)


def run(t: Trainer, until: int | None = None) -> Trainer:
    for step in t:
        if step.number == until:
            break
    return t


@pytest.mark.parametrize("name", OBJECTIVES)
def test_together_equals_one_by_one(name: str):
    """Members never see each other: M at once and one by one agree to rounding."""
    objective = OBJECTIVES.load(name)()
    together = run(trainer((3, 4, 5), objective=objective)).ema.state_dict()
    for member, seed in enumerate((3, 4, 5)):
        for key, value in run(trainer((seed,), objective=objective)).ema.state_dict().items():
            torch.testing.assert_close(value[0], together[key][member], rtol=1e-4, atol=1e-5)


def test_same_seed_same_bits():
    first, second = (run(trainer()).ema.state_dict() for _ in range(2))
    assert all(torch.equal(first[key], second[key]) for key in first)


@pytest.mark.parametrize("objective", [Denoising(), robust_adv(), robust_adv(plan=Plan(every=3))])
def test_resumed_is_bit_for_bit_as_if_never_stopped(objective):
    whole = run(trainer(objective=objective))
    stopped = {key: value.clone() for key, value in run(trainer(objective=objective), until=5).state().items()}
    resumed = trainer(objective=objective)
    resumed.restore(stopped)
    assert resumed.step == 5
    run(resumed)
    expected = whole.state()
    for key, value in resumed.state().items():
        assert torch.equal(value, expected[key]), key


def test_lambda_zero_trains_as_ddpm_bit_for_bit():
    plain, regularised = run(trainer()).state(), run(trainer(objective=robust_adv(lam=0.0))).state()
    assert all(torch.equal(plain[key], regularised[key]) for key in plain)


def test_a_diverged_member_leaves_the_others_untouched():
    healthy = run(trainer((0, 1))).ema.state_dict()
    sick = trainer((0, 1))
    sick.sources[0].points.fill_(torch.nan)  # type: ignore[attr-defined]
    after = run(sick).ema.state_dict()
    for key in healthy:
        if key != "data_std":
            assert after[key][0].isnan().any()
            assert torch.equal(after[key][1], healthy[key][1])


def test_ema_warms_up_and_averages():
    """Recomputed from the raw weights after every step: decay min(ema, (1 + step)/(10 + step))."""
    t = trainer(settings=Training(steps=20, batch=32, ema=0.5))
    average = copy.deepcopy(t.denoiser).state_dict()
    for step in t:
        decay = min(0.5, step.number / (9 + step.number))
        raw = t.denoiser.state_dict()
        average = {key: decay * average[key] + (1 - decay) * raw[key] for key in raw}
    for key, value in t.ema.state_dict().items():
        torch.testing.assert_close(value, average[key])


def test_gradients_are_clipped_per_member():
    t = trainer(settings=Training(steps=5, batch=32, clip=0.01))
    norms = gradient_norms(t)
    assert all((norm <= 0.01 * (1 + 1e-5)).all() for norm in norms)
    assert (norms[0] > 0.0099).all()


def test_a_lasting_gradient_serves_until_the_next():
    """By hand: that of the penalty at the weights of the step it was computed in, added to that of the loss."""
    objective = robust_adv(1.0, plan=Plan(every=3))
    t = trainer(settings=Training(steps=7, batch=32, clip=1e9), objective=objective)
    calls: list[tuple[list[torch.Tensor], list[torch.Tensor]]] = []
    computed, lend = [], t._lend

    def spy(batches: list[Batch]) -> None:
        alone, batch = [p.grad.clone() for p in t._parameters], batches[0]
        streams = [copy_of(g) for g in t._generators["perturbation", 0]]
        if batch.step % 3 == 0:
            part = objective.lasting(t.denoiser, batch, streams)
            computed.append(torch.autograd.grad(part.sum(), t._parameters))
        lend(batches)
        calls.append((alone, [p.grad.clone() for p in t._parameters]))

    t._lend = spy  # type: ignore[method-assign]
    run(t)
    assert len(computed) == 3
    for step, (alone, whole) in enumerate(calls):
        for loss, penalty, found in zip(alone, computed[step // 3], whole, strict=True):
            torch.testing.assert_close(found, loss + penalty)
            assert not torch.equal(found, loss)


def copy_of(generator: torch.Generator) -> torch.Generator:
    copied = torch.Generator()
    copied.set_state(generator.get_state())
    return copied


def gradient_norms(t: Trainer) -> list[torch.Tensor]:
    """Of each member after clipping, in every step."""
    norms = []
    original = t._clip

    def spy() -> torch.Tensor:
        before = original()
        norms.append(sum(p.grad.flatten(1).square().sum(1) for p in t._parameters).sqrt())
        return before

    t._clip = spy  # type: ignore[method-assign]
    run(t)
    return norms


def test_learning_rate_warms_up_linearly_and_decays_as_a_cosine():
    t = trainer(settings=Training(steps=100, batch=4, warmup=0.1, lr=1.0))
    rates = torch.tensor([t._optimizer.param_groups[0]["lr"] for _ in t], dtype=torch.float64)
    step = torch.arange(100, dtype=torch.float64)
    expected = torch.where(step < 10, (step + 1) / 11, 0.5 * (1 + torch.cos(torch.pi * (step - 10) / 90)))
    torch.testing.assert_close(rates, expected)


def test_learning_rate_may_differ_per_member():
    """Each member goes as it would alone with its own rate."""
    rates = [1e-2, 3e-3, 1e-4]
    together = run(trainer((3, 4, 5), Training(steps=12, batch=32, lr=rates))).ema.state_dict()
    for member, (seed, lr) in enumerate(zip((3, 4, 5), rates, strict=True)):
        alone = run(trainer((seed,), Training(steps=12, batch=32, lr=lr))).ema.state_dict()
        for key, value in alone.items():
            torch.testing.assert_close(together[key][member], value[0], rtol=1e-4, atol=1e-6)


def test_radius_and_lambda_may_differ_per_member():
    lam, r0 = torch.tensor([0.0, 0.3, 1.0]), torch.tensor([1.0, 0.5, 2.0])
    for build in (robust_ran, robust_adv):
        together = run(trainer((3, 4, 5), objective=build(lam, Radius(r0, 0.0, 0.0)))).ema.state_dict()
        for member, seed in enumerate((3, 4, 5)):
            one = build(float(lam[member]), Radius(float(r0[member]), 0.0, 0.0))
            alone = run(trainer((seed,), objective=one)).ema.state_dict()
            for key, value in alone.items():
                torch.testing.assert_close(together[key][member], value[0], rtol=1e-4, atol=1e-5)


def test_as_many_learning_rates_as_members():
    with pytest.raises(BadInput, match="3 do not fit 2 members"):
        trainer((0, 1), Training(lr=[0.1, 0.2, 0.3]))


@pytest.mark.slow
@pytest.mark.parametrize("objective", [Denoising(), robust_ran(), robust_adv()])
def test_compiled_trains_as_eager(objective):
    eager = run(trainer(objective=objective)).ema.state_dict()
    compiled = run(trainer(settings=Training(steps=12, batch=32, compile="default"), objective=objective))
    for key, value in compiled.ema.state_dict().items():
        torch.testing.assert_close(value, eager[key], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("compiled", "wrong"), [(1.04, 0), (0.0, 1), (float("nan"), 1)])
def test_a_compiler_that_computes_another_gradient_is_refused(compiled: float, wrong: int):
    """The second parameter's; the first is rounding, and of the second member there is none."""
    nan = float("nan")
    found = iter([[torch.tensor([[g * 1e-9], [nan]]), torch.tensor([[f], [1.0]])] for f, g in ((compiled, -1), (1, 1))])
    expected = pytest.raises(Unable, match=f"other gradients, {wrong} of 2;") if wrong else nullcontext()
    with expected:
        compiling.check(lambda: next(found))


PLANS = [
    (Plan(), [0]), (Plan(start=0.5), [0, 6]), (Plan(every=3), [0, 1]), (Plan(start=0.5, every=4), [0, 8]),
    (Plan(start=0.5, ramp=0.25), [0, 7, 8, 9]),  # by a third of it, two, and all
    (Plan(widen=1.0), [0, 1, 4, 7, 10]),  # each quarter
    (Plan(one_in=3), [0, 2]),  # 11, 11 and 10 of 32 points
]  # fmt: skip


@pytest.mark.parametrize(("plan", "steps"), PLANS)
def test_every_kind_of_step_is_held_against_the_network_itself(plan: Plan, steps: list[int], monkeypatch):
    """The first of each, also of those in which a penalty begins; and the training is as if nothing had been."""
    check, checked = compiling.check, list[int]()
    monkeypatch.setattr(MLP, "compile", lambda self, mode: None)
    monkeypatch.setattr(compiling, "check", lambda gradient: (checked.append(t.step), check(gradient)))
    t = trainer(settings=Training(steps=12, batch=32, compile="default"), objective=robust_ran(plan=plan))
    found = run(t).ema.state_dict()
    assert checked == steps
    for key, value in run(trainer(objective=robust_ran(plan=plan))).ema.state_dict().items():
        assert torch.equal(value, found[key]), key


@pytest.mark.parametrize(
    ("plan", "size"),
    [(Plan(start=0.5), 64), (Plan(every=2), 64), (Plan(every=2, ramp=0.5), 64), (Plan(every=2, widen=0.3), 64),
     (Plan(one_in=3), 42)],
)  # fmt: skip
def test_a_compiler_that_is_wrong_of_a_penalty_alone_is_refused(plan: Plan, size: int, monkeypatch):
    """Three times the gradient, and the same loss, in batches of one size alone."""
    stance, forward, eager = torch.compiler.set_stance, MLP.forward, [False]

    @contextmanager
    def set_stance(which: str) -> Iterator[None]:
        eager[0] = True
        with stance(which):
            yield
        eager[0] = False

    def wrong(self: MLP, x: torch.Tensor, level: torch.Tensor) -> torch.Tensor:
        out = forward(self, x, level)
        return out if eager[0] or x.shape[1] != size else 3 * out - 2 * out.detach()

    monkeypatch.setattr(MLP, "compile", lambda self, mode: None)
    monkeypatch.setattr(MLP, "forward", wrong)
    monkeypatch.setattr(torch.compiler, "set_stance", set_stance)
    t = trainer(settings=Training(steps=40, batch=32, compile="default"), objective=robust_ran(1.0, plan=plan))
    with pytest.raises(Unable, match="other gradients, "):
        run(t)


def test_uniform_times_are_independent_and_uniform():
    t = trainer(settings=Training(steps=1, batch=20_000, times="uniform"))._batch(0).t
    u = (t - 1e-3) / 0.999
    assert ((u.mean(-1) - 0.5).abs() < 4 * (1 / 12 / 20_000) ** 0.5).all()
    lag = ((u[:, 1:] - 0.5) * (u[:, :-1] - 0.5)).mean(-1)
    assert (lag.abs() < 4 / 12 / 20_000**0.5).all()


def test_stratified_times_cover_the_span_evenly():
    batch = trainer(settings=Training(steps=1, batch=100))._batch(0)
    t = batch.t.sort(-1).values
    assert (t >= 1e-3).all()
    assert (t <= 1).all()
    torch.testing.assert_close(t.diff(dim=-1), torch.full((2, 99), 0.999 / 100), rtol=1e-3, atol=1e-6)


def test_training_learns():
    t = trainer(settings=Training(steps=300, batch=128))
    losses = torch.stack([step.loss for step in t])
    assert (losses[-50:].mean(0) < 0.6 * losses[:10].mean(0)).all()


def test_members_must_fit():
    network = MLP(2, 16, 2, members=2)
    with pytest.raises(BadInput, match="do not fit"):
        Trainer(Learned(network, DDPM()), [Finite(three_gaussians(), 10)], Denoising(), SETTINGS, [0])


@pytest.mark.gpu
def test_training_on_cuda_agrees_with_the_cpu_and_never_waits():
    """No host synchronisation in the loop; the loss falls as it does on the CPU."""
    t = trainer(settings=Training(steps=300, batch=128), device="cuda")
    steps = iter(t)
    losses = [next(steps).loss for _ in range(5)]
    torch.cuda.set_sync_debug_mode("error")
    try:
        losses += [step.loss for step in steps]
    finally:
        torch.cuda.set_sync_debug_mode("default")
    cuda = torch.stack(losses)[-50:].mean(0).cpu()
    cpu = torch.stack([step.loss for step in trainer(settings=Training(steps=300, batch=128))])[-50:].mean(0)
    torch.testing.assert_close(cuda, cpu, rtol=0.2, atol=0)


@pytest.mark.gpu
@pytest.mark.parametrize(
    "objective",
    [Denoising(), robust_ran(), robust_adv(), robust_ran(plan=Plan(every=3)), robust_adv(plan=Plan(start=0.5))],
)
def test_cuda_graphs_train_as_eager(objective):
    eager = run(trainer(objective=objective, device="cuda")).ema.state_dict()
    settings = Training(steps=12, batch=32, compile="reduce-overhead")
    for key, value in run(trainer(settings=settings, objective=objective, device="cuda")).ema.state_dict().items():
        torch.testing.assert_close(value, eager[key], rtol=1e-3, atol=1e-4)

"""The error ledger: parts in closed form, sums that hold, parts that do not exist."""

import math
from pathlib import Path

import pytest
import torch

from tests.test_experiments import TINY, carry_out
from toylab import randomness
from toylab.contamination import outliers
from toylab.denoisers import Exact
from toylab.distributions import GaussianMixture
from toylab.distributions.named import three_gaussians
from toylab.errors import BadInput
from toylab.experiments.laboratory import Laboratory
from toylab.launch import configure
from toylab.ledger import (
    BOTH,
    CONTAMINATION,
    FIT,
    INTERACTION,
    PRIOR_IN_NATS,
    TOTAL,
    accounts,
    chain_of,
    eps_parts,
    in_nats,
    prior_in_nats,
    table,
)
from toylab.likelihood import log_likelihood, prior_log_prob
from toylab.metrics import Estimate
from toylab.schedules import DDPM, VE, RectifiedFlow, Schedule
from toylab.statistics import Interval

LEDGER = {"evaluation": {"ledger": True}}
METHODS = ["ddpm", "robust-adv", "oracle-clean"]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory):
    """A tiny run in the plane with three methods: its accounts."""
    run = carry_out("gmm-outliers", tmp_path_factory.mktemp("runs"), "smoke", TINY, LEDGER, methods=METHODS, draw=True)
    assert (run.path / "figures/ledger.png").stat().st_size > 0
    return run, accounts(run.rows)


def test_parts_in_ε_are_those_of_gaussians():
    """Fields of N(0, v): ε = σx/(α²v + σ²), so that every part is a square under N(0, α² + σ²); 4 standard errors."""
    t, n = 0.4, 100_000
    alpha, sigma = (float(level) for level in DDPM()(t))
    chain = {
        part: Exact(GaussianMixture([[0.0]], std=math.sqrt(v)), DDPM())
        for part, v in (("", 1.0), (CONTAMINATION, 4.0), (FIT, 2.0))
    }
    slope = {part: sigma / (alpha**2 * v + sigma**2) for part, v in (("", 1.0), (CONTAMINATION, 4.0), (FIT, 2.0))}
    x = torch.randn(1, n, 1, dtype=torch.float64, generator=randomness.stream(0, "test")) * math.hypot(alpha, sigma)
    parts = eps_parts(chain, x, t)
    one, two = slope[CONTAMINATION] - slope[""], slope[FIT] - slope[CONTAMINATION]
    for part, exact in ((CONTAMINATION, one**2), (FIT, two**2), (INTERACTION, 2 * one * two)):
        value, stderr = (float(v) for v in parts[part])
        assert abs(value - exact * (alpha**2 + sigma**2)) < 4 * stderr


@pytest.mark.parametrize("schedule", [RectifiedFlow(), VE(sigma_max=5.0)], ids=["flow", "ve"])
def test_the_priors_part_in_nats_is_a_divergence_of_gaussians(schedule: Schedule):
    """KL(N(αm, α²S + σ²I) ‖ N(0, (α² + σ²)I)) in closed form, within 4 standard errors; the fall of the likelihood of
    its own points by the flow, too."""
    law, n = GaussianMixture([[2.0, -1.0]], cov=[[4.0, 1.0], [1.0, 0.5]]), 20_000
    alpha, sigma = (float(level) for level in schedule(schedule.t_max))
    prior, cov = alpha**2 + sigma**2, alpha**2 * law.cov + sigma**2 * torch.eye(2, dtype=torch.float64)
    quadratic = (float(cov.trace()) + alpha**2 * 5.0) / prior
    exact = 0.5 * (quadratic - 2 + 2 * math.log(prior) - float(cov.logdet()))
    noise = randomness.stream(0, "test")
    x = alpha * law.sample(n, noise) + sigma * torch.randn(n, 2, dtype=torch.float64, generator=noise)
    found = prior_in_nats(law, schedule, x[None])
    assert exact > 10 * float(found.stderr)
    assert abs(float(found.value) - exact) < 4 * float(found.stderr)
    denoiser, points = Exact(law, schedule), law.sample(500, noise)
    alpha, sigma = schedule(schedule.t_min)
    points = alpha * points + sigma * torch.randn(500, 2, dtype=torch.float64, generator=noise)
    own, from_prior = (log_likelihood(denoiser, points, terminal).value for terminal in (law.log_prob, prior_log_prob))
    fall = Estimate.of_mean(own - from_prior)
    assert abs(float(fall.value) - exact) < 4 * float(fall.stderr)


def test_the_priors_part_in_nats_is_shown_for_the_law_that_was_trained_on(found, toylab):
    """Against many fresh points of that law, by whose spread the standard error of the run's few is known: within 4 of
    it. The oracle saw another law."""
    run, _ = found
    heading, *lines = in_nats(run.rows)
    assert heading == ["method", "prior"]
    assert [line[0] for line in lines] == METHODS
    clean = three_gaussians()
    laws = {"ddpm": outliers(clean, 0.1), "robust-adv": outliers(clean, 0.1), "oracle-clean": clean}
    for method, law in laws.items():
        alpha, sigma = (float(level) for level in DDPM()(DDPM().t_max))
        x = alpha * law.sample(100_000, randomness.stream(0, "test"))
        x = x + sigma * torch.randn(x.shape, dtype=x.dtype, generator=randomness.stream(1, "test"))
        value, stderr = prior_in_nats(law, DDPM(), x)
        close = 4 * float(stderr) * math.sqrt(len(x) / run.config["evaluation"]["points"])
        for row in [r for r in run.rows if (r["method"], r["metric"]) == (method, PRIOR_IN_NATS)]:
            assert abs(float(row["value"]) - float(value)) < close
    assert in_nats([row for row in run.rows if row["metric"] != PRIOR_IN_NATS]) == []
    code, out, _ = toylab("show", run.path, "--ledger", "--markdown")
    assert code == 0
    assert all("| " + " | ".join(line) + " |" in out for line in lines)


def test_parts_add_up_to_what_is_measured_elsewhere(found):
    """In W2 to the method's own, in ε with the interaction to its mean squared error, seed by seed."""
    run, of = found
    for quantity, metric in (("W2", "w2"), ("ε", "eps-mse")):
        assert set(of[quantity]) == {*METHODS}
        for method, account in of[quantity].items():
            rows = [r for r in run.rows if (r["method"], r["metric"], r["against"]) == (method, metric, "clean")]
            measured = [float(row["value"]) for row in rows if not row["t"]]
            parts = [values for part, values in account.items() if part != TOTAL]
            assert account[TOTAL] == measured
            assert [sum(of_seed) for of_seed in zip(*parts, strict=True)] == pytest.approx(measured, rel=1e-9)


def test_a_part_that_does_not_exist_has_a_dash(found):
    """The optimum of an FGSM step is not known in the plane; an oracle on clean data has no contamination, and the
    optimum of plain denoising is the exact score: an objective without bias."""
    _, of = found
    assert BOTH in of["ε"]["robust-adv"]
    assert "objective" not in of["ε"]["robust-adv"]
    assert CONTAMINATION not in of["W2"]["oracle-clean"]
    assert of["ε"]["ddpm"]["objective"] == [0.0, 0.0]
    heading, *lines = table(of["ε"])
    cells = dict(zip(heading, lines[1], strict=True))
    assert (cells["method"], cells["objective"]) == ("robust-adv", "-")
    assert cells[BOTH] == str(Interval.of(of["ε"]["robust-adv"][BOTH]))


def test_contamination_is_what_leaks_into_the_exact_score(found):
    """The first part in ε is the exact contaminated score's own error, in W2 that of contaminated samples."""
    run, of = found

    def measured(method: str, metric: str) -> list[float]:
        rows = [r for r in run.rows if (r["method"], r["metric"], r["against"]) == (method, metric, "clean")]
        return [float(row["value"]) for row in rows if not row["t"]]

    assert of["ε"]["ddpm"][CONTAMINATION] == pytest.approx(measured("exact-contaminated", "eps-mse"), rel=1e-9)
    floor, w2 = measured("clean-samples", "w2"), measured("contaminated-samples", "w2")
    assert of["W2"]["ddpm"][CONTAMINATION] == [b - a for a, b in zip(floor, w2, strict=True)]


def test_endless_data_have_no_training_set_and_a_plane_no_optimum_of_pushes(tmp_path: Path):
    plane = {"law": "oblique-plane", "contamination": "inlier-noise", "size": None}
    run = carry_out("lab", tmp_path, "smoke", TINY | {"size": None}, plane, LEDGER)
    of = accounts(run.rows)
    assert [part for part in of["ε"]["robust-adv"]] == [CONTAMINATION, BOTH, INTERACTION, TOTAL]
    assert [part for part in of["ε"]["ddpm"]] == [CONTAMINATION, "objective", FIT, INTERACTION, TOTAL]
    assert not [name for name in run.methods if name.startswith("endless-")]


def test_chains_without_a_link():
    clean, seen, net = (Exact(GaussianMixture([[0.0]], std=std), DDPM()) for std in (1.0, 2.0, 3.0))
    assert list(chain_of(clean, seen, seen, net, net)) == ["", CONTAMINATION, "objective", FIT, "training set"]
    assert list(chain_of(clean, None, None, None, net)) == ["", BOTH]


def test_samples_can_start_from_the_laws_own_state():
    """x_T = α x_0 + σ z with the noise of the prior: its mean and deviation within 4 standard errors."""
    changes = [{"law": {"name": "gaussian", "dim": 1}, "schedule": {"name": "ve", "sigma_max": 10.0}, "seeds": 1}]
    lab = Laboratory(configure("lab", "smoke", changes=changes).settings, torch.device("cpu"))  # type: ignore[arg-type]
    n, law = 50_000, GaussianMixture([[30.0]], std=5.0)
    x, _ = lab.start(n, law=law)
    y, _ = lab.start(n)
    alpha, sigma = (float(level) for level in lab.schedule(lab.schedule.t_max))
    std = math.hypot(alpha * 5.0, sigma)
    assert abs(float(x.mean()) - alpha * 30.0) < 4 * std / math.sqrt(n)
    assert abs(float(x.std()) - std) < 4 * std / math.sqrt(2 * n)
    assert float(torch.corrcoef(torch.stack([x.flatten(), y.flatten()]))[0, 1]) == pytest.approx(sigma / std, abs=0.02)


def test_a_run_without_ledger_says_how_to_get_one(toylab, tmp_path: Path):
    run = carry_out("lab", tmp_path, "smoke", TINY)
    with pytest.raises(BadInput, match=r"evaluation\.ledger=true"):
        accounts(run.rows)
    code, _, err = toylab("show", run.path, "--ledger")
    assert (code, err.count("\n")) == (2, 1)


def test_the_command_shows_the_ledger(toylab, found):
    run, of = found
    code, out, _ = toylab("show", run.path, "--ledger", "--markdown")
    assert code == 0
    assert all("| " + " | ".join(line) + " |" in out for account in of.values() for line in table(account))


def test_the_ledger_needs_its_metrics():
    with pytest.raises(BadInput, match="needs eps-mse and w2"):
        configure("lab", "smoke", changes=[{"evaluation": {"ledger": True, "metrics": ["w2"]}}])

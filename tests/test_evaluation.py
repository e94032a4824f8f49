"""Anybody's denoiser, measured: a function that is the exact one must have no error, and a wrong one its own."""

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from toylab.contamination import outliers
from toylab.denoisers import Exact, Given
from toylab.distributions import GaussianMixture
from toylab.errors import BadInput
from toylab.evaluation import MODEL, Protocol, evaluate, trial
from toylab.launch import configure, prepare
from toylab.objectives import robust_onesided
from toylab.results import Measurement
from toylab.samplers import ddim, sample
from toylab.schedules import DDPM, FromFunction, RectifiedFlow
from toylab.training import Trainer

CLEAN = GaussianMixture([[-2.0, 0.0], [2.0, 0.0]], std=0.3)
SEEN = outliers(CLEAN, 0.1)
SMALL = Protocol(nfe=10, samples=400, levels=3, points=200, pair=200)


def theirs(law, schedule):
    """The exact ε of a law as somebody else's function of (x_t, t)."""
    return lambda x, t: Exact(law, schedule).eps(x, t)


def of(rows: list[Measurement], metric: str, against: str = "clean", method: str = MODEL) -> Measurement:
    (found,) = [r for r in rows if (r.metric, r.against, r.method, r.t) == (metric, against, method, None)]
    return found


@pytest.mark.parametrize("t", [0.3, torch.tensor(0.3), torch.linspace(0.1, 0.9, 50)])
@pytest.mark.parametrize("shape", [(50, 2), (3, 50, 2)])
def test_predictions_are_those_of_the_function(t: float | Tensor, shape: tuple[int, ...]):
    x = torch.randn(shape)
    given, exact = Given(theirs(CLEAN, DDPM()), DDPM()), Exact(CLEAN, DDPM())
    for found, expected in ((given.eps(x, t), exact.eps(x, t)), (given.x0(x, t), exact.x0(x, t))):
        torch.testing.assert_close(found, expected.float(), rtol=1e-4, atol=1e-4)


def test_the_exact_denoiser_as_a_function_has_no_error():
    given = Given(theirs(SEEN, DDPM()), DDPM(), dtype=torch.float64)
    found = evaluate(given, CLEAN, SEEN, SMALL)
    assert of(found.rows, "eps-mse", "contaminated").value < 1e-20
    assert of(found.rows, "leakage").value == pytest.approx(1.0)
    same = ("outlier-mass", "clean"), ("w2", "contaminated"), ("w2", "clean")
    for metric, against in same:
        exact = of(found.rows, metric, against, "exact-contaminated")
        assert of(found.rows, metric, against).value == pytest.approx(exact.value, rel=1e-4)
    assert of(found.rows, "w2").nfe == 10


def test_a_wrong_denoiser_has_its_own_error():
    """ε off by a constant 0.1 in each coordinate: a mean squared error of 0.01, on any law, known exactly."""
    given = Given(lambda x, t: theirs(CLEAN, DDPM())(x, t) + 0.1, DDPM(), dtype=torch.float64)
    found = of(evaluate(given, CLEAN, None, SMALL).rows, "eps-mse")
    assert found.value == pytest.approx(0.01, rel=1e-9)
    assert found.stderr < 1e-12


def test_the_table_has_every_metric_and_reference():
    found = evaluate(Given(theirs(CLEAN, DDPM()), DDPM()), CLEAN, None, SMALL)
    heading, *lines = found.table()
    assert heading == ["metric", "against", MODEL, "exact-clean", "clean-samples"]
    assert {line[0] for line in lines} >= {"eps-mse", "w2", "outlier-mass", "mode-width-1"}
    row = of(found.rows, "w2")
    (w2,) = [line for line in lines if line[:2] == ["w2", "clean"]]
    assert float(w2[2].split()[0]) == pytest.approx(row.value, rel=0.1)
    assert str(found).count("\n") == len(lines)
    assert found._repr_markdown_().startswith("| metric | against |")


def test_a_schedule_of_somebody_else_is_as_ours():
    ours = RectifiedFlow()
    straight = FromFunction(lambda t: (1 - t, t), ours.t_min, ours.t_max)
    x = torch.randn(100, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    given = Given(theirs(CLEAN, straight), straight, dtype=torch.float64)
    torch.testing.assert_close(sample(ddim, given, x, 20), sample(ddim, Exact(CLEAN, ours), x, 20))
    assert straight.time(0.5) == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda t: (t, 1 - t), "must grow with t"),
        (lambda t: (1 - t, t), "at least 1e-4"),
    ],
)
def test_a_schedule_the_wrong_way_round_is_refused(function, message: str):
    with pytest.raises(BadInput, match=message):
        FromFunction(function)


def test_what_does_not_fit_is_refused():
    exact = Given(theirs(CLEAN, DDPM()), DDPM())
    with pytest.raises(BadInput, match="unknown metric"):
        evaluate(exact, CLEAN, None, Protocol(metrics=["fid"]))
    with pytest.raises(BadInput, match="is not reached"):
        evaluate(exact, CLEAN, None, Protocol(highest=1e9))
    with pytest.raises(BadInput, match=r"returned \(1, 2\) for points of \(5, 2\)"):
        Given(lambda x, t: x[:1], DDPM()).eps(torch.zeros(5, 2), 0.5)


def test_intervals_cover_what_is_known():
    """Exact samples' outlier mass is 0.001: 2 of 2,000 on average, within 4 of the binomial's standard errors."""
    found = evaluate(Exact(CLEAN, DDPM()), CLEAN, None, Protocol(nfe=10, levels=2, points=50, metrics=["outlier-mass"]))
    row = of(found.rows, "outlier-mass", method="clean-samples")
    assert abs(row.value - 0.001) < 4 * math.sqrt(0.001 / 4000)


# -- any objective, beside those of a study --------------------------------------------------------------------------

TINY = {
    "training": {"steps": 6, "batch": 16}, "network": {"width": 8}, "nfe": 3, "samples": 60, "size": 100, "seeds": 2,
    "evaluation": {"levels": 2, "points": 20, "pair": 30, "metrics": ["eps-mse", "leakage", "sliced-w2"]},
}  # fmt: skip


def test_a_trial_measures_what_a_run_measures(tmp_path: Path):
    """Row by row, references too; and one's own objective as the named one that it is."""
    configured = configure("gmm-outliers", "smoke", changes=[TINY], methods=["ddpm", "robust-onesided"])
    launch = prepare(configured, "cpu", tmp_path)
    for _ in configured.experiment.run(configured.settings, launch.folder, launch.device):
        pass
    run = [Measurement.of(row) for row in launch.folder.rows]
    found = trial(configured.settings.with_methods(["ddpm"]), {"mine": robust_onesided()})
    renamed = [r._replace(method={"mine": "robust-onesided"}.get(r.method, r.method)) for r in found.rows]
    assert len(renamed) == len(run) > 90
    for mine, theirs in zip(sorted(renamed, key=place), sorted(run, key=place), strict=True):
        assert place(mine) == place(theirs)
        assert mine.value == pytest.approx(theirs.value, rel=1e-4, abs=1e-6)  # threads of a run flush denormals
        assert mine.stderr == pytest.approx(theirs.stderr, rel=1e-4, abs=1e-6)
    assert [line[0].split()[0] for line in found.table()] == [
        "method", "ddpm", "mine", "exact-clean", "exact-contaminated", "clean-samples", "contaminated-samples"
    ]  # fmt: skip
    assert found._repr_markdown_().startswith("| method | leakage | ε MSE to clean |")


def place(row: Measurement) -> tuple:
    return row.method, row.seed, row.metric, row.against, row.t or 0.0, row.sampler, row.nfe or 0


def test_every_step_of_a_trial_is_watched():
    study, seen = configure("gmm-outliers", "smoke", changes=[TINY], methods=["ddpm"]).settings, []

    def watched(trainer: Trainer):
        for step in trainer:
            seen.append((type(trainer.objective).__name__, step.number))
            yield step

    trial(study, {"mine": robust_onesided()}, watched)
    assert seen == [(name, n) for name in ("Denoising", "Regularised") for n in range(1, 7)]


def test_a_trial_that_cannot_be_is_refused():
    study = configure("gmm-outliers", "smoke", changes=[TINY], methods=["ddpm"]).settings
    with pytest.raises(BadInput, match="has a method 'ddpm'"):
        trial(study, {"ddpm": robust_onesided()})
    with pytest.raises(BadInput, match="a sweep is many studies"):
        trial(configure("few-steps", "smoke").settings, {})

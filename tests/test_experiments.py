"""Every experiment, small; and what the lab's combinations allow."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from toylab import figures, index
from toylab.distributions.named import three_gaussians
from toylab.errors import BadInput
from toylab.experiments import measuring
from toylab.experiments.laboratory import Laboratory
from toylab.experiments.pipeline import sample_from
from toylab.experiments.study import MethodStudy
from toylab.launch import configure, prepare
from toylab.objectives import Denoising, OnCleanData
from toylab.results import interval
from toylab.runs import Run
from toylab.samplers import cost
from toylab.schedules import DDPM

TINY = {
    "training": {"steps": 4, "batch": 16},
    "network": {"width": 8, "depth": 1},
    "nfe": 3,
    "samples": 60,
    "size": 100,
    "seeds": 2,
    "evaluation": {"levels": 2, "points": 8, "pair": 20},
}


def carry_out(
    name: str, root: Path, preset: str, *changes: dict, methods: Sequence[str] | None = None, draw: bool = False
) -> Run:
    """As launch.Launch.carry_out does, without the figures where they are not looked at."""
    launch = prepare(configure(name, preset, changes=changes, methods=methods), "cpu", root)
    experiment = launch.configured.experiment
    progress = list(experiment.run(launch.configured.settings, launch.folder, launch.device))
    assert progress[-1].done == pytest.approx(progress[-1].total)
    assert all(a.done <= b.done for a, b in pairwise(progress))
    if draw:
        figures.draw(launch.folder, experiment.figures)
    launch.folder.finish()
    return launch.folder


ELSEWHERE = ("theory-check", "trajectory-attack", "clean-price", "subspace-images")  # run small by tests of their own
IMAGES = ("digits-noise", "cifar10-noise", "celeba-noise", "lsun-noise")  # by tests/test_image_studies.py


@pytest.mark.parametrize(
    ("name", "preset"),
    [
        pytest.param(name, preset, marks=[pytest.mark.slow] * (preset != "smoke" or name in ELSEWHERE))
        for name in index.EXPERIMENTS if name not in IMAGES for preset in index.EXPERIMENTS.load(name).presets
    ],
)  # fmt: skip
def test_every_preset_runs_two_steps_to_its_end(name: str, preset: str, tmp_path: Path):
    """A dry run: two steps of training and of sampling, one seed; networks and methods as in the preset."""
    dry = {"training": {"steps": 2}, "nfe": 3, "samples": 60, "seeds": 1}
    run = carry_out(name, tmp_path, preset, dry, {"evaluation": {"levels": 2, "points": 20, "pair": 30}})
    asked = configure(name, preset).settings.objectives  # type: ignore[attr-defined]
    assert {row["method"] for row in run.rows} >= {*asked, "exact-clean", "clean-samples"}


@pytest.mark.parametrize("preset", ["smoke", "default", "plane"])
def test_prior_art_is_compared_at_equal_evaluations_of_the_network(preset: str):
    study = configure("prior-art", preset).settings
    assert isinstance(study, MethodStudy)
    spent = {name: study.steps_of(name) * method.build().evaluations for name, method in study.methods.items()}
    assert spent == dict.fromkeys(spent, 3 * study.steps_of("robust-adv"))
    names = {method.name for method in study.methods.values()}
    assert {"pseudo-huber", "trimmed", "dro", "robust-ran", "robust-adv"} <= names


COSTLY = ("spiral", "trefoil", "two-moons", "torus", "digits")  # curves, as swiss-roll is; and tested elsewhere


@pytest.mark.parametrize(
    ("law", "contamination"),
    [pytest.param(law, "outliers", marks=[pytest.mark.slow] * (law in COSTLY)) for law in index.LAWS]
    + [("ring-of-gaussians", name) for name in index.CONTAMINATIONS],
)
def test_lab_takes_any_law_and_contamination(law: str, contamination: str, tmp_path: Path):
    few = {"evaluation": {"metrics": ["eps-mse", "jacobian-error", "w2", "leakage", "mode-width", "outlier-mass"]}}
    costly = [few] * (law == "swiss-roll")  # whose every fresh sample is dear; all metrics among the slow tests
    run = carry_out("lab", tmp_path, "smoke", TINY, {"law": law, "contamination": contamination}, *costly)
    measured = {row["metric"] for row in run.rows if row["method"] == "robust-adv"}
    assert {"eps-mse", "jacobian-error", "w2"} <= measured
    assert ("leakage" in measured) == (contamination != "none")
    assert ("mode-width-1" in measured) == ("gaussian" in law)
    assert ("outlier-mass" in measured) == ("gaussian" in law or law == "box")  # the others have no density


@pytest.mark.parametrize(
    ("objective", "schedule", "sampler"),
    [(objective, "ddpm", "ddim") for objective in index.OBJECTIVES]
    + [("robust-adv", schedule, "ddim") for schedule in index.SCHEDULES]
    + [("robust-adv", "ddpm", sampler) for sampler in index.SAMPLERS],
)
def test_lab_takes_any_objective_schedule_and_sampler(objective: str, schedule: str, sampler: str, tmp_path: Path):
    told = getattr(index.OBJECTIVES.load(objective), "oracle", None) == "labelled"
    own_steps = cost(index.SAMPLERS.load(sampler)) is None
    choices = {"objective": objective, "schedule": schedule, "sampler": sampler, "nfe": 1000 if own_steps else 4}
    run = carry_out("lab", tmp_path, "smoke", TINY, choices, {"contamination": "inlier-noise"} if told else {})
    assert run.methods == sorted({"ddpm", objective})
    ((used, nfe),) = {
        (row["sampler"], row["nfe"]) for row in run.rows if row["metric"] == "w2" and row["method"] == "ddpm"
    }
    assert used == sampler
    assert 50 < int(nfe) < 500 if own_steps else int(nfe) == (3 if sampler == "heun" else 4)  # those really made


def test_the_steps_can_be_spaced_otherwise(tmp_path: Path):
    """The same networks, other samples; and the results say so."""
    even, edm = (carry_out("lab", tmp_path, "smoke", TINY, {"spacing": name}) for name in ("t", "edm"))
    weights = "weights/ddpm.safetensors"
    assert (even.path / weights).read_bytes() == (edm.path / weights).read_bytes()
    assert (even.arrays("samples.npz")["ddpm"] != edm.arrays("samples.npz")["ddpm"]).any()
    assert {row["set.spacing.name"] for row in edm.rows} == {"edm"}
    assert sample_from(even, "ddpm", 0, 5).shape == (5, 2)
    assert (sample_from(even, "ddpm", 0, 5) != sample_from(edm, "ddpm", 0, 5)).any()


def test_a_budget_too_small_is_told_before_training(tmp_path: Path):
    with pytest.raises(BadInput, match=r"nfe must be at least 3 for this sampler"):
        configure("lab", "smoke", changes=[{"sampler": "heun", "nfe": 2}])
    with pytest.raises(BadInput, match=r"20 evaluations of the denoiser are not enough"):
        carry_out("lab", tmp_path, "smoke", TINY, {"sampler": "adaptive", "nfe": 20})
    assert not list(tmp_path.rglob("weights"))


def test_an_oracle_is_trained_on_the_clean_law():
    study = configure("lab", "smoke", changes=[{"contamination": {"name": "outliers", "fraction": 1.0}}]).settings
    lab = Laboratory(study, torch.device("cpu"))  # type: ignore[arg-type]
    clean, seen = lab.sources_for(OnCleanData()), lab.sources_for(Denoising())
    assert all(lab.clean.log_prob(source.points).min() > -20 for source in clean)  # type: ignore[attr-defined]
    assert all(lab.clean.log_prob(source.points).median() < -20 for source in seen)  # type: ignore[attr-defined]


@pytest.mark.parametrize("dim", [1, 5])
def test_figures_in_any_dimension(dim: int, tmp_path: Path):
    """All on the line, as in the plane (test_cli); score fields and paths have no picture beyond."""
    law = {"name": "gaussian", "dim": dim}
    run = carry_out("lab", tmp_path, "smoke", TINY, {"law": law, "size": None, "contamination": "outliers"}, draw=True)
    drawn = {path.stem for path in (run.path / "figures").iterdir()}
    everywhere = {"samples", "score-error", "outlier-mass", "w2", "leakage"}
    assert drawn == everywhere | ({"score-field", "trajectories"} if dim <= 2 else set())


def test_results_name_what_differs_from_the_preset(tmp_path: Path):
    run = carry_out("lab", tmp_path, "smoke", TINY, {"law": "box", "seed": 5})
    (row, *_) = run.rows
    assert row["set.law.name"] == "box"
    assert row["set.training.steps"] == "4"
    assert not any(key.startswith(("set.seed", "set.schedule")) for key in row)
    assert {r["seed"] for r in run.rows} == {"5", "6"}


def test_references_are_exact(tmp_path: Path):
    run = carry_out("lab", tmp_path, "smoke", TINY, {"contamination": "outliers"})
    for method, leak in (("exact-clean", 0.0), ("exact-contaminated", 1.0)):
        found = interval(run.rows, method, "leakage", "clean")
        assert found is not None
        assert found.mean == pytest.approx(leak, abs=1e-9)
    for law in ("clean", "contaminated"):
        found = interval(run.rows, f"exact-{law}", "eps-mse", law)
        assert found is not None
        assert found.mean < 1e-12


THEORY = {"law": "two-gaussians", "contamination": "outliers", "evaluation": {"theory": True}}


def test_theory_stands_beside_what_has_an_optimum(tmp_path: Path):
    """The optimum of robust-ran is measured as a method is, is its own distance from the contaminated score, and is not
    there for an objective without one."""
    run = carry_out("lab", tmp_path, "smoke", TINY, THEORY, {"objective": "robust-ran"}, draw=True)
    assert {row["method"] for row in run.rows} >= {"optimum-ddpm", "optimum-robust-ran"}
    assert {row["method"] for row in run.rows if row["against"] == "theory"} == {"ddpm", "robust-ran"}
    plain = interval(run.rows, "optimum-ddpm", "eps-mse", "contaminated")
    moved = interval(run.rows, "optimum-robust-ran", "eps-mse", "contaminated")
    assert plain is not None
    assert moved is not None
    assert plain.mean < 1e-12 < 1e-7 < moved.mean
    ddpm = {against: interval(run.rows, "ddpm", "eps-mse", against) for against in ("theory", "contaminated")}
    assert ddpm["theory"] == ddpm["contaminated"]  # its optimum is the contaminated law's own ε, at the same points

    run = carry_out("lab", tmp_path, "smoke", TINY, THEORY, {"objective": "pseudo-huber"})
    assert {row["method"] for row in run.rows if row["against"] == "theory"} == {"ddpm"}


def test_the_optimum_of_an_oracle_is_that_of_the_clean_law(tmp_path: Path):
    run = carry_out("lab", tmp_path, "smoke", TINY, THEORY, {"objective": "oracle-clean"})
    found = interval(run.rows, "optimum-oracle-clean", "eps-mse", "clean")
    assert found is not None
    assert found.mean < 1e-12


def test_theory_is_for_one_and_two_dimensions():
    with pytest.raises(BadInput, match=r"evaluation.theory.*one or two dimensions"):
        configure("lab", "smoke", changes=[{"law": "sphere", "evaluation": {"theory": True}}])


def test_a_member_does_not_depend_on_how_many_there_are(tmp_path: Path):
    """Seed 1 trained beside seed 0 and alone: the same data and noise, so the same results to rounding."""
    both = carry_out("lab", tmp_path, "smoke", TINY)
    alone = carry_out("lab", tmp_path, "smoke", TINY, {"seed": 1, "seeds": 1})

    def values(run: Run) -> dict[tuple[str, ...], float]:
        keys = ("method", "metric", "against", "t")
        return {tuple(row[k] for k in keys): float(row["value"]) for row in run.rows if row["seed"] == "1"}

    assert values(alone) == pytest.approx(values(both), rel=1e-3, abs=1e-6, nan_ok=True)


def test_a_stopped_run_goes_on_from_its_checkpoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Left in the middle of training, which writes checkpoints; the files come out the same."""
    from toylab.experiments import trainings

    longer = {"training": {"steps": 300}}
    whole = carry_out("lab", tmp_path / "whole", "smoke", TINY, longer)
    stopped = prepare(configure("lab", "smoke", changes=[TINY, longer]), "cpu", tmp_path / "stopped")
    folder = stopped.folder
    monkeypatch.setattr(trainings, "POLL_SECONDS", 0.01)
    run = stopped.carry_out()
    while next(run).done < 20:
        pass
    run.close()
    assert not list((folder.path / "weights").glob("*robust-adv*"))
    assert list((folder.path / "checkpoints/robust-adv").glob("*.safetensors"))
    resumed = carry_out("lab", tmp_path / "stopped", "smoke", TINY, longer)
    assert resumed.path == folder.path
    assert "robust-adv: going on from step" in (folder.path / "log.txt").read_text()
    for name in ("weights/ddpm.safetensors", "weights/robust-adv.safetensors", "results.csv"):
        assert (resumed.path / name).read_bytes() == (whole.path / name).read_bytes()
    assert not (folder.path / "checkpoints").exists()


def test_methods_side_by_side_equal_one_at_a_time(tmp_path: Path):
    """The same bits whether two methods share two threads or each has one to itself."""
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone = carry_out("lab", tmp_path / "alone", "smoke", TINY)
        torch.set_num_threads(2)
        together = carry_out("lab", tmp_path / "together", "smoke", TINY)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    for name in ("weights/ddpm.safetensors", "weights/robust-adv.safetensors"):
        assert (alone.path / name).read_bytes() == (together.path / name).read_bytes()


def test_an_error_in_one_training_stops_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from toylab.experiments import trainings

    def broken(*arguments: object, **options: object) -> None:
        raise ArithmeticError("broken")

    monkeypatch.setattr(trainings, "Trainer", broken)
    with pytest.raises(ArithmeticError, match="broken"):
        carry_out("lab", tmp_path, "smoke", TINY)


def test_a_configuration_repeats_itself(tmp_path: Path):
    """config.json over any preset gives the same settings."""
    run = carry_out("gmm-outliers", tmp_path, "smoke", TINY, {"methods": {"mine": "robust-ran"}})
    for preset in (None, "smoke", "default"):
        again = configure("gmm-outliers", preset, run.path / "config.json")
        assert {"experiment": "gmm-outliers", "preset": "smoke", **again.settings.model_dump(mode="json")} == run.config
        assert again.preset == (preset or "smoke")


def test_a_hand_written_file_changes_the_preset(tmp_path: Path):
    """It may name its experiment; what it leaves out is the preset's, and its methods are those of the run."""
    file = tmp_path / "mine.toml"
    file.write_text('experiment = "gmm-outliers"\nseed = 3\n[methods]\nddpm = "ddpm"\n[training]\nsteps = 7\n')
    settings = configure("gmm-outliers", "smoke", file, [{"training": {"batch": 9}}, {"seed": 4}]).settings
    dumped = settings.model_dump()
    assert dumped["contamination"]["name"] == "outliers"
    assert list(dumped["methods"]) == ["ddpm"]
    assert (dumped["training"]["steps"], dumped["training"]["batch"], dumped["seed"]) == (7, 9, 4)
    assert dumped["nfe"] == 20


@pytest.mark.parametrize("parametrization", ["x0", "v", "edm"])
def test_every_parametrisation_trains_and_loads(parametrization: str, tmp_path: Path):
    """The loaded denoiser gives the stored score field: data_std and all."""
    run = carry_out("lab", tmp_path, "smoke", TINY, {"parametrization": parametrization})
    fields = run.arrays("fields.npz")
    denoiser = run.denoiser("robust-adv")
    t = denoiser.schedule.time(float(fields["drawn_ratio"]))
    alpha, _ = denoiser.schedule(t)
    eps = denoiser.eps((alpha * torch.from_numpy(fields["x"]))[None], t)[0]
    torch.testing.assert_close(-eps, torch.from_numpy(fields["score/robust-adv"]), rtol=1e-4, atol=1e-5)


def test_a_law_without_a_density_is_measured_as_far_as_it_goes(tmp_path: Path):
    """A point mass: no region, so no outlier mass and no modes, but scores and W2."""
    run = carry_out("lab", tmp_path, "smoke", TINY, {"law": {"name": "gaussian", "std": 0.0}}, draw=True)
    of_denoisers, of_samples = {"eps-mse", "jacobian-error", "equivariance-error"}, {"w2", "sliced-w2", "frechet"}
    assert {row["metric"] for row in run.rows} == of_denoisers | of_samples | {"energy-distance", "distance"}


def test_figures_are_of_what_was_measured(tmp_path: Path):
    """One metric alone, which is none of samples, and no figure of what there is not."""
    asked = {"evaluation": {"metrics": ["girsanov-bound"]}}
    run = carry_out("lab", tmp_path, "smoke", TINY, asked, draw=True)
    assert {row["metric"] for row in run.rows} == {"girsanov-bound"}
    assert {row["method"] for row in run.rows} == {"ddpm", "robust-adv", "exact-clean"}
    assert {path.stem for path in (run.path / "figures").glob("*.png")} == {"samples", "score-field", "trajectories"}


def test_figures_of_experiments_exist():
    for name in index.EXPERIMENTS:
        assert set(index.EXPERIMENTS.load(name).figures) <= set(figures.FIGURES)


def test_metrics_ask_only_for_what_there_is():
    bench = measuring.Bench(three_gaussians(), None, DDPM(), [0.5], [0], 10, 5, torch.device("cpu"))
    subject = measuring.Subject("x", None, torch.zeros(1, 10, 2), "ddim", 5)
    provided = {*measuring._provided("w2", "clean", subject, bench), "x_t", "t"}
    for name in index.METRICS:
        assert set(measuring._needs(index.METRICS.load(name))) <= provided

"""Studies of images: the path of all others, with images at its ends."""

import ast
import inspect
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm

from tests.test_experiments import TINY as LAW
from tests.test_experiments import carry_out
from tests.test_features import Tiny
from tests.test_image_sets import encoded, noise, table
from toylab import attacks, objectives, samplers, training
from toylab.experiments import image_pipeline, pipeline, trainings
from toylab.experiments.image_laboratory import ImageLaboratory
from toylab.experiments.image_study import ImageStudy
from toylab.experiments.laboratory import Laboratory
from toylab.experiments.rehearsal import rehearse
from toylab.launch import configure
from toylab.objectives import Denoising, OnCleanData
from toylab.results import Conditions, interval
from toylab.runs import Run

TINY = {
    "network": {"channels": [4, 8], "heads": 2},
    "training": {"steps": 2, "batch": 8},
    "nfe": 3,
    "few_steps": [2],
    "samples": 24,
    "seeds": 2,
    "attack": {"budgets": [0.5]},
    "evaluation": {"metrics": ["fd", "feature-nearest-ratio"], "batch": 16, "kept": 5},
}
ONE = {"grid": {"corruption.std": [0.2]}}


def study(*changes: dict) -> ImageStudy:
    settings = configure("digits-noise", "smoke", changes=[ONE, TINY, *changes], methods=["ddpm"]).settings
    return settings.cells[0].study  # type: ignore[attr-defined, no-any-return]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return carry_out("digits-noise", tmp_path_factory.mktemp("runs"), "smoke", ONE, TINY,
                     methods=["ddpm"], draw=True)  # fmt: skip


def test_a_run_holds_distances_of_every_way_to_draw(run: Run):
    pushed = Conditions("random", "every", "0.5")
    rows = [row for row in run.rows if row["method"] == "ddpm"]
    assert {row["metric"] for row in rows} == {"fd-digits", "feature-nearest-ratio-digits"}
    assert {(row["nfe"], row["budget"]) for row in rows} == {("3", ""), ("2", ""), ("3", "0.5")}
    alone, attacked = (interval(rows, "ddpm", "fd-digits", "clean", under=under) for under in (Conditions(), pushed))
    assert alone is not None
    assert attacked is not None
    assert alone != attacked
    stored = run.arrays("samples.npz")
    assert stored.keys() == {"ddpm", "clean-samples", "contaminated-samples"}
    assert all(points.shape == (2, 5, 64) for points in stored.values())
    assert {path.name for path in (run.path / "figures").glob("*.png")} == {"images.png", "image-quality.png"}
    about = json.loads((run.path / "provenance.json").read_text())
    assert {"extractor", "weights", "resize", "samples", "images", "split", "training set"} <= about.keys()
    assert (about["samples"], about["images"], about["split"]) == ("24", "355", "test")


def test_its_distance_of_clean_images_is_scipys(run: Run):
    """From features computed here, without the pipeline's own arithmetic."""
    lab = ImageLaboratory(study(), torch.device("cpu"))
    found = {row["seed"]: float(row["value"]) for row in run.rows
             if (row["method"], row["metric"]) == ("clean-samples", "fd-digits")}  # fmt: skip
    for seed, samples in zip(lab.seeds, lab.clean_samples(), strict=True):
        x, y = (lab.features.of(points, lab.shape).numpy() for points in (samples, lab.images))
        (a, b), gap = (np.cov(part.T) for part in (x, y)), x.mean(0) - y.mean(0)
        ridge = 1e-6 * np.eye(len(a))  # 24 samples leave a singular covariance, of which sqrtm is no oracle
        expected = gap @ gap + np.trace(a + b - 2 * np.real(sqrtm((a + ridge) @ (b + ridge))))
        assert found[str(seed)] == pytest.approx(expected, rel=0.02)


def test_sources_are_corrupted_for_all_but_the_oracle():
    lab = ImageLaboratory(study(), torch.device("cpu"))
    index = torch.arange(len(lab.trained_on))
    clean = lab.trained_on.points(index)
    first, second = (source.rows(index) for source in lab.sources_for(Denoising()))
    for rows, source in zip((first, second), lab.sources, strict=True):
        changed = (rows != clean).any(-1)
        assert torch.equal(changed, source.noisy)
        assert int(changed.sum()) == round(0.9 * len(clean))
        assert float((rows - clean)[changed].std()) == pytest.approx(0.2, rel=4 / (128 * int(changed.sum())) ** 0.5)
    assert not torch.equal(first, second)
    for source in lab.sources_for(OnCleanData()):
        assert torch.equal(source.rows(index), clean)  # type: ignore[attr-defined]


def test_samples_do_not_depend_on_how_many_are_drawn_at_a_time():
    """Beyond the first batch they go on with streams of their own; the first is the same whatever follows."""
    few, many = (ImageLaboratory(study({"samples": n}), torch.device("cpu")) for n in (16, 24))
    denoiser = few.denoiser().requires_grad_(False)
    x, _ = few.sample(denoiser)
    y, nfe = many.sample(denoiser)
    assert (x.shape, y.shape, nfe) == ((2, 16, 64), (2, 24, 64), 3)
    torch.testing.assert_close(y[:, :16], x)
    assert (y[:, 16:] - x[:, :8]).abs().min() > 0


def test_images_and_laws_are_trained_sampled_and_attacked_by_the_same_functions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """No module of the path knows of images, and both paths call the same one."""
    for module in (training, objectives.base, objectives.equivariance, *map(inspect.getmodule, (
        samplers.sample, samplers.ddim, samplers.ddpm, attacks.Victim, attacks.Random,
    ))):  # fmt: skip
        tree = ast.parse(inspect.getsource(module))  # type: ignore[arg-type]
        names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        names |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names}
        assert not {name for name in names if "image" in name.lower() or "unet" in name.lower()}
    assert image_pipeline.train_all is pipeline.train_all is trainings.train_all
    seen = []

    class Spy(training.Trainer):
        def __init__(self, *arguments: object, **options: object):
            super().__init__(*arguments, **options)  # type: ignore[arg-type]
            seen.append(type(self.sources[0]).__name__)

    monkeypatch.setattr(trainings, "Trainer", Spy)
    law = configure("lab", "smoke", changes=[LAW]).settings
    for lab in (Laboratory(law, torch.device("cpu")), ImageLaboratory(study(), torch.device("cpu"))):
        folder = Run(tmp_path / type(lab).__name__)
        folder.path.mkdir()
        assert list(trainings.train_all(lab, folder, trainings.Effort(lab.models)))
    assert {*seen} == {"Finite", "ImageSource"}


def test_what_a_run_takes_is_said_and_nothing_is_written(toylab, tmp_path: Path):
    code, out, _ = toylab(
        "run", "digits-noise", "--preset", "smoke", "--dry-run", "--out", tmp_path, "--methods", "ddpm",
        "--set", 'grid={"corruption.std":[0.0,0.1]}', "--set", "samples=24", "--set", "nfe=3", "--set", "few_steps=[]",
    )  # fmt: skip
    assert code == 0
    assert "ddpm: training" in out
    assert "hours" in out
    assert not any(tmp_path.iterdir())
    found = rehearse(study(), torch.device("cpu"), lambda settings: image_pipeline.Work(settings).total)
    training, after = found.parts
    work = image_pipeline.Work(study())
    assert (training.times, after.times) == (2.0, work.measuring * work.subjects)
    assert after.seconds == pytest.approx(training.seconds / work.costs["ddpm"])
    assert found.seconds == pytest.approx(3600 * (training.hours + after.hours / found.at_once))
    assert found.memory > 2**26


def test_digits_judge_digits_alone(toylab, tmp_path: Path):
    code, _, error = toylab("run", "cifar10-noise", "--preset", "smoke", "--out", tmp_path)
    assert code == 2
    assert "Inception" in error
    assert not any(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cifar10-noise", "celeba-noise", "lsun-noise"])
def test_the_papers_protocol_runs_on_a_fixture(name: str, toylab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A parquet file in the place of the data set, a tiny module in the place of Inception."""
    monkeypatch.setenv("TOYLAB_CACHE", str(tmp_path / "cache"))
    height, width = {"cifar10-noise": (32, 32), "celeba-noise": (218, 178)}.get(name, (64, 64))
    pictures = [encoded(noise(seed, height, width)) for seed in range(40)]
    column = {"cifar10-noise": "img"}.get(name, "image")
    file = table(tmp_path / "train-0.parquet", {column: pictures, "label": [0] * 40})
    torch.jit.script(Tiny()).save(str(tmp_path / "tiny.pt"))
    missing = toylab("run", name, "--preset", "smoke", "--out", tmp_path / "runs", *features(tmp_path))
    assert missing[0] == 2
    assert missing[2].count("\n") == 1
    code, out, error = toylab(
        "run", name, "--preset", "smoke", "--out", tmp_path / "runs", "--set", f"data.path={file}", *features(tmp_path),
        "--set", "grid={\"corruption.std\":[0.2]}", "--methods", "ddpm,robust-adv",
    )  # fmt: skip
    assert code == 0, error
    assert "FID" in out
    (folder,) = (tmp_path / "runs").iterdir()
    rows = Run(folder).rows
    assert {"fid", "kid", "is"} <= {row["metric"] for row in rows}
    assert "fd-digits" not in {row["metric"] for row in rows}


def features(folder: Path) -> list[str]:
    settings = {"name": "inception", "weights": str(folder / "tiny.pt")}
    return [part for key, value in settings.items() for part in ("--set", f"evaluation.features.{key}={value}")]

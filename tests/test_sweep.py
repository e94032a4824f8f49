"""Sweeps: the grid's arithmetic, runs cell by cell, going on, and what is shown of them."""

import json
from pathlib import Path

import pytest
import torch

from tests.test_experiments import TINY, carry_out
from toylab import index
from toylab.configuration import assignments, validate
from toylab.errors import BadInput
from toylab.experiments.laboratory import Laboratory
from toylab.experiments.study import Evaluation, MethodStudy
from toylab.experiments.sweep import Cell, Sweep
from toylab.launch import configure, prepare
from toylab.objectives import robust_adv
from toylab.results import SET, Row, by_seed, swept
from toylab.runs import Run

SHARES = {"contamination.fraction": [0.3, 0.9]}
LAMS = {"methods.*.lam": [0.3, 1.0]}


def asked(*changes: dict, name: str = "contamination-grid", methods: list[str] | None = None) -> Sweep:
    """The settings of a sweep."""
    settings = configure(name, "smoke", changes=changes, methods=methods).settings
    assert isinstance(settings, Sweep)
    return settings


def of(rows: list[Row], **where: str) -> list[Row]:
    """Rows with these values, keys of the grid by their last part."""
    if not rows:
        return []
    columns = {key: next(c for c in rows[0] if c in (key, SET + key) or c.endswith(f".{key}")) for key in where}
    return [row for row in rows if all(row[columns[key]] == value for key, value in where.items())]


# -- the grid ----------------------------------------------------------------------------------------------------


def test_cells_are_all_combinations_and_keys_with_commas_change_together():
    cells = asked(
        {
            "grid": {
                "contamination.fraction": [0.3, 0.9],
                "contamination.std,methods.ambient.std": [[0.1, 0.1], [0.2, 0.2]],
            }
        }
    ).cells
    found = [
        (c.study.contamination.model_dump()["fraction"], c.study.contamination.model_dump()["std"],
         c.study.methods["ambient"].model_dump()["std"])
        for c in cells
    ]  # fmt: skip
    assert found == [(0.3, 0.1, 0.1), (0.3, 0.2, 0.2), (0.9, 0.1, 0.1), (0.9, 0.2, 0.2)]
    assert cells[1].at == {"contamination.fraction": 0.3, "contamination.std": 0.2, "methods.ambient.std": 0.2}
    assert len({cell.name for cell in cells}) == 4


def test_a_key_of_all_methods_can_change_together_with_one_of_the_study():
    cells = asked({"grid": {"samples,methods.*.lam": [[40, 0.1], [50, 0.2]]}}, name="few-steps").cells
    assert len(cells) == 4  # and two samplers
    for method in ("robust-adv", "robust-onesided"):
        found = {(cell.study.samples, cell.study.methods[method].build().lam) for cell in cells}
        assert found == {(40, 0.1), (50, 0.2)}


def test_keys_of_methods_make_versions_of_those_that_have_them():
    (cell,) = asked(name="radius-map").cells
    assert list(cell.study.methods) == [
        "ddpm", *(f"{method}-{number}" for method in ("robust-ran", "robust-adv") for number in range(1, 5))
    ]  # fmt: skip
    built = {name: method.build() for name, method in cell.study.methods.items()}
    assert [(built[f"robust-adv-{k}"].lam, built[f"robust-adv-{k}"].radius.rho) for k in range(1, 5)] == [
        (0.3, 0.0), (0.3, 2.0), (1.0, 0.0), (1.0, 2.0),
    ]  # fmt: skip
    assert cell.versions["ddpm"].at == {}
    assert cell.versions["robust-ran-4"].method == "robust-ran"
    assert cell.versions["robust-ran-4"].at == {
        "methods.*.lam": 1.0, "methods.*.radius.r0": 1.0, "methods.*.radius.rho": 2.0,
    }  # fmt: skip


def test_an_axis_with_one_value_changes_the_method_and_not_its_name():
    (cell,) = asked({"grid": {"methods.*.lam": [0.7]}}, name="fine-tune", methods=["ddpm", "robust-ran"]).cells
    assert [cell.study.methods[f"robust-ran-{k}"].build().lam for k in (1, 2)] == [0.7, 0.7]
    (cell,) = asked(
        {"grid": {"methods.robust-ran.plan.start": [0.25]}}, name="radius-map", methods=["robust-ran"]
    ).cells
    assert cell.study.methods["robust-ran-1"].build().plan.start == 0.25


def test_a_choice_is_called_by_its_name_where_that_tells_it_from_others():
    two = [{"name": "circle"}, {"name": "subspace", "intrinsic": 1}]
    cells = asked({"grid": {"law": two, "law.dim": [4]}}, name="dimension-sweep").cells
    assert [cell.at["law"] for cell in cells] == ["circle", "subspace"]
    assert [(cell.study.law.name, cell.study.law.build().dim) for cell in cells] == [("circle", 4), ("subspace", 4)]
    same = [{"name": "subspace", "intrinsic": 1}, {"name": "subspace", "intrinsic": 2}]
    cells = asked({"grid": {"law": same, "law.dim": [4]}}, name="dimension-sweep").cells
    assert [json.loads(str(cell.at["law"]))["intrinsic"] for cell in cells] == [1, 2]


def test_the_command_line_changes_one_axis_and_leaves_the_others():
    sweep = asked(assignments(["grid.contamination.fraction=[0.5]"]))
    assert sweep.grid["contamination.fraction"] == [0.5]
    assert len(sweep.cells) == 2


def test_without_a_method_its_keys_leave_the_grid():
    sweep = asked(methods=["ddpm", "robust-l2"])
    assert sweep.grid == {"contamination.fraction": [0.3, 0.9], "contamination.std": [0.1, 0.2]}
    assert len(sweep.cells) == 4
    assert asked(name="fine-tune", methods=["ddpm"]).grid == {}


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        ([], "grid: a table of keys"),
        ({"training.steps": 5}, "training.steps: a list of at least one value, not '5'"),
        ({"training.steps": []}, "a list of at least one value"),
        ({"training.steps": [5, 5]}, "training.steps: the same value twice"),
        ({"training.stepz": [5]}, "training: unknown key 'stepz'; did you mean 'steps'"),
        ({"training.steps": [0]}, "training.steps: Input should be greater than or equal to 1"),
        ({"nfe,samples": [[5, 50], 6]}, "nfe,samples: for 2 keys each value is a list of 2"),
        ({"seeds": [2, 3]}, "a grid goes over neither seeds nor grids"),
        ({"methods.*.lamm": [1.0]}, r"no method has the key of 'methods.\*.lamm'"),
        ({"methods.robust.lam": [1.0]}, "no method has the key of 'methods.robust.lam'"),
        ({"methods.*.lam": [-1.0]}, "lam must be finite and at least 0"),
        ({"nfe": list(range(2, 1003))}, "at most 1000 combinations, not 4004"),
    ],
)
def test_what_is_wrong_with_a_grid_is_said_in_one_line(grid, message: str):
    with pytest.raises(BadInput, match=message) as caught:
        asked({"grid": grid})
    assert "\n" not in str(caught.value)


def test_names_of_versions_must_not_be_taken():
    with pytest.raises(BadInput, match="robust-ran-1 would be the name of two methods"):
        asked({"methods": {"robust-ran-1": "ddpm"}}, name="fine-tune")


# -- longer trainings --------------------------------------------------------------------------------------------


def test_ddpm_longer_evaluates_the_network_as_often_as_robust_adv():
    sweep = asked()
    one, many = (sweep.methods[name].build().evaluations for name in ("ddpm-longer", "robust-adv"))
    assert sweep.steps_of("ddpm-longer") * one == sweep.steps_of("robust-adv") * many
    assert many == robust_adv().evaluations == 3
    cell: Cell = sweep.cells[0]
    assert cell.study.steps_of("ddpm-longer") == 3 * cell.study.steps_of("ddpm")
    assert asked(methods=["ddpm"]).longer == {}


def test_longer_must_name_a_method_and_goes_with_its_versions():
    with pytest.raises(BadInput, match="longer: unknown method 'robust-axv'; did you mean 'robust-adv'"):
        asked({"longer": {"robust-axv": 2.0}}, name="fine-tune")
    (cell,) = asked({"longer": {"robust-adv": 2.0}}, name="fine-tune").cells
    assert cell.study.longer == {"robust-adv-1": 2.0, "robust-adv-2": 2.0}


def test_a_longer_training_has_more_steps(tmp_path: Path):
    """Trained twice as long ddpm is what it is in a study of twice the steps, bit for bit."""
    two = {"methods": {"ddpm": "ddpm", "twice": "ddpm"}, "longer": {"twice": 2.0}}
    run = carry_out("missing-data", tmp_path / "a", "smoke", TINY, two, methods=["ddpm", "twice"])
    other = carry_out("missing-data", tmp_path / "b", "smoke", TINY, {"training": {"steps": 8}}, methods=["ddpm"])
    long, same = (r.load_tensors(f"weights/{name}.safetensors") for r, name in ((run, "twice"), (other, "ddpm")))
    assert all(torch.equal(long[key], same[key]) for key in same)


# -- runs --------------------------------------------------------------------------------------------------------

SMALL = {"grid": SHARES | LAMS, "contamination": {"std": 0.1}, "methods": {"ddpm": "ddpm", "robust-ran": "robust-ran"}}
NAMES = ["ddpm", "robust-ran"]


def small(root: Path, draw: bool = False) -> Run:
    """Two shares of noise, two λ of robust-ran, ddpm, which has none: two cells of three trainings."""
    only = {"grid": {"contamination.std,methods.ambient.std": [[0.1, 0.1]]}}
    return carry_out("contamination-grid", root, "smoke", TINY, SMALL, only, methods=NAMES, draw=draw)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return small(tmp_path_factory.mktemp("sweeps"), draw=True)


def test_results_are_gathered_with_the_keys_they_depend_on(finished: Run):
    rows = finished.rows
    assert swept(rows) == ["contamination.fraction", "methods.*.lam"]
    assert {row["method"] for row in rows} >= {"ddpm", "robust-ran", "exact-clean", "exact-contaminated"}
    for method, lams in (("robust-ran", {"0.3", "1.0"}), ("ddpm", {""}), ("exact-clean", {""})):
        own = of(rows, method=method)
        assert {(row[f"{SET}contamination.fraction"], row[f"{SET}methods.*.lam"]) for row in own} == {
            (share, lam) for share in ("0.3", "0.9") for lam in lams
        }
    assert finished.config["grid"]["contamination.fraction"] == [0.3, 0.9]


def test_a_cell_is_the_study_of_its_settings(finished: Run, tmp_path: Path):
    """The same numbers as those of the lab, bit for bit: nothing that a sweep does is felt inside."""
    noise = {"law": "oblique-plane", "contamination": {"name": "inlier-noise", "fraction": 0.9, "std": 0.1}}
    same = {"evaluation": {"metrics": finished.config["evaluation"]["metrics"]}}
    alone = carry_out("lab", tmp_path, "smoke", TINY, noise, same, {"objective": {"name": "robust-ran", "lam": 1.0}})
    compared = 0
    for method, where in (("robust-ran", {"fraction": "0.9", "lam": "1.0"}), ("ddpm", {"fraction": "0.9"})):
        rows = of(finished.rows, method=method, **where)
        for metric in ("normal-std", "w2", "eps-mse"):
            found = by_seed(rows, method, metric, "clean")
            assert found == by_seed(alone.rows, method, metric, "clean") != []
            compared += 1
    assert compared == 6


def test_cells_are_run_folders(finished: Run):
    cells = [Run(path) for path in sorted((finished.path / "cells").iterdir())]
    assert [cell.path.name for cell in cells] == ["01-fraction-0.3-std-0.1", "02-fraction-0.9-std-0.1"]
    for cell in cells:
        assert cell.finished
        assert cell.methods == ["ddpm", "robust-ran-1", "robust-ran-2"]
        assert cell.denoiser("robust-ran-2", seed=1).eps(torch.zeros(1, 5, 3), 0.3).shape == (1, 5, 3)
        again = configure("contamination-grid", None, cell.path / "config.json").settings
        assert isinstance(again, Sweep)
        assert [(c.study.model_dump(), c.at) for c in again.cells] == [
            ({k: v for k, v in again.model_dump().items() if k != "grid"}, {})
        ]
        assert {row["method"] for row in cell.rows} >= {*cell.methods, "exact-clean"}


def test_a_sweep_goes_on_with_the_cell_that_is_not_finished(finished: Run, tmp_path: Path):
    changes = [TINY, SMALL, {"grid": {"contamination.std,methods.ambient.std": [[0.1, 0.1]]}}]
    stopped = prepare(configure("contamination-grid", "smoke", changes=changes, methods=NAMES), "cpu", tmp_path)
    running = stopped.carry_out()
    while not next(running).label.startswith("2 of 2"):
        pass
    running.close()
    first = stopped.folder.path / "cells/01-fraction-0.3-std-0.1/results.csv"
    before = first.stat().st_mtime_ns
    again = small(tmp_path)
    assert again.path == stopped.folder.path
    assert first.stat().st_mtime_ns == before
    assert (again.path / "results.csv").read_bytes() == (finished.path / "results.csv").read_bytes()


def test_no_training_is_done_twice(tmp_path: Path):
    """Cells that differ in the sampler alone share their networks, and say so by having trained none."""
    run = carry_out("few-steps", tmp_path, "smoke", TINY, {"nfe": 6, "few_steps": [4]}, methods=["ddpm", "robust-adv"])
    one, two = sorted((run.path / "cells").iterdir())
    for name in ("ddpm", "robust-adv"):
        weights = f"weights/{name}.safetensors"
        assert (one / weights).read_bytes() == (two / weights).read_bytes()
    assert [(cell / "timings.csv").read_text().count(",training,") for cell in (one, two)] == [2, 0]
    assert {(row["nfe"], row[f"{SET}sampler"]) for row in of(run.rows, method="ddpm", metric="w2")} == {
        (nfe, sampler) for nfe in ("6", "4") for sampler in ("ddim", "dpm-solver++")
    }
    assert (
        len({row["value"] for row in of(run.rows, method="ddpm", metric="w2", nfe="4", seed="0", against="clean")}) == 2
    )


def test_what_is_shown_of_a_sweep(finished: Run, toylab):
    code, out, _ = toylab("show", finished.path)
    assert code == 0
    heading = next(line for line in out.splitlines() if "normal std" in line)
    assert heading.split()[:3] == ["method", "fraction", "lam"]
    (line,) = [
        line for line in out.splitlines() if line.split()[:1] == ["robust-ran"] and "0.9" in line and " 1.0 " in line
    ]
    assert "†" in line or "±" in line
    assert "cells/02-fraction-0.9-std-0.1\n" in out
    assert "cells/02-fraction-0.9-std-0.1/" not in out
    code, _, err = toylab("show", finished.path, "--ledger")
    assert (code, "is a sweep" in err) == (2, True)
    code, _, err = toylab("sample", finished.path, "--method", "ddpm", "-o", finished.path / "x.npz")
    assert (code, "its trained models are in the folders of" in err) == (2, True)


def test_figures_of_a_sweep(finished: Run):
    assert {path.name for path in (finished.path / "figures").glob("*.png")} == {
        "sweep-normal-std.png", "sweep-tangent-std.png", "sweep-w2.png",
    }  # fmt: skip


FLAT = {"r0": 1.0, "rho": 0.0, "bias": 0.0, "random": False}
ONE_GAUSSIAN = {"name": "gaussian", "condition": 4.0}


@pytest.mark.parametrize(
    ("law", "method", "share"),
    [
        (ONE_GAUSSIAN, {"name": "robust-ran", "lam": 1.0, "radius": FLAT}, 3 / 4),
        (ONE_GAUSSIAN, {"name": "robust-adv", "lam": 1.0, "radius": FLAT}, 1 / 2),
        (ONE_GAUSSIAN, "robust-adv", None),  # its radius follows the noise: another law at every level
        (ONE_GAUSSIAN, {"name": "invariance", "direction": "random", "radius": FLAT}, None),
        (ONE_GAUSSIAN, "ddpm", None),
        ("three-gaussians", {"name": "robust-ran", "lam": 1.0, "radius": FLAT}, None),
    ],
)
def test_the_law_that_is_implied_has_its_variances_over_one_plus_λs(law, method, share: float | None):
    """s = r²/3 for random pushes, r² for FGSM's along the axes; on one Gaussian, and if theory is asked for."""
    changes = [{"law": law, "methods": {"mine": method}, "nfe": 3, "evaluation": {"theory": True}}]
    study = configure("missing-data", "smoke", changes=[*changes, {"contamination": "none"}], methods=["mine"]).settings
    assert isinstance(study, MethodStudy)
    objective = study.methods["mine"].build()
    lab = Laboratory(study, torch.device("cpu"))
    implied = lab.implied(objective)
    assert (implied is None) == (share is None)
    if implied is not None and share is not None:
        torch.testing.assert_close(implied.cov, share * lab.clean.cov)
    untold = study.model_copy(update={"evaluation": study.evaluation.model_copy(update={"theory": False})})
    assert Laboratory(untold, torch.device("cpu")).implied(objective) is None


def test_what_is_implied_is_measured_like_a_method(tmp_path: Path):
    laws = {"law": [{"name": "gaussian", "dim": 1}, "two-gaussians"], "methods.*.lam": [0.5, 1.0]}
    run = carry_out("clean-price", tmp_path, "smoke", TINY, {"grid": laws}, methods=["ddpm", "robust-ran"])
    rows = [row for row in run.rows if row["method"] == "implied-robust-ran"]
    assert {(row[f"{SET}law"], row[f"{SET}methods.*.lam"]) for row in rows} == {
        ("gaussian", "0.5"),
        ("gaussian", "1.0"),
    }
    narrower, wider, own = (
        by_seed(of(run.rows, law="gaussian", **lam), method, "mode-width", "clean")
        for method, lam in (
            ("implied-robust-ran", {"lam": "1.0"}),
            ("implied-robust-ran", {"lam": "0.5"}),
            ("exact-clean", {}),
        )
    )
    assert all(a < b < c for a, b, c in zip(narrower, wider, own, strict=True))  # from the same noise


def test_every_sweep_has_figures_of_what_it_measures():
    for name in index.EXPERIMENTS:
        experiment = index.EXPERIMENTS.load(name)
        for preset in experiment.presets.values() if experiment.settings is Sweep else ():
            measured = validate(Evaluation, preset.get("evaluation", {})).metrics
            over = [figure.removeprefix("sweep-") for figure in experiment.figures if figure.startswith("sweep-")]
            assert {*over} <= {*measured}
            assert over

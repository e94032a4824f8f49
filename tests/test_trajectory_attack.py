"""The experiment trajectory-attack: rows, pairs, figures."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.test_experiments import TINY
from toylab import figures
from toylab.distributions.named import three_gaussians
from toylab.errors import BadInput
from toylab.figures.style import colour, marker, stroke
from toylab.launch import configure, prepare
from toylab.results import Conditions, Measurement, from_csv, interval, to_csv
from toylab.runs import Run
from toylab.summaries import attacked_summary, summary

BUDGETS = ["0.0", "0.3"]
ATTACKED = {"attack": {"budgets": [0.0, 0.3], "points": 20, "attacks": {"adaptive": {"steps": 2}}}}


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A tiny run with two methods."""
    changes = [TINY, ATTACKED, {"parametrization": "x0"}]  # so that hardly trained networks do not blow up
    configured = configure("trajectory-attack", "smoke", changes=changes, methods=["ddpm", "robust-adv"])
    launch = prepare(configured, "cpu", tmp_path_factory.mktemp("runs"))
    *_, last = launch.configured.experiment.run(launch.configured.settings, launch.folder, launch.device)
    assert last.done == pytest.approx(last.total)
    figures.draw(launch.folder, ["attack-displacement"])
    launch.folder.finish()
    return launch.folder


def values(run: Run, method: str, metric: str) -> dict[tuple[str, str, str, str], float]:
    """By seed, attack, place and budget."""
    rows = [row for row in run.rows if row["method"] == method and row["metric"] == metric and row["attack"]]
    return {(row["seed"], row["attack"], row["place"], row["budget"]): float(row["value"]) for row in rows}


def test_every_condition_is_measured_of_every_denoiser(attacked: Run):
    for method in ("ddpm", "robust-adv", "exact-clean", "exact-contaminated"):
        for metric in ("displacement", "log-density-drop", "outlier-mass"):
            found = values(attacked, method, metric)
            assert len(found) == 2 * 3 * 3 * 2
            assert {key[1:3] for key in found} == {
                (attack, place) for attack in ("random", "greedy", "adaptive") for place in ("start", "middle", "every")
            }
    assert not values(attacked, "clean-samples", "displacement")


def test_without_a_budget_the_end_points_are_the_studys_own_samples(attacked: Run):
    law = three_gaussians()
    level = law.log_prob(law.sample(1_000_000, torch.Generator().manual_seed(1))).kthvalue(1000).values
    samples = attacked.arrays("samples.npz")
    for method in ("ddpm", "exact-contaminated"):
        moved, mass = values(attacked, method, "displacement"), values(attacked, method, "outlier-mass")
        outside = law.log_prob(torch.from_numpy(samples[method][:, :20]).double()) < level
        for key in moved:
            if key[-1] == "0.0":
                assert moved[key] == 0.0
                assert mass[key] == pytest.approx(float(outside[int(key[0])].double().mean()))
            else:
                assert moved[key] > 0.0


def test_the_excess_is_over_the_exact_clean_denoiser(attacked: Run):
    for metric in ("displacement", "log-density-drop", "outlier-mass"):
        own, exact = values(attacked, "robust-adv", metric), values(attacked, "exact-clean", metric)
        excess = values(attacked, "robust-adv", f"excess-{metric}")
        assert excess == {key: pytest.approx(own[key] - exact[key], abs=1e-9) for key in own}
        assert not values(attacked, "exact-clean", f"excess-{metric}")


def test_rows_under_attack_do_not_enter_what_is_not_attacked(attacked: Run):
    plain = [row for row in attacked.rows if not row["attack"]]
    assert summary(attacked.rows) == summary(plain)
    clean = interval(attacked.rows, "ddpm", "outlier-mass", "clean")
    assert clean == interval(plain, "ddpm", "outlier-mass", "clean")
    under = interval(attacked.rows, "ddpm", "displacement", "clean", under=Conditions("random", "start", "0.3"))
    assert under is not None
    per_seed = [v for k, v in values(attacked, "ddpm", "displacement").items() if k[1:] == ("random", "start", "0.3")]
    assert under.mean == pytest.approx(np.mean(per_seed))
    assert attacked_summary(plain) == []


def test_the_summary_of_attacks_is_at_the_largest_budget(attacked: Run):
    table = attacked_summary(attacked.rows)
    assert table[0] == ["attack", "place", "ddpm", "robust-adv", "exact-clean", "exact-contaminated"]
    assert len(table) == 1 + 9
    shown = interval(attacked.rows, "robust-adv", "displacement", "clean", under=Conditions("greedy", "every", "0.3"))
    (line,) = (line for line in table if line[:2] == ["greedy", "every"])
    assert line[3] == str(shown)


def test_show_prints_both_tables(toylab, attacked: Run):
    code, out, _ = toylab("show", attacked.path)
    assert code == 0
    assert "displacement under attack" in out
    assert "attack-displacement.png" in out
    code, out, _ = toylab("show", attacked.path, "--markdown")
    assert code == 0
    assert out.startswith("| method | outlier mass |")
    assert "\n\n| attack | place | ddpm |" in out


def test_figures_are_drawn_and_only_of_attacks(attacked: Run, tmp_path: Path):
    drawn = {path.name for path in (attacked.path / "figures").iterdir()}
    assert drawn == {"attack-displacement.png", "attack-displacement.svg"}
    for name, lines in (("attack-displacement", 4), ("attack-outlier-mass", 4)):
        figure = figures.FIGURES[name](attacked)
        assert figure is not None
        assert [len(ax.containers) for ax in figure.axes] == [lines] * 9
    (tmp_path / "results.csv").write_text(to_csv([Measurement("ddpm", 0, "w2", "clean", 1.0, 0.1)], {}, {}))
    assert figures.FIGURES["attack-displacement"](Run(tmp_path)) is None


def test_a_known_method_has_one_colour_everywhere():
    names = ["ddpm", "robust-adv", "mine"]
    assert colour("robust-adv", names) == colour("robust-adv", ["robust-adv"])
    assert len({colour(name, names) for name in names}) == 3


def test_a_version_of_a_method_has_its_colour_and_a_look_of_its_own():
    names = ["ddpm", "robust-adv-one", "robust-adv-two", "robust-adv", "robust-adv-flat", "mine", "mine-too"]
    assert {colour(name, names) for name in names[1:4]} == {colour("robust-adv", [])}
    assert colour("mine-too", names) == colour("mine", names) != colour("ddpm", names)
    assert colour("robust-adv-flat", names) != colour("robust-adv", names)  # known by its own
    assert [marker(name, names) for name in names] == ["o", "s", "D", "o", "o", "o", "s"]
    assert len({str(stroke(name, names)) for name in [*names, "optimum-mine", "implied-mine", "exact-clean"]}) == 10


def test_older_tables_have_empty_columns():
    (row,) = from_csv("method,metric,against,seed,t,value\nddpm,w2,clean,0,,1.0\n")
    assert Conditions.of(row) == Conditions()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"budgets": [-0.1]}, "attack: radius must be finite and at least 0"),
        ({"budgets": []}, "attack.budgets"),
        ({"aim": {"name": "target-mode", "mode": 7}}, "attack: mode must be between 0 and 2"),
        ({"middle_ratio": 1e9}, "attack: sigma/alpha = 1e"),
        ({"places": ["end"]}, "attack.places"),
        ({"attacks": {"adaptive": {"steps": 0}}}, "steps must be between 1 and 10000"),
        ({"attacks": {"mine": "advesarial"}}, "unknown attack 'advesarial'"),
    ],
)
def test_bad_settings_are_refused(change: dict, message: str):
    with pytest.raises(BadInput, match=message):
        configure("trajectory-attack", "smoke", changes=[{"attack": change}])

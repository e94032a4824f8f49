"""`toylab laws`: the table and the pictures."""

from pathlib import Path

import pytest
import torch

from tests.conftest import ALL_LAWS, NAMED
from toylab.distributions import Box, Convolved, Embedded, GaussianMixture, Mixture, Product, Sphere
from toylab.figures import draw_law
from toylab.figures.laws import portrait


def test_the_table_has_every_law(toylab):
    code, out, _ = toylab("laws")
    assert code == 0
    lines = {line.split()[0]: line for line in out.splitlines() if line.strip()}
    for name, law in NAMED.items():
        assert lines[name].split()[1] == str(law.dim)
        assert law.support in lines[name]
        assert law.exact_by in lines[name]


@pytest.mark.parametrize(
    ("law", "support"),
    [
        (GaussianMixture([[0.0], [1.0]], std=[1.0, 0.0]), "R"),
        (GaussianMixture([[0.0, 0.0], [1.0, 1.0]], std=0.0), "2 points of R^2"),
        (GaussianMixture([[0.0, 0.0]], cov=[[1.0, 1.0], [1.0, 1.0]]), "1-dimensional subspace of R^2"),
        (GaussianMixture.low_rank([[0.0] * 5] * 3, torch.ones(3, 5, 1), 0.0), "3 1-dimensional subspaces of R^5"),
        (GaussianMixture.low_rank([[0.0] * 5] * 3, torch.ones(3, 5, 1), 0.1), "R^5"),
        (Mixture([Sphere(2), Box([0.0, 0.0], [1.0, 1.0])]), "a circle in R^2 and a box in R^2"),
        (Mixture([Sphere(2), Box([0.0, 0.0], [1.0, 1.0])], [1.0, 0.0]), "a circle in R^2"),
        (Convolved(Sphere(3), 0.1), "R^3"),
        (Embedded(Sphere(2), torch.eye(3)[:, :2]), "a circle in R^2, placed in R^3"),
        (Product([Sphere(2), Sphere(2), Box(0.0, 1.0)]), "(a circle in R^2)^2 x a box in R"),
    ],
)
def test_supports_in_words(law, support: str):
    assert law.support == support


@pytest.mark.parametrize("name", ["two-gaussians", "box", "sphere", "oblique-plane"])
def test_portraits_show_samples_and_three_levels(name: str, tmp_path: Path):
    law = ALL_LAWS[name]
    figure = portrait(law, name)
    titles = [ax.get_title() for ax in figure.axes if ax.get_title()]
    assert titles[0].startswith("samples")
    assert [title.startswith("σ/α") for title in titles[1:]] == [True] * 3
    path = draw_law(law, name, tmp_path / "law.svg")
    assert path.read_text().startswith("<?xml")


def test_a_portrait_by_command(tmp_path: Path, toylab):
    path = tmp_path / "wide.png"
    code, _, err = toylab("laws", "--plot", "box", "--set", "dim=3", "-o", path)
    assert code == 0, err
    assert path.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--plot", "bux"], "unknown law 'bux'; did you mean 'box'?"),
        (["--plot", "box", "--set", "dim=0"], "dim must be"),
        (["--plot", "box", "-o", "nowhere/box.png"], "-o must name"),
        (["--plot", "box", "-o", "box.gif"], "-o must name"),
        (["--set", "dim=2"], "go with --plot"),
    ],
)
def test_bad_input(arguments: list[str], message: str, toylab):
    code, _, err = toylab("laws", *arguments)
    assert code == 2
    assert message in err
    assert len(err.splitlines()) == 1

"""Every law against a reference of 50 digits: `python -m benchmarks.exactness`, at few points."""

from collections.abc import Iterator

import pytest
import torch

from benchmarks import integrals, references
from benchmarks.errors import Row, errors, exactly, measure, norm, points_of, ridge
from benchmarks.exactness import report
from benchmarks.families import FAMILIES, Family
from benchmarks.integrals import mp
from tests.conftest import ALL_LAWS, NAMED
from toylab.distributions import Curve, Distribution, Embedded, GaussianMixture, StudentT, named
from toylab.index import CONTAMINATIONS

CELLS = [("on", 1e-3), ("near", 0.1), ("ridge", 1e-2), ("far", 100.0)]


def parts(law: Distribution) -> Iterator[Distribution]:
    """A law and the laws it is made of."""
    yield law
    for value in vars(law).values():
        for part in value if isinstance(value, list) else [value]:
            if isinstance(part, Distribution):
                yield from parts(part)


def kinds(laws: dict[str, Distribution]) -> set[type]:
    return {type(part) for law in laws.values() for part in parts(law)}


def descendants(kind: type) -> set[type]:
    found = {kind}.union(*(descendants(sub) for sub in kind.__subclasses__()))
    return {
        one for one in found if one.__module__.startswith("toylab.") and not getattr(one, "__abstractmethods__", None)
    }


# -- the bounds --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FAMILIES)
def test_errors_are_within_the_bounds(name: str, monkeypatch: pytest.MonkeyPatch):
    quick = integrals.Rule(5, mp.mpf(24), mp.mpf("0.5"))  # good to 20 digits; the command takes every integral twice
    monkeypatch.setattr(integrals, "RULES", (quick,))
    for region, ratio in CELLS[1:2] if FAMILIES[name].points < 3 else CELLS:
        row = measure(name, region, ratio, 1)
        assert not row.missed, row


def test_every_law_and_contamination_is_measured():
    """A new one has to be added to benchmarks/families.py."""
    laws = {name: family.law for name, family in FAMILIES.items()}
    assert kinds(laws) >= kinds(ALL_LAWS) | descendants(Distribution)
    assert set(CONTAMINATIONS) - {"none"} <= set(laws)
    assert {name for name, law in NAMED.items() if Curve in kinds({name: law})} <= set(laws)


def test_eigenvalues_far_below_the_largest_count():
    """One of 1e-13 was taken for 0: an error of 1e-7 at this level."""
    cov = torch.tensor([[0.36 + 0.64e-13, 0.48 - 0.48e-13], [0.48 - 0.48e-13, 0.64 + 0.36e-13]], dtype=torch.float64)
    law = GaussianMixture([[0.0, 0.0]], cov=cov)
    family = Family(law, "", references.gaussians([[0.0, 0.0]], [cov.tolist()]))
    x = 1e-3 * torch.tensor([0.8, -0.6], dtype=torch.float64)
    true = family.reference(exactly(x), mp.mpf(1), mp.mpf(1e-3))
    assert max(errors(family, true, x, 1.0, 1e-3, 1.0)) < 1e-10
    assert float(law._variances.min()) > 0


def test_a_basis_orthonormal_to_1e_10_is_made_orthonormal():
    """The columns' product of 1e-10, over σ², was felt across the plane."""
    basis = torch.tensor([[1.0, 0.6e-10], [0.0, 1.0], [0.0, 0.0]], dtype=torch.float64)
    law = Embedded(named.gaussian(), basis)
    assert law.basis is not None
    family = Family(law, "", references.gaussians([[0.0] * 3], [references.mapped(mp.eye(2), law.basis.tolist())]))
    for x in law.sample(5, torch.Generator().manual_seed(0)):
        true = family.reference(exactly(x), mp.mpf(1), mp.mpf(1e-3))
        assert max(errors(family, true, x, 1.0, 1e-3, 1.0)) < 1e-11


@pytest.mark.parametrize("distance", [0.0, 1e-2, 10.0])
def test_a_heavy_tail_in_thousands_of_dimensions(distance: float):
    """Its own density, in closed form; near the centre the quadrature over log w has to reach log(1 + d/ν)."""
    d, df = 4096, 1
    law = StudentT([0.0] * d, df)
    x = torch.full((d,), distance / 64, dtype=torch.float64)
    lead = mp.loggamma(mp.mpf(df + d) / 2) - mp.loggamma(mp.mpf(df) / 2) - d * mp.log(df * mp.pi) / 2
    expected = lead - mp.mpf(df + d) / 2 * mp.log(1 + norm(exactly(x)) ** 2 / df)
    assert float(law.log_prob(x)) == pytest.approx(float(expected), rel=1e-13)
    torch.testing.assert_close(law.score(x), -(df + d) / (df + distance**2) * x, rtol=1e-11, atol=0)


# -- the references ----------------------------------------------------------------------------------------------------


def test_an_integral_that_is_not_resolved_is_refused():
    log_mass, (mean,) = integrals.integrals(lambda u: (-((u - 1) ** 2) * mp.mpf(5e11), [u]), [mp.mpf(-50), mp.mpf(70)])
    assert abs(log_mass - mp.log(mp.pi / mp.mpf(5e11)) / 2) < mp.mpf("1e-30")
    assert abs(mean - 1) < mp.mpf("1e-30")
    with pytest.raises(ArithmeticError, match="two rules differ"):
        integrals.integrals(lambda u: (-abs(u - mp.mpf(0.3)), [u]), [mp.mpf(-1), mp.mpf(1)])


def test_references_know_an_easy_case():
    """A Gaussian has the score (αm - x)/(α²s² + σ²) and a posterior mean between m and x/α."""
    answer = references.gaussians([[2.0]], [references.diagonal([0.5])])([mp.mpf(3)], mp.mpf(1), mp.mpf("0.5"))
    assert abs(answer.score[0] + 2) < mp.mpf("1e-45")
    assert abs(answer.mean[0] - mp.mpf("2.5")) < mp.mpf("1e-45")
    assert abs(answer.log_p + 1 + mp.log(mp.pi) / 2) < mp.mpf("1e-45")


# -- the measurement ---------------------------------------------------------------------------------------------------


def test_ridges_lie_where_components_are_equally_likely():
    law = named.two_gaussians()
    start, end = torch.tensor([[-2.3], [1.7]]).double(), torch.tensor([[1.9], [-2.0]]).double()
    x = ridge(law, start, end, 0.8, 1e-3)
    assert x.shape == (2, 1)
    assert float(x.abs().max()) < 1e-6  # where the score changes most, as the square of the distance


def test_a_wrong_law_is_found_out():
    """A scale off by 1e-8 exceeds the bound."""
    family = FAMILIES["isotropic"]
    wrong = family._replace(law=named.three_gaussians(std=0.3 * (1 + 1e-8)))
    x = points_of(family.law, "near", 0.8, 0.6, 1)[0][0]
    true = family.reference(exactly(x), mp.mpf(0.8), mp.mpf(0.6))
    assert max(errors(family, true, x, 0.8, 0.6, 2.0)) < 1e-14
    assert max(errors(wrong, true, x, 0.8, 0.6, 2.0)) > family.bound


def test_the_report_counts_what_is_missed():
    row = Row("a", "r", "ridge", 0.1, 1.0, 0.1, 3, 2e-9, 1e-12, 0.0, 1e-9, 0.0, 1, 1e-7)
    text = report([row, row._replace(ratio=1.0, score=1e-16, missed=0)])
    assert "miss their bound: 1." in text
    assert "| a | r | ridge | 0.1 to 1 | 6 | 2e-09 | 1e-12 | 0e+00 | 1e-09 | 1e-07 |" in text
    assert "| 1e-09, or a rounding of x: 3e-09 | 1e-07 |" in report([row._replace(rounding=3e-9)])

"""Configurations: completion, layering, and one clear line for what is wrong."""

from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from pydantic import Field

from toylab import index
from toylab.configuration import Contamination, Law, Method, Settings, assignments, overlay, read, validate
from toylab.contamination import inlier_noise, outliers
from toylab.distributions.named import three_gaussians
from toylab.errors import BadInput
from toylab.perturbations import Radius


class Inner(Settings):
    steps: int = 3


class Outer(Settings):
    inner: Inner = Inner()
    law: Law = Law.model_validate("three-gaussians")
    method: Method = Method.model_validate("ddpm")
    methods: dict[str, Method] = Field(default_factory=dict)


def test_a_choice_writes_out_every_parameter():
    outer = validate(Outer, {"law": "ring-of-gaussians", "method": {"name": "robust-adv", "radius": {"rho": 0}}})
    assert outer.model_dump()["law"] == {"name": "ring-of-gaussians", "modes": 8, "radius": 2.0, "std": 0.2}
    assert outer.model_dump()["method"]["radius"] == {
        "r0": 1.0, "rho": 0.0, "bias": 8 / 255, "clip": 10.0, "random": True, "unit": "noise",
    }  # fmt: skip
    assert outer.method.build().radius.rho == 0.0
    assert validate(Outer, outer.model_dump()) == outer


@pytest.mark.parametrize("name", index.OBJECTIVES)
def test_every_objective_is_configurable_and_survives_a_round_trip(name: str):
    chosen = Method.model_validate(name)
    again = Method.model_validate(chosen.model_dump(mode="json"))
    assert again == chosen
    assert again.build() == chosen.build()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"iner": {}}, "unknown key 'iner'; did you mean 'inner'\\? allowed: inner, law, method, methods"),
        ({"inner": {"stepz": 1}}, "inner: unknown key 'stepz'; did you mean 'steps'"),
        ({"inner": {"steps": "many"}}, "inner.steps: .*integer.*'many'"),
        ({"law": "circel"}, "law: unknown law 'circel'"),
        ({"law": {"name": "box", "hihg": 2}}, "law: unknown key 'hihg'; did you mean 'high'"),
        ({"law": {"name": "box", "high": "x"}}, "high"),
        ({"law": 3}, "law: needs the name of a known law, or a table"),
        ({"law": {"name": "ring-of-gaussians", "std": -1.0}}, "law: std must be finite and at least 0"),
        ({"law": {"name": "gaussian", "dim": 10**12}}, "law: dim must be between"),
        ({"inner": {"steps": True}}, "inner.steps: .*integer"),
        ({"law": {"name": "box", "high": float("inf")}}, "high: .*finite"),
        ({"method": {"name": "robust-adv", "radius": {"rh": 1}}}, "radius: unknown key 'rh'; did you mean 'rho'"),
        ({"method": {"name": "robust-adv", "radius": {"rho": float("nan")}}}, "radius.rho: .*finite"),
        ({"method": {"name": "robust-adv", "radius": {"r0": -1.0}}}, "method: r0 must be"),
        (
            {"method": {"name": "robust-adv", "radius": "flta"}},
            "radius: unknown radius schedule 'flta'; did you mean 'flat'",
        ),
        ({"method": {"name": "robust-adv", "radius": {"name": "flat", "rh": 1}}}, "radius: unknown key 'rh'"),
        ({"method": {"name": "robust-adv", "radius": {"name": 3}}}, "radius: unknown radius schedule '3'"),
        ({"method": {"name": "robust-adv", "plan": {"widen": 2.0}}}, "method: .*ramp and widen from 0 to 1"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(values, message: str):
    with pytest.raises(BadInput, match=message) as caught:
        validate(Outer, values)
    assert "\n" not in str(caught.value)


def test_layers():
    start = {"law": {"name": "box", "dim": 3}, "methods": {"a": "ddpm", "b": "robust-adv"}}
    base = validate(Outer, start).model_dump()

    def over(*changes: dict, whole: bool = False) -> dict:
        result = base
        for change in changes:
            result = overlay(Outer, result, change, whole)
        return validate(Outer, result).model_dump()

    assert over({"inner": {"steps": 4}})["inner"] == {"steps": 4}
    assert over({"law": {"dim": 2}})["law"] == {"name": "box", "dim": 2, "low": -1.0, "high": 1.0}
    assert over({"law": "box"})["law"]["dim"] == 3
    assert over({"law": "two-gaussians"})["law"] == {"name": "two-gaussians", "distance": 4.0, "std": 0.3}
    rho, r0 = ({"methods": {"b": {"radius": radius}}} for radius in ({"rho": 0.0}, {"r0": 2.0}))
    radius = over(rho, r0)["methods"]["b"]["radius"]
    assert (radius["rho"], radius["r0"], radius["bias"]) == (0.0, 2.0, 8 / 255)
    assert list(over({"methods": {"c": "ddpm"}})["methods"]) == ["a", "b", "c"]
    assert list(over({"methods": {"c": "ddpm"}}, whole=True)["methods"]) == ["c"]


@pytest.mark.parametrize("name", index.RADII)
def test_a_radius_schedule_has_a_name_and_is_written_out(name: str):
    """By --set, over a complete radius of another kind, alone or with what differs from it, in any order."""
    meant = index.RADII.load(name)
    base = validate(Outer, {"methods": {"b": {"name": "robust-adv", "radius": {"r0": 5.0, "rho": 0.3}}}}).model_dump()
    for texts, radius in (
        (["methods.b.radius=" + name], meant),
        (["methods.b.radius=" + name, "methods.b.radius.r0=2"], replace(meant, r0=2.0)),
        (["methods.b.radius.r0=2", "methods.b.radius=" + name], replace(meant, r0=2.0)),
        ([f'methods.b.radius={{"name": "{name}", "random": true}}'], replace(meant, random=True)),
    ):
        outer = validate(Outer, overlay(Outer, base, assignments(texts)))
        assert outer.methods["b"].build().radius == radius
        assert outer.model_dump()["methods"]["b"]["radius"] == asdict(radius)
        assert validate(Outer, outer.model_dump()) == outer
    over = overlay(
        Outer, overlay(Outer, base, assignments(["methods.b.radius=" + name])), assignments(["methods.b.lam=2"])
    )
    built = validate(Outer, over).methods["b"].build()
    assert (built.radius, built.lam) == (meant, 2.0)


def test_the_paper_keeps_its_radius():
    """σ² + 8/255, times a draw: the default of robust-ran, robust-adv and robust-pgd."""
    assert index.RADII.load("paper") == Radius(1.0, 2.0, 8 / 255, 10.0, True, "noise")
    for name in ("robust-ran", "robust-adv", "robust-pgd"):
        assert Method.model_validate(name) == Method.model_validate({"name": name, "radius": "paper"})


def test_a_method_recorded_before_plans_had_a_width_means_the_same():
    radius = {"r0": 1.0, "rho": 2.0, "bias": 8 / 255, "clip": 10.0, "random": True, "unit": "noise"}
    plan = {"rho": 0.0, "start": 0.0, "ramp": 0.0, "one_in": 1, "every": 1}
    old = {"name": "robust-ran", "lam": 0.3, "radius": radius, "draw": "linf", "through": True, "plan": plan}
    assert Method.model_validate(old) == Method.model_validate("robust-ran")


def test_assignments():
    assert assignments(["a.b=3", "a.c=true"]) == {"a": {"b": 3, "c": True}}
    assert assignments(["a=circle"]) == {"a": "circle"}
    assert assignments(["a=1", "a=2"]) == {"a": 2}
    assert assignments(['a={"name": "box"}']) == {"a": {"name": "box"}}
    for bad in ("a", "=3", "a..b=3", ".".join("abcdefghij") + "=1"):
        with pytest.raises(BadInput, match="key=value"):
            assignments([bad])


def test_a_choice_and_its_parameters_may_be_assigned_in_any_order():
    expected = {"law": {"name": "box", "dim": 3}}
    assert assignments(["law=box", "law.dim=3"]) == assignments(["law.dim=3", "law=box"]) == expected


def test_files(tmp_path: Path):
    toml, json_ = tmp_path / "c.toml", tmp_path / "c.json"
    toml.write_text("[inner]\nsteps = 4\n")
    json_.write_text('{"inner": {"steps": 4}}')
    assert read(toml) == read(json_) == {"inner": {"steps": 4}}
    for content in ("{", "[1]", "\x00"):
        json_.write_text(content)
        with pytest.raises(BadInput, match="cannot read the configuration"):
            read(json_)
    with pytest.raises(BadInput, match="No such file"):
        read(tmp_path / "missing.toml")


def test_a_list_of_contaminations_happens_one_after_the_other():
    given = ["inlier-noise", {"name": "outliers", "fraction": 0.25}]
    chosen = Contamination.model_validate(given)
    assert chosen.name == "composed"
    assert Contamination.model_validate(chosen.model_dump()) == chosen
    law = chosen.build(three_gaussians())
    x = torch.randn(5, 2, dtype=torch.float64)
    expected = outliers(inlier_noise(three_gaussians()), 0.25)
    assert torch.equal(law.score(x, 0.8, 0.6), expected.score(x, 0.8, 0.6))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "from 1 to 16"),
        (["none"] * 17, "from 1 to 16"),
        (["nope"], "unknown contamination 'nope'"),
        ([["outliers"]], "needs the name of a known contamination"),
        ({"name": "composed", "steps": ["outliers"], "more": 1}, "has the key steps"),
        ({"name": "composed"}, "has the key steps"),
        ([{"name": "outliers", "fraction": 2.0, "much": 1}], "unknown key 'much'"),
    ],
)
def test_bad_lists_of_contaminations(given, message: str):
    with pytest.raises(ValueError, match=message):
        Contamination.model_validate(given)

"""Configurations: completion, layering, and one clear line for what is wrong."""

from pathlib import Path

import pytest

from toylab import index
from toylab.configuration import Law, Method, Settings, merged, parse_assignment, read, validate
from toylab.errors import BadInput


class Inner(Settings):
    steps: int = 3


class Outer(Settings):
    inner: Inner = Inner()
    law: Law = Law.model_validate("three-gaussians")
    method: Method = Method.model_validate("ddpm")


def test_a_choice_writes_out_every_parameter():
    outer = validate(Outer, {"law": "ring-of-gaussians", "method": {"name": "robust-adv", "radius": {"rho": 0}}})
    assert outer.model_dump()["law"] == {"name": "ring-of-gaussians", "modes": 8, "radius": 2.0, "std": 0.2}
    assert outer.model_dump()["method"]["radius"] == {
        "r0": 1.0, "rho": 0.0, "bias": 8 / 255, "clip": 10.0, "random": True,
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
        ({"iner": {}}, "unknown key 'iner'; did you mean 'inner'\\? allowed: inner, law, method"),
        ({"inner": {"stepz": 1}}, "inner: unknown key 'stepz'; did you mean 'steps'"),
        ({"inner": {"steps": "many"}}, "inner.steps: .*integer.*'many'"),
        ({"law": "circel"}, "law: unknown law 'circel'"),
        ({"law": {"name": "box", "hihg": 2}}, "law: unknown key 'hihg'; did you mean 'high'"),
        ({"law": {"name": "box", "high": "x"}}, "high"),
        ({"law": 3}, "law: a law is a name, or a table"),
        ({"method": {"name": "robust-adv", "radius": {"rh": 1}}}, "rh"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(values, message: str):
    with pytest.raises(BadInput, match=message) as caught:
        validate(Outer, values)
    assert "\n" not in str(caught.value)


def test_layers():
    base = {"law": {"name": "box", "dim": 3}, "inner": {"steps": 3}, "seed": 0}
    assert merged(base, {"inner": {"steps": 4}})["inner"] == {"steps": 4}
    assert merged(base, {"law": {"dim": 2}})["law"] == {"name": "box", "dim": 2}
    assert merged(base, {"law": "gaussian"})["law"] == {"name": "gaussian"}
    assert merged(base, {"law": "box"})["law"] == {"name": "box", "dim": 3}
    assert base["law"] == {"name": "box", "dim": 3}


def test_assignments():
    assert parse_assignment("a.b=3") == {"a": {"b": 3}}
    assert parse_assignment("a=true") == {"a": True}
    assert parse_assignment("a=circle") == {"a": "circle"}
    assert parse_assignment('a={"name": "box"}') == {"a": {"name": "box"}}
    for bad in ("a", "=3", "a..b=3"):
        with pytest.raises(BadInput, match="key=value"):
            parse_assignment(bad)


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

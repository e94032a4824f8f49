"""`toylab compare`: on rows made by hand, against scipy's tests."""

import json
import math
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import scipy.stats

from toylab.contrasts import Contrast, alone, by_chance, contrasts, settings_that_differ
from toylab.errors import BadInput
from toylab.results import DIVERGED, Measurement, to_csv
from toylab.runs import Run
from toylab.statistics import welch

A, B = {0: 0.5, 1: 0.75, 2: 0.625, 3: 0.4375}, {1: 0.8125, 2: 0.75, 3: 0.46875, 4: 0.25}


def made(root: Path, rows: list[Measurement], seeds: int = 4, **config: Any) -> Run:
    run = Run(root)
    names = {"experiment": "made", "preset": "default"}
    run.write_json("config.json", {**names, "seed": 0, "seeds": seeds, "nfe": 20, "law": {"name": "box"}} | config)
    run.write_json("environment.json", {"toylab": "0.1.0", "packages": {"torch": "2.6"}, "device": "cpu"})
    run.write("results.csv", to_csv(rows, names, {}))
    run.finish()
    return run


def of(values: dict[int, float], metric: str = "w2", method: str = "ddpm", **place: Any) -> list[Measurement]:
    return [Measurement(method, seed, metric, "clean", value, 0.01, **place) for seed, value in values.items()]


def one(a: dict[int, float], b: dict[int, float], root: Path) -> Contrast:
    (found,) = contrasts(made(root / "a", of(a)), made(root / "b", of(b)))
    return found


def test_seeds_of_both_are_compared_in_pairs_as_a_paired_test_does(tmp_path: Path):
    found, common = one(A, B, tmp_path), [1, 2, 3]
    test = scipy.stats.ttest_rel([B[s] for s in common], [A[s] for s in common])
    assert found.is_paired
    assert [*found.a] == [*found.b] == common
    assert found.difference.value == pytest.approx(sum(B[s] - A[s] for s in common) / 3)
    assert found.difference.stderr == pytest.approx(scipy.stats.sem([B[s] - A[s] for s in common]))
    assert (found.difference.ratio, found.difference.p) == (pytest.approx(test.statistic), pytest.approx(test.pvalue))
    assert found.means[1] - found.means[0] == pytest.approx(found.difference.value)


@pytest.mark.parametrize("shift", [10, 3])  # no seed in common, and one
def test_means_of_other_seeds_are_compared_as_independent(tmp_path: Path, shift: int):
    far = {seed + shift: value for seed, value in zip(range(4), [0.7, 0.9, 0.8, 0.1], strict=True)}
    found = one(A, far, tmp_path)
    test = scipy.stats.ttest_ind([*far.values()], [*A.values()], equal_var=False)
    assert not found.is_paired
    assert (found.difference.ratio, found.difference.p) == (pytest.approx(test.statistic), pytest.approx(test.pvalue))
    assert found.difference.dof == pytest.approx(test.df)
    assert welch([1.0], [2.0, 3.0]).value == 1.5
    assert math.isnan(welch([1.0], [2.0, 3.0]).stderr)


def test_marks_are_beyond_two_and_three_standard_errors(tmp_path: Path):
    """Gaps -1, 0, 1 have a standard error of 1/√3."""
    for number, (ratio, mark) in enumerate([(1.99, ""), (2.01, "*"), (2.99, "*"), (3.01, "**"), (-3.01, "**")]):
        later = {seed: seed + (seed - 1) + ratio / math.sqrt(3) for seed in range(3)}
        found = one({seed: float(seed) for seed in range(3)}, later, tmp_path / str(number))
        assert (found.difference.ratio, found.mark) == (pytest.approx(ratio), mark)


def test_what_does_not_vary_is_told_from_what_is_rounding(tmp_path: Path):
    same = one({0: 0.1, 1: 0.3}, {0: 0.1 + 1e-16, 1: 0.3 + 2e-16}, tmp_path / "same")
    assert (same.difference.value, same.difference.ratio, same.mark) == (0, 0, "")
    moved = one({0: 0.25, 1: 0.5}, {0: 0.5, 1: 0.75}, tmp_path / "moved")
    assert (moved.difference.value, moved.difference.stderr, moved.mark) == (0.25, 0, "**")
    assert math.isnan(moved.difference.p)
    single = one({0: 0.25}, {0: 0.5}, tmp_path / "single")
    assert single.is_paired
    assert math.isnan(single.difference.stderr)
    assert single.mark == ""


def test_nothing_that_diverged_is_averaged_away(tmp_path: Path):
    a, b = made(tmp_path / "a", of(A)), made(tmp_path / "b", of(B | {2: math.nan}) + of({2: 7.0}, DIVERGED))
    (found,) = contrasts(a, b)
    assert [*found.a] == [1, 2, 3]
    assert all(math.isnan(x) for x in (found.difference.value, found.difference.stderr, found.difference.ratio))
    assert found.mark == ""
    assert by_chance([found]) == 0


def test_numbers_are_matched_by_all_that_they_are_of(tmp_path: Path):
    """Own steps with own steps though these are not the same, fewer with as many; levels where they are asked for."""
    rows = of(A, nfe=20) + of(A, nfe=5) + of(A, t=0.5) + of(A, "mode-width-1") + of(A, attack="fgsm", budget=0.1)
    others = of(B, nfe=50) + of(B, nfe=5) + of(B, t=0.5) + of(B, "mode-width-1") + of(B, method="mine")
    a, b = made(tmp_path / "a", rows), made(tmp_path / "b", others, nfe=50)
    keys = [(c.key.metric, c.key.t, c.key.nfe, c.key.budget) for c in contrasts(a, b, levels=True)]
    assert keys == [("w2", "", "", ""), ("w2", "", "5", ""), ("w2", "0.5", "", ""), ("mode-width-1", "", "", "")]
    assert [c.key.metric for c in contrasts(a, b, ["mode-width-1"])] == ["mode-width-1"]
    assert len(contrasts(a, b)) == 3
    assert (alone(a, b), alone(b, a)) == ([], ["mine"])
    assert settings_that_differ([a.config, b.config]) == {"nfe": ["20", "50"]}
    with pytest.raises(BadInput, match=r"no metric 'w3' in .*; allowed: w2, mode-width-1"):
        contrasts(a, b, ["w3"])
    with pytest.raises(BadInput, match="no method and metric in common"):
        contrasts(a, made(tmp_path / "c", of(A, "fid")))


def test_cells_of_sweeps_are_matched(tmp_path: Path):
    a, b = (
        made(tmp_path / name, [m for lam in (1, 2) for m in of({s: lam * v for s, v in V.items()}, cell={"lam": lam})])
        for name, V in (("a", A), ("b", B))
    )
    found = contrasts(a, b)
    assert [c.key.cell for c in found] == [("1",), ("2",)]
    assert found[1].difference.value == pytest.approx(2 * found[0].difference.value)
    with pytest.raises(BadInput, match="sweeps of different keys"):
        contrasts(a, made(tmp_path / "plain", of(A)))


def test_p_values_are_adjusted_and_chance_is_counted(tmp_path: Path):
    rows = [(of(A, f"m{i}"), of({s: v + i / 10 for s, v in B.items()}, f"m{i}")) for i in range(3)]
    a, b = (made(tmp_path / name, [*chain(*side)]) for name, side in zip("ab", zip(*rows, strict=True), strict=True))
    found = contrasts(a, b)
    raw = sorted(c.difference.p for c in found)
    assert min(c.p_adjusted for c in found) == pytest.approx(min(1, 3 * raw[0]))
    assert by_chance(found) == pytest.approx(3 * 2 * scipy.stats.t.sf(2, 2))


def test_the_command(toylab, tmp_path: Path):
    a = made(tmp_path / "a", of(A) + of(A, "fid"))
    b = made(tmp_path / "b", of({s: v + 1 + s / 100 for s, v in A.items()}) + of(A | {0: math.nan}, "fid"), nfe=50)
    code, out, err = toylab("compare", a.path, b.path)
    assert (code, err) == (0, "")
    assert ["nfe", "20", "50"] in [line.split() for line in out.splitlines()]
    (line,) = (line.split() for line in out.splitlines() if line.split()[:2] == ["ddpm", "w2"])
    gap = scipy.stats.sem([s / 100 for s in range(4)])
    assert line[5:10] == ["1.015", f"{gap:.2g}", "4", "pairs", "<"]
    assert line[-1] == "**"
    assert "1 of 2 differ" in out
    assert "fid" not in toylab("compare", a.path, b.path, "--marked")[1]

    def stop(word: str) -> float:
        raise AssertionError(word)

    code, out, err = toylab("compare", a.path, b.path, "--json")
    found = json.loads(out, parse_constant=stop)
    assert (code, err) == (0, "")
    assert found["settings"] == {"nfe": {"a": 20, "b": 50}}
    assert found["differences"][0]["difference"] == pytest.approx(1.015)
    assert found["differences"][0]["seeds_a"] == [0, 1, 2, 3]
    assert [entry["beyond"] for entry in found["differences"]] == [3, 0]
    assert found["differences"][1]["difference"] is None
    code, out, err = toylab("compare", a.path, tmp_path / "none")
    assert (code, out, err.count("\n")) == (2, "", 1)

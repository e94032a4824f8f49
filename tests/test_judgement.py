"""What rows allow to be said: on rows made by hand."""

import math

import pytest
import scipy.stats

from toylab.errors import BadInput
from toylab.judgement import compared, comparisons, footnote, trainings, under_trained
from toylab.results import Measurement, Row, from_csv, to_csv

SEEDS = (-0.0002, 0.0, 0.0002)  # what seeds add, to all methods alike


def rows_of(values: dict[tuple[str, ...], float | list[float]], cell: dict[str, object] | None = None) -> list[Row]:
    """(method, metric, against) -> a value for every seed, or one that the seeds vary."""
    measured = [
        Measurement(*where, value=v, stderr=0.0, cell=cell or {})._replace(seed=seed)
        for (method, metric, against), value in values.items()
        for seed, v in enumerate(value if isinstance(value, list) else [value + s for s in SEEDS])
        for where in [(method, seed, metric, against)]
    ]  # fmt: skip
    return from_csv(to_csv(measured, {"experiment": "e", "preset": "p"}, {}))


def errors(**of: float) -> dict[tuple[str, ...], float | list[float]]:
    """ε MSE to the contaminated law."""
    return {(name.replace("_", "-"), "eps-mse", "contaminated"): value for name, value in of.items()}


def test_a_training_is_done_where_the_learning_error_is_below_the_effect():
    rows = rows_of(errors(ddpm=0.003, strong=0.009, weak=0.005, nearer=0.002, exact_clean=0.5))
    found = {name: training for (_, name), training in trainings(rows).items()}
    assert set(found) == {"strong", "weak", "nearer"}  # neither ddpm itself nor a reference
    assert {name: t.learning for name, t in found.items()} == pytest.approx(dict.fromkeys(found, 0.003))
    assert {name: t.effect for name, t in found.items()} == pytest.approx(
        {"strong": 0.006, "weak": 0.002, "nearer": 0.001}
    )
    assert under_trained(rows) == {((), "weak"), ((), "nearer")}
    assert footnote(rows).startswith("† under-trained: ")
    assert footnote(rows_of(errors(ddpm=0.003, strong=0.009))) == ""


def test_the_learning_error_is_the_methods_own_where_that_is_known_and_larger():
    """Against its optimum; ddpm's own counts otherwise, as the two were trained alike."""
    values = errors(ddpm=0.003, mine=0.009) | {("mine", "eps-mse", "theory"): 0.007}
    ((_, training),) = trainings(rows_of(values)).items()
    assert (training.learning, training.effect, training.is_done) == (pytest.approx(0.007), pytest.approx(0.006), False)
    ((_, training),) = trainings(rows_of(values | {("mine", "eps-mse", "theory"): 0.001})).items()
    assert (training.learning, training.is_done) == (pytest.approx(0.003), True)


def test_on_clean_data_the_clean_law_is_what_was_learned():
    rows = rows_of({("ddpm", "eps-mse", "clean"): 0.001, ("mine", "eps-mse", "clean"): 0.004})
    assert next(iter(trainings(rows).values())).is_done


def test_nothing_is_said_without_ddpm_or_without_the_error_in_ε():
    assert trainings(rows_of(errors(mine=0.004))) == {}
    assert trainings(rows_of({("ddpm", "w2", "clean"): 1.0, ("mine", "w2", "clean"): 2.0})) == {}
    assert under_trained(rows_of(errors(ddpm=0.003, mine=math.nan))) == {((), "mine")}


def test_every_cell_of_a_sweep_has_its_own_ddpm_and_versions_share_one():
    rows = []
    for share, error in (("0.3", 0.001), ("0.9", 0.01)):
        rows += [row | {"set.lam": ""} for row in rows_of(errors(ddpm=error), {"share": share})]
        for lam in ("1", "3"):
            rows += rows_of(errors(mine=error + 0.004 * int(lam)), {"share": share, "lam": lam})
    found = {cell: training.learning for (cell, _), training in trainings(rows).items()}
    assert found == pytest.approx({("0.3", "1"): 0.001, ("0.3", "3"): 0.001, ("0.9", "1"): 0.01, ("0.9", "3"): 0.01})
    assert under_trained(rows) == {(("0.9", "1"), "mine")}
    table = compared(rows)
    assert table[0][:3] == ["method", "share", "lam"]
    assert [line[:3] for line in table[1:]] == [
        ["mine", "0.3", "1"], ["mine", "0.3", "3"], ["mine †", "0.9", "1"], ["mine", "0.9", "3"],
    ]  # fmt: skip


A, B, BASE = [1.0, 2.1, 2.9, 4.2], [0.8, 2.2, 2.5, 3.1], [0.5, 1.7, 3.1, 3.6]


def test_comparisons_are_paired_tests_adjusted_for_all_of_them():
    rows = rows_of({("ddpm", "w2", "clean"): BASE, ("a", "w2", "clean"): A, ("b", "w2", "clean"): B,
                    ("ddpm", "outlier-mass", "clean"): BASE, ("a", "outlier-mass", "clean"): B,
                    ("clean-samples", "w2", "clean"): A})  # fmt: skip
    found = {(c.key[1], c.column.metric): c for c in comparisons(rows)}
    assert set(found) == {("a", "w2"), ("b", "w2"), ("a", "outlier-mass")}
    tests = {key: scipy.stats.ttest_rel(A if key == ("a", "w2") else B, BASE) for key in found}
    raw = sorted(test.pvalue for test in tests.values())
    for key, comparison in found.items():
        low, high = tests[key].confidence_interval(0.95)
        assert comparison.difference.mean == pytest.approx((low + high) / 2)
        assert comparison.difference.half == pytest.approx((high - low) / 2)
        rank = raw.index(tests[key].pvalue)
        assert comparison.p == pytest.approx(min(1, max((3 - k) * raw[k] for k in range(rank + 1))))


def test_seeds_that_do_not_differ_have_no_p_value_and_do_not_count_as_tests():
    rows = rows_of({("ddpm", "w2", "clean"): BASE, ("same", "w2", "clean"): BASE, ("a", "w2", "clean"): A})
    found = {c.key[1]: c for c in comparisons(rows)}
    assert math.isnan(found["same"].p)
    assert found["same"].difference == (0.0, 0.0)
    assert found["a"].p == pytest.approx(scipy.stats.ttest_rel(A, BASE).pvalue)
    (one,) = comparisons(rows_of({("ddpm", "w2", "clean"): [1.0], ("a", "w2", "clean"): [1.5]}))
    assert (one.difference.mean, math.isnan(one.p)) == (0.5, True)


def test_the_table_of_comparisons():
    less = [b - gap for b, gap in zip(BASE, (0.5, 0.52, 0.48, 0.5), strict=True)]
    values = {("ddpm", "w2", "clean"): BASE, ("a", "w2", "clean"): less} | errors(ddpm=0.003, a=0.004)
    rows = rows_of(values)
    heading, line = compared(rows)
    assert heading == ["method", "W2 to clean", "ε MSE to contam.", "learning error", "effect on ε"]
    assert line[:2] == ["a †", "-0.500 ± 0.026 (p < 0.001)"]
    assert line[2:] == ["0.00100 ± 0.00000", "0.003", "0.001"]


def test_nothing_to_compare_is_told():
    with pytest.raises(BadInput, match="this run has no ddpm"):
        compared(rows_of({("a", "w2", "clean"): A}))
    with pytest.raises(BadInput, match="this run has ddpm alone"):
        compared(rows_of({("ddpm", "w2", "clean"): A}))

"""Two runs, number by number: what changed from the one to the other, and whether seeds alone would change as much.

Seeds that both runs have see the same streams of data and noise, so that a number x of theirs is compared seed by seed,

    d_s = x_s(B) - x_s(A),    difference = mean d_s,    se = std(d_s)/√n    (Student, n - 1 degrees of freedom)

and what only one run has is left out. Where they have fewer than two seeds in common, the means of all seeds of either
are compared as independent (Welch). A number that is not finite, of a member that diverged for example, makes the
difference NaN: none is left out.
"""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from toylab.errors import BadInput
from toylab.experiments.experiment import flat
from toylab.results import DIVERGED, SET, Row, swept
from toylab.runs import Run
from toylab.statistics import Difference, holm, mean, paired, welch

CLEAR, CLEARER = 2.0, 3.0
"""Standard errors beyond which a difference is marked, once and twice."""
_ROUNDING = 1e-12
_PLACE = ("metric", "against", "t", "attack", "place", "budget")

Values = dict[int, float]
"""One number a seed."""


class Key(NamedTuple):
    """What a number is of. nfe: empty for the study's own number of evaluations, which runs may differ in."""

    method: str
    cell: tuple[str, ...]
    metric: str
    against: str
    t: str = ""
    attack: str = ""
    place: str = ""
    budget: str = ""
    nfe: str = ""


class Contrast(NamedTuple):
    """A number in both runs. a, b: by seed, those that are compared; is_paired: over the same seeds; p_adjusted: by
    Holm, for all in the table."""

    key: Key
    a: Values
    b: Values
    is_paired: bool
    difference: Difference
    p_adjusted: float = math.nan

    @classmethod
    def of(cls, key: Key, a: Values, b: Values) -> "Contrast":
        """Paired over the seeds that both have, where they are two or more, or one and no other."""
        common = [seed for seed in a if seed in b]
        if len(common) < 2 and a.keys() != b.keys():
            return cls(key, a, b, False, welch([*a.values()], [*b.values()]))
        a, b = ({seed: values[seed] for seed in common} for values in (a, b))
        return cls(key, a, b, True, paired([_gap(a[seed], b[seed]) for seed in common]))

    @property
    def means(self) -> tuple[float, float]:
        """Of A and B, over the seeds that are compared."""
        return mean([*self.a.values()]), mean([*self.b.values()])

    @property
    def mark(self) -> str:
        """* beyond two standard errors, ** beyond three; empty where that is not known."""
        size = abs(self.difference.ratio)
        return "**" if size > CLEARER else "*" if size > CLEAR else ""


def contrasts(a: Run, b: Run, metrics: Sequence[str] = (), levels: bool = False) -> list[Contrast]:
    """Every number that both runs have, in A's order. metrics: only these; levels: also those of single noise levels.

    Raises BadInput where there is none, or sweeps go over different keys.
    """
    keys = swept(a.rows)
    if keys != swept(b.rows):
        told = ["over " + ", ".join(of) if (of := swept(run.rows)) else "none" for run in (a, b)]
        raise BadInput(f"sweeps of different keys cannot be compared: A is one {told[0]}, B {told[1]}")
    ours, theirs = (_numbers(run.rows, keys) for run in (a, b))
    for metric in metrics:
        if not any(key.metric == metric for key in ours):
            known = ", ".join(dict.fromkeys(key.metric for key in ours))
            raise BadInput(f"no metric '{metric}' in {a.path}; allowed: {known}")
    shared = [key for key in ours if key in theirs and (levels or not key.t) and (key.metric in metrics or not metrics)]
    if not shared:
        raise BadInput(f"{a.path} and {b.path} have no method and metric in common")
    return _adjusted([Contrast.of(key, ours[key], theirs[key]) for key in shared])


def alone(a: Run, b: Run) -> list[str]:
    """Methods and metrics of A that B has not."""
    return [
        name
        for column in ("method", "metric")
        for name in dict.fromkeys(row[column] for row in a.rows)
        if name != DIVERGED and name not in {row[column] for row in b.rows}
    ]


def by_chance(found: Sequence[Contrast]) -> float:
    """How many of these would be marked, about, if nothing differed but seeds: with few seeds many are."""
    return math.fsum(2 * c.difference.tail(CLEAR) for c in found if c.difference.stderr > 0)


def settings_that_differ(configs: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Dotted key -> its value in each configuration, as JSON, a dash where it has none; those that are not the same."""
    tables = [flat(config) for config in configs]
    keys = dict.fromkeys(key for table in tables for key in table)
    values = {key: [_text(table, key) for table in tables] for key in keys}
    return {key: of_each for key, of_each in values.items() if len(set(of_each)) > 1}


def _numbers(rows: Sequence[Row], keys: Sequence[str]) -> dict[Key, Values]:
    """Every number of a run by seed; those of one seed, if there are several, averaged."""
    own_nfe: dict[Key, str] = {}
    found: dict[Key, dict[int, list[float]]] = {}
    for row in rows:
        if row["metric"] == DIVERGED:
            continue
        key = Key(row["method"], tuple(row[SET + key] for key in keys), *(row[column] for column in _PLACE))
        if row["nfe"] != own_nfe.setdefault(key, row["nfe"]):
            key = key._replace(nfe=row["nfe"])
        found.setdefault(key, {}).setdefault(int(row["seed"]), []).append(float(row["value"]))
    return {key: {seed: mean(values) for seed, values in sorted(of.items())} for key, of in found.items()}


def _gap(a: float, b: float) -> float:
    """b - a; 0 where that is rounding."""
    gap = b - a
    return 0.0 if abs(gap) <= _ROUNDING * max(abs(a), abs(b)) else gap


def _adjusted(found: Sequence[Contrast]) -> list[Contrast]:
    adjusted = holm([contrast.difference.p for contrast in found])
    return [contrast._replace(p_adjusted=p) for contrast, p in zip(found, adjusted, strict=True)]


def _text(table: Mapping[str, object], key: str) -> str:
    return json.dumps(table[key], ensure_ascii=False) if key in table else "-"

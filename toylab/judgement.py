"""What the rows of a run allow to be said: whether a training is good enough, and what differs from ddpm.

**Under-trained.** With ε*_m the optimum of a method's objective, ε_c that of plain denoising, which is the score of the
law trained on, and e_m, e_0 what training left between networks and optima,

    MSE_m - MSE_0 = ‖ε*_m - ε_c‖² + 2⟨ε*_m - ε_c, e_m⟩ + ‖e_m‖² - ‖e_0‖²,     MSE = ε MSE to that law, ‖e_0‖² = MSE_0

for networks trained alike the paired change is, but for the cross term, the size of what the method was asked to do
beyond denoising: its *effect*. The *learning error* is MSE_0, that of the same network and recipe where it is known
without theory, or if larger the method's own distance to its optimum, where that was measured (against = theory); what
the finite training set adds is in it. A training counts as done when its learning error is below the effect that it is
to resolve; else it is under-trained. One that is asked for the same as ddpm is always so: no training resolves a
difference that is not there. An effect on samples can be clear all the same: methods share data and noise, so that much
of the learning error cancels in paired differences.

**Compared.** Every method against ddpm on the same seeds, in all main metrics: paired differences, Student's intervals
and p-values, these adjusted (Holm) for all that stand in the table together.
"""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from toylab.errors import BadInput
from toylab.results import REFERENCES, Cell, Row, by_cell, by_seed, short, swept
from toylab.statistics import Interval, difference, holm, paired
from toylab.summaries import DAGGER, SUMMARY, Column

BASELINE = "ddpm"
_EPS = "eps-mse"
_ROUNDING = 1e-12

Key = tuple[Cell, str]
"""A cell of a sweep, () elsewhere, and a method."""


class Trained(NamedTuple):
    """Learning error and effect of a method, in squared units of ε, and whether the first is below the second."""

    learning: float
    effect: float

    @property
    def is_done(self) -> bool:
        """False where either is not known."""
        return self.learning < self.effect


class Comparison(NamedTuple):
    """A method's paired difference, to ddpm or to itself in another run, in one metric, and its p-value, adjusted for
    all in the table; NaN where seeds do not differ or are too few."""

    key: Key
    column: Column
    difference: Interval
    p: float

    @classmethod
    def of(cls, key: Key, column: Column, gaps: Sequence[float]) -> "Comparison":
        """That of differences, one a seed, not adjusted."""
        return cls(key, column, Interval.of(gaps), paired(gaps).p if _vary(gaps) else math.nan)

    def __str__(self) -> str:
        return str(self.difference) + (f" (p {p_text(self.p)})" if not math.isnan(self.p) else "")


def p_text(p: float) -> str:
    """A p-value in few digits; a dash where there is none."""
    return "-" if math.isnan(p) else "< 0.001" if p < 0.001 else f"{p:.2g}"


def trainings(rows: Sequence[Row]) -> dict[Key, Trained]:
    """Of every method but ddpm, where there is a ddpm beside it and the error in ε was measured."""
    rows = [row for row in rows if row["metric"] == _EPS and not row["t"]]
    law = "contaminated" if any(row["against"] == "contaminated" for row in rows) else "clean"
    found = {}
    for key, own, base in _pairs(rows):
        name = key[1]
        ours, plain = by_seed(own, name, _EPS, law), by_seed(base, BASELINE, _EPS, law)
        if ours and plain:
            left = [Interval.of(values).mean for values in (plain, by_seed(own, name, _EPS, "theory")) if values]
            found[key] = Trained(max(left), abs(difference(ours, plain).mean))
    return found


def under_trained(rows: Sequence[Row]) -> set[Key]:
    """Those whose training is not done."""
    return {key for key, training in trainings(rows).items() if not training.is_done}


def footnote(rows: Sequence[Row]) -> str:
    """What the dagger says; empty where nothing has one."""
    if not under_trained(rows):
        return ""
    return (
        f"{DAGGER} under-trained: its effect on ε, the paired change of ε MSE to the law trained on, is not above the"
        f" learning error, {BASELINE}'s own (--compare shows both)"
    )


def comparisons(rows: Sequence[Row]) -> list[Comparison]:
    """Every method with ddpm, in every metric of the summary that both have. Raises BadInput for a run without ddpm."""
    if BASELINE not in {row["method"] for row in rows}:
        raise BadInput(f"nothing to compare with: this run has no {BASELINE}")
    found = []
    for key, own, base in _pairs([row for row in rows if not row["t"]]):
        for column in SUMMARY:
            ours, plain = (by_seed(r, m, column.metric, column.against) for r, m in ((own, key[1]), (base, BASELINE)))
            if ours and plain:
                found.append(Comparison.of(key, column, [a - b for a, b in zip(ours, plain, strict=True)]))
    return adjusted(found)


def adjusted(found: Sequence[Comparison]) -> list[Comparison]:
    """Comparisons with their p-values adjusted (Holm) for all of them."""
    adjusted = holm([comparison.p for comparison in found])
    return [comparison._replace(p=p) for comparison, p in zip(found, adjusted, strict=True)]


def compared(rows: Sequence[Row]) -> list[list[str]]:
    """Heading, then one line a method, and a cell of the sweep: differences with 95 % intervals and adjusted p-values,
    then learning error and effect. Raises BadInput where there is nothing to compare."""
    of: dict[Key, dict[Column, Comparison]] = {}
    for comparison in comparisons(rows):
        of.setdefault(comparison.key, {})[comparison.column] = comparison
    if not of:
        raise BadInput(f"nothing to compare: this run has {BASELINE} alone")
    done, keys = trainings(rows), swept(rows)
    columns = [column for column in SUMMARY if any(column in own for own in of.values())]
    body = []
    for (cell, method), own in of.items():
        training = done.get((cell, method))
        mark = "" if training is None or training.is_done else f" {DAGGER}"
        last = ["-", "-"] if training is None else [f"{training.learning:.2g}", f"{training.effect:.2g}"]
        body.append(
            [method + mark, *(v or "-" for v in cell), *(str(own.get(column, "-")) for column in columns), *last]
        )
    return [["method", *short(keys), *(c.heading for c in columns), "learning error", "effect on ε"], *body]


def _pairs(rows: Sequence[Row]) -> Iterator[tuple[Key, list[Row], list[Row]]]:
    """The rows of every method in every cell, and those of ddpm there, which may depend on fewer keys."""
    keys = swept(rows)
    cells = by_cell(rows, keys)
    plain = {cell: base for cell, own in cells.items() if (base := [row for row in own if row["method"] == BASELINE])}
    for cell, own in cells.items():
        for method in dict.fromkeys(row["method"] for row in own):
            if method == BASELINE or method.startswith(REFERENCES):
                continue
            beside = next((c for c in plain if all(b in ("", a) for a, b in zip(cell, c, strict=True))), None)
            if beside is not None:
                yield (cell, method), own, plain[beside]


def _vary(gaps: Sequence[float]) -> bool:
    """By more than rounding."""
    return len(gaps) > 1 and max(gaps) - min(gaps) > _ROUNDING * max(map(abs, gaps))

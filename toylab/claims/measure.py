"""What is read off the rows of an experiment: one number a seed of a method."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from toylab.results import SET, Conditions, Row, of_seeds

Numbers = dict[int, float]
"""One number a seed."""


class Missing(Exception):
    """The rows do not have what a comparison needs; the message says what that is."""


@dataclass(frozen=True)
class Measure:
    """A number that rows have for every method and seed.

    at: (key, value) of a sweep, as results.csv has them in its `set.` columns; what does not depend on a key counts at
    all of its values. attack, place: of an attack on the sampling trajectory, at the largest budget there is. steps:
    "fewer" is by how much the number grows from the most evaluations of the denoiser to the fewest, "own" the study's
    own evaluations.
    """

    name: str
    metric: str
    against: str = "clean"
    at: tuple[tuple[str, str], ...] = ()
    attack: str = ""
    place: str = ""
    steps: Literal["own", "fewer"] = "own"

    def __str__(self) -> str:
        under = f" under {self.attack} attack, {self.place}" if self.attack else ""
        fewer = ", growth with fewer steps" if self.steps == "fewer" else ""
        cell = ", ".join(f"{key.rpartition('.')[2]} {value}" for key, value in self.at)
        return self.name + under + fewer + (f" at {cell}" if cell else "")

    def of(self, rows: Sequence[Row], method: str) -> Numbers:
        """The numbers of a method. Raises Missing where there are none, or some are not finite."""
        rows = [row for row in rows if row["method"] == method]
        if not rows:
            raise Missing(f"no method {method} in its results")
        for key, value in self.at:
            column = SET + key
            rows = [row for row in rows if row.get(column) in (value, "")]
            if not rows:
                raise Missing(f"no {method} at {key} = {value} in its results")
        if self.steps == "own":
            return self._found(rows, method)
        # of samples by several numbers of steps, each number has rows of its own
        counts = sorted({int(row["nfe"]) for row in rows if row["nfe"]})
        if len(counts) < 2:
            raise Missing(f"no samples of {method} by fewer steps in its results")
        fewest, most = (
            self._found([row for row in rows if row["nfe"] == str(n)], method) for n in (counts[0], counts[-1])
        )
        return {seed: value - most[seed] for seed, value in fewest.items() if seed in most}

    def _found(self, rows: Sequence[Row], method: str) -> Numbers:
        found = of_seeds(rows, method, self.metric, self.against, under=self._conditions(rows))
        if not found:
            raise Missing(f"no {self.metric} of {method} in its results")
        if not all(map(math.isfinite, found.values())):
            raise Missing(f"{self.metric} of {method} is not finite")
        return found

    def _conditions(self, rows: Sequence[Row]) -> Conditions:
        budgets = {row["budget"] for row in rows if (row["attack"], row["place"]) == (self.attack, self.place)}
        return Conditions(self.attack, self.place, max(budgets, key=float) if self.attack and budgets else "")

"""The tasks of the benchmark. A change to any of them is a new version of the suite: scores of two versions do not
compare."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

VERSION = "1"

BASELINE, ZERO, FIELD = "ddpm", "exact-clean", "eps-mse"
"""The method whose score is 1 on contaminated data, the reference whose score is 0, and the metric of fields."""


@dataclass(frozen=True)
class Task:
    """A contaminated law, the metric of samples that scores it, against the clean law, and why it is here.

    unit: the task whose plain denoising is 1, by default this one.
    """

    law: Mapping[str, Any]
    contamination: Mapping[str, Any]
    metric: str
    why: str
    unit: str | None = None

    @property
    def can_be_told(self) -> bool:
        """Whether an oracle that is told the noisy points, `ambient`, is right about them here."""
        return bool(self.contamination["name"] == "inlier-noise")

    @property
    def changes(self) -> dict[str, Any]:
        """To the settings of a study."""
        return {"law": dict(self.law), "contamination": dict(self.contamination)}


TASKS: dict[str, Task] = {
    "outliers": Task(
        {"name": "three-gaussians", "radius": 2.0, "std": 0.3},
        {"name": "outliers", "fraction": 0.1, "low": -6.0, "high": 6.0},
        "w2",
        "few wide modes and a tenth of the points anywhere. robust-onesided was set on this law, on other seeds",
    ),
    "many-outliers": Task(
        {"name": "ring-of-gaussians", "modes": 8, "radius": 2.0, "std": 0.2},
        {"name": "outliers", "fraction": 0.2, "low": -6.0, "high": 6.0},
        "w2",
        "many narrow modes, twice as many outliers: what removes outliers must not merge or drop modes",
    ),
    "plane-noise": Task(
        {"name": "oblique-plane", "half_width": 1.0},
        {"name": "inlier-noise", "fraction": 0.9, "std": 0.2},
        "w2",
        "a flat support and nine points in ten off it. robust-l2 was set on this law, on other seeds",
    ),
    "sphere-noise": Task(
        {"name": "sphere", "dim": 16, "intrinsic": 2, "radius": 2.0},
        {"name": "inlier-noise", "fraction": 0.9, "std": 0.2},
        "w2",
        "a curved support, two dimensions of sixteen: noise is longer than in the plane, and a flat answer is wrong",
    ),
    "heavy-tails": Task(
        {"name": "circle", "dim": 2, "radius": 1.0},
        {"name": "heavy-tail", "fraction": 0.2, "df": 2, "scale": 1.0},
        "w1",
        "outliers without bound, densest inside a closed curve. W1, as this contaminated law has no second moment",
    ),
    "clean": Task(
        {"name": "three-gaussians", "radius": 2.0, "std": 0.3},
        {"name": "none"},
        "w2",
        "the price on data with nothing wrong, in units of what the outliers of the first task cost plain denoising",
        unit="outliers",
    ),
}

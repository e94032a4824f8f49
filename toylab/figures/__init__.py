"""Figures: of a run folder, by what is stored there, and of a law.

No training and no metrics happen here, so a run's figure can be redrawn from its folder alone.
"""

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from toylab.distributions import Distribution
from toylab.errors import BadInput, unknown
from toylab.figures import attacks, fields, images, levels, savings, study
from toylab.figures.laws import portrait
from toylab.figures.ledger import ledger
from toylab.figures.style import STYLE, save
from toylab.figures.sweep import sweep
from toylab.index import METRICS
from toylab.runs import Run

FIGURES: dict[str, Callable[[Run], Figure | None]] = {
    "samples": study.samples,
    "score-error": levels.score_error,
    "leakage": levels.leakage,
    "outlier-mass": study.outlier_mass,
    "normal-std": study.normal_std,
    "w2": study.w2,
    "psnr": study.psnr,
    "images": images.images,
    "image-quality": images.quality,
    "score-field": fields.score_field,
    "trajectories": fields.trajectories,
    "what-is-learned": fields.what_is_learned,
    "savings": savings.savings,
    "ledger": ledger,
    "attack-displacement": attacks.displacement,
    "attack-outlier-mass": attacks.outlier_mass,
    **{f"sweep-{metric}": partial(sweep, metric=metric) for metric in METRICS},
}
"""Every figure of a run by name; one returns None where a run has nothing for it to show."""


def drawn(run: Run, names: Iterable[str]) -> dict[str, Figure]:
    """The named figures of a run by name, without those for which it has nothing to show. Raises BadInput for a name
    that there is not."""
    with mpl.rc_context(STYLE):
        found: dict[str, Figure | None] = {}
        for name in names:
            if name not in FIGURES:
                raise BadInput(unknown("figure", name, FIGURES))
            found[name] = FIGURES[name](run)
        return {name: figure for name, figure in found.items() if figure is not None}


def draw(run: Run, names: Iterable[str], into: Path | None = None) -> list[Path]:
    """Draw the named figures of a run, those its law allows, as PNG and SVG into a folder, the run's own `figures` by
    default; returns the paths written."""
    with mpl.rc_context(STYLE):
        made = drawn(run, names)
        folder = into or run.path / "figures"
        folder.mkdir(exist_ok=True)
        return [save(made[name], folder / f"{name}{suffix}") for name in made for suffix in (".png", ".svg")]


def draw_law(law: Distribution, name: str, path: Path) -> Path:
    """Draw samples and score fields of a law into a file, its format that of the suffix."""
    with mpl.rc_context(STYLE):
        return save(portrait(law, name), path)

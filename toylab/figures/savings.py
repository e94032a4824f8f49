"""What a cheaper version of a method keeps of the full one's effect, from the paired differences of a run's seeds."""

from matplotlib.figure import Figure

from toylab.figures.style import colour, marker, methods
from toylab.results import by_seed
from toylab.runs import Run
from toylab.statistics import Interval, share_of_effect

MEASURES = {
    "leakage": ("leakage", "clean"),
    "outlier mass": ("outlier-mass", "clean"),
    "ε error to clean": ("eps-mse", "clean"),
    "W2 to clean": ("w2", "clean"),
}
"""Heading -> metric and what it is held against."""
BASE = "ddpm"
BAND = 0.1
"""Of the effect: what a saving may cost."""


def shares(run: Run) -> dict[str, dict[str, Interval]]:
    """Version -> heading -> its distance from the full method, as a share of the full method's effect on ddpm.

    A version of METHOD is called METHOD-..., as is everything else of a run whose name begins so.
    """
    everyone = methods(run.rows)
    versions = {name: full for name in everyone for full in everyone if name.startswith(f"{full}-")}
    measured = {
        name: {heading: by_seed(run.rows, name, *measure) for heading, measure in MEASURES.items()}
        for name in {*versions, *versions.values(), BASE}
    }
    return {
        name: {
            heading: share_of_effect(values, measured[full][heading], measured[BASE][heading])
            for heading, values in measured[name].items()
        }
        for name, full in versions.items()
    }


def savings(run: Run) -> Figure | None:
    """Each saving's distance from the full method with its 95 % interval over seeds, beside the band of ±10 %."""
    found, everyone = shares(run), methods(run.rows)
    if not found:
        return None
    figure = Figure(figsize=(1.4 * len(MEASURES) + 1.4, 0.28 * len(found) + 0.9), layout="constrained")
    for ax, heading in zip(figure.subplots(1, len(MEASURES), sharey=True), MEASURES, strict=True):
        ax.axvspan(-BAND, BAND, color="0.92", lw=0)
        ax.axvline(0, color="0.6", lw=0.6)
        for place, (name, by_heading) in enumerate(found.items()):
            mean, half = by_heading[heading]
            shade, shape = colour(name, everyone), marker(name, everyone)
            ax.errorbar(mean, place, xerr=half, fmt=shape, ms=4, lw=1.2, color=shade)
        ax.set(title=heading, yticks=range(len(found)), yticklabels=list(found))
        ax.margins(y=0.1)
    ax.invert_yaxis()  # of all, which share it
    figure.supxlabel("share of the full method's effect", fontsize=8)
    return figure

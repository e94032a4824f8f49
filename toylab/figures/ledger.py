"""The error ledger, drawn."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from toylab.errors import BadInput
from toylab.ledger import INTERACTION, PARTS, TOTAL, Account, accounts
from toylab.runs import Run
from toylab.statistics import Interval

_SHADES = dict(
    zip(
        (*PARTS, INTERACTION),
        ("0.75", "#d55e00", "#56b4e9", "#0173b2", "#cc78bc", "#fbafe4", "#029e73", "#ece133", "0.3"),
        strict=True,
    )
)  # of seaborn's colour-blind palette
_UNITS = {"W2": "W2 to the clean law", "ε": "mean squared error of ε"}


def ledger(run: Run) -> Figure | None:
    """Means over seeds of every part: those that add to the right of 0, those that take away to its left; dots are the
    totals with their 95 % intervals. None for a run that was not measured for it."""
    try:
        found = accounts(run.rows)
    except BadInput:
        return None
    methods = len(found["W2"])
    figure = Figure(figsize=(7.0, 0.27 * methods + 1.1), layout="constrained")
    axes = figure.subplots(1, len(found), sharey=True)
    for ax, (quantity, of) in zip(axes, found.items(), strict=True):
        for place, account in enumerate(of.values()):
            _bar(ax, place, account)
        ax.axvline(0, color="0.2", lw=0.6)
        ax.set(yticks=range(methods), yticklabels=list(of), xlabel=_UNITS[quantity])
    axes[0].invert_yaxis()
    handles = {label: h for ax in axes for h, label in zip(*ax.get_legend_handles_labels(), strict=True)}
    named = [part for part in _SHADES if part in handles]
    figure.legend([handles[part] for part in named], named, loc="outside lower center", ncols=len(named), fontsize=7)
    return figure


def _bar(ax: Axes, place: int, account: Account) -> None:
    means = {part: Interval.of(values).mean for part, values in account.items() if part != TOTAL}
    ends = {True: 0.0, False: 0.0}
    for part, mean in means.items():
        ax.barh(place, mean, 0.7, left=ends[mean >= 0], color=_SHADES[part], label=part)
        ends[mean >= 0] += mean
    total = Interval.of(account[TOTAL])
    ax.errorbar(total.mean, place, xerr=total.half, fmt="o", ms=3, lw=1, color="black")

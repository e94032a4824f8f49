"""The table of a calibration, and its page."""

import math
from collections.abc import Sequence

from toylab import summaries
from toylab.calibration.case import BIASED, SIGMAS, Outcome
from toylab.statistics import LEVEL

HEADING = [
    "metric", "in place of a model", "true value", "known by", "n", "replications", "bias z", "coverage", "band",
    "verdict",
]  # fmt: skip

_PAGE = """\
# Calibration: is every metric right where the answer is known?

Made by `{command}`, with torch {torch}.

Every metric of toylab gives a value and its standard error. Here each is measured {replications} times over, with fresh
samples and the seeds 0 to {last}, where its true value is known: an exact denoiser or exact samples stand in for a
model, mostly those of *another* law, so that the true value is not 0. Two things are then seen.

* **Coverage**: how often the interval value ± q · stderr holds the true value. It is a 95 % interval, so that should be
  95 % of the time, within a band of {sigmas} binomial standard errors.
* **Bias z**: the mean of all values minus the truth, in standard errors of that mean. Beyond ±{biased:g} there is a
  bias, and the verdict says so: *biased* beside *holds*, as over so many replications it shows even where it is so
  small beside a single interval that the interval covers as it should: z is √{replications} times their quotient.
  Ratios and roots of means have one, of order 1/n.

{summary}

**n** are the points of one measurement. "25 x 8": 8 groups of 25, whose spread gives the standard error; q is then
Student's quantile for their number (2.36 for 8), with a floor that of both sides together, and else 1.96.

**True values** are derived in `toylab/calibration/`, by closed form or by quadrature, and tested against other routes.
They share with the metrics only the constants that these are defined by, and which have tests of their own: the level
of a highest-density region, the number of nearest neighbours, the share of duplicates, a kernel's width, a blur's unit.
"At this n": the mean of the metric at this very number of points, as transport between finite samples is biased
upwards. Draws: where there is no such form, from an implementation of its own, to the error given, which the bias z
then holds as well.

**The floor** is the same metric of exact samples. *1000 away*: the shift is so large that the closed form for
infinitely many points holds at this n too, to a fiftieth of an interval.

**lipschitz** is a maximum over points and has no interval: it is a bound from below. All values have to lie below the
true constant, within a billionth of it where the flow is linear, within 10 % between two modes.

{table}
"""


def table(outcomes: Sequence[Outcome]) -> list[list[str]]:
    """Heading, then one line a case."""
    return [HEADING, *(_line(outcome) for outcome in outcomes)]


def markdown(outcomes: Sequence[Outcome], command: str) -> str:
    """The page: what was done, by which command, and the table."""
    import torch

    replications = outcomes[0].replications
    return _PAGE.format(
        command=command, torch=torch.__version__, replications=replications, last=replications - 1, sigmas=SIGMAS,
        biased=BIASED,
        summary=_summary(outcomes), table=summaries.markdown(table(outcomes)),
    )  # fmt: skip


def missed(outcomes: Sequence[Outcome]) -> list[str]:
    """A line for every case outside its band."""
    return [
        f"{o.case.metric} is outside its band: coverage {o.coverage:.4f}, not {_band(o)} ({o.case.model})"
        for o in outcomes
        if not o.holds
    ]


def _line(outcome: Outcome) -> list[str]:
    case = outcome.case
    points = str(case.points) if case.groups == 1 else f"{case.points} x {case.groups}"
    z = "-" if math.isnan(outcome.z) else f"{outcome.z:+.1f}"
    return [
        case.metric, case.model, f"{outcome.truth:.5g}", case.known, points, str(outcome.replications), z,
        f"{outcome.coverage:.3f}", _band(outcome), _verdict(outcome),
    ]  # fmt: skip


def _verdict(outcome: Outcome) -> str:
    return ("holds" if outcome.holds else "**misses**") + (", biased" if outcome.biased else "")


def _band(outcome: Outcome) -> str:
    low, high = outcome.band
    return f"{low:.3f} to {high:.3f}" if low < high else "all"


def _summary(outcomes: Sequence[Outcome]) -> str:
    metrics, holding = len({o.case.metric for o in outcomes}), sum(o.holds for o in outcomes)
    biased = sum(o.biased for o in outcomes)
    counted = [o for o in outcomes if o.case.below is None]
    summary = (
        f"{len(outcomes)} cases of {metrics} metrics: {holding} within their band, {len(outcomes) - holding} outside; "
        f"{biased} with a bias z beyond ±{BIASED:g}."
    )
    if not counted:
        return summary
    mean = sum(o.coverage for o in counted) / len(counted)
    error = math.sqrt(LEVEL * (1 - LEVEL) / sum(o.replications for o in counted))
    return (
        f"{summary}\nThe mean coverage of the {len(counted)} that have an interval is {mean:.4f}; "
        f"{LEVEL} was promised, and the standard error of such a mean\nis {error:.4f}."
    )

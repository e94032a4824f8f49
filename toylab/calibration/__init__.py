"""Every metric where the answer is known: does its 95 % interval hold the true value in 95 % of all measurements?

    case.py           a case, its replications, and what is counted
    line.py           mixtures of Gaussians on the line, by NumPy and quadrature alone
    standins.py       what stands in for a model: exact denoisers and exact samples, of the right law or of another
    fields.py         cases of score, smoothness and leakage        flows.py          of a sampler's flow
    divergences.py    of KL and Girsanov's bound                    samples.py        of robustness and support
    transport.py      of transport                                  discrepancies.py  of energy distance and MMD
    neighbours.py     of precision to coverage, and memorisation    table.py          the table of them all

True values are derived beside the cases, by closed form or quadrature, not by the code that is measured; only the
constants a metric is defined by, as the level of a region, are its own, and have tests of theirs.
`toylab calibrate` makes the table; docs/calibration.md is the committed one.
"""

from toylab.calibration import discrepancies, divergences, fields, flows, neighbours, samples, transport
from toylab.calibration.case import Case, Outcome, Progress, calibrate
from toylab.calibration.table import markdown, missed, table
from toylab.errors import BadInput, unknown
from toylab.index import METRICS

__all__ = ["CASES", "Case", "Outcome", "Progress", "calibrate", "chosen", "markdown", "missed", "table"]

_ROOMS = (fields, divergences, flows, transport, discrepancies, neighbours, samples)

CASES = tuple(sorted((case for room in _ROOMS for case in room.CASES), key=lambda case: [*METRICS].index(case.metric)))
"""In the order of the index."""


def chosen(names: list[str]) -> list[Case]:
    """The cases of these metrics, of all where none is named; BadInput for a metric that does not exist."""
    for name in names:
        if name not in METRICS:
            raise BadInput(unknown("metric", name, METRICS))
    return [case for case in CASES if not names or case.metric in names]

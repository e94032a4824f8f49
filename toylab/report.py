"""What is shown of a finished run: tables by their titles, and what has to be said below them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from toylab import judgement, results, summaries
from toylab.errors import BadInput
from toylab.ledger import accounts, in_nats, table
from toylab.results import Cell, Row, swept
from toylab.runs import Run
from toylab.statistics import Interval, stderr
from toylab.summaries import SUMMARY, Column, attacked_summary, summary

_CHARTED = ("fd-digits", "fid", "normal-std", "outlier-mass", "w2", "leakage", "eps-mse")
"""Main metrics, of which the first few are drawn."""
_CHARTS = 4


class Report(NamedTuple):
    """Title -> table, its first line the heading; and a line below them."""

    tables: dict[str, list[list[str]]]
    footnote: str = ""


def heading(run: Run) -> str:
    """What a run was, and what it was made with, on one line."""
    made_by = run.environment
    return (
        f"{run.config['experiment']} ({run.config['preset']}), seeds {run.seeds[0]} to {run.seeds[-1]},"
        f" toylab {made_by['toylab']}, torch {made_by['packages']['torch']}, {made_by['device']}"
    )


class Mean(NamedTuple):
    """What a cell of the summary is made of: one number a seed of a method, averaged over parts."""

    method: str
    cell: Cell
    column: Column
    values: Mapping[int, float]

    @property
    def interval(self) -> Interval:
        """Mean and 95 % interval over seeds."""
        return Interval.of([*self.values.values()])

    @property
    def stderr(self) -> float:
        """The standard error of the mean over seeds; NaN for a single one."""
        return stderr([*self.values.values()])


def means(rows: Sequence[Row]) -> Iterator[Mean]:
    """The numbers of the summary."""
    for line in summaries.lines(rows):
        for column, values in line.found.items():
            yield Mean(line.method, line.cell, column, values)


def charted(rows: Sequence[Row]) -> dict[Column, list[Mean]]:
    """The numbers of the main metrics, the first few that were measured, to be drawn."""
    found: dict[Column, list[Mean]] = {}
    for one in means(rows):
        if one.column.metric in _CHARTED and one.column.against == "clean":
            found.setdefault(one.column, []).append(one)
    return {column: found[column] for column in [c for c in SUMMARY if c in found][:_CHARTS]}


def tables(run: Run) -> Report:
    """The summary of its results."""
    rows = run.rows
    found = {
        _over(run): summary(rows, judgement.under_trained(rows)),
        f"displacement under attack, largest budget: {_over(run)}": attacked_summary(rows),
    }
    return Report({title: lines for title, lines in found.items() if lines}, _footnote(run))


def _footnote(run: Run) -> str:
    """Who diverged, and what the dagger says."""
    return "\n".join(filter(None, [summaries.footnote(run.rows), judgement.footnote(run.rows)]))


def ledger(run: Run) -> Report:
    """Its error ledger. Raises BadInput for a run without one."""
    if swept(run.rows):
        raise BadInput(f"{run.path} is a sweep: a ledger is that of one study, of a folder in its cells/")
    tables = {f"{quantity}, part by part": table(of) for quantity, of in accounts(run.rows).items()}
    tables |= {"nats, the prior's part": in_nats(run.rows)}
    return Report({f"{title}: {_over(run)}": lines for title, lines in tables.items() if lines}, _footnote(run))


def compared(run: Run) -> Report:
    """Its methods compared with ddpm. Raises BadInput where there is nothing to compare."""
    title = f"paired difference to {judgement.BASELINE}, {_over(run)}; p adjusted for all in the table (Holm)"
    return Report({title: judgement.compared(run.rows)}, _footnote(run))


def numbers(run: Run) -> dict[str, Any]:
    """What `tables` shows, as numbers."""
    rows, keys = run.rows, swept(run.rows)
    return {
        "summary": [
            _named(one.method, one.cell, keys, one.column)
            | {"mean": one.interval.mean, "half_width": one.interval.half, "stderr": one.stderr, "values": one.values}
            for one in means(rows)
        ],
        "under_trained": [
            {"method": method, "cell": _place(cell, keys)} for cell, method in sorted(judgement.under_trained(rows))
        ],
        "diverged": [one._asdict() for one in results.divergences(rows)],
    }


def numbers_of_ledger(run: Run) -> dict[str, Any]:
    """What `ledger` shows, as numbers. Raises BadInput for a run without one."""
    _ = ledger(run)
    return {
        "ledger": [
            {"quantity": quantity, "method": method, "part": part, "mean": found.mean, "half_width": found.half}
            for quantity, of in accounts(run.rows).items()
            for method, account in of.items()
            for part, found in ((part, Interval.of(values)) for part, values in account.items())
        ]
    }


def numbers_compared(run: Run) -> dict[str, Any]:
    """What `compared` shows, as numbers. Raises BadInput where there is nothing to compare."""
    keys, found = swept(run.rows), judgement.comparisons(run.rows)
    return {
        "compared_with": judgement.BASELINE,
        "differences": [
            _named(one.key[1], one.key[0], keys, one.column)
            | {"mean": one.difference.mean, "half_width": one.difference.half, "p_adjusted": one.p}
            for one in found
        ],
    }


def _named(method: str, cell: Cell, keys: Sequence[str], column: Column) -> dict[str, Any]:
    return {
        "method": method,
        "cell": _place(cell, keys),
        "name": column.heading,
        "metric": column.metric,
        "against": column.against,
    }


def _place(cell: Cell, keys: Sequence[str]) -> dict[str, str]:
    """Where it is in a sweep; a key that has no part in it is left out."""
    return {key: value for key, value in zip(keys, cell, strict=True) if value}


def _over(run: Run) -> str:
    return f"mean ± 95 % interval over {len(run.seeds)} seeds"

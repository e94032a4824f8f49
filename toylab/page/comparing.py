"""Several runs side by side, and what differs between them."""

from collections.abc import Iterator, Sequence

from toylab import contrasts, judgement
from toylab.judgement import Comparison
from toylab.page.reading import Shown
from toylab.results import REFERENCES, Row, by_cell, of_seeds, short, swept
from toylab.summaries import DAGGER, SUMMARY, summary

Lines = list[list[str]]

_LAST = [column.heading for column in SUMMARY]


def side_by_side(shown: Sequence[Shown]) -> Lines:
    """Heading, then a line for every method, run, and cell of a sweep: mean and 95 % interval over seeds."""
    tables = [summary(each.rows, judgement.under_trained(each.rows)) for each in shown]
    columns = sorted(dict.fromkeys(heading for table in tables for heading in table[0][1:]), key=_order)
    of: dict[str, Lines] = {}
    for each, (heading, *lines) in zip(shown, tables, strict=True):
        for line in lines:
            cells = dict(zip(heading[1:], line[1:], strict=True))
            own = [line[0], each.label, *(cells.get(column, "-") for column in columns)]
            of.setdefault(line[0].removesuffix(f" {DAGGER}"), []).append(own)
    return [["method", "run", *columns], *(line for lines in of.values() for line in lines)]


def differences(shown: Sequence[Shown]) -> Lines:
    """Heading, then a line for every method and cell: by how much it differs from itself in the first run, paired over
    the seeds that both have, p adjusted (Holm) for the table; empty where no seed, method and cell are in both."""
    first, *others = shown
    found = [(each, comparison) for each in others for comparison in _between(first.rows, each.rows)]
    comparisons = judgement.adjusted([comparison for _, comparison in found])
    of: dict[tuple[str, judgement.Key], dict[str, str]] = {}
    for (each, _), comparison in zip(found, comparisons, strict=True):
        of.setdefault((each.label, comparison.key), {})[comparison.column.heading] = str(comparison)
    columns = [heading for heading in _LAST if any(heading in own for own in of.values())]
    body = [
        [method, f"{label} − {first.label}", *(value or "-" for value in cell), *(own.get(c, "-") for c in columns)]
        for (label, (cell, method)), own in of.items()
    ]
    return [["method", "runs", *short(swept(first.rows)), *columns], *body] if body else []


def settings_that_differ(shown: Sequence[Shown]) -> Lines:
    """Heading, then a line for every setting that is not the same in all runs."""
    differing = contrasts.settings_that_differ([each.run.config for each in shown])
    body = [[key, *values] for key, values in differing.items()]
    return [["setting", *(each.label for each in shown)], *body] if body else []


def overview(shown: Sequence[Shown]) -> Lines:
    """Heading, then a line a run: folder, experiment, preset, seeds, when and with what it was made."""
    body = [
        [
            each.label or each.name,
            *([each.name] if each.label else []),
            each.experiment,
            each.run.config["preset"],
            f"{each.run.seeds[0]} to {each.run.seeds[-1]}",
            str((each.run.finished or {})["date"]),
            str(each.run.environment.get("toylab", "-")),
            str(each.run.environment.get("device", "-")),
        ]
        for each in shown
    ]
    heading = ["run", *(["folder"] if shown[0].label else []), "experiment", "preset", "seeds", "finished"]
    return [[*heading, "toylab", "device"], *body]


def _between(rows: Sequence[Row], others: Sequence[Row]) -> Iterator[Comparison]:
    """Every trained method of both: the others' minus its own, not adjusted."""
    keys = swept(rows)
    if keys != swept(others):
        return
    ours, theirs = (by_cell([row for row in of if not row["t"]], keys) for of in (rows, others))
    for cell in (cell for cell in ours if cell in theirs):
        methods = dict.fromkeys(row["method"] for row in ours[cell])
        for method in (name for name in methods if not name.startswith(REFERENCES)):
            for column in SUMMARY:
                a, b = (of_seeds(of[cell], method, column.metric, column.against) for of in (ours, theirs))
                if gaps := [b[seed] - a[seed] for seed in a if seed in b]:
                    yield Comparison.of((cell, method), column, gaps)


def _order(heading: str) -> int:
    return _LAST.index(heading) if heading in _LAST else -1

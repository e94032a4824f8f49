"""What is shown of a finished run: tables by their titles, and what has to be said below them."""

from typing import NamedTuple

from toylab import judgement, results
from toylab.errors import BadInput
from toylab.ledger import accounts, in_nats, table
from toylab.results import attacked_summary, summary, swept
from toylab.runs import Run


class Report(NamedTuple):
    """Title -> table, its first line the heading; and a line below them."""

    tables: dict[str, list[list[str]]]
    footnote: str = ""


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
    return "\n".join(filter(None, [results.footnote(run.rows), judgement.footnote(run.rows)]))


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


def _over(run: Run) -> str:
    return f"mean ± 95 % interval over {len(run.seeds)} seeds"

"""What reads finished runs: `toylab show`, `toylab sample` and `toylab claims`."""

import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from toylab.cli import completing
from toylab.cli.app import command
from toylab.cli.charts import Bar, bars
from toylab.cli.options import RunFolder
from toylab.cli.printing import console, files_of, print_json, print_lines, print_report, print_run, say
from toylab.cli.writing import checked_output, written
from toylab.errors import BadInput

if TYPE_CHECKING:
    from toylab.claims import Judgement
    from toylab.runs import Run


_BAR, _LABEL = 60, 40  # columns: of a bar at most, and of what stands beside it


@command("toylab show runs/gmm-outliers-smoke-*")
def show(
    path: RunFolder,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the table alone, as Markdown.")] = False,
    ledger: Annotated[bool, typer.Option("--ledger", help="Where each method's error comes from.")] = False,
    compare: Annotated[bool, typer.Option("--compare", help="Paired differences to ddpm, with p-values.")] = False,
    charts: Annotated[
        bool | None, typer.Option(help="Bars of the main metrics; by default in a terminal, of what is no sweep.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print all of it as JSON: docs/how-to/command-line.md.")
    ] = False,
) -> None:
    """Show a finished run: its settings, table, charts and files."""
    if ledger and compare:
        raise BadInput("--ledger and --compare are two tables: ask for one of them")
    if as_json and markdown:
        raise BadInput("--json and --markdown are two formats: ask for one of them")
    if charts and (ledger or compare or markdown or as_json):
        raise BadInput("--charts go with the summary, and not with --ledger, --compare, --markdown or --json")
    folder = _load(path)
    from toylab import report
    from toylab.runs import readable

    with readable(path):
        if as_json:
            numbers = report.numbers_of_ledger if ledger else report.numbers_compared if compare else report.numbers
            print_json(_document(folder) | numbers(folder))
            return
        shown = (report.ledger if ledger else report.compared if compare else report.tables)(folder)
        head = report.heading(folder)
    if markdown:
        from toylab import summaries

        texts = [*map(summaries.markdown, shown.tables.values()), shown.footnote]
        say("\n\n".join(filter(None, texts)))
        return
    say(head)
    if ledger or compare:
        print_report(shown)
    else:
        if charts or (charts is None and sys.stdout.isatty()):
            _print_charts(folder, asked=bool(charts))
        print_run(folder)


def _print_charts(folder: "Run", asked: bool) -> None:
    """A chart a main metric; of a sweep, which has as many bars as cells, only where that is asked for."""
    from toylab.report import charted
    from toylab.results import swept

    if swept(folder.rows) and not asked:
        return
    width = max(10, min(_BAR, console().width - _LABEL)) if sys.stdout.isatty() else _BAR
    for column, means in charted(folder.rows).items():
        say(f"{column.heading}: mean and standard error over {len(folder.seeds)} seeds")
        of = [Bar(" ".join((one.method, *filter(None, one.cell))), one.interval.mean, one.stderr) for one in means]
        for line in bars(of, width, sys.stdout.encoding):
            say(f"  {line}")


def _document(folder: "Run") -> dict[str, Any]:
    """What is known of a run beside its numbers."""
    return {
        "run": folder.path,
        "experiment": folder.config["experiment"],
        "preset": folder.config["preset"],
        "seeds": folder.seeds,
        "finished": {key: (folder.finished or {}).get(key) for key in ("date", "version")},
        "seconds": folder.seconds,
        "environment": folder.environment,
        "config": folder.config,
        "files": files_of(folder),
    }


@command("toylab sample runs/gmm-outliers-smoke-* --method robust-adv -n 1000 -o samples.npz")
def sample(
    path: RunFolder,
    method: Annotated[str, typer.Option(help="Which trained method.", autocompletion=completing.methods)],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE.npz", help="Where to write.")],
    n: Annotated[int, typer.Option("-n", min=1, max=10_000_000, help="How many samples.")] = 1000,
    seed: Annotated[int | None, typer.Option(help="The training seed of the model; the first by default.")] = None,
    draw: Annotated[int, typer.Option(min=0, help="The seed of the sampling noise.")] = 0,
    nfe: Annotated[
        int | None, typer.Option(min=2, max=100_000, help="Evaluations of the model; the run's by default.")
    ] = None,
) -> None:
    """Draw samples from a trained model into FILE.npz (array `samples`, (n, d))."""
    folder = _load(path)
    checked_output(output, ".npz")
    import numpy as np

    from toylab.experiments.pipeline import sample_from
    from toylab.runs import readable

    with readable(path):
        points = sample_from(folder, method, seed, n, nfe, draw)
    content = io.BytesIO()
    np.savez_compressed(content, samples=points)
    written(output, content.getvalue())
    say(f"{n} samples of {method} in {output}")


@command("toylab claims --results figures")
def claims(
    results: Annotated[
        Path, typer.Option(metavar="DIR", help="A folder with NAME/results.csv, or with run folders.")
    ] = Path("figures"),
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the page as Markdown.")] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE.md", help="Write the page there, as Markdown.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Judge the paper's claims by stated rules from results."""
    if as_json and (markdown or output is not None):
        raise BadInput("--json is printed, and goes with neither --markdown nor -o")
    if output is not None:
        checked_output(output, ".md")
    from toylab import claims as judged

    found = judged.Results(results)
    judgements = [judged.judge(claim, found) for claim in judged.CLAIMS]
    if as_json:
        print_json({"claims": [_claim(judgement) for judgement in judgements]})
    elif output is not None:
        written(output, judged.markdown(judgements))
        say(output)
    elif markdown:
        say(judged.markdown(judgements), nl=False)
    else:
        _print_claims(judged.table(judgements))


def _claim(judgement: "Judgement") -> dict[str, Any]:
    claim = judgement.claim
    findings = zip(judgement.findings, judgement.passed, strict=True)
    return {
        "claim": claim.text,
        "place": claim.place,
        "experiment": claim.experiment,
        "command": claim.made_by,
        "verdict": str(judgement.verdict),
        "reason": judgement.reason or None,
        "findings": [
            {
                "subject": finding.subject,
                "mean": finding.interval.mean,
                "half_width": finding.interval.half,
                "asked": finding.asked,
                "p": finding.p,
                "passed": passed,
            }
            for finding, passed in findings
        ],
    }


def _print_claims(lines: list[list[str]]) -> None:
    from toylab.claims.table import RULES

    print_lines("", lines, ruled=True)
    for rule in RULES:
        say(f"* {rule}")


def _load(path: Path) -> "Run":
    from toylab import runs

    return runs.load(path)

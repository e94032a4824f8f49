"""What reads finished runs: `toylab show`, `toylab sample` and `toylab claims`."""

import io
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from toylab.cli.app import app
from toylab.cli.printing import print_report, print_run, print_table
from toylab.errors import BadInput

if TYPE_CHECKING:
    from toylab.runs import Run


@app.command()
def show(
    path: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")],
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the table alone, as Markdown.")] = False,
    ledger: Annotated[bool, typer.Option("--ledger", help="Where each method's error comes from.")] = False,
    compare: Annotated[bool, typer.Option("--compare", help="Paired differences to ddpm, with p-values.")] = False,
) -> None:
    """Show a finished run: its settings, table and files. Example: toylab show runs/gmm-outliers-..."""
    if ledger and compare:
        raise BadInput("--ledger and --compare are two tables: ask for one of them")
    folder = _load(path)
    from toylab import report
    from toylab.runs import readable

    with readable(path):
        shown = (report.ledger if ledger else report.compared if compare else report.tables)(folder)
        head = _heading(folder)
    if markdown:
        from toylab import results

        texts = [*map(results.markdown, shown.tables.values()), shown.footnote]
        typer.echo("\n\n".join(filter(None, texts)))
        return
    typer.echo(head)
    if ledger or compare:
        print_report(shown)
    else:
        print_run(folder)


def _heading(folder: "Run") -> str:
    made_by = folder.environment
    return (
        f"{folder.config['experiment']} ({folder.config['preset']}), seeds {folder.seeds[0]} to {folder.seeds[-1]},"
        f" toylab {made_by['toylab']}, torch {made_by['packages']['torch']}, {made_by['device']}"
    )


@app.command()
def sample(
    path: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")],
    method: Annotated[str, typer.Option(help="Which trained method.")],
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
    if output.suffix != ".npz" or not output.parent.is_dir() or output.is_dir():
        raise BadInput(f"-o must name a .npz file in an existing folder, not {output}")
    import numpy as np

    from toylab.experiments.pipeline import sample_from
    from toylab.files import write_whole
    from toylab.runs import readable

    with readable(path):
        points = sample_from(folder, method, seed, n, nfe, draw)
    content = io.BytesIO()
    np.savez_compressed(content, samples=points)
    try:
        write_whole(output, content.getvalue())
    except OSError as error:
        raise BadInput(f"cannot write {output}: {error.strerror}") from None
    typer.echo(f"{n} samples of {method} in {output}")


@app.command()
def claims(
    results: Annotated[
        Path, typer.Option(metavar="DIR", help="A folder with NAME/results.csv, or with run folders.")
    ] = Path("figures"),
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the page as Markdown.")] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE.md", help="Write the page there, as Markdown.")
    ] = None,
) -> None:
    """Judge the paper's claims by stated rules from results. Example: toylab claims --results figures"""
    from toylab import claims as judged

    found = judged.Results(results)
    judgements = [judged.judge(claim, found) for claim in judged.CLAIMS]
    if output is not None:
        try:
            output.write_text(judged.markdown(judgements), encoding="utf-8")
        except OSError as error:
            raise BadInput(f"cannot write {output}: {error.strerror}") from None
        typer.echo(output)
    elif markdown:
        typer.echo(judged.markdown(judgements), nl=False)
    else:
        _print_claims(judged.table(judgements))


def _print_claims(lines: list[list[str]]) -> None:
    from rich.table import Table

    from toylab.claims.table import RULES

    table = Table(*lines[0], box=None, show_lines=True)
    for line in lines[1:]:
        table.add_row(*line)
    print_table(table)
    for rule in RULES:
        typer.echo(f"* {rule}")


def _load(path: Path) -> "Run":
    from toylab import runs

    return runs.load(path)

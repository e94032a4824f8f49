"""What there is: `toylab list` and `toylab laws`."""

from pathlib import Path
from typing import Annotated

import typer

from toylab import index
from toylab.cli import completing
from toylab.cli.app import command
from toylab.cli.printing import print_json, print_table, say
from toylab.cli.writing import checked_output, writing
from toylab.entries import Index
from toylab.errors import BadInput

_SECTIONS = (
    index.EXPERIMENTS, index.OBJECTIVES, index.LAWS, index.CONTAMINATIONS, index.IMAGE_SETS, index.CORRUPTIONS,
    index.RADII, index.SCHEDULES, index.NETWORKS, index.SAMPLERS, index.SPACINGS, index.ATTACKS, index.AIMS,
    index.METRICS, index.IMAGE_METRICS, index.FEATURES,
)  # fmt: skip


@command("toylab list", name="list")
def list_(
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """List every experiment, objective, law, contamination, image set, corruption, radius and noise schedule, network,
    sampler, spacing, attack, aim, metric, also of images, and extractor of features."""
    if as_json:
        print_json({f"{section.kind}s": _told(section) for section in _SECTIONS})
        return
    for section in _SECTIONS:
        say(f"{section.kind}s")
        width = max(len(name) for name in section)
        for name, entry in section.items():
            say(f"  {name:<{width}}  {entry.summary}")


def _told(section: Index) -> dict[str, dict[str, object]]:
    presets = section is index.EXPERIMENTS
    return {
        name: {"summary": entry.summary} | ({"presets": index.presets(name)} if presets else {})
        for name, entry in section.items()
    }


@command("toylab laws --plot swiss-roll --set dim=3")
def laws(
    plot: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Draw this law: samples and score fields.", autocompletion=completing.laws),
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A parameter of it; may be repeated.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Where to draw: NAME.png by default; or .svg.")
    ] = None,
) -> None:
    """Print a table of the exact laws, or draw one."""
    if plot is None:
        if settings or output:
            raise BadInput("--set and -o go with --plot NAME")
        _print_laws()
        return
    from toylab.configuration import Law, assignments, validate

    law = validate(Law, assignments(settings or []) | {"name": plot}).build()
    path = checked_output(output or Path(f"{plot}.png"), ".png", ".svg", ".pdf")
    from toylab.figures import draw_law

    with writing(path):
        say(draw_law(law, plot, path))


def _print_laws() -> None:
    from rich.table import Table

    table = Table(
        "law", "dimension", "support", "exact by", "what it is", title="with its default parameters", box=None
    )
    for name, entry in index.LAWS.items():
        law = index.LAWS.load(name)()
        table.add_row(name, str(law.dim), law.support, law.exact_by, entry.summary)
    print_table(table)

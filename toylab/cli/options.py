"""What several commands take."""

from pathlib import Path
from typing import Annotated

import typer

from toylab.cli import completing

Device = Annotated[
    str,
    typer.Option(help="auto (cuda if there is one, else cpu), cpu, cuda or mps.", autocompletion=completing.devices),
]
Preset = Annotated[
    str | None, typer.Option(help="Usually smoke, default (the default) or paper.", autocompletion=completing.presets)
]
Changes = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Change a setting; may be repeated.", autocompletion=completing.settings
    ),
]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.", autocompletion=completing.runs)]
Runs = Annotated[Path, typer.Option(metavar="DIR", help="Where run folders are kept.")]

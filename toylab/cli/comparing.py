"""What holds two runs beside each other: `toylab compare`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from toylab.cli import completing
from toylab.cli.app import command
from toylab.cli.printing import print_json, print_lines, say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from toylab.contrasts import Contrast
    from toylab.runs import Run

_LONG = 60  # characters of a setting, as list of metrics may be
_UNDER = ("t", "attack", "place", "budget", "nfe")


@command("toylab compare figures/gmm-outliers figures/gmm-outliers-ledger")
def compare(
    a: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder, A.", autocompletion=completing.runs)],
    b: Annotated[Path, typer.Argument(metavar="RUN", help="Another one, B.", autocompletion=completing.runs)],
    metric: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Only this metric of results.csv; may be repeated.")
    ] = None,
    levels: Annotated[bool, typer.Option("--levels", help="Also what was measured at single noise levels.")] = False,
    marked: Annotated[
        bool, typer.Option("--marked", help="Only what differs by more than two standard errors.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON, all of it.")] = False,
) -> None:
    """Compare two finished runs: every number that both have, B − A with its standard error, and settings that differ.

    Differences are taken seed by seed where seeds are the same (paired), else between means (Welch). * is beyond two
    standard errors, ** beyond three. NaN stands wherever a training diverged.
    """
    from toylab import contrasts, runs

    pair = runs.load(a), runs.load(b)
    with runs.readable(a), runs.readable(b):
        found = contrasts.contrasts(*pair, metric or (), levels)
        settings = contrasts.settings_that_differ([run.config for run in pair])
    if as_json:
        print_json(_document(pair, found, settings))
    else:
        _print(pair, found, settings, marked)


def _print(pair: "tuple[Run, Run]", found: "list[Contrast]", settings: dict[str, list[str]], marked: bool) -> None:
    from toylab import contrasts, results, summaries

    for label, run in zip("AB", pair, strict=True):
        say(f"{label}: {run.path}, {run.config['experiment']} ({run.config['preset']}), {_seeds(run)}")
    if settings:
        body = [
            [key, *(f"{text[:_LONG]}…" if len(text) > _LONG else text for text in own)] for key, own in settings.items()
        ]
        print_lines("settings that differ", [["setting", "A", "B"], *body])
    else:
        say("no setting differs")
    lines = [contrast for contrast in found if contrast.mark or not marked]
    if lines:
        print_lines("B − A", _table(lines, results.swept(pair[0].rows)))
    count = sum(bool(contrast.mark) for contrast in found)
    say(
        f"{count} of {len(found)} differ by more than {contrasts.CLEAR:g} standard errors (*), or"
        f" {contrasts.CLEARER:g} (**); about {contrasts.by_chance(found):.0f} would by chance alone."
        " p: Student's, adjusted for all in the table (Holm)"
    )
    for label, run, other in (("A", pair[0], pair[1]), ("B", pair[1], pair[0])):
        if names := contrasts.alone(run, other):
            say(f"only in {label}: {', '.join(names)}")
        if told := summaries.footnote(run.rows):
            say(f"{label}: {told}")


def _seeds(run: "Run") -> str:
    return f"seeds {run.seeds[0]} to {run.seeds[-1]}"


def _table(found: "Sequence[Contrast]", keys: "Sequence[str]") -> list[list[str]]:
    from toylab.judgement import p_text
    from toylab.results import short

    under = [name for name in _UNDER if any(getattr(contrast.key, name) for contrast in found)]
    heading = ["method", *short(keys), "metric", "against", *under, "A", "B", "B − A", "s.e.", "seeds", "p", ""]
    body = []
    for contrast in found:
        key, difference = contrast.key, contrast.difference
        place = [getattr(key, name) or "-" for name in under]
        numbers = [f"{value:.4g}" for value in (*contrast.means, difference.value)]
        error = f"{difference.stderr:.2g}" if difference.stderr == difference.stderr else "-"
        seeds = f"{len(contrast.a)} pairs" if contrast.is_paired else f"{len(contrast.a)} and {len(contrast.b)}"
        last = [error, seeds, p_text(contrast.p_adjusted), contrast.mark]
        cell = [value or "-" for value in key.cell]
        body.append([key.method, *cell, key.metric, key.against, *place, *numbers, *last])
    return [heading, *body]


def _document(pair: "tuple[Run, Run]", found: "list[Contrast]", settings: dict[str, list[str]]) -> dict[str, Any]:
    from toylab import contrasts, results
    from toylab.experiments.experiment import flat

    keys, configs = results.swept(pair[0].rows), [flat(run.config) for run in pair]
    labels = {"a": (pair[0], pair[1]), "b": (pair[1], pair[0])}
    return {
        "runs": {
            label: {
                "path": run.path,
                "experiment": run.config["experiment"],
                "preset": run.config["preset"],
                "seeds": run.seeds,
                "diverged": [one._asdict() for one in results.divergences(run.rows)],
                "alone": contrasts.alone(run, other),
            }
            for label, (run, other) in labels.items()
        },
        "settings": {key: {label: of.get(key) for label, of in zip("ab", configs, strict=True)} for key in settings},
        "differences": [_entry(contrast, keys) for contrast in found],
        "by_chance": contrasts.by_chance(found),
    }


def _entry(contrast: "Contrast", keys: "Sequence[str]") -> dict[str, Any]:
    key, difference, means = contrast.key, contrast.difference, contrast.means
    return key._asdict() | {
        "cell": {name: value for name, value in zip(keys, key.cell, strict=True) if value},
        "a": means[0],
        "b": means[1],
        "difference": difference.value,
        "stderr": difference.stderr,
        "paired": contrast.is_paired,
        "seeds_a": sorted(contrast.a),
        "seeds_b": sorted(contrast.b),
        "p": difference.p,
        "p_adjusted": contrast.p_adjusted,
        "beyond": len(contrast.mark) and len(contrast.mark) + 1,
    }

"""What a shell is told when a word is to be completed: names from the index and run folders, at once, without torch.

A function takes the beginning of a word and returns what it may become, with a line of help where there is one.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import typer

from toylab import index
from toylab.entries import Entry

Found = list[tuple[str, str]]

_NAMED: Mapping[str, Mapping[str, Entry]] = {
    "law": index.LAWS,
    "contamination": index.CONTAMINATIONS,
    "objective": index.OBJECTIVES,
    "schedule": index.SCHEDULES,
    "network": index.NETWORKS,
    "sampler": index.SAMPLERS,
    "spacing": index.SPACINGS,
    "data": index.IMAGE_SETS,
    "corruption": index.CORRUPTIONS,
}
"""Settings whose value is a name of the index."""


def names(of: Mapping[str, Entry]) -> Callable[[str], Found]:
    """Completes the names of an index."""
    return lambda incomplete: [(name, entry.summary) for name, entry in of.items() if name.startswith(incomplete)]


def words(*allowed: str) -> Callable[[str], list[str]]:
    """Completes these."""
    return lambda incomplete: [word for word in allowed if word.startswith(incomplete)]


experiments, laws, objectives = names(index.EXPERIMENTS), names(index.LAWS), names(index.OBJECTIVES)
devices = words("auto", "cpu", "cuda", "mps")


def presets(context: typer.Context, incomplete: str) -> list[str]:
    """Those of the experiments typed before; of all of them where there is none."""
    typed = [word for word in _typed(context) if word in index.EXPERIMENTS]
    of = [index.presets(name) for name in typed or index.EXPERIMENTS]
    return words(*dict.fromkeys(preset for each in of for preset in each))(incomplete)


def settings(incomplete: str) -> Found:
    """Completes KEY=NAME, where the key takes a name."""
    key, equals, beginning = incomplete.partition("=")
    if not equals:
        return [(f"{name}=", "") for name in _NAMED if name.startswith(key)]
    return [(f"{key}={name}", summary) for name, summary in names(_NAMED.get(key, {}))(beginning)]


def runs(incomplete: str) -> list[str]:
    """Completes run folders, and with a slash behind them the folders that they may be in."""
    head, slash, beginning = incomplete.rpartition("/")
    folder = Path(head + slash)
    try:
        inside = sorted(path for path in folder.iterdir() if path.is_dir() and path.name.startswith(beginning))
    except OSError:
        return []
    return [
        f"{head}{slash}{path.name}" + ("" if (path / "config.json").is_file() else "/")
        for path in inside
        if beginning or not path.name.startswith(".")
    ]


def methods(context: typer.Context, incomplete: str) -> list[str]:
    """Completes those trained in the run that was typed before."""
    weights = (file for word in _typed(context) for file in sorted(Path(word, "weights").glob("*.safetensors")))
    return words(*(file.stem for file in weights))(incomplete)


def _typed(context: typer.Context) -> list[str]:
    """The words before; those before an option without its value are not parsed yet."""
    parsed = [
        one for value in context.params.values() for one in (value if isinstance(value, list | tuple) else [value])
    ]
    return [str(one) for one in (*parsed, *context.args) if one]

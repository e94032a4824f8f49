"""The page as text: facts, tables, charts and figures of runs in the templates beside it."""

import base64
import gzip
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

from toylab import __version__, report
from toylab.errors import BadInput, needs
from toylab.page import charts, comparing, facts, pictures
from toylab.page.reading import Shown
from toylab.summaries import DAGGER

LIMIT = 8_000_000
"""Bytes that a page has at most."""


class Table(NamedTuple):
    """A table under its caption; lines: the heading first."""

    caption: str
    lines: list[list[str]]


class Part(NamedTuple):
    """What the page says of one run."""

    shown: Shown
    question: facts.Question
    tables: list[Table]
    compared: list[Table]
    ledger: list[Table]
    footnote: str
    claims: list[list[str]]
    commands: list[str]
    configuration: str
    settings: list[list[str]]
    environment: list[list[str]]
    timings: list[list[str]]


def html(shown: Sequence[Shown], command: str) -> str:
    """The page of one run, or of several compared; command: what made it. Raises BadInput where it would be larger than
    LIMIT, and where the extra `report` is not installed."""
    numbers = charts.data(shown)
    scripts = {name: template(name) for name in ("tables.js", "charts.js")}
    values: dict[str, Any] = {
        "title": shown[0].experiment if len(shown) == 1 else f"Comparison of {len(shown)} runs",
        "parts": [_part(each) for each in shown],
        "overview": comparing.overview(shown),
        "several": len(shown) > 1,
        "differ": comparing.settings_that_differ(shown) if len(shown) > 1 else [],
        "side_by_side": comparing.side_by_side(shown) if len(shown) > 1 else [],
        "differences": comparing.differences(shown) if len(shown) > 1 else [],
        "looks": numbers["methods"],
        "charts": {kind: bool(numbers[kind]) for kind in ("metrics", "curves", "clouds", "walks")},
        "style": template("page.css"),
        "scripts": scripts.values(),
        "policy": policy([*scripts.values(), plotly()]),
        "library": _packed_plotly(),
        "numbers": packed(json.dumps(numbers, allow_nan=False, separators=(",", ":"))),
        "version": __version__,
        "command": command,
        "dagger": DAGGER,
    }
    bare = _rendered(values | {"figures": {}, "left_out": {}})
    size = len(bare.encode())
    if size > LIMIT:
        raise BadInput(
            f"a page of these runs would have {size / 1e6:.1f} MB, and may have {LIMIT / 1e6:.0f}: name fewer"
        )
    return _rendered(values | _fitting(shown, LIMIT - size))


def plotly() -> str:
    """The source of plotly.js. Raises BadInput where it is not installed."""
    try:
        from plotly.offline import get_plotlyjs
    except ImportError:
        raise BadInput(needs("toylab report", "plotly", "report")) from None
    return str(get_plotlyjs())


@cache
def _packed_plotly() -> str:
    return packed(plotly())


def packed(text: str) -> str:
    """Text for a page, compressed: gzip as base64."""
    return base64.b64encode(gzip.compress(text.encode(), 9, mtime=0)).decode()


def policy(scripts: Sequence[str]) -> str:
    """A content security policy under which these scripts run, and nothing else does or is loaded."""
    hashes = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
    allowed = " ".join(f"'sha256-{digest}'" for digest in hashes)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'; "
        "form-action 'none'"
    )


def template(name: str) -> str:
    """A file of templates/."""
    return (files("toylab.page") / "templates" / name).read_text(encoding="utf-8")


def _rendered(values: Mapping[str, Any]) -> str:
    return str(_environment().get_template("page.html").render(values))


@cache
def _environment() -> Any:
    try:
        from jinja2 import Environment, FunctionLoader, StrictUndefined
    except ImportError:
        raise BadInput(needs("toylab report", "jinja2", "report")) from None
    made = Environment(
        loader=FunctionLoader(template),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["code"] = _code
    made.filters["base64"] = lambda text: base64.b64encode(text.encode()).decode()
    return made


def _code(text: str) -> Any:
    """HTML of a docstring's words."""
    from markupsafe import Markup, escape

    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def _fitting(shown: Sequence[Shown], room: int) -> dict[str, Any]:
    """Figures by the name of the run's folder, and the names of those for which there is no room."""
    kept: dict[str, list[pictures.Picture]] = {each.label: [] for each in shown}
    left_out: dict[str, list[str]] = {each.label: [] for each in shown}
    for label, picture in _in_turn(shown):
        size = len(picture.source) + 2000  # its caption twice, and the elements around it
        if size <= room:
            kept[label].append(picture)
            room -= size
        else:
            left_out[label].append(picture.name)
    return {"figures": kept, "left_out": left_out}


def _in_turn(shown: Sequence[Shown]) -> Iterator[tuple[str, pictures.Picture]]:
    """The first figure of every run, then the second of each, so that none is left without."""
    of = [[(each.label, picture) for picture in pictures.pictures(each)] for each in shown]
    for number in range(max(map(len, of))):
        yield from (own[number] for own in of if number < len(own))


def _part(shown: Shown) -> Part:
    results = report.tables(shown.run)
    return Part(
        shown,
        facts.question(shown.experiment),
        _tables(results),
        _tables(_or_nothing(report.compared, shown)),
        _tables(_or_nothing(report.ledger, shown)),
        results.footnote.replace("(--compare shows both)", "(the table of paired differences shows both)"),
        facts.claims(shown),
        facts.commands(shown),
        facts.configuration(shown),
        facts.settings(shown),
        facts.environment(shown),
        facts.timings(shown),
    )


def _tables(found: report.Report) -> list[Table]:
    return [Table(title, lines) for title, lines in found.tables.items()]


def _or_nothing(made: Any, shown: Shown) -> report.Report:
    """A table that a run may not have anything for."""
    try:
        return report.Report(*made(shown.run))
    except BadInput:
        return report.Report({})

"""How laws, estimates, evaluations and runs look in a notebook.

Formatters are registered with IPython by type, so that no law and no metric knows of figures.
"""

import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.figure import Figure
from PIL import Image

from toylab import report
from toylab.distributions import Distribution
from toylab.evaluation import Evaluation, Trial
from toylab.figures import FIGURES
from toylab.figures.laws import portrait
from toylab.figures.style import STYLE
from toylab.files import read_whole
from toylab.metrics import Estimate
from toylab.metrics.damage import Comparison
from toylab.runs import Run
from toylab.statistics import NORMAL, Interval
from toylab.summaries import markdown

if TYPE_CHECKING:
    from IPython.core.formatters import DisplayFormatter
    from IPython.lib.pretty import PrettyPrinter

_DPI, _COLOURS = 100, 256


def register(formatter: "DisplayFormatter") -> None:
    """Show laws by their portraits, estimates as tables, runs by their tables and figures."""
    for (kind, of), function in _FORMATS.items():
        formatter.formatters[kind].for_type(of, function)
    formatter.ipython_display_formatter.for_type(Run, show)


def unregister(formatter: "DisplayFormatter") -> None:
    """Show them as IPython does by itself."""
    for kind, of in _FORMATS:
        formatter.formatters[kind].pop(of, None)
    formatter.ipython_display_formatter.pop(Run, None)


def png(figure: Figure) -> bytes:
    """A figure as PNG, about as large on the screen as on paper."""
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=_DPI, bbox_inches="tight")
    return _small(Image.open(drawn))


def _small(image: Image.Image) -> bytes:
    """In few colours, so that notebooks stay small."""
    written = io.BytesIO()
    image.convert("RGB").quantize(_COLOURS, dither=Image.Dither.NONE).save(written, "PNG", optimize=True)
    return written.getvalue()


def law_png(law: Distribution) -> bytes | None:
    """The portrait of a law; None for one of infinite variance, which has no axes to draw it on."""
    try:
        _ = law.cov
    except ValueError:
        return None
    with mpl.rc_context(STYLE):
        return png(portrait(law, _words(law)))


def estimate_markdown(estimate: Estimate) -> str:
    """Value ± 95 % interval: one, or a line a member, a column a part."""
    value, stderr = (part.detach().cpu() for part in estimate)
    if value.ndim == 0:
        return str(Interval(float(value), NORMAL * float(stderr)))
    value, stderr = (part.reshape(len(part), -1) for part in (value, stderr))
    parts = [f"part {number + 1}" for number in range(value.shape[1])] if value.shape[1] > 1 else ["value ± 95 %"]
    body = [
        [str(member), *(str(Interval(v, NORMAL * e)) for v, e in zip(*row, strict=True))]
        for member, row in enumerate(zip(value.tolist(), stderr.tolist(), strict=True))
    ]
    return markdown([["member", *parts], *body])


def comparison_markdown(comparison: Comparison) -> str:
    """The model, the exact denoiser under the same attack, and their paired difference: a line a member."""
    columns = [[str(Interval(v, NORMAL * e)) for v, e in zip(*_flat(one), strict=True)] for one in comparison]
    body = [[str(member), *cells] for member, cells in enumerate(zip(*columns, strict=True))]
    return markdown([["member", *(name for name in comparison._fields)], *body])


def show(run: Run) -> None:
    """A finished run: what it was, its tables and its figures."""
    from IPython.display import display

    name = run.config["experiment"]
    heading = f"**{name}**{report.heading(run).removeprefix(name)}, in `{run.path}`"
    found = report.tables(run)
    tables = [f"{title}\n\n{markdown(table)}" for title, table in found.tables.items()]
    text = "\n\n".join([heading, *tables, found.footnote])
    display({"text/markdown": text, "text/plain": text}, raw=True)
    for name in FIGURES:
        path = run.path / "figures" / f"{name}.png"
        if path.exists():
            with Image.open(io.BytesIO(read_whole(path))) as image:
                shrunk = image.reduce(round(STYLE["savefig.dpi"] / _DPI))
            display({"image/png": _small(shrunk), "text/plain": name}, raw=True)


def _flat(estimate: Estimate) -> tuple[list[float], list[float]]:
    """Values and standard errors, one a member."""
    value, stderr = (part.reshape(-1).tolist() for part in estimate)
    return value, stderr


def _law_in_words(law: Distribution, printer: "PrettyPrinter", cycle: bool) -> None:
    printer.text(_words(law))


def _table_in_words(found: Evaluation | Trial, printer: "PrettyPrinter", cycle: bool) -> None:
    printer.text(str(found))


def _words(law: Distribution) -> str:
    return f"{type(law).__name__} on {law.support}"


_FORMATS: dict[tuple[str, type], Callable[..., Any]] = {
    ("text/plain", Distribution): _law_in_words,
    ("text/plain", Evaluation): _table_in_words,
    ("text/plain", Trial): _table_in_words,
    ("image/png", Distribution): law_png,
    ("image/png", Figure): png,
    ("text/markdown", Estimate): estimate_markdown,
    ("text/markdown", Comparison): comparison_markdown,
}

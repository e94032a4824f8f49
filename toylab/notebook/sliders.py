"""Sliders over a figure."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from toylab.bars import has_widgets
from toylab.errors import BadInput
from toylab.figures.style import STYLE
from toylab.notebook.place import Place

Control = tuple[float, float, float] | Sequence[str]
"""(low, high, start) of a slider, or the names to choose from, the first at the start."""

_STOPS = 40  # of a slider


def explore(draw: Callable[..., Figure], **controls: Control) -> Mapping[str, Any]:
    """A control for each parameter of `draw`, and the figure it returns, drawn anew when one is moved.

    Returns the values of the controls by name, which follow them. Without widgets the figure is that of the first
    values. A BadInput of `draw` is shown in place of the figure. Raises BadInput for controls that cannot be.
    """
    values = {name: _start(name, control) for name, control in controls.items()}
    place = Place()

    def redraw() -> None:
        try:
            with mpl.rc_context(STYLE):
                place.show(draw(**values))
        except BadInput as error:
            place.show(str(error))

    if has_widgets():
        _show_controls(controls, values, redraw)
    redraw()
    return values


def _start(name: str, control: Control) -> float | str:
    """The first value of a control."""
    if isinstance(control, tuple) and len(control) == 3 and not isinstance(control[0], str):
        low, high, start = control
        if not low <= start <= high or low == high:
            raise BadInput(f"{name} must be (low, high, start) with start between the others, not {control}")
        return start
    if isinstance(control, str) or not control or not all(isinstance(choice, str) for choice in control):
        raise BadInput(f"{name} must be (low, high, start), or names to choose from, not {control!r}")
    return str(control[0])


def _show_controls(controls: Mapping[str, Control], values: dict[str, Any], redraw: Callable[[], None]) -> None:
    from IPython.display import display
    from ipywidgets import Dropdown, FloatSlider, VBox

    def follow(change: Mapping[str, Any]) -> None:
        values[change["owner"].description] = change["new"]
        redraw()

    widgets = []
    for name, control in controls.items():
        look = {"description": name, "style": {"description_width": "8em"}}
        if isinstance(values[name], str):
            widgets.append(Dropdown(options=list(control), **look))
        else:
            low, high, start = (float(end) for end in control)
            step = (high - low) / _STOPS
            widgets.append(FloatSlider(start, min=low, max=high, step=step, continuous_update=False, **look))
        widgets[-1].observe(follow, "value")
    bundle = VBox(widgets)._repr_mimebundle_()
    bundle["text/plain"] = "sliders at " + ", ".join(f"{name} = {value}" for name, value in values.items())
    display(bundle, raw=True)

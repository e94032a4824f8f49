"""Bars of text: a value to each line, and its standard error."""

import math
from collections.abc import Sequence
from typing import NamedTuple

WITH_BLOCKS, IN_ASCII = ("█", "─", "│", "±"), ("#", "-", "|", "+-")
"""A bar, what its standard error adds to it, the zero where there is no bar, and the sign before the error."""


class Bar(NamedTuple):
    """A value and its standard error; either may be NaN."""

    label: str
    value: float
    stderr: float

    @property
    def ends(self) -> tuple[float, float, float]:
        """The value, less and more the error where that is known; 0 where the value is not finite."""
        if not math.isfinite(self.value):
            return 0.0, 0.0, 0.0
        error = self.stderr if math.isfinite(self.stderr) else 0.0
        return self.value - error, self.value, self.value + error


def bars(of: Sequence[Bar], width: int, encoding: str | None = "utf-8") -> list[str]:
    """A line of each: label; a bar of at most `width` columns from 0 to the value, and on to one standard error more;
    the numbers. All are drawn to one scale. encoding: blocks are drawn where it has them, else ASCII."""
    full, error, zero, sign = WITH_BLOCKS if _has(encoding, "".join(WITH_BLOCKS)) else IN_ASCII
    low, high = (pick(0.0, *(end for bar in of for end in bar.ends)) for pick in (min, max))
    unit, wide = (high - low) / width or 1.0, max(len(bar.label) for bar in of)
    lines = []
    for bar in of:
        first, value, last = bar.ends
        cells = []
        for column in range(width):
            middle = low + (column + 0.5) * unit
            inside = min(0.0, value) < middle < max(0.0, value)
            cells.append(full if inside else error if first < middle < last else " ")
        origin = min(width - 1, int(-low / unit))
        cells[origin] = zero if cells[origin] == " " else cells[origin]
        numbers = f"{bar.value:.4g}" + ("" if math.isnan(bar.stderr) else f" {sign} {bar.stderr:.2g}")
        lines.append(f"{bar.label:<{wide}}  {''.join(cells)}  {numbers}")
    return lines


def _has(encoding: str | None, characters: str) -> bool:
    try:
        characters.encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True

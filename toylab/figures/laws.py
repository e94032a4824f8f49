"""The portrait of a law: samples, and the score field at three noise levels.

Beyond two dimensions samples are projected onto the law's two widest principal axes, and the field is that on the
plane through its mean which these span: a slice, not a projection.
"""

import contextlib

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from toylab import randomness
from toylab.distributions import Distribution, SingularLaw
from toylab.figures.style import arrows, frame, panels

_RATIOS = (0.1, 0.5, 2.0)  # σ/α in units of the law's largest principal standard deviation
_FINE, _COARSE = 81, 21  # points an axis, of densities and of arrows
_SAMPLES = 2000


def portrait(law: Distribution, name: str) -> Figure:
    """Samples of the law, and density and σ·score of αX + σZ at three σ/α."""
    axes, scale = _principal(law)
    figure, panes = panels(1 + len(_RATIOS))
    samples = law.sample(_SAMPLES, randomness.stream(0, "portrait"))
    if len(axes) == 1:
        _line(panes, law, samples, scale)
    else:
        _plane(panes, law, samples, axes, scale)
    what = "samples" if law.dim <= 2 else f"samples, widest of {law.dim} axes"
    panes[0].set_title(what)
    for ax, ratio in zip(panes[1:], _RATIOS, strict=True):
        ax.set_title(f"σ/α = {ratio * scale:.2g}")
    figure.suptitle(name + ("" if law.dim <= 2 else ": density and σ · score on the plane of these axes"), fontsize=8)
    return figure


def _principal(law: Distribution) -> tuple[Tensor, float]:
    """The coordinate axes, or beyond two dimensions the two widest principal ones (2, d); the largest deviation."""
    variances, vectors = torch.linalg.eigh(law.cov)
    scale = float(variances[-1].sqrt()) or 1.0
    if law.dim <= 2:
        return torch.eye(law.dim, dtype=torch.float64), scale
    return vectors[:, -2:].mT.flip(0), scale


def _line(panes: list[Axes], law: Distribution, samples: Tensor, scale: float) -> None:
    reach = 1.2 * float((samples - law.mean).abs().max()) + 0.5 * scale
    x = law.mean + torch.linspace(-reach, reach, 20 * _FINE, dtype=torch.float64)[:, None]
    panes[0].hist(samples[:, 0].numpy(), bins=80, density=True, color="0.7")
    for ax, ratio in zip(panes[1:], _RATIOS, strict=True):
        sigma = ratio * scale
        ax.fill_between(x[:, 0], law.log_prob(x, 1.0, sigma).exp(), color="0.85", lw=0)
        twin = ax.twinx()
        twin.plot(x[:, 0], sigma * law.score(x, 1.0, sigma)[:, 0], color="C0", lw=1)
        twin.tick_params(labelsize=6)
        twin.spines["right"].set_visible(True)
    with contextlib.suppress(SingularLaw):
        panes[0].plot(x[:, 0], law.log_prob(x).exp(), color="0.2", lw=0.8)
    for ax in panes:
        ax.set_yticks([])


def _plane(panes: list[Axes], law: Distribution, samples: Tensor, axes: Tensor, scale: float) -> None:
    flat = (samples - law.mean) @ axes.mT
    reach = 1.15 * float(flat.abs().quantile(0.999)) + 0.3 * scale
    line = torch.linspace(-reach, reach, _FINE, dtype=torch.float64)
    fine, coarse = (torch.cartesian_prod(a, a) for a in (line, line[:: (_FINE - 1) // (_COARSE - 1)]))
    centre = (law.mean @ axes.mT) if law.dim <= 2 else torch.zeros(2, dtype=torch.float64)
    x, y = (flat + centre).numpy().T
    panes[0].scatter(x, y, s=1.5, color="C0", alpha=0.4, lw=0, rasterized=True)
    for ax, ratio in zip(panes[1:], _RATIOS, strict=True):
        sigma = ratio * scale
        log_p = law.log_prob(law.mean + fine @ axes, 1.0, sigma)
        density = (log_p - log_p.max()).exp().reshape(_FINE, _FINE).mT.numpy()
        (left, right), (low, high) = ((float(c) - reach, float(c) + reach) for c in centre)
        ax.imshow(
            density**0.5,
            extent=(left, right, low, high),
            origin="lower",
            cmap="Greys",
            vmin=0,
            vmax=1.6,
            interpolation="bilinear",
        )
        field = sigma * law.score(law.mean + coarse @ axes, 1.0, sigma) @ axes.mT
        arrows(ax, (coarse + centre).numpy(), field.numpy(), color="C0")
    for ax in panes:
        ax.set(xlim=(float(centre[0]) - reach, float(centre[0]) + reach))
        ax.set(ylim=(float(centre[1]) - reach, float(centre[1]) + reach))
        frame(ax)

"""The loss of a training."""

from matplotlib.figure import Figure
from torch import Tensor

_STRETCHES = 100


def loss_curve(losses: Tensor, first: int = 1) -> Figure:
    """Losses (steps, M) from step `first` on, averaged over at most 100 stretches of steps: a thin line a member, and
    their mean."""
    size = -(-len(losses) // _STRETCHES)
    stretches = losses.split(size)
    at, means = [], []
    for number, stretch in enumerate(stretches):
        at.append(first + number * size + (len(stretch) - 1) / 2)
        means.append(stretch.double().mean(0).numpy())
    figure = Figure(figsize=(4.2, 1.8), layout="constrained")
    ax = figure.subplots()
    ax.plot(at, means, color="0.75", lw=0.6)
    ax.plot(at, [float(mean.mean()) for mean in means], color="C0", lw=1.4)
    ax.set(yscale="log", xlabel="step", ylabel="loss")
    ax.yaxis.set_major_formatter("{x:g}")
    ax.yaxis.set_minor_formatter("{x:g}")
    return figure

# %% [markdown]
# # What adversarial training learns
#
# Equivariant adversarial training (Briglia et al., arXiv:2505.21742) pushes the noisy state by ω noise units and asks
# the predicted noise to move by ω:
#
# $$\|\varepsilon_\theta(x_t) - \varepsilon\|^2
#   + \lambda \|\varepsilon_\theta(x_t + \sigma\omega) - \varepsilon_\theta(x_t) - \omega\|^2,
#   \qquad |\omega_i| \le r = r_0 s^\rho,\quad s = \sigma / \sqrt{\alpha^2 + \sigma^2}$$
#
# What that asks for is known without any network: in closed form on a Gaussian, and on the line by a linear system.
# The sliders below are live where the notebook runs; what is stored here are their first values.

# %%
from toylab import process

process.settle()
# %load_ext toylab.notebook

# %% [markdown]
# ## On one Gaussian: another covariance
#
# Among affine models the optimum for a *random* push is the exact ε of a Gaussian whose covariance is divided by
# $1 + \lambda r^2/3$. Here the exact covariance and that of the `implied_law`:

# %%
import torch
from matplotlib.figure import Figure

from toylab.distributions import GaussianMixture
from toylab.notebook import explore, watch
from toylab.objectives import invariance, robust_adv, robust_ran
from toylab.perturbations import Radius
from toylab.theory import implied_law

law = GaussianMixture([[0.0, 0.0]], cov=[[0.545, 0.455], [0.455, 0.545]])  # std 1 along (1, 1), 0.3 along (1, -1)
lam, r = 1.0, 1.5
implied = implied_law(robust_ran(lam, Radius(r, 0.0, 0.0, random=False)), law, alpha=0.8, sigma=0.6)
torch.testing.assert_close(implied.cov, law.cov / (1 + lam * r**2 / 3))
{"the data": law.cov[0].tolist(), "what is learned": implied.cov[0].tolist()}

# %% [markdown]
# The *adversarial* push leans towards the directions in which ε moves most: those in which the data is thin. Its
# optimum is a fixed point. On the left, one standard deviation of the data and of what either push learns at one noise
# level. On the right, how much of the data's variance is left along its wide and its thin axis. Random pushes of one
# radius (ρ = 0) take the same share everywhere; adversarial ones tell the axes apart where there is little noise, and
# take most of the thin one. A radius that shrinks with the noise (ρ > 0) leaves the low noise levels alone.

# %%
axes = torch.tensor([[1.0, 1.0], [1.0, -1.0]], dtype=torch.float64) / 2**0.5
angle = torch.linspace(0, 2 * torch.pi, 200, dtype=torch.float64)
round_trip = torch.stack([angle.cos(), angle.sin()])


def on_a_gaussian(λ, radius, ρ):
    size = Radius(radius, ρ, 0.0, random=False)
    objectives = {"random": robust_ran(λ, size), "adversarial": robust_adv(λ, size)}
    figure = Figure(figsize=(7.5, 2.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot(*torch.linalg.cholesky(law.cov) @ round_trip, color="0.6", lw=2.5, label="data")
    ratios = torch.logspace(-1, 0.8, 7, dtype=torch.float64)
    for (name, objective), colour in zip(objectives.items(), ("C0", "C1"), strict=True):
        found = [implied_law(objective, law, 1 / (1 + q**2) ** 0.5, q / (1 + q**2) ** 0.5) for q in ratios.tolist()]
        left.plot(*torch.linalg.cholesky(found[2].cov) @ round_trip, color=colour, lw=1.2, label=name)
        for axis, style, which in zip(axes, ("-", "--"), ("wide", "thin"), strict=True):
            kept = [float((axis @ one.cov @ axis) / (axis @ law.cov @ axis)) for one in found]
            right.plot(ratios, kept, style, color=colour, lw=1.2, label=f"{name}, {which} axis")
    left.set(aspect="equal", title=f"at σ/α = {float(ratios[2]):.1g}")
    left.legend(loc="lower right")
    right.set(xscale="log", xlabel="noise level σ/α", ylabel="share of the variance that is left", ylim=(0, 1.05))
    right.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


_ = explore(on_a_gaussian, λ=(0.0, 5.0, 1.0), radius=(0.1, 3.0, 1.5), ρ=(-1.0, 2.0, 0.0))

# %% [markdown]
# ## On two modes with outliers: a smoothed denoiser
#
# Over *all* functions the optimum is the exact denoiser smoothed over the pushes; on the line `GridOptimum` solves for
# it at every noise level. On the left, the denoised $E[x_0 \mid x_t]$ at one noise level. Where the contaminated law
# has only outliers its denoiser returns nearly what it is given, the diagonal; pushes that reach a mode pull it there.
# On the right, the density of what DDIM makes of each of them, by transporting quantiles, without any sampling noise:
# the shelf between and beyond the modes are the outliers.
#
# Things to try: a larger radius at the same λ; ρ = 2, the paper's, against ρ = 0 and below; `invariance`, whose ε
# instead of the denoiser is smoothed; much contamination. `robust-adv` takes some seconds, as its push depends on the
# model: a fixed point of such systems.

# %%
from toylab.contamination import outliers
from toylab.denoisers import Exact
from toylab.distributions.named import two_gaussians
from toylab.metrics.robustness import Region
from toylab.samplers import ddim, sample
from toylab.schedules import DDPM
from toylab.theory import Grid, GridOptimum

LOOKS = [("0.75", 2.5), ("0.4", 1.0), ("C0", 1.4), ("C3", 1.2)]  # colours and widths of lines
schedule, clean = DDPM(), two_gaussians()
region = Region(clean, torch.Generator().manual_seed(0), n=200_000)
quantiles = torch.special.ndtri((torch.arange(1000, dtype=torch.float64) + 0.5) / 1000)[:, None]
x = torch.linspace(-7, 7, 281, dtype=torch.float64)[:, None]
t = schedule.time(0.5)  # σ/α
alpha, sigma = (float(level) for level in schedule(t))


def asked(objective, λ, radius, ρ):
    size = Radius(radius, ρ, 0.0, random=False)
    if objective == "robust-adv":
        return robust_adv(λ, size)
    return robust_ran(λ, size) if objective == "robust-ran" else invariance(λ, size, "random")


def optimum_of(objective, λ, radius, ρ, contamination):
    seen = outliers(clean, contamination)
    grid = Grid([-12.0], [12.0], [801])
    return seen, GridOptimum(asked(objective, λ, radius, ρ), seen, schedule, grid)


def denoised(ax, named):
    for (name, denoiser), (colour, width) in zip(named.items(), LOOKS, strict=False):
        ax.plot(x, denoiser.x0(alpha * x, t).detach(), color=colour, lw=width, label=name)
    ax.set(xlabel="x_t / α", ylabel="E[x₀ | x_t]", ylim=(-7, 7), title=f"the denoiser at σ/α = {sigma / alpha:.2g}")


def on_two_modes(objective, λ, radius, ρ, contamination):
    seen, optimum = optimum_of(objective, λ, radius, ρ, contamination)
    named = {"clean": Exact(clean, schedule), "contaminated": Exact(seen, schedule), objective: optimum}
    figure = Figure(figsize=(7.5, 3.0), layout="constrained")
    left, right = figure.subplots(1, 2)
    denoised(left, named)
    for (name, denoiser), (colour, width) in zip(named.items(), LOOKS, strict=False):
        ends = sample(ddim, denoiser, quantiles, nfe=40)
        outside = 1 - float(region.contains(ends).double().mean())
        ends = ends[:, 0].sort().values
        density = 1 / (len(ends) * ends.diff().clamp(min=1e-9))
        right.plot((ends[1:] + ends[:-1]) / 2, density, color=colour, lw=width, label=f"{name}: {100 * outside:.1f} %")
    right.set(yscale="log", xlim=(-7, 7), ylim=(1e-3, 5), xlabel="x₀", title="density of samples")
    figure.legend(*right.get_legend_handles_labels(), loc="outside right center", title="outlier mass")
    return figure


chosen = explore(
    on_two_modes,
    objective=["robust-ran", "robust-adv", "invariance"],
    λ=(0.0, 5.0, 1.0),
    radius=(0.0, 4.0, 2.0),
    ρ=(-1.0, 2.0, 0.0),
    contamination=(0.0, 0.5, 0.1),
)

# %% [markdown]
# ## A network beside it
#
# Does a network find what it is asked for? A small one is trained on endless points of the contaminated law, with the
# objective the sliders are at, and drawn again and again beside the optimum that it does not know. Move the sliders and
# run the cell again for another.

# %%
from toylab import randomness
from toylab.data import Endless
from toylab.denoisers import Learned
from toylab.networks import MLP
from toylab.training import Trainer, Training

seen, optimum = optimum_of(**chosen)
objective = asked(*(chosen[key] for key in ("objective", "λ", "radius", "ρ")))
network = MLP(1, width=32, generators=randomness.streams([0], "weights"))
trainer = Trainer(Learned(network, schedule), [Endless(seen)], objective, Training(steps=800, batch=256), seeds=[0])


def beside_the_optimum(trainer):
    figure = Figure(figsize=(4.2, 3.0), layout="constrained")
    ax = figure.subplots()
    named = {"clean": Exact(clean, schedule), "contaminated": Exact(seen, schedule), "optimum": optimum}
    denoised(ax, {**named, f"network, step {trainer.step}": trainer.ema})
    ax.legend(loc="upper left")
    return figure


for _step in watch(trainer, beside_the_optimum):
    pass

# %% [markdown]
# How far the network is from the optimum of its objective, and how far that optimum is from plain denoising of the same
# data: mean squared differences in ε at points of the contaminated law, at the noise level drawn. The second is what
# the objective asks for, the first what this training has left undone.

# %%
from toylab.metrics.score import eps_mse

noise = randomness.stream(0, "evaluation")
x_0 = seen.sample(4000, noise)
x_t = alpha * x_0 + sigma * torch.randn(x_0.shape, dtype=x_0.dtype, generator=noise)
eps_mse(trainer.ema, optimum, x_t, t)

# %%
eps_mse(optimum, Exact(seen, schedule), x_t, t)

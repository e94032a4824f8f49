# %% [markdown]
# # Exact laws and scores
#
# A method can only be judged exactly where the truth is known. Here a law is a Python object that knows the density,
# the score and the posterior mean of $\alpha X + \sigma Z$ for every α and σ.

# %%
from toylab import process

process.settle()
# %load_ext toylab.notebook

# %%
import matplotlib
import pandas
import torch
from matplotlib.figure import Figure

from toylab import randomness
from toylab.figures.style import STYLE
from toylab.index import LAWS

matplotlib.rcParams.update(STYLE)
generator = randomness.stream(0, "notebook")
pandas.Series({name: law.summary for name, law in LAWS.items()}, name="the named laws").to_frame()

# %% [markdown]
# ## Portraits
#
# On the line the portrait shows the score as a curve over the density of $X + \sigma Z$.

# %%
LAWS.load("two-gaussians")()

# %% [markdown]
# A circle has no density in the plane, but with any noise added it has one, and a score.

# %%
circle = LAWS.load("circle")()
circle

# %%
from toylab.distributions import SingularLaw

try:
    circle.score(torch.zeros(1, 2))
except SingularLaw as error:
    print("without noise:", error)
print("with a little:", circle.score(torch.tensor([[1.2, 0.0]]), alpha=1.0, sigma=0.1).tolist())

# %% [markdown]
# ## Exact means exact
#
# Two identities that tie the three functions together, at points of the noised law. Tweedie's formula,
# $\alpha\, E[X \mid x] = x + \sigma^2 \nabla \log p(x)$, and the score as the gradient of the log-density, here by
# automatic differentiation. What is left is rounding.

# %%
from toylab.contamination import outliers

clean = LAWS.load("three-gaussians")()
seen = outliers(clean, fraction=0.1)
alpha, sigma = 0.8, 0.6
x = alpha * seen.sample(2000, generator) + sigma * torch.randn(2000, 2, dtype=torch.float64, generator=generator)
score = seen.score(x, alpha, sigma)
tweedie = alpha * seen.denoise(x, alpha, sigma) - x - sigma**2 * score
(gradient,) = torch.autograd.grad(seen.log_prob(x.requires_grad_(), alpha, sigma).sum(), x)
largest = {"Tweedie": float(tweedie.abs().max()), "gradient": float((gradient - score).abs().max())}
assert max(largest.values()) < 1e-12
largest

# %% [markdown]
# ## What contamination does to a score
#
# Two Gaussians on the line, and the same with uniform outliers. Above, the densities at three noise levels; below,
# the noise that the exact score predicts, $\varepsilon^*(x) = -\sigma \nabla \log p(x)$. The two agree where the clean
# law has its mass. Between and beyond the modes, where with little noise only outliers are, they have nothing in
# common: the clean score calls all of the way to the next mode noise, the contaminated one takes a point for what it
# is. With much noise the difference is gone.

# %%
line = LAWS.load("two-gaussians")()
noisy_line = outliers(line, fraction=0.1)
x = torch.linspace(-7, 7, 701, dtype=torch.float64)[:, None]
figure = Figure(figsize=(7.5, 3.4), layout="constrained")
axes = figure.subplots(2, 3, sharex=True, sharey="row")
for (above, below), ratio in zip(axes.T, (0.2, 0.6, 2.0), strict=True):
    for law, name, style in ((line, "clean", "-"), (noisy_line, "contaminated", "--")):
        above.plot(x, law.log_prob(x, 1.0, ratio).exp(), style, lw=1.2, label=name)
        below.plot(x, -ratio * law.score(x, 1.0, ratio), style, lw=1.2)
    above.set(title=f"σ/α = {ratio:g}", yscale="log", ylim=(1e-4, 2))
    below.set(xlabel="x", ylim=(-8, 8))
axes[0, 0].set_ylabel("density")
axes[1, 0].set_ylabel("ε*")
axes[0, 2].legend()
figure

# %% [markdown]
# How large that difference is on average depends on whose points one asks about: at points of the clean law it is far
# smaller than at points of the contaminated law, at all but the largest noise. Bars are 95 % intervals of the Monte
# Carlo mean.

# %%
from toylab.denoisers import Exact
from toylab.metrics.score import eps_mse
from toylab.schedules import DDPM
from toylab.statistics import NORMAL

schedule = DDPM()
ratios = torch.logspace(-1.3, 0.9, 12, dtype=torch.float64)
figure = Figure(figsize=(4.2, 2.6), layout="constrained")
ax = figure.subplots()
for law, name in ((clean, "at points of the clean law"), (seen, "at points of the contaminated law")):
    found = []
    for ratio in ratios.tolist():
        t = schedule.time(ratio)
        alpha, sigma = schedule(t)
        x = law.sample(4000, generator)
        x_t = alpha * x + sigma * torch.randn(x.shape, dtype=x.dtype, generator=generator)
        found.append(eps_mse(Exact(seen, schedule), Exact(clean, schedule), x_t, t))
    means, errors = (torch.stack(part) for part in zip(*found, strict=True))
    ax.errorbar(ratios, means, NORMAL * errors, fmt="o-", ms=3, lw=1, label=name)
ax.set(xscale="log", yscale="log", xlabel="noise level σ/α", ylabel="E (ε* contaminated - ε* clean)²")
ax.legend()
figure

# %% [markdown]
# An estimate by itself, at one noise level and at points of the contaminated law (the last of the loop above):

# %%
found[0]

# %% [markdown]
# ## What a sampler adds
#
# With an exact denoiser whatever is wrong with the samples is the sampler's. Here is how far a sampler ends from where
# the probability flow leads, followed to a tight tolerance from the same noises. Each falls with its own order.

# %%
from functools import partial

from toylab.samplers import adaptive, ddim, dpm_solver_pp, evenly_in_log_snr, heun, prior, sample

flow = Exact(clean, schedule)
x_T = prior(schedule, (200, 2), generator, torch.empty(0, dtype=torch.float64))
truth = sample(partial(adaptive, rtol=1e-8, atol=1e-8), flow, x_T, nfe=5000)
budgets = [9, 17, 33, 65, 129]
figure = Figure(figsize=(4.2, 2.6), layout="constrained")
ax = figure.subplots()
for name, walk in {"ddim": ddim, "heun": heun, "dpm-solver++": dpm_solver_pp}.items():
    ends = [sample(walk, flow, x_T, nfe, spacing=evenly_in_log_snr) for nfe in budgets]
    ax.plot(budgets, [float((x - truth).norm(dim=-1).mean()) for x in ends], "o-", ms=3, lw=1, label=name)
ax.set(xscale="log", yscale="log", xlabel="evaluations of the denoiser", ylabel="mean distance to the exact end")
ax.set_xticks(budgets, budgets)
ax.minorticks_off()
ax.legend()
figure

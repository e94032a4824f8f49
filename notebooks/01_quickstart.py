# %% [markdown]
# # Quickstart
#
# toylab trains small diffusion models on laws whose scores are known exactly, also after contamination, and judges
# every training method by its exact error. This notebook goes once through all of it: a law, what a trainer sees of
# it, a run of several methods, and a trained denoiser in hand.
#
# The first cell of every notebook: threads are settled before torch is imported, and laws, estimates and runs learn to
# show themselves.

# %%
from toylab import process

process.settle()
# %load_ext toylab.notebook

# %% [markdown]
# ## A law, and what a trainer sees of it
#
# A law knows its density, its score and its posterior mean at every noise level; its portrait shows samples, and the
# density and the score of $X + \sigma Z$ for three σ.

# %%
from toylab.distributions.named import three_gaussians

clean = three_gaussians()
clean

# %% [markdown]
# Contaminated, some of its points are uniform on a square. That is a law again, and as exact.

# %%
from toylab.contamination import outliers

seen = outliers(clean, fraction=0.1)
seen

# %% [markdown]
# ## What no method can be blamed for
#
# `Exact(law, schedule)` is what plain denoising would learn from a law without any error. Sent through a sampler, that
# of the contaminated law makes outliers: they are in the law. An estimate shows itself with its 95 % interval.

# %%
import torch

from toylab import randomness
from toylab.denoisers import Exact
from toylab.metrics.robustness import Region, outlier_mass
from toylab.samplers import ddim, prior, sample
from toylab.schedules import DDPM

schedule, noise = DDPM(), randomness.stream(0, "quickstart")
x_T = prior(schedule, (4000, 2), noise, torch.empty(0))
region = Region(clean, noise)  # the clean law's 99.9 % highest-density region
outlier_mass(sample(ddim, Exact(seen, schedule), x_T, nfe=50), region)

# %% [markdown]
# The same noise through the exact score of the clean law:

# %%
outlier_mass(sample(ddim, Exact(clean, schedule), x_T, nfe=50), region)

# %% [markdown]
# ## Train and judge
#
# The question of the main job: which objective learns the clean law from contaminated points? `tl.run` does what
# `toylab run` does on the command line, and any setting can be changed. This is the preset `smoke`, which takes
# seconds to show that everything works, trained a little longer: its intervals are wide, and it is
# no result. `tl.run("gmm-outliers")` takes minutes and makes the table of the README.

# %%
import toylab as tl

methods = ["ddpm", "robust-adv-flat", "robust-onesided"]
folder = tl.run("gmm-outliers", "smoke", methods, training={"steps": 300})
folder

# %% [markdown]
# `exact-` rows send an exact score through the same sampler, `-samples` rows are fresh exact samples: what a perfect
# method would reach. Everything measured is in one tidy table, a data frame of pandas.

# %%
table = folder.results.query("metric == 'outlier-mass'")
table.pivot(index="method", columns="seed", values="value").loc[table["method"].unique()]

# %% [markdown]
# ## A trained denoiser goes wherever an exact one does
#
# The paths of the same noises, by the exact score of either law and by what a network has learned in the run above.

# %%
import matplotlib
from matplotlib.figure import Figure

from toylab.figures.style import STYLE, frame
from toylab.samplers import walk_to_data

matplotlib.rcParams.update(STYLE)
denoisers = {
    "exact-clean": Exact(clean, schedule),
    "exact-contaminated": Exact(seen, schedule),
    "ddpm, smoke": folder.denoiser("ddpm", seed=0),
}
figure = Figure(figsize=(7.0, 2.6), layout="constrained")
for ax, (name, denoiser) in zip(figure.subplots(1, 3), denoisers.items(), strict=True):
    path = torch.stack([x_T[:80], *walk_to_data(ddim, denoiser, x_T[:80], nfe=50)])
    ax.plot(path[..., 0], path[..., 1], color="C0", lw=0.4, alpha=0.6)
    ax.scatter(*path[-1].T, s=6, color="black", zorder=3)
    ax.set(title=name, xlim=(-4, 4), ylim=(-4, 4))
    frame(ax)
figure

# %% [markdown]
# ## Where to go from here
#
# * [02 exact laws and scores](02_exact_laws_and_scores.ipynb): what "exact" means, and what contamination does
# * [03 what adversarial training learns](03_what_adversarial_training_learns.ipynb): theory under sliders, and a
#   training watched beside it
# * [04 attacks and few steps](04_attacks_and_few_steps.ipynb): pushes on the sampling trajectory, and small budgets
# * [05 bring your own method](05_bring_your_own_method.ipynb): an objective in one cell, and anybody's denoiser

# %% [markdown]
# # Attacks and few steps
#
# Two of the paper's claims (Briglia et al., arXiv:2505.21742) are about the sampler: that a flow which was trained
# adversarially withstands perturbations of the states it goes through, and that it keeps its quality with few steps.
# Both are judged beside the exact flow: it moves when it is pushed, and it loses something with few steps, too.

# %%
from toylab import process

process.settle()
# %load_ext toylab.notebook

# %% [markdown]
# ## One attack by hand
#
# A `Victim` samples: a walk, a denoiser, noise to start from. A `Threat` says what an attacker may do: here one push of
# the starting noise, by at most 0.4 noise units in each coordinate. `Adaptive` climbs through all steps of the sampler
# to where the end point moves most.

# %%
import matplotlib
import torch
from matplotlib.figure import Figure

from toylab import randomness
from toylab.attacks import Adaptive, Threat, Victim, displacement
from toylab.denoisers import Exact
from toylab.distributions.named import three_gaussians
from toylab.figures.style import STYLE, frame
from toylab.samplers import ddim, prior, walk_to_data
from toylab.schedules import DDPM

matplotlib.rcParams.update(STYLE)
clean, schedule = three_gaussians(), DDPM()
generator = randomness.stream(0, "attacks")
x_T = prior(schedule, (1, 40, 2), [generator], torch.empty(0))
exact = Victim(ddim, Exact(clean, schedule), x_T, nfe=20)
threat = Threat(radius=0.4, place="start")
push = Adaptive(steps=5)(exact, threat, displacement(), [generator])

# %%
starts = {"left alone": x_T, "the same noise, attacked": exact.pushed(x_T, 0, push[0])}
paths = [torch.stack([x, *walk_to_data(ddim, exact.denoiser, x, nfe=20)])[:, 0] for x in starts.values()]
sent_away = (paths[1][-1] - paths[0][-1]).norm(dim=-1) > 1
figure = Figure(figsize=(5.2, 2.8), layout="constrained")
for ax, name, path in zip(figure.subplots(1, 2), starts, paths, strict=True):
    for which, colour in ((~sent_away, "C0"), (sent_away, "C3")):
        ax.plot(path[:, which, 0], path[:, which, 1], color=colour, lw=0.6, alpha=0.7)
        ax.scatter(*path[-1, which].T, s=8, color=colour, zorder=3)
    ax.set(title=name, xlim=(-4, 4), ylim=(-4, 4))
    frame(ax)
figure

# %% [markdown]
# Red are the points whose end moves by more than 1, far more than a mode is wide: a push sends them to another mode.
# Even the exact flow has such points, near the borders. How far the ends move, on average over all:

# %%
from toylab.metrics import Estimate
from toylab.metrics.damage import Yardstick

yardstick = Yardstick(clean, region=None)
Estimate.of_mean(yardstick.damage(exact, threat, push, [generator])["displacement"][0])

# %% [markdown]
# ## Attacks on trained networks
#
# The experiment `trajectory-attack` trains, then attacks every method and both exact denoisers: at the start or before
# every evaluation, with random pushes, greedily, and through all steps. This is its smoke preset, trained longer and
# attacked more cheaply, and sampled by other budgets of evaluations as well.

# %%
import toylab as tl

folder = tl.run(
    "trajectory-attack",
    "smoke",
    methods=["ddpm", "robust-adv-flat"],
    training={"steps": 300},
    attack={"places": ["start", "every"], "attacks": {"greedy": {"steps": 1}, "adaptive": {"steps": 4}}},
    nfe=10,
    few_steps=[4, 20, 40],
    evaluation={"metrics": ["w2", "outlier-mass"]},
)

# %% [markdown]
# How far the attacks move the end points, and how many they send out of the clean law's region; bars are 95 % intervals
# over the seeds, of which there are two. The dashed line is the exact score of the clean law: what lies below it does
# not withstand more than a perfect model, it is stiffer.

# %%
from toylab.figures import FIGURES

FIGURES["attack-displacement"](folder)

# %%
FIGURES["attack-outlier-mass"](folder)

# %% [markdown]
# `excess-` measures are the paired difference to the exact denoiser, under attacks with the largest budget that look
# through all steps: only that is a model's own fault.

# %%
rows = folder.results.query("metric == 'excess-displacement' and attack == 'adaptive' and budget == 0.4")
rows.pivot_table(index="method", columns="place", values="value", sort=False)

# %% [markdown]
# ## Few steps
#
# Outlier mass and distance to the clean law against the number of evaluations. The exact scores lose as well: a curve
# has to be read beside theirs. What a network loses more than they do, when steps get few, is its own.

# %%
FIGURES["sweep-w2"](folder)

# %%
FIGURES["sweep-outlier-mass"](folder)

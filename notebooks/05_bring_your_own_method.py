# %% [markdown]
# # Bring your own method
#
# A new objective in one cell, judged beside the built-in ones; then a denoiser that somebody else has trained, measured
# in a few lines.

# %%
from toylab import process

process.settle()
# %load_ext toylab.notebook

# %% [markdown]
# ## An objective is a function of a denoiser and a batch
#
# It returns one loss a member (several seeds train as one), and says how often it evaluates the denoiser. It sees
# predictions, never a network, so it works in every parametrisation.
#
# This one bounds what a single sample can cost, $L = s\,(1 - e^{-\|\varepsilon_\theta(x_t) - \varepsilon\|^2 / s})$,
# the loss of Welsch from robust regression: samples with an error far above $s$ have no pull. Is that enough against
# outliers? Its scale is a guess, nothing here is tuned.

# %%
from dataclasses import dataclass

from toylab.objectives.base import square


@dataclass(frozen=True)
class Welsch:
    scale: float = 2.0
    evaluations = 1

    def __call__(self, denoiser, batch, generator=None):
        level = denoiser.at(batch.t)
        error = square(level.eps(level.noised(batch.x0, batch.eps)) - batch.eps)
        return (self.scale * (1 - (-error / self.scale).exp())).mean(-1)


# %% [markdown]
# `trial` trains the methods of a study and one's own, all with the same initial weights, training sets and noise of
# each seed, and measures them as a run does. The study is the main job at its smoke size, with more steps and seeds and
# fewer metrics.

# %%
from toylab.evaluation import trial
from toylab.launch import configure
from toylab.notebook import watch

changes = {
    "seeds": 4,
    "training": {"steps": 400},
    "evaluation": {"metrics": ["eps-mse", "leakage", "outlier-mass", "w2"]},
}
study = configure("gmm-outliers", "smoke", changes=[changes], methods=["ddpm", "robust-onesided"]).settings
found = trial(study, {"welsch": Welsch()}, watched=watch)
found

# %% [markdown]
# Means with 95 % intervals over the seeds; `exact-` and `-samples` rows are what a perfect model would reach. Read more
# than one column: a share of outliers does not say how far out they are, W2 does; and samples may come out well by
# another field than the clean one, which the errors in ε show. Methods share data and noise, so that their difference
# is best taken seed by seed:

# %%
from toylab.results import by_seed, from_csv, to_csv
from toylab.statistics import difference

rows = from_csv(to_csv(found.rows, {}, {}))
{
    metric: str(difference(*(by_seed(rows, method, metric, "clean") for method in ("welsch", "ddpm"))))
    for metric in ("outlier-mass", "w2", "eps-mse", "leakage")
}

# %% [markdown]
# An interval that holds 0 says that these seeds and steps cannot tell the two apart. For more, take the preset
# `default`; with a line in `toylab/index.py` the command line knows the objective, too.

# %% [markdown]
# ## Anybody's denoiser
#
# What another library has trained needs only to predict: `Given` takes a function $(x_t, t) \mapsto \varepsilon$ and a
# schedule. Here is a flow-matching model in plain PyTorch, with a loop of its own, trained on points of the
# contaminated law. It predicts the velocity $v = \varepsilon - x_0$ of the straight path
# $x_t = (1 - t)\,x_0 + t\,\varepsilon$, so $\varepsilon = x_t + (1 - t)\,v$.

# %%
import torch

from toylab.contamination import outliers
from toylab.distributions.named import three_gaussians

clean = three_gaussians()
seen = outliers(clean, fraction=0.1)
torch.manual_seed(0)
points = seen.sample(10_000).float()
layers = torch.nn.Linear(3, 64), torch.nn.SiLU(), torch.nn.Linear(64, 64), torch.nn.SiLU(), torch.nn.Linear(64, 2)
network = torch.nn.Sequential(*layers)
optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)


def velocity(x_t, t):
    return network(torch.cat([x_t, t.expand(len(x_t), 1)], 1))


for _step in range(1000):
    x_0 = points[torch.randint(len(points), (256,))]
    t, eps = torch.rand(256, 1), torch.randn(256, 2)
    loss = (velocity((1 - t) * x_0 + t * eps, t) - (eps - x_0)).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

# %% [markdown]
# Measured in a few lines, beside what the exact scores reach through the same sampler from the same noise, and beside
# exact samples:

# %%
from toylab.denoisers import Given
from toylab.evaluation import Protocol, evaluate
from toylab.schedules import RectifiedFlow

given = Given(lambda x_t, t: x_t + (1 - t) * velocity(x_t, t), RectifiedFlow())
small = Protocol(nfe=40, samples=1000, levels=6, points=500, pair=500)
evaluate(given, clean, seen, small)

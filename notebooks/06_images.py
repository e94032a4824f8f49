# %% [markdown]
# # Images
#
# Trainer, objectives, samplers and attacks of the toy laws take images as they are: a sample is a flat vector, but
# inside the U-Net. First a law of images whose score is known, so that a U-Net has an exact error; then the paper's
# protocol (arXiv:2505.21742) at the size of scikit-learn's digits. It needs `pip install 'toylab[images]'`, and
# downloads nothing.

# %%
from toylab import process

process.settle()
# %load_ext toylab.notebook

# %% [markdown]
# ## A law that looks like images
#
# A Gaussian mixture in the digits' principal subspace: pixels of colour images of 16 x 16, a law of R^768 with an exact
# score at every noise level. `denoise` is what a perfect network would predict.

# %%
import matplotlib
import torch
from matplotlib.figure import Figure

from toylab.distributions.images import digits
from toylab.figures.style import STYLE

matplotlib.rcParams.update(STYLE)


def show(rows: dict[str, torch.Tensor], shape: tuple[int, ...]) -> Figure:
    """Flat images (n, d) as pictures, a line a name."""
    figure = Figure(figsize=(5.2, 0.5 * len(rows)), layout="constrained")
    for ax, (name, x) in zip(figure.subplots(len(rows), 1, squeeze=False)[:, 0], rows.items(), strict=True):
        pictures = ((x.float().clamp(-1, 1) + 1) / 2).unflatten(-1, shape)
        ax.imshow(pictures.permute(2, 0, 3, 1).flatten(1, 2).squeeze(-1), cmap="gray", vmin=0, vmax=1)
        ax.set(xticks=[], yticks=[])
        ax.set_ylabel(name, rotation=0, ha="right", va="center")
    return figure


law, alpha, sigma = digits(dim=768), 0.8, 0.6
x_0 = law.sample(12, torch.Generator().manual_seed(0))
x_t = alpha * x_0 + sigma * torch.randn(x_0.shape, generator=torch.Generator().manual_seed(1), dtype=x_0.dtype)
show({"x₀": x_0, "x_t": x_t, "E[x₀ | x_t]": law.denoise(x_t, alpha, sigma)}, law.shape)

# %% [markdown]
# ## A U-Net, and its exact error
#
# `Learned` takes any network. This one is diffusers' U-Net with a leading axis of members, here one, trained for a few
# dozen steps on points of which 90 % are noisy. Its ε is held against both exact ones.

# %%
from toylab import randomness
from toylab.contamination import inlier_noise
from toylab.data import Finite
from toylab.denoisers import Exact, Learned
from toylab.metrics.score import eps_mse
from toylab.networks.unet import unet
from toylab.notebook import watch
from toylab.objectives import Denoising
from toylab.schedules import DDPM
from toylab.training import Trainer, Training

small = digits()  # 8 x 8, one channel
seen, schedule = inlier_noise(small, fraction=0.9, std=0.2), DDPM()
network = unet(small.shape, members=1, generators=randomness.streams([0], "weights"), channels=[8, 16])
source = Finite(seen, 2000, randomness.stream(0, "data"))
trainer = Trainer(Learned(network, schedule), [source], Denoising(), Training(steps=120, batch=32), [0])
for _ in watch(trainer):
    pass

# %%
t = schedule.time(0.5)
alpha, sigma = schedule(t)
x_0 = seen.sample(200, randomness.stream(0, "points"))[None].float()
x_t = alpha * x_0 + sigma * torch.randn(x_0.shape, generator=randomness.stream(1, "points"))
x_t = x_t.float()
{name: eps_mse(trainer.ema, Exact(of, schedule), x_t, t) for name, of in {"clean": small, "seen": seen}.items()}

# %% [markdown]
# ## A data set, and what corrupts it
#
# A data set has no law. Which images are corrupted, and how, depends on the seed alone: the same in every epoch.

# %%
from toylab.images.corruption import JPEG, GaussianNoise, Occlusion
from toylab.images.sets import digits as digit_images
from toylab.images.source import ImageSource

images = digit_images(size=16)
first = torch.arange(12)
corruptions = {"noise": GaussianNoise(std=0.2), "occlusion": Occlusion(), "JPEG": JPEG(quality=10)}
rows = {name: ImageSource(images, how, seed=0).rows(first) for name, how in corruptions.items()}
show({"clean": images.points(first), **rows}, images.shape)

# %% [markdown]
# ## The paper's protocol, small
#
# `digits-noise` trains every method on noisy digits and measures FD-digits: a Fréchet distance of the features of a
# classifier of digits, which is no FID. At the size of this notebook the trainings are far too short to say anything;
# `toylab run digits-noise` is the real one.

# %%
import toylab as tl

run = tl.run(
    "digits-noise", "smoke", methods=["ddpm"],
    grid={"corruption.std": [0.2]}, few_steps=[], attack={"budgets": []},
)  # fmt: skip
run

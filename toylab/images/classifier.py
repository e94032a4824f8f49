"""The lab's own feature extractor: a small classifier of scikit-learn's 8 x 8 digits, trained at first use.

Two convolutions and two affine layers; features are the 64 numbers before the last layer, in units of their root mean
square over the digits it is trained on. Those are 1,437 of the 1,797. It is trained by AdamW, in float64, from fixed
seeds, and its weights are then rounded to float32: another machine's rounding stays far below what is rounded away, so
that weights, and with them fingerprints, should not depend on it. On the 360 digits held out it is right in 97.5 %
(`python -m toylab.images.classifier`, which trains it anew and says how long that took).

Weights are kept in TOYLAB_CACHE (by default ~/.cache/toylab), under a hash of this file, the digits and torch's
version: whatever changes what is trained trains it anew.
"""

import hashlib
import threading
import time
from functools import cache
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from toylab import randomness
from toylab.errors import BadInput, needs, one_line
from toylab.files import write_whole
from toylab.images.cache import cache_folder
from toylab.images.features import Features, fingerprint_of

SIDE = 8
_HELD_OUT = 360
_STEPS, _BATCH, _RATE, _DECAY = 440, 64, 3e-3, 1e-2  # 20 epochs; the learning rate falls linearly to 0

_TRAINING = threading.Lock()  # a process trains it once


class Digits(Features):
    """Features (n, 64) and log-probabilities of the ten digits, by the lab's own classifier; in float64.

    Images (n, C, H, W) between -1 and 1, as digits' pixels value/8 - 1 are, are brought to 1 x 8 x 8: channels
    averaged, then resized bilinearly with antialiasing. Nothing is clipped or rounded. Needs scikit-learn. Raises
    BadInput where the weights cannot be kept, or those kept are damaged.
    """

    name = "digits"
    num_features = 64
    resize = "channels averaged, then to 8 x 8, bilinear with antialiasing; neither where it is 1 x 8 x 8"
    values = "as they are, between -1 and 1"
    classes = True

    def __init__(self) -> None:
        super().__init__()
        self.network = _network()
        self.register_buffer("unit", torch.ones((), dtype=torch.float64))
        self.load_state_dict(_weights())
        self.requires_grad_(False).eval()

    unit: Tensor

    def forward(self, images: Tensor) -> Tensor:
        return self.network[:-1](resized(images.double())) / self.unit  # type: ignore[no-any-return]

    def log_probabilities(self, images: Tensor) -> Tensor:
        return self.network(resized(images.double())).log_softmax(1)  # type: ignore[no-any-return]

    def accuracy(self) -> float:
        """The share of held-out digits that it gets right."""
        images, labels = (part[_order()[-_HELD_OUT:]] for part in _digits())
        return float((self.log_probabilities(images).argmax(1) == labels).double().mean())


def resized(images: Tensor) -> Tensor:
    """Images (n, C, H, W) as (n, 1, 8, 8)."""
    grey = images.mean(1, keepdim=True)
    if grey.shape[-2:] == (SIDE, SIDE):
        return grey
    return nn.functional.interpolate(grey, size=(SIDE, SIDE), mode="bilinear", antialias=True)


def trained() -> dict[str, Tensor]:
    """The classifier's weights, float32, trained now: a few seconds on one core."""
    images, labels = _digits()
    choice, network = _order()[:-_HELD_OUT], _network()
    for layer in network:
        if isinstance(layer, nn.Conv2d | nn.Linear):
            _initialise(layer, randomness.stream(0, f"classifier/weights/{layer}"))
    optimizer = torch.optim.AdamW(network.parameters(), lr=_RATE, weight_decay=_DECAY)
    draws = randomness.stream(0, "classifier/batches")
    with torch.enable_grad():
        for step in range(_STEPS):
            batch = choice[torch.randint(len(choice), (_BATCH,), generator=draws)]
            optimizer.param_groups[0]["lr"] = _RATE * (1 - step / _STEPS)
            optimizer.zero_grad()
            nn.functional.cross_entropy(network(images[batch]), labels[batch]).backward()
            optimizer.step()
    with torch.no_grad():
        unit = network[:-1](images[choice]).square().mean().sqrt()
    found = {f"network.{name}": tensor for name, tensor in network.state_dict().items()} | {"unit": unit}
    return {name: tensor.detach().float() for name, tensor in found.items()}


def _network() -> nn.Sequential:
    """Without initial weights, which would be drawn from torch's own generator."""

    def empty(kind: type[nn.Module], *sizes: int, **options: int) -> nn.Module:
        return nn.utils.skip_init(kind, *sizes, **options, dtype=torch.float64)  # type: ignore[no-any-return]

    return nn.Sequential(
        empty(nn.Conv2d, 1, 8, kernel_size=3, padding=1),
        nn.GELU(),
        empty(nn.Conv2d, 8, 16, kernel_size=3, stride=2, padding=1),
        nn.GELU(),
        nn.Flatten(),
        empty(nn.Linear, 16 * (SIDE // 2) ** 2, Digits.num_features),
        nn.GELU(),
        empty(nn.Linear, Digits.num_features, 10),
    )


@torch.no_grad()
def _initialise(layer: nn.Conv2d | nn.Linear, generator: torch.Generator) -> None:
    """As torch does by default: uniform, within 1/√inputs."""
    bound = layer.weight[0].numel() ** -0.5
    for tensor in (layer.weight, layer.bias):
        assert tensor is not None
        tensor.uniform_(-bound, bound, generator=generator)


@cache
def _digits() -> tuple[Tensor, Tensor]:
    """All digits (1797, 1, 8, 8), between -1 and 1, and their labels."""
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise BadInput(needs("the extractor 'digits'", "scikit-learn", "images")) from None
    data = load_digits()
    return torch.from_numpy(data.images)[:, None] / 8 - 1, torch.from_numpy(data.target)


def _order() -> Tensor:
    """Of all digits: those to train on, then those held out."""
    return torch.randperm(len(_digits()[1]), generator=randomness.stream(0, "classifier/split"))


def _weights() -> dict[str, Tensor]:
    """Kept ones, or new ones, which are then kept."""
    with _TRAINING:
        path = _cached()
        try:
            if not path.exists():
                weights = trained()
                write_whole(path, save(weights, {"fingerprint": fingerprint_of(weights)}))
            with safe_open(path, "pt") as kept:
                weights = {name: kept.get_tensor(name) for name in kept.keys()}  # noqa: SIM118
                promised = kept.metadata()["fingerprint"]
        except OSError as error:
            raise BadInput(f"cannot keep weights in {path.parent}, set TOYLAB_CACHE: {error.strerror}") from None
        except (SafetensorError, KeyError, TypeError) as error:
            raise BadInput(f"{path} is damaged, remove it: {one_line(error)}") from None
        if fingerprint_of(weights) != promised:
            raise BadInput(f"{path} is damaged, remove it: its weights are not those that were written")
        return weights


def _cached() -> Path:
    digest = hashlib.sha256(Path(__file__).read_bytes() + torch.__version__.encode())
    for part in _digits():
        digest.update(part.numpy().tobytes())
    return cache_folder() / f"digits-{digest.hexdigest()[:16]}.safetensors"


if __name__ == "__main__":
    start = time.perf_counter()
    found = fingerprint_of(trained())
    print(f"trained in {time.perf_counter() - start:.1f} s; weights sha256:{found}")
    print(f"right in {100 * Digits().accuracy():.1f} % of {_HELD_OUT} held-out digits")

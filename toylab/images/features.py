"""What image metrics see of an image: its features by a classifier, and that classifier's class probabilities.

A number computed from features is one of images *and* of the extractor: the same images have another Fréchet distance
by another network, another resize, other weights. So an extractor says what it is (`describe`) and completes the names
of metrics: what the lab's own classifier gives is called `fd-digits`, `fd-NAME` for any other, and only that of the
user's Inception weights is `fid`.
"""

import hashlib
import io
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from math import prod
from pathlib import Path

import torch
from torch import Tensor, nn

from toylab import outside
from toylab.errors import BadInput, one_line

_REMEMBERED = 4  # sets of images whose features are kept: references, training images, samples, and one more


class Features(nn.Module, ABC):
    """An extractor: images (n, C, H, W) between -1 and 1 -> features (n, num_features). torchmetrics takes it as
    `feature=`, with normalize=False.

    name: by which metrics are told apart; resize, values: what happens to the images before the network sees them, in
    words; classes: whether it gives class probabilities, too; batch: images at a time. Weights never change.
    """

    name: str
    num_features: int
    resize: str
    values: str
    classes = False
    batch = 500

    @abstractmethod
    def forward(self, images: Tensor) -> Tensor:
        """Features (n, num_features) of images (n, C, H, W)."""

    def log_probabilities(self, images: Tensor) -> Tensor:
        """log p(class | image) (n, classes) of images (n, C, H, W). Raises BadInput where there are no classes."""
        raise BadInput(f"the features '{self.name}' come without class probabilities, which the inception score needs")

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the weights."""
        return fingerprint_of(self.state_dict())

    def describe(self) -> dict[str, str]:
        """What to record beside a number that was computed from these features."""
        return {
            "extractor": self.name,
            "weights": f"sha256:{self.fingerprint}",
            "features": str(self.num_features),
            "resize": self.resize,
            "values": self.values,
        }

    def metric_name(self, metric: str) -> str:
        """A metric of the index as results call it: with these features' name at its end."""
        return f"{metric}-{self.name}"

    def of(self, points: Tensor, shape: Sequence[int]) -> Tensor:
        """Features (..., n, num_features), float64, of flat images (..., n, d) of this shape (C, H, W).

        They are on the extractor's device, NaN where a pixel is not finite. Those of the last few points are
        remembered, by content, so that several metrics of the same points extract them once. Raises BadInput where the
        shape is not that of the points.
        """
        return self._remembered("features", self.forward, points, shape)

    def log_probabilities_of(self, points: Tensor, shape: Sequence[int]) -> Tensor:
        """log p(class | image) (..., n, classes), float64, likewise."""
        return self._remembered("classes", self.log_probabilities, points, shape)

    @cached_property
    def _seen(self) -> dict[tuple[str, ...], Tensor]:
        return {}

    def _remembered(
        self, what: str, extract: Callable[[Tensor], Tensor], points: Tensor, shape: Sequence[int]
    ) -> Tensor:
        flat = _flat(points, shape)
        content = hashlib.sha256(flat.detach().cpu().numpy().tobytes()).hexdigest()
        key = (what, content, str(flat.dtype), str(tuple(shape)))
        found = self._seen.get(key)
        if found is None:
            found = self._seen[key] = self._extracted(extract, flat, shape)
            for old in list(self._seen)[:-_REMEMBERED]:
                self._seen.pop(old, None)  # another thread may have been faster
        return found.unflatten(0, points.shape[:-1])

    @torch.no_grad()
    def _extracted(self, extract: Callable[[Tensor], Tensor], flat: Tensor, shape: Sequence[int]) -> Tensor:
        device = next((tensor.device for tensor in self.state_dict().values()), flat.device)
        parts = flat.unflatten(-1, tuple(shape)).split(self.batch)
        found = torch.cat([extract(part.to(device)).double() for part in parts])
        broken = ~flat.isfinite().all(-1).to(device)  # a cast to bytes, or a clip, would hide it
        return found.masked_fill(broken[:, None], torch.nan)


def _flat(points: Tensor, shape: Sequence[int]) -> Tensor:
    """All images (n, d), d = C H W."""
    if len(shape) != 3 or points.ndim < 2 or points.shape[-1] != prod(shape):
        raise BadInput(
            f"image metrics need a shape (C, H, W) and points (..., n, C·H·W), not {tuple(shape)} and "
            f"{tuple(points.shape)}"
        )
    return points.reshape(-1, points.shape[-1])


def fingerprint_of(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of named tensors: names, dtypes, shapes and values, whatever their order and device."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\0".encode())
        digest.update(tensor.detach().cpu().numpy().tobytes())
    return digest.hexdigest()


class Given(Features):
    """A module of one's own, images (n, C, H, W) -> (n, num_features), which has to be deterministic in eval mode.

    It sees images as they are, in the dtype of its weights; `resize` and `values` are to say what it does with them.
    """

    def __init__(
        self,
        module: nn.Module,
        name: str,
        num_features: int,
        resize: str = "left to the module",
        values: str = "as they are",
    ):
        super().__init__()
        self.name, self.num_features, self.resize, self.values = name, num_features, resize, values
        self.module = module.eval().requires_grad_(False)

    def forward(self, images: Tensor) -> Tensor:
        weights = next(self.module.parameters(), images)
        features: Tensor = self.module(images.to(weights.dtype))
        return features


class Inception(Features):
    """The user's Inception weights: a TorchScript file, which gives FID, KID and IS their names.

    weights: its path, ending in .pt. It is that of NVIDIA's StyleGAN metrics (`inception-2015-12-05.pt`) or any module
    with its signature: called with images (n, 3, H, W), uint8, and return_features=True it gives features (n, k), of
    the pool before the last layer, and without it class probabilities or logits. Where it has the argument
    no_output_bias, that is set for the classes, as the original inception score has it.

    What happens to images: pixels are *rounded to 256 levels and clipped*, uint8(127.5 x + 128) as in those metrics;
    one channel is repeated to three; resizing is the module's own.

    A TorchScript module can read and write files, so it is code (toylab/outside.py): a configuration that names one is
    refused unless that was allowed. Raises BadInput where the file cannot be loaded or is no such module.
    """

    name = "inception"
    resize = "by the TorchScript module itself (NVIDIA's: bilinear, to 299 x 299)"
    values = "uint8(127.5 x + 128), clipped to 0 ... 255"
    classes = True
    batch = 64
    _NAMES = {"fd": "fid", "kd": "kid", "is": "is"}  # noqa: RUF012

    def __init__(self, weights: str):
        super().__init__()
        if not outside.is_script(weights):
            raise BadInput(f"Inception weights are a TorchScript file whose name ends in .pt, not '{weights[:60]}'")
        try:
            content = Path(weights).read_bytes()
            self._content = hashlib.sha256(content).hexdigest()
            self.module = torch.jit.load(io.BytesIO(content), map_location="cpu").eval()
            asked = {argument.name for argument in self.module.forward.schema.arguments}
            self._of_classes = {"no_output_bias": True} if "no_output_bias" in asked else {}
            probe = torch.zeros(2, 3, 32, 32)
            with torch.no_grad():
                features, classes = self(probe), self.log_probabilities(probe)
        except Exception as error:  # whatever a stranger's module raises
            raise BadInput(f"cannot use the Inception weights {weights}: {one_line(error)[:300]}") from None
        if any(found.ndim != 2 or len(found) != 2 for found in (features, classes)):
            raise BadInput(f"cannot use the Inception weights {weights}: features and classes must be matrices (n, k)")
        self.num_features = features.shape[1]

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the file."""
        return self._content

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.module(_bytes(images), return_features=True)
        return features

    def log_probabilities(self, images: Tensor) -> Tensor:
        """Rows that are positive and sum to 1 within 1e-3 are probabilities, others logits. What float32 rounds to 0
        counts as its smallest normal number."""
        found = self.module(_bytes(images), **self._of_classes).double()
        if bool((found >= 0).all() and ((found.sum(1) - 1).abs() < 1e-3).all()):
            tiny = torch.finfo(torch.float32).tiny
            return (found / found.sum(1, keepdim=True)).clamp(min=tiny).log()
        return found.log_softmax(1)

    def metric_name(self, metric: str) -> str:
        return self._NAMES.get(metric, super().metric_name(metric))


def _bytes(images: Tensor) -> Tensor:
    """Three channels of bytes (n, 3, H, W), of one or three channels between -1 and 1."""
    if images.shape[1] not in (1, 3):
        raise BadInput(f"Inception sees images of one or three channels, not {images.shape[1]}")
    return (images * 127.5 + 128).clamp(0, 255).to(torch.uint8).expand(-1, 3, -1, -1)

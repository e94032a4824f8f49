"""Batches of images, some of them corrupted, as a training sees them."""

import numpy as np
import torch
from torch import Tensor

from toylab.errors import BadInput
from toylab.images.corruption import Corruption, philox
from toylab.images.sets import Images


class ImageSource:
    """A `Labelled` source of images (toylab/data.py), drawn with replacement.

    Which images are corrupted and how depends on the seed alone (corruption.py); they are corrupted as they are drawn,
    on the CPU, and come flat, (n, C·H·W), in units of [-1, 1], on `device`. noisy: which are corrupted, (N,) bool.
    Clean images are `images.points(index)`. Raises BadInput for a seed that is not between 0 and 2⁶³ - 1.
    """

    def __init__(
        self,
        images: Images,
        corruption: Corruption,
        seed: int,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ):
        if not 0 <= seed < 2**63:
            raise BadInput(f"seed must be between 0 and 2**63 - 1, not {seed}")
        self.images, self.corruption, self.seed, self.dtype = images, corruption, seed, dtype
        self.dim = images.dim
        self.shape: tuple[int, ...] = images.shape
        self.size: int | None = len(images)
        self._noisy = corruption.chosen(len(images), seed)
        self.noisy = torch.from_numpy(self._noisy).to(device)
        self.device = self.noisy.device

    def batch(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        return self.rows(self._index(n, generator))

    def labelled_batch(self, n: int, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        index = self._index(n, generator)
        return self.rows(index), self.noisy[index]

    def rows(self, index: Tensor) -> Tensor:
        """The images with these numbers (n,), from 0 to N - 1, as a training sees them: (n, dim)."""
        numbers = index.numpy(force=True)
        points = self.images.points(index).numpy()
        for row in np.flatnonzero(self._noisy[numbers]):
            number = int(numbers[row])
            corrupted = self.corruption(self.images.pixels[number], philox(self.seed, number))
            points[row] = corrupted.reshape(-1)
        return torch.from_numpy(points).to(device=self.device, dtype=self.dtype)

    def _index(self, n: int, generator: torch.Generator | None) -> Tensor:
        return torch.randint(len(self.images), (n,), device=self.device, generator=generator)

"""What corrupts images: each image once and for all, from the seed.

Which images are corrupted, and how, is a function of (seed, number of the image) alone: the same in every epoch, in any
order, on any machine, without a corrupted copy in memory. The random numbers of image i are those of the counter-based
generator Philox (Salmon et al. 2011) with the key (seed, i), as NumPy has it; with key (seed, 2⁶⁴ - 1) it permutes the
images, of which the first round(fraction·N) are corrupted. So a seed chooses the same images for every corruption, and
with a larger fraction more of them.
"""

import io
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from toylab.configuration.settings import parameters_of, validate
from toylab.errors import BadInput
from toylab.images.sets import Images, scaled
from toylab.index import IMAGE_SETS

_PERMUTATION = 2**64 - 1
Share = Annotated[float, Field(ge=0, le=1)]
Length = Annotated[float, Field(ge=0, le=1000)]


@dataclass(frozen=True)
class Corruption:
    """A fraction of the images is corrupted, exactly round(fraction·N) of them. Raises BadInput for settings other than
    those annotated."""

    fraction: Share = 0.9

    def __post_init__(self) -> None:
        definition: Callable[..., Corruption] = type(self)
        validate(parameters_of(definition, 0), asdict(self))

    def chosen(self, n: int, seed: int) -> np.ndarray:
        """Which of n images are corrupted, (n,) bool."""
        order = philox(seed, _PERMUTATION).permutation(n)
        chosen = np.zeros(n, dtype=bool)
        chosen[order[: round(self.fraction * n)]] = True
        return chosen

    def __call__(self, pixels: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """The corrupted image, float32 with pixels in units of [-1, 1], of uint8 pixels (C, H, W)."""
        raise NotImplementedError


def philox(seed: int, number: int) -> np.random.Generator:
    """The random numbers of image `number`."""
    return np.random.Generator(np.random.Philox(key=np.array([seed, number], dtype=np.uint64)))


def none() -> Corruption:
    """No image is corrupted."""
    return Corruption(0.0)


@dataclass(frozen=True)
class GaussianNoise(Corruption):
    """x + std·ε, ε ~ N(0, I), std in units of pixels in [-1, 1] or in [0, 1], where the same number is twice the noise
    (papers leave open which they mean). clip: to the range of pixels."""

    std: Length = 0.2
    unit: Literal["[-1,1]", "[0,1]"] = "[-1,1]"
    clip: bool = False

    def __call__(self, pixels: np.ndarray, random: np.random.Generator) -> np.ndarray:
        noisy = random.standard_normal(pixels.shape, dtype=np.float32)
        noisy *= self.std * (2 if self.unit == "[0,1]" else 1)
        noisy += scaled(pixels)
        return noisy.clip(-1, 1) if self.clip else noisy


@dataclass(frozen=True)
class SaltAndPepper(Corruption):
    """Each pixel, all its channels, is white with probability share/2 and black with share/2."""

    share: Share = 0.1

    def __call__(self, pixels: np.ndarray, random: np.random.Generator) -> np.ndarray:
        drawn, corrupted = random.random(pixels.shape[1:]), scaled(pixels)
        corrupted[:, drawn < self.share / 2] = -1
        corrupted[:, drawn >= 1 - self.share / 2] = 1
        return corrupted


@dataclass(frozen=True)
class Occlusion(Corruption):
    """A grey square, uniformly placed, whose side is round(side·min(H, W)) pixels, at least one."""

    side: Annotated[float, Field(gt=0, le=1)] = 0.5

    def __call__(self, pixels: np.ndarray, random: np.random.Generator) -> np.ndarray:
        corrupted = scaled(pixels)
        height, width = pixels.shape[1:]
        length = max(1, round(self.side * min(height, width)))
        top, left = random.integers([height - length + 1, width - length + 1])
        corrupted[:, top : top + length, left : left + length] = 0
        return corrupted


@dataclass(frozen=True)
class JPEG(Corruption):
    """Encoded as JPEG of this quality by Pillow, with its own chroma subsampling, and decoded. Needs Pillow."""

    quality: Annotated[int, Field(ge=1, le=95)] = 10

    def __call__(self, pixels: np.ndarray, random: np.random.Generator) -> np.ndarray:
        from PIL import Image

        encoded = io.BytesIO()
        Image.fromarray(_picture(pixels)).save(encoded, "JPEG", quality=self.quality)
        return scaled(np.asarray(Image.open(encoded)).reshape(*pixels.shape[1:], -1).transpose(2, 0, 1))


@dataclass(frozen=True)
class Blur(Corruption):
    """Convolved with a Gaussian of standard deviation `std` pixels, cut off at 4 of them, reflected at the edges."""

    std: Length = 1.0

    def __call__(self, pixels: np.ndarray, random: np.random.Generator) -> np.ndarray:
        from scipy.ndimage import gaussian_filter

        return np.asarray(gaussian_filter(scaled(pixels), (0, self.std, self.std)))


@dataclass(frozen=True)
class Foreign(Corruption):
    """Outliers: replaced by a random image of another data set, resized by Pillow's bicubic filter.

    images: name of that set, with its defaults; path: its place, for a set that has one. It is read at first use.
    """

    fraction: Share = 0.1
    images: str = "digits"
    path: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        fields = parameters_of(IMAGE_SETS.load(self.images), 0).model_fields
        if self.path and "path" not in fields:
            raise BadInput(f"the image set '{self.images}' is no file, so it has no path")
        if not self.path and "path" in fields and fields["path"].is_required():
            raise BadInput(f"the image set '{self.images}' needs its path")

    @cached_property
    def others(self) -> Images:
        """The other data set."""
        others: Images = IMAGE_SETS.load(self.images)(**({"path": self.path} if self.path else {}))
        return others

    def __call__(self, pixels: np.ndarray, random: np.random.Generator) -> np.ndarray:
        from PIL import Image

        channels, height, width = pixels.shape
        other = Image.fromarray(_picture(self.others.pixels[random.integers(len(self.others))]))
        other = other.convert("RGB" if channels == 3 else "L")
        if other.size != (width, height):
            other = other.resize((width, height), Image.Resampling.BICUBIC)
        return scaled(np.asarray(other).reshape(height, width, channels).transpose(2, 0, 1))


def _picture(pixels: np.ndarray) -> np.ndarray:
    """(C, H, W) as Pillow takes it: (H, W, 3), or (H, W) where there is one channel."""
    return np.ascontiguousarray(pixels.transpose(1, 2, 0) if len(pixels) == 3 else pixels[0])

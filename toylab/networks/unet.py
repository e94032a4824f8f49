"""diffusers' U-Net as a network with members: samples are flat outside of it, images inside.

The noise level l = log σ/α, between -12 and 12, is its time: 1000 (l + 12)/24, so that the whole range is about that
of the thousand steps its time embedding is made for. There is no dropout: a network draws nothing.

`unet.*` of a member m, without its leading axis, are the weights of the `UNet2DModel` whose configuration is
`network.unet.config`: `UNet2DModel.from_config(config).load_state_dict({name: tensor[m]})` is that member.
"""

import copy
import itertools
import math
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from toylab import randomness
from toylab.errors import BadInput

Count = Annotated[int, Field(ge=1, le=4096)]
Precision = Literal["fp32", "bf16"]

_SMALL: list[int] = [32, 64]
_NOWHERE: list[int] = []
_LARGEST_LEVEL = 12.0
_TIMES = 1000.0


class UNet(nn.Module):
    """M U-Nets: x (M, n, d), level (M, n) -> (M, n, d).

    shape: (C, H, W) of a sample; skeleton: an untrained U-Net, all members have its shape; generators: one a member, on
    the CPU, for initial weights as torch's layers have them. precision: bf16 computes by torch.autocast, while weights
    and results stay as they are; channels_last: how images and kernels lie in memory.
    """

    shape: Tensor

    def __init__(
        self,
        shape: Sequence[int],
        skeleton: nn.Module,
        members: int = 1,
        generators: Sequence[torch.Generator] | None = None,
        precision: Precision = "fp32",
        channels_last: bool = False,
    ):
        super().__init__()
        self.dim, self.precision = math.prod(shape), precision
        self.register_buffer("shape", torch.tensor([list(shape)] * members))
        self._shape, self._layout = tuple(shape), torch.channels_last if channels_last else torch.contiguous_format
        self.unet = skeleton  # holds the weights of all members, and is never called
        self._called = tuple(copy.deepcopy(skeleton) for _ in range(members))  # one a member, with borrowed weights
        self._homes = _places(skeleton)
        self._borrowers = [_places(called) for called in self._called]
        for (layer, name), (like, _) in zip(self._homes, self._borrowers[0], strict=True):
            weights = _initial(like, name, members, generators)
            if channels_last and weights.ndim == 5:
                weights = weights.movedim(2, -1).contiguous().movedim(-1, 2)
            setattr(layer, name, nn.Parameter(weights))
        for layer, name in itertools.chain(*self._borrowers):
            delattr(layer, name)
            layer.register_buffer(name, None)

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        """x (M, n, dim), level (M, n) -> (M, n, dim)."""
        self._lend()
        images = x.unflatten(-1, self._shape)
        times = (level + _LARGEST_LEVEL) * (_TIMES / (2 * _LARGEST_LEVEL))
        outputs = [self._of(unet, *given) for unet, *given in zip(self._called, images, times, strict=True)]
        return torch.stack(outputs).flatten(2).to(x)

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Compile what is called, each member's own."""
        for unet in self._called:
            unet.compile(*args, **kwargs)

    def _of(self, unet: nn.Module, images: Tensor, times: Tensor) -> Tensor:
        images = images.contiguous(memory_format=self._layout)
        with torch.autocast(images.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            return unet(images, times, return_dict=False)[0]

    def _lend(self) -> None:
        """Give every member its weights. They are views that keep a gradient even where it is not asked for now: what
        checkpointing computes again in the backward pass uses those that are there then."""
        with torch.enable_grad():
            for home, *borrowers in zip(self._homes, *self._borrowers, strict=True):
                for (layer, name), weights in zip(borrowers, getattr(*home).unbind(), strict=True):
                    setattr(layer, name, weights)


def unet(
    shape: Sequence[int],
    members: int = 1,
    generators: Sequence[torch.Generator] | None = None,
    channels: Annotated[list[Count], Field(min_length=1, max_length=8)] = _SMALL,
    layers: Annotated[int, Field(ge=1, le=16)] = 1,
    attention: Annotated[list[Count], Field(max_length=8)] = _NOWHERE,
    heads: Annotated[int, Field(ge=1, le=64)] = 4,
    precision: Precision = "fp32",
    channels_last: bool = False,
    checkpointing: bool = False,
) -> UNet:
    """A `UNet` of images of this shape, with Improved DDPM's blocks (Nichol and Dhariwal, arXiv:2102.09672).

    channels: at each resolution, the next one half as high and wide; layers: residual blocks at each; attention: the
    image heights at which there is attention, of `heads` heads, besides that in the middle; checkpointing: activations
    are computed again in the backward pass, not kept. Raises BadInput where the shape is not that of an image, cannot
    be halved as often, or channels do not fit the heads; needs diffusers (extra `images`).
    """
    from diffusers import UNet2DModel

    halvings = 2 ** (len(channels) - 1)
    if len(shape) != 3 or any(side % halvings for side in shape[1:]):
        raise BadInput(
            f"a U-Net with {len(channels)} resolutions needs images (C, H, W) with sides that are multiples of "
            f"{halvings}, not samples of shape {tuple(shape)}"
        )
    heights = [shape[1] >> depth for depth in range(len(channels))]
    attended = [height in attention for height in heights]
    if not {*attention} <= {*heights}:
        raise BadInput(f"attention is at some of the heights {', '.join(map(str, heights))}, not at {attention}")
    if any(width % heads for width in channels):
        raise BadInput(f"every one of channels must be a multiple of heads, {heads}: not {channels}")
    with torch.device("meta"):  # nothing is drawn
        skeleton: Any = UNet2DModel(
            sample_size=tuple(shape[1:]),
            in_channels=shape[0],
            out_channels=shape[0],
            block_out_channels=tuple(channels),
            layers_per_block=layers,
            down_block_types=tuple("AttnDownBlock2D" if here else "DownBlock2D" for here in attended),
            up_block_types=tuple("AttnUpBlock2D" if here else "UpBlock2D" for here in reversed(attended)),
            attention_head_dim=channels[-1] // heads,
            norm_num_groups=math.gcd(32, *channels),
            resnet_time_scale_shift="scale_shift",
        )
    if checkpointing:
        skeleton.enable_gradient_checkpointing()
    return UNet(shape, skeleton, members, generators, precision, channels_last)


def _places(unet: nn.Module) -> list[tuple[nn.Module, str]]:
    """Where its parameters are: (layer, name) of each."""
    return [(layer, name) for layer in unet.modules() for name in layer._parameters if getattr(layer, name) is not None]


def _initial(layer: nn.Module, name: str, members: int, generators: Sequence[torch.Generator] | None) -> Tensor:
    """A parameter of every member: kernels and biases uniform on ±1/√fan_in, scales 1 and shifts 0."""
    shape = (members, *getattr(layer, name).shape)
    if isinstance(layer, nn.GroupNorm):
        return torch.full(shape, 1.0 if name == "weight" else 0.0)
    fan_in = math.prod(layer.weight.shape[1:])  # type: ignore[index, union-attr]  # (out, in, ...)
    return (2 * randomness.rand(shape, generators, torch.empty(0)) - 1) / math.sqrt(fan_in)

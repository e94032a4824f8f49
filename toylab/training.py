"""One training loop, for every objective and source.

The trainer is a generator: it yields after every step, so that logging, early stopping and checkpoints belong
to the caller, and nothing in the loop waits for the device. M members train as one: the loss is their sum,
gradients are clipped per member, and each member draws from streams of its own. So one that diverges, where loss,
gradient or weights are not finite any more, leaves the others as they are.
"""

import copy
import math
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Annotated, Literal, NamedTuple, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor

from toylab import compiling, data, randomness
from toylab.configuration import Settings
from toylab.data import Labelled, Source
from toylab.denoisers import Learned
from toylab.errors import BadInput
from toylab.objectives import Batch, Objective
from toylab.parallel import Alone, Company

Rate = Annotated[float, Field(gt=0)]


class Training(Settings):
    """The recipe: Adam, linear warm-up and cosine decay of the learning rate, EMA, clipping per member.

    The longer a training, the smaller its steps and the longer Adam's memory of squared gradients: unless they are
    given, lr is 0.06/steps^¼ and beta2 is 1 - 5/steps, at least 0.9.
    """

    steps: int = Field(5000, ge=1, le=1_000_000_000)
    batch: int = Field(384, ge=1, le=1_000_000)
    lr: Rate | list[Rate] | None = Field(None, description="the largest, after the warm-up; one, or one a member")
    beta1: float = Field(0.9, ge=0, lt=1, description="of Adam")
    beta2: float | None = Field(None, ge=0, lt=1, description="of Adam")
    warmup: float = Field(0.05, ge=0, lt=1, description="share of the steps")
    ema: float = Field(0.999, ge=0, lt=1, description="decay, itself warmed up as (1 + step)/(10 + step)")
    clip: float = Field(1.0, gt=0, description="largest gradient norm of a member")
    accumulate: int = Field(1, ge=1, le=100_000, description="parts of a batch, one after the other or by processes")
    times: Literal["stratified", "uniform"] = "stratified"
    compile: Literal["off", "default", "reduce-overhead"] = Field(
        "off", description="the network by torch.compile; reduce-overhead adds CUDA graphs"
    )

    @model_validator(mode="after")
    def _parts_are_equal(self) -> Self:
        if self.batch % self.accumulate:
            raise ValueError(f"accumulate: a divisor of batch = {self.batch}, not {self.accumulate}")
        return self

    @property
    def rates(self) -> list[float]:
        """The largest learning rate, one or one a member."""
        if self.lr is None:
            return [0.06 / self.steps**0.25]
        return self.lr if isinstance(self.lr, list) else [self.lr]

    @property
    def betas(self) -> tuple[float, float]:
        """Adam's."""
        return self.beta1, max(0.9, 1 - 5 / self.steps) if self.beta2 is None else self.beta2


class Step(NamedTuple):
    """One step done: its number, from 1, and the loss of each member (M,), without a lasting part, on the device;
    that of this process, where there are several."""

    number: int
    loss: Tensor


class Trainer:
    """Trains `denoiser` in place; `ema` holds the averaged weights, the ones to sample from.

    sources, seeds: one a member. span: the interval of t, by default the schedule's; equal ends train at one
    noise level. company: the processes that train together (toylab/parallel.py). Raises BadInput where these do not
    fit, and for an oracle whose sources have no labels to tell it.
    """

    def __init__(
        self,
        denoiser: Learned,
        sources: Sequence[Source],
        objective: Objective,
        settings: Training,
        seeds: Sequence[int],
        span: tuple[float, float] | None = None,
        company: Company | None = None,
    ):
        self.denoiser, self.sources, self.objective, self.settings = denoiser, sources, objective, settings
        self.seeds, self.company = list(seeds), company or Alone()
        if settings.accumulate % self.company.size:
            raise BadInput(f"accumulate must be a multiple of the {self.company.size} processes: {settings.accumulate}")
        self._parts = range(self.company.rank, settings.accumulate, self.company.size)
        self.span = span or (denoiser.schedule.t_min, denoiser.schedule.t_max)
        self.ema = copy.deepcopy(denoiser).requires_grad_(False)
        self.step = 0
        self._parameters: list[Tensor] = list(denoiser.parameters())
        self._averages: list[Tensor] = list(self.ema.parameters())
        device = self._parameters[0].device
        if len(sources) != len(seeds) or any(len(p) != len(seeds) for p in self._parameters):
            raise BadInput(f"{len(sources)} sources and {len(seeds)} seeds do not fit the network's members")
        self._lasting: Callable[..., Tensor | None] | None = getattr(objective, "lasting", None)
        self._kind: Callable[[Batch], Hashable] = getattr(objective, "kind", lambda batch: None)
        self._lent: list[Tensor] = []  # the gradients of its last loss
        self._told: list[Labelled] | None = None
        if getattr(objective, "oracle", None) == "labelled":
            self._told = [source for source in sources if isinstance(source, Labelled)]
            if len(self._told) != len(sources):
                raise BadInput("the objective is an oracle, which needs sources that say which points are contaminated")
        rates = torch.tensor(settings.rates, dtype=self._parameters[0].dtype)
        if len(rates) not in (1, len(seeds)):
            raise BadInput(f"lr must be one number or one a member: {len(rates)} do not fit {len(seeds)} members")
        self._lr, self._shares = float(rates.max()), None  # members' rates as shares of the largest
        if len(rates.unique()) > 1:
            self._shares = [(rates / rates.max()).to(device).view(-1, *[1] * (p.ndim - 1)) for p in self._parameters]
        if settings.compile != "off":
            denoiser.network.compile(mode=None if settings.compile == "default" else settings.compile)
        self._joined = denoiser.by(self.company.joined(denoiser.network))
        places = {"batches": sources[0].device, "noise": device, "perturbation": device}
        self._generators = {
            (purpose, part): randomness.streams(seeds, f"{purpose}/{part}" if part else purpose, place)
            for purpose, place in places.items()
            for part in self._parts
        }
        self._sound = torch.zeros(len(seeds), dtype=torch.int64, device=device)  # steps before the first that was not
        self._optimizer = torch.optim.Adam(self._parameters, lr=self._lr, betas=settings.betas, fused=True)

    def __iter__(self) -> Iterator[Step]:
        """Train from the present step to the last, yielding after each. Raises Unable where a compiler is wrong."""
        checked = set[Hashable]()
        while self.step < self.settings.steps:
            batches = [self._batch(part) for part in self._parts]
            if self.settings.compile != "off" and (kind := self._kind(batches[0])) not in checked:
                compiling.check(partial(self._gradient, batches))
                checked.add(kind)
            self._begin()
            loss = torch.stack([self._backward(*given) for given in zip(self._parts, batches, strict=True)]).mean(0)
            self._lend(batches)
            norm = self._clip()
            self._sound += (self._sound == self.step) & (loss + norm).isfinite()
            self._descend()
            self._average()
            self.step += 1
            yield Step(self.step, loss)

    def _gradient(self, batches: Sequence[Batch]) -> list[Tensor]:
        """That of this step, of which only the batches are drawn, and that of a lasting part."""
        with randomness.unmoved(one for part in self._parts for one in self._generators["perturbation", part]):
            self._begin()
            for part, batch in zip(self._parts, batches, strict=True):
                self._backward(part, batch)
            lasting = self._lasting_gradient(batches)
        return [*(torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in self._parameters), *lasting]

    def _begin(self) -> None:
        """A step, in which CUDA graphs write anew into what the last one left."""
        if self.settings.compile == "reduce-overhead":
            torch.compiler.cudagraph_mark_step_begin()
        self._optimizer.zero_grad()

    def _backward(self, part: int, batch: Batch) -> Tensor:
        """Add a part's share of the gradient; returns its loss."""
        last = part == self._parts[-1]
        with nullcontext() if last else self.company.apart(self._joined.network):
            loss = self.objective(self._joined, batch, self._generators["perturbation", part])
            (loss.sum() / len(self._parts)).backward()
        return loss.detach()

    def _batch(self, part: int) -> Batch:
        n, noise = self.settings.batch // self.settings.accumulate, self._generators["noise", part]
        like = self._parameters[0]
        x0, noisy = self._points(n, self._generators["batches", part])
        low, high = self.span
        if self.settings.times == "stratified":
            offset = randomness.rand((len(x0), 1), noise, like)
            u = (offset + torch.arange(n, device=like.device) / n) % 1.0
        else:
            u = randomness.rand((len(x0), n), noise, like)
        eps = randomness.randn(x0.shape, noise, like)
        return Batch(x0, low + (high - low) * u, eps, self.step, self.settings.steps, noisy)

    def _points(self, n: int, streams: Sequence[torch.Generator]) -> tuple[Tensor, Tensor | None]:
        """The points of a batch, and which are contaminated for an oracle that is told."""
        like = self._parameters[0]
        if self._told is None:
            return data.batches(self.sources, n, streams).to(like), None
        x0, noisy = data.labelled_batches(self._told, n, streams)
        return x0.to(like), noisy.to(like.device)

    @property
    def lr(self) -> float:
        """The learning rate of the last step, the largest of the members'; before the first, the largest of all."""
        return float(self._optimizer.param_groups[0]["lr"])

    def _lr_factor(self) -> float:
        done = self.step / self.settings.steps
        if done < self.settings.warmup:
            return (self.step + 1) / (self.settings.warmup * self.settings.steps + 1)
        return 0.5 * (1 + math.cos(math.pi * (done - self.settings.warmup) / (1 - self.settings.warmup)))

    def _lend(self, batches: Sequence[Batch]) -> None:
        """Add the gradient of the objective's lasting part, computed in this step or an earlier one."""
        self._lent = self._lasting_gradient(batches) or self._lent
        if self._lent:
            torch._foreach_add_([p.grad for p in self._parameters if p.grad is not None], self._lent)

    def _lasting_gradient(self, batches: Sequence[Batch]) -> list[Tensor]:
        """In new memory, since CUDA graphs write into theirs again; empty where it is not computed in this step."""
        found = []
        for part, batch in zip(self._parts, batches, strict=True):
            loss = self._lasting and self._lasting(self.denoiser, batch, self._generators["perturbation", part])
            if loss is not None:
                found.append(torch.autograd.grad(loss.sum() / len(self._parts), self._parameters))
        return self.company.mean([torch.stack(parts).sum(0) for parts in zip(*found, strict=True)])

    def _clip(self) -> Tensor:
        """Clip the gradient of each member; returns the norms (M,) that they had."""
        gradients = [p.grad for p in self._parameters if p.grad is not None]
        norm = torch.linalg.vector_norm(
            torch.stack([torch.linalg.vector_norm(g.flatten(1), dim=1) for g in gradients]), dim=0
        )
        factor = (self.settings.clip / (norm + 1e-12)).clamp(max=1.0)
        for g in gradients:
            g.mul_(factor.view(-1, *[1] * (g.ndim - 1)))
        return norm

    @torch.no_grad()
    def _descend(self) -> None:
        """One step of Adam, which is linear in the learning rate: a member with a smaller one goes its share of it."""
        for group in self._optimizer.param_groups:
            group["lr"] = self._lr * self._lr_factor()
        before = None if self._shares is None else [p.clone() for p in self._parameters]
        self._optimizer.step()
        if before is not None:
            for parameter, old, share in zip(self._parameters, before, self._shares or (), strict=True):
                parameter.copy_(torch.lerp(old, parameter, share))

    @torch.no_grad()
    def _average(self) -> None:
        decay = min(self.settings.ema, (1 + self.step) / (10 + self.step))
        torch._foreach_lerp_(self._averages, self._parameters, 1 - decay)

    def diverged(self) -> dict[int, int]:
        """Members whose loss, gradient or weights were not finite, and the step, from 1, in which that was first so;
        weights are looked at now. Waits for the device."""
        weights = [p.flatten(1).isfinite().all(1) for p in (*self._parameters, *self._averages)]
        finite = torch.stack(weights).all(0).tolist()
        found = enumerate(zip(self._sound.tolist(), finite, strict=True))
        return {m: min(sound + 1, self.step) for m, (sound, ok) in found if sound < self.step or not ok}

    # -- checkpoints: tensors only, so that nothing is ever unpickled ------------------------------------

    def state(self) -> dict[str, Tensor]:
        """All that the rest of the training depends on, as named tensors: the same whatever the number of processes,
        which all have to ask for it."""
        state = {"step": torch.tensor(self.step), "sound": self._sound}
        state |= {f"raw.{name}": tensor for name, tensor in self.denoiser.state_dict().items()}
        state |= {f"ema.{name}": tensor for name, tensor in self.ema.state_dict().items()}
        moments = self._optimizer.state_dict()["state"].items()
        state |= {f"adam.{index}.{name}": tensor for index, of in moments for name, tensor in of.items()}
        state |= {f"lent.{index}": gradient for index, gradient in enumerate(self._lent)}
        own = {
            (purpose, part // self.company.size, member): generator.get_state()
            for (purpose, part), generators in self._generators.items()
            for member, generator in enumerate(generators)
        }
        for (purpose, turn, member), tensor in own.items():
            for rank, of_rank in enumerate(self.company.gathered(tensor)):
                state[f"rng.{purpose}.{turn * self.company.size + rank}.{member}"] = of_rank
        return state

    def restore(self, state: dict[str, Tensor]) -> None:
        """Go on from a `state`, bit for bit on the same machine."""
        self.step = int(state["step"])
        self._sound.copy_(state["sound"])
        self.denoiser.load_state_dict(_under("raw.", state))
        self.ema.load_state_dict(_under("ema.", state))
        optimizer = self._optimizer.state_dict() | {"state": {}}
        for key, tensor in _under("adam.", state).items():
            index, _, name = key.partition(".")
            optimizer["state"].setdefault(int(index), {})[name] = tensor
        self._optimizer.load_state_dict(optimizer)
        lent = _under("lent.", state)
        self._lent = [lent[str(index)].to(p.device) for index, p in enumerate(self._parameters) if lent]
        for (purpose, part), generators in self._generators.items():
            for member, generator in enumerate(generators):
                generator.set_state(state[f"rng.{purpose}.{part}.{member}"].cpu())


def _under(prefix: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): tensor for key, tensor in state.items() if key.startswith(prefix)}

"""Our denoisers through the schedulers of diffusers, which are its samplers.

A scheduler goes over noise levels u = σ/α of its own, rows k of its table ᾱ_k, or what it puts between them:

    u_k = √((1 - ᾱ_k)/ᾱ_k)

and asks at each for one prediction at x = α x_0 + σ ε with α² + σ² = 1. At the same u a denoiser of any schedule says
the same of x √(α² + σ²): it is asked at the time at which its own σ/α is u, at x in its own scale, and never at a row's
number. Where the tables are the same, diffusers' DDIM is ours.
"""

import inspect
from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor

from toylab.denoisers import Denoiser
from toylab.errors import BadInput, unknown

_ROUNDING = 1e-3  # of σ/α: diffusers' tables are products of up to a thousand numbers in single precision


class Scheduler(Protocol):
    """What is asked of a scheduler: one that has a table ᾱ, as those that preserve the variance do."""

    alphas_cumprod: Tensor
    timesteps: Tensor

    @property
    def config(self) -> Any:
        """Its settings; prediction_type says what it is to be given."""
        ...

    @property
    def init_noise_sigma(self) -> Any:
        """What multiplies N(0, I) to start with, a number."""
        ...

    def set_timesteps(self, num_inference_steps: int) -> Any:
        """Choose the noise levels."""
        ...

    def scale_model_input(self, sample: Tensor, timestep: Any) -> Tensor:
        """The state as a network sees it."""
        ...

    def step(self, model_output: Tensor, timestep: Any, sample: Tensor) -> Any:
        """The next state, `.prev_sample`."""
        ...


@torch.no_grad()
def sample_by_scheduler(
    scheduler: Scheduler, denoiser: Denoiser, x: Tensor, steps: int, generator: torch.Generator | None = None
) -> Tensor:
    """Samples by a diffusers scheduler from the noise x ~ N(0, I), (..., d) or (M, n, d), in so many of its steps.

    The scheduler may predict `epsilon`, `sample` or `v_prediction`; many of them compute in single precision whatever
    x has. generator: for those that draw noise. Raises BadInput for a scheduler without a table ᾱ, for one that clips
    or thresholds, since what comes out then is not the denoiser's, for another prediction, and for noise levels beyond
    those of the denoiser's schedule.
    """
    _check(scheduler)
    scheduler.set_timesteps(steps)
    ratios = _ratios(scheduler)
    times = _times(denoiser, ratios)
    takes = inspect.signature(scheduler.step).parameters
    extra = {"generator": generator} if "generator" in takes else {}
    state = x * float(scheduler.init_noise_sigma)
    for k, t, ratio in zip(scheduler.timesteps, times, ratios, strict=True):
        output = _prediction(scheduler, denoiser, scheduler.scale_model_input(state, k), t, ratio)
        state = scheduler.step(output, k, state, **extra).prev_sample
    return state.to(x.dtype)


def _check(scheduler: Scheduler) -> None:
    name, config = type(scheduler).__name__, scheduler.config
    if not isinstance(getattr(scheduler, "alphas_cumprod", None), Tensor) or config.get("use_flow_sigmas"):
        raise BadInput(f"{name} has no table of alphas_cumprod for its noise levels; DDIMScheduler is one that has")
    for key in ("clip_sample", "thresholding"):
        if config.get(key):
            raise BadInput(f"{name} changes every predicted x_0: make it with {key}=False")
    if config["prediction_type"] not in _PREDICTIONS:
        raise BadInput(unknown("prediction_type", str(config["prediction_type"]), _PREDICTIONS))


def _ratios(scheduler: Scheduler) -> Tensor:
    """σ/α at each of its steps, (steps,) float64: what it computes with, where it says so, else its table's."""
    sigmas: Tensor | None = getattr(scheduler, "sigmas", None)
    if sigmas is not None:
        return sigmas[: len(scheduler.timesteps)].double().cpu()
    table = scheduler.alphas_cumprod[scheduler.timesteps.cpu().long()].double()
    return ((1 - table) / table).sqrt().cpu()


def _times(denoiser: Denoiser, ratios: Tensor) -> Tensor:
    """The times at which the denoiser's σ/α are these. Raises BadInput where it has none."""
    schedule = denoiser.schedule
    ends = [schedule(t) for t in (schedule.t_min, schedule.t_max)]
    low, high = (float(sigma / alpha) for alpha, sigma in ends)
    if float(ratios.min()) < low * (1 - _ROUNDING) or float(ratios.max()) > high * (1 + _ROUNDING):
        raise BadInput(
            f"the scheduler goes from sigma/alpha = {float(ratios.max()):.4g} to {float(ratios.min()):.4g}, the "
            f"denoiser's schedule only from {high:.4g} to {low:.4g}: give both the same betas"
        )
    return schedule.times(ratios)


def _prediction(scheduler: Scheduler, denoiser: Denoiser, x: Tensor, t: Tensor, ratio: Tensor) -> Tensor:
    """What the scheduler is to be given, at x of variance-preserving scale."""
    x0, eps = denoiser.predict(x * float(torch.hypot(*denoiser.schedule(t))), t)
    return _PREDICTIONS[scheduler.config["prediction_type"]](x0, eps, torch.atan(ratio))


_PREDICTIONS: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "epsilon": lambda x0, eps, angle: eps,
    "sample": lambda x0, eps, angle: x0,
    "v_prediction": lambda x0, eps, angle: float(angle.cos()) * eps - float(angle.sin()) * x0,
}
"""prediction_type -> (x0, eps, φ) -> the prediction, where α = cos φ and σ = sin φ."""

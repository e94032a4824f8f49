"""What an attack on the sampling trajectory did, exactly, and how much of it is the model's fault.

    displacement        ‖x_0(ω) - x_0(0)‖, in units of x
    log-density-drop    log p(x_0(0)) - log p(x_0(ω)) under the clean law, in nats; for a law without a density on
                        all of R^d instead distance-gain: how much farther from the support the attacked end is
    outlier-mass        whether the attacked end lies outside the clean law's highest-density region

All are exact functions of the end points; Monte Carlo are the starting noises and, for a sampler with noise, the fresh
draws an attack is judged on. Even the exact flow moves when it is pushed, so a model is compared with the exact
denoiser under the same attack, in pairs over starting noises.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, Self

import torch
from torch import Tensor

from toylab import randomness
from toylab.attacks import Threat, Victim
from toylab.attacks.aims import has_density_everywhere
from toylab.distributions import Distribution
from toylab.metrics.estimate import Estimate
from toylab.metrics.robustness import Region
from toylab.randomness import Generators

Damage = Mapping[str, Tensor]
"""Measure -> its value at every point, (M, n) float64, averaged over fresh draws of the sampler's noise."""
SHARES = ("outlier-mass",)
"""Those that count points."""


@dataclass(frozen=True)
class Yardstick:
    """The exact side: the clean law and its highest-density region, None where it has no density.

    draws: fresh noises of the sampler that damage is averaged over; one is enough for a deterministic sampler.
    """

    law: Distribution
    region: Region | None
    draws: int = 1

    @torch.no_grad()
    def damage(self, victim: Victim, threat: Threat, omega: Tensor, generators: Generators) -> Damage:
        """What the pushes omega (P, M, n, d) do to the victim, under noises that are drawn here."""
        steps, still = threat.steps(victim.times), torch.zeros_like(omega)
        found = []
        for noise in randomness.replays(generators, self.draws):
            attacked, left_alone = (victim.end(push, steps, noise()).double() for push in (omega, still))
            found.append(self.between(attacked, left_alone))
        return {name: torch.stack([one[name] for one in found]).mean(0) for name in found[0]}

    def between(self, attacked: Tensor, left_alone: Tensor) -> Damage:
        """The measures at pairs of end points (M, n, d)."""
        found = {"displacement": (attacked - left_alone).norm(dim=-1)}
        if has_density_everywhere(self.law):
            found["log-density-drop"] = self.law.log_prob(left_alone) - self.law.log_prob(attacked)
        else:
            found["distance-gain"] = self.law.distance(attacked) - self.law.distance(left_alone)
        if self.region is not None:
            found["outlier-mass"] = (~self.region.contains(attacked)).double()
        return found


class Comparison(NamedTuple):
    """A measure's mean for the model, for the exact denoiser under the same attack, and of their paired difference."""

    model: Estimate
    exact: Estimate
    excess: Estimate

    @classmethod
    def of(cls, model: Tensor, exact: Tensor, measure: str = "displacement") -> Self:
        """From values (..., n) at the same starting noises; intervals of a measure in SHARES hold for rare events."""
        if measure in SHARES:
            return cls(Estimate.of_share(model), Estimate.of_share(exact), Estimate.of_gap(model, exact))
        return cls(Estimate.of_mean(model), Estimate.of_mean(exact), Estimate.of_mean(model - exact))

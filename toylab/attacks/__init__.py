"""Attacks on the sampling trajectory.

A `Victim` samples: a walk, a denoiser, noise x_T, a number of steps. A `Threat` says what an attacker may do: push the
state by σ_t ω, ω in a ball, at the start, at one time or before every evaluation. An attack finds the ω's, and an
`Aim` is what it climbs:

    x_t ← x_t + σ_t ω_t   before the evaluation at t,      ω = argmax aim(x_0(ω), x_0(0))

What an attack did is measured in toylab.metrics.damage, beside the same attack on the exact denoiser: a flow has a
sensitivity of its own, and only the excess is a model's fault.
"""

from toylab.attacks.aims import Aim, displacement, leave_support, target_mode, target_point
from toylab.attacks.search import Adaptive, Attack, Greedy, Random
from toylab.attacks.victim import Checkpointed, Threat, Victim

__all__ = [
    "Adaptive",
    "Aim",
    "Attack",
    "Checkpointed",
    "Greedy",
    "Random",
    "Threat",
    "Victim",
    "displacement",
    "leave_support",
    "target_mode",
    "target_point",
]

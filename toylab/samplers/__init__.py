"""Samplers: from noise to data along a decreasing grid of times.

A walk takes x from times[0] to times[-1], and `sample` sends the prior N(0, (α² + σ²) I) at t_max by a walk to t_min,
and from there to E[x_0 | x_{t_min}]. Every walk solves one of two equations, written here for x/α and u = σ/α, in which
all schedules are the same,

    d(x/α) = eps du                                the probability flow (arXiv:2011.13456, eq. 13)
    d(x/α) = 2 eps du + √(d(u²)) dw̄                 the reverse SDE (eq. 6), time running backwards

and steps evenly in a variable of its own, between whatever times it is given:

    walk                what is held fixed over a step                                  order, in
    ddim                eps, as u changes                                                   1, u
    heun                eps, corrected at the end of the step (EDM)                         2, u
    euler               dx/dt, as t changes: on rectified flow, flow matching's own         1, t
    dpm-solver++        x0, extrapolated from the step before, as λ = log α/σ changes       2, λ
    adaptive            nothing: Dormand and Prince's steps in atan u, of any accuracy      5, atan u
    ddpm                x0, as λ changes                                                    1, λ
    euler-maruyama      eps/u, as u² changes                                                1, u²
    sde-dpm-solver++    x0, extrapolated from the step before, as λ changes                 2, λ

The order of the last three, which are stochastic, is the weak one, of the covariance: as x0 is a martingale of the
reverse SDE, their mean is exact on a Gaussian. `nfe` is everywhere the budget of evaluations of the denoiser, the one
for E[x_0] among them; a walk whose steps cost more than one takes fewer steps.
"""

from toylab.samplers.ancestral import ddim, ddpm
from toylab.samplers.counting import Counted
from toylab.samplers.dpm_solver import dpm_solver_pp, sde_dpm_solver_pp
from toylab.samplers.ode import adaptive, euler, heun
from toylab.samplers.probability_flow import ProbabilityFlow
from toylab.samplers.sde import euler_maruyama
from toylab.samplers.spacing import Spacing, edm, evenly_in_log_snr, evenly_in_t, grid
from toylab.samplers.walks import Walk, cost, prior, sample, steps, walk_to_data

__all__ = [
    "Counted",
    "ProbabilityFlow",
    "Spacing",
    "Walk",
    "adaptive",
    "cost",
    "ddim",
    "ddpm",
    "dpm_solver_pp",
    "edm",
    "euler",
    "euler_maruyama",
    "evenly_in_log_snr",
    "evenly_in_t",
    "grid",
    "heun",
    "prior",
    "sample",
    "sde_dpm_solver_pp",
    "steps",
    "walk_to_data",
]

"""The exact optimum of an objective: what training is asked for, without a network.

`gaussian_optimum` is the best affine model on Gaussian data, in closed form or as a fixed point, and `implied_law` the
Gaussian it stands for. `grid_optimum` is the best of all functions for any law in one or two dimensions, at one noise
level, and `GridOptimum` the same at every level, as a denoiser for samplers, attacks and metrics.

Which directions ω of a penalty are known where:

    direction             gaussian_optimum                     grid_optimum
    Random, linf          closed form                          a linear system, in 1-D and 2-D
    Random, l2            closed form                          a linear system, in 1-D and 2-D
    Gaussian              closed form                          a linear system, in 1-D and 2-D
    FGSM, PGD             a fixed point, in either norm and    a fixed point of linear systems, in 1-D and in either
                          for any number of draws              norm, for one draw, as far as it settles

And of the objectives without one:

    ddpm, oracle-clean    closed form                          the exact ε
    pseudo-huber          that of ddpm                         -
    trimmed               that of ddpm                         -
    dro, step = 0         closed form, L_AT with λ = 1         -
    dro, step > 0         -                                    -
    ambient               - (the clean law's ε: ddpm's of the law that it does not see)
"""

from toylab.theory.denoiser import GridOptimum
from toylab.theory.gaussian import AffineOptimum, gaussian_optimum, implied_law
from toylab.theory.grid import Errors, GridSolution, grid_optimum
from toylab.theory.lattice import Fitted, Grid

__all__ = [
    "AffineOptimum",
    "Errors",
    "Fitted",
    "Grid",
    "GridOptimum",
    "GridSolution",
    "gaussian_optimum",
    "grid_optimum",
    "implied_law",
]

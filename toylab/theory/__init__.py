"""The exact optimum of an objective: what training is asked for, without a network.

`gaussian_optimum` is the best affine model on Gaussian data, in closed form or as a fixed point, and `implied_law` the
Gaussian it stands for. `grid_optimum` is the best of all functions for any law in one or two dimensions, at one noise
level, and `GridOptimum` the same at every level, as a denoiser for samplers, attacks and metrics.

Which directions ω are known where:

    direction   gaussian_optimum             grid_optimum
    Random      closed form                  a linear system, in 1-D and 2-D
    FGSM        a fixed point                a fixed point of linear systems, in 1-D, as far as it settles

Those are of the penalties; of DRO, whose ω starts uniform and ascends the loss itself:

    step = 0    closed form, L_AT with λ = 1     -
    step > 0    -                                -
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

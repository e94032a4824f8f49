"""The best affine model ε(x) = A x + b on Gaussian data, at one noise level.

With x = x_t of covariance P = α²Σ + σ²I, ω of mean 0 and independent of x, S = E[ωωᵀ], and κ = 1 (equivariance) or 0
(invariance), the expected loss is

    E‖A x + b - ε‖² + λ E‖σAω - κω‖²,     and stationary where     A (P + λσ²S) = σ (I + λκS),   b = -αAμ

so that, with N = I + λS,

    denoising    A = σ (α²Σ + σ²I)⁻¹
    L_AT         A = σ N (α²Σ + σ²N)⁻¹                  the ε of N(μ, ΣN⁻¹), where Σ and S commute
    L_inv        A = σ (α²Σ + σ²N)⁻¹                    the ε of N(μ, Σ + λ(σ/α)²S), another law at every level

*Equivariant adversarial training learns the data with its covariance divided by 1 + λs*, for S = sI.

DRO, from its uniform start alone (step = 0): with A(x + σω) + b - ε - ω = (A x + b - ε) + (σA - I)ω, and ω of mean 0
and independent of (x, ε), its loss is, for every affine model, that of L_AT with λ = 1:

    E‖A(x + σω) + b - ε - ω‖² = E‖A x + b - ε‖² + E‖σAω - ω‖²,     so A = σN(α²Σ + σ²N)⁻¹ with N = I + S

(Over all functions the two differ: only an affine ε moves by the same σAω everywhere.) With an ascent step ω follows
the residual A x + b - ε of its own sample, so it is not independent of (x, ε). The optimum is then the regression of
ε + ω on x + σω for the ω of this very model, a fixed point in E[ωxᵀ] and E[ωεᵀ] beside S. It is not computed here, as
it need not exist: the step's sign, that of (σA - I)ᵀ of the residual, jumps where σA - I is singular. In 3-D (variances
of 0.013 to 0.99, σ/α = 0.75) it was found at radius 0.1, by iteration and by training alike, and at 0.3, 0.6 and 1 not:
iterations went to and fro across that surface, and trainings at 0.6 and 1 came to rest on it.

The gradient through the target, or not (`through`): the penalty's gradient in A is 2λ E[(σAω - κω)(x + σω - x)ᵀ] with
it and 2λ E[(σAω - κω)(x + σω)ᵀ] without. They differ by E[(σA - κI)ω xᵀ] = 0, and in b by E[(σA - κI)ω] = 0: an affine
model has the same optimum either way.

The direction. Random and Gaussian: S = E[r²]/3 I; Random in the L2 ball: S = E[r²] d/(d + 2) I. FGSM starts at r u,
u uniform on the cube, and ascends ‖σA r u‖² by one signed step: ω = r w, w = clip(u + step·sign(G u)), G = AᵀA, whose
law is the same at every x and symmetric. As ω carries no gradient, training is stationary where A solves the equation
above for the S of its own ω, S(A) = E[r²] E[wwᵀ]: a fixed point. It exists: A is invertible for every S, so that S(A)
is a continuous map of a compact convex set to itself (Brouwer). That there is only one is not proved.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from toylab.distributions import GaussianMixture
from toylab.errors import BadInput
from toylab.objectives import DRO, Objective, Regularised
from toylab.perturbations import FGSM, Gaussian, Random
from toylab.theory.perturbation import mean_square, regularised, strength, unknown_direction

_STARTS = 1 << 14  # quasi-random starts of FGSM
_ITERATIONS = 200  # of the fixed point
_SETTLED = 1e-10  # relative change of S at the fixed point


class AffineOptimum(NamedTuple):
    """ε(x) = matrix·x + bias: (d, d) and (d,), float64."""

    matrix: Tensor
    bias: Tensor


def gaussian_optimum(objective: Objective, law: GaussianMixture, alpha: float, sigma: float) -> AffineOptimum:
    """The best affine model of `objective` on a single Gaussian at one noise level, in the objective's own sense of
    `through` and of an ω that carries no gradient.

    Denoising, Regularised with a Random or Gaussian direction, and DRO with FGSM(step=0), in closed form. Regularised
    with FGSM by iterating S <- S(A(S)) from the random direction's S, by shares of that step (Aitken's), until S(A(S))
    and S differ by less than 1e-10 of S; RuntimeError should it not settle. E[wwᵀ] is integrated exactly along one
    coordinate of the start and by 16,384 quasi-random points in the others: to about 1e-8 in 2-D, 3e-5 in 3-D, 2e-3 in
    8-D.

    Raises BadInput for more than one component, settings of more than one member, and what has no closed form here.
    """
    if len(law.means) != 1:
        raise BadInput("the closed form is for one Gaussian")
    if not (alpha >= 0 and sigma > 0):
        raise BadInput(f"alpha must be at least 0 and sigma positive, not {alpha} and {sigma}")
    asked = _in_affine_models(objective)
    matrix = _fixed_point(asked, law.cov, alpha, sigma)
    return AffineOptimum(matrix, -alpha * matrix @ law.mean)


def _in_affine_models(objective: Objective) -> Regularised:
    """The penalty with the same expected loss in every affine model on Gaussian data. Raises BadInput."""
    if not isinstance(objective, DRO):
        return regularised(objective)
    if objective.ascent.step:
        raise BadInput(
            "no closed form for DRO with an ascent step: its ω follows each sample's own residual ε_θ(x_t) - ε; "
            "known is its uniform start, FGSM(step=0)"
        )
    return Regularised(1.0, objective.radius, Random(objective.ascent.norm))


def implied_law(objective: Objective, law: GaussianMixture, alpha: float, sigma: float) -> GaussianMixture:
    """The Gaussian whose exact ε at (alpha, sigma) is the `gaussian_optimum`: α²Σ_eff = σA⁻¹ - σ²I.

    With λ and r the same at every level, the law that equivariant training learns; else, and for invariance, what it
    stands for at this level alone. Raises BadInput at alpha = 0, and where A is not symmetric (an FGSM direction in
    a basis not that of the data): ε is then no gradient, and no law has it.
    """
    if alpha <= 0:
        raise BadInput("at alpha = 0 every law has the same ε")
    matrix, _ = gaussian_optimum(objective, law, alpha, sigma)
    if float((matrix - matrix.mT).norm()) > 1e-6 * float(matrix.norm()):
        raise BadInput("the optimum is no law's ε: its matrix is not symmetric")
    inverse = torch.linalg.inv((matrix + matrix.mT) / 2)
    cov = (sigma * inverse - sigma**2 * torch.eye(law.dim, dtype=torch.float64)) / alpha**2
    return GaussianMixture(law.means, cov=(cov + cov.mT) / 2)


def second_moment(asked: Regularised, matrix: Tensor, alpha: float, sigma: float) -> Tensor:
    """S = E[ωωᵀ] (d, d) for the affine model of this matrix. Raises BadInput for an unknown direction."""
    size = mean_square(asked.radius, alpha, sigma)
    match asked.direction:
        case Random(norm="linf") | Gaussian():
            return size / 3 * torch.eye(len(matrix), dtype=torch.float64)
        case Random(norm="l2"):
            return size * len(matrix) / (len(matrix) + 2) * torch.eye(len(matrix), dtype=torch.float64)
        case FGSM(step=step, norm="linf", draws=1):
            return size * signed_moment(matrix.mT @ matrix, step)
        case _:
            raise unknown_direction(asked.direction, "Random, Gaussian and FGSM (linf, one draw)")


def signed_moment(gram: Tensor, step: float, points: int = _STARTS) -> Tensor:
    """E[wwᵀ] (d, d) of w = clip(u + step·sign(G u), -1, 1), u uniform on [-1, 1]^d; G (d, d) with a positive diagonal.

    Along u_i, with the other coordinates fixed, w_i is piecewise linear with one jump and w_j has two values: their
    product is integrated exactly, and averaged over quasi-random other coordinates (scrambled Sobol, seeded).
    """
    dim = len(gram)
    engine = torch.quasirandom.SobolEngine(dim, scramble=True, seed=0)
    size = max(1, (1 << 21) // dim**2)
    total = torch.zeros_like(gram)
    for start in range(0, points, size):
        u = 2 * engine.draw(min(size, points - start), dtype=torch.float64) - 1
        total += _along_one_coordinate(u, gram, step).sum(0)
    return (total + total.mT) / (2 * points)


def _along_one_coordinate(u: Tensor, gram: Tensor, step: float) -> Tensor:
    """The mean of w_i w_j over u_i, (n, i, j), at the other coordinates of u (n, d)."""
    rest = (u @ gram)[:, None, :] - gram * u[:, :, None]  # (G u)_j without its term in u_i
    upwards = torch.where(gram < 0, -1.0, 1.0)  # the sign of (G u)_j above where it vanishes
    jump = (-rest / (gram.abs() * upwards + torch.where(gram == 0, 1e-300, 0.0))).clamp(-1, 1)
    w = [(u + step * sign).clamp(-1, 1)[:, None, :] for sign in (-1.0, 1.0)]
    below, above = torch.where(upwards > 0, w[0], w[1]), torch.where(upwards > 0, w[1], w[0])
    own = jump.diagonal(dim1=1, dim2=2)[..., None]  # where w_i jumps
    end = torch.ones_like(own)
    until = _integral(_ramp, jump, own, step)  # of w_i, to where w_j jumps
    product = below * until + above * (_integral(_ramp, end, own, step) - until)
    square = _integral(_square_ramp, end, own, step)
    return torch.where(torch.eye(len(gram), dtype=torch.bool), square, product) / 2


def _integral(antiderivative: Callable[[Tensor], Tensor], x: Tensor, jump: Tensor, step: float) -> Tensor:
    """∫ from -1 to x of f(y + step·s), s = -1 below the jump and 1 above."""
    start = antiderivative(torch.full_like(jump, -1 - step))
    below = antiderivative(torch.minimum(x, jump) - step) - start
    return below + antiderivative(torch.maximum(x, jump) + step) - antiderivative(jump + step)


def _ramp(z: Tensor) -> Tensor:
    """An antiderivative of clip(z, -1, 1)."""
    return torch.where(z.abs() <= 1, z * z / 2, z.abs() - 0.5)


def _square_ramp(z: Tensor) -> Tensor:
    """An antiderivative of clip(z, -1, 1)²."""
    return torch.where(z.abs() <= 1, z**3 / 3, z - 2 * z.sign() / 3)


def _fixed_point(asked: Regularised, cov: Tensor, alpha: float, sigma: float) -> Tensor:
    """A with the S of its own ω."""
    lam, identity = strength(asked, alpha, sigma), torch.eye(len(cov), dtype=torch.float64)

    def best(s: Tensor) -> Tensor:
        inflated = identity + lam * s
        inverse = torch.linalg.inv(alpha**2 * cov + sigma**2 * inflated)
        return sigma * (inflated if asked.equivariant else identity) @ inverse

    if lam == 0:
        return best(torch.zeros_like(cov))
    s = mean_square(asked.radius, alpha, sigma) / 3 * identity
    share, last = 0.5, torch.zeros_like(s)
    for _ in range(_ITERATIONS):
        matrix = best(s)
        step = second_moment(asked, matrix, alpha, sigma) - s
        if float(step.norm()) <= _SETTLED * float(s.norm()):
            return matrix
        if bool(last.any()):  # Aitken: the share that would have ended it, were S(A(S)) linear along the last step
            left = float((step * last).sum() / (last * last).sum())
            share = min(max(share / (1 - left), 0.05), 1.0) if left < 1 else 1.0
        s, last = s + share * step, step
    raise RuntimeError(f"the fixed point of {asked.direction} did not settle: S is off by {float(last.norm()):.1e}")

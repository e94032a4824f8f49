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

Pseudo-Huber and trimmed ask a Gaussian for the same as denoising, whatever δ_t, the fraction and the neighbours, and
over all functions, too. Given x, the residual f(x) - ε is Gaussian, its covariance α²ΣP⁻¹ the same at every x, and of
mean Δ(x) = f(x) - E[ε | x]. By Anderson's inequality (Proc. AMS 6, 1955) Δ = 0 makes ‖residual‖, and each |coordinate|,
stochastically smallest. The pseudo-Huber loss grows with every |coordinate|. The trimmed loss grows with every order
statistic of a group of independent ‖residual‖², each of which is then smallest as well. So E[ε | x] minimises both;
alone, where Σ is positive definite and α > 0. Pseudo-Huber is convex in (A, b), so nothing else is stationary. The
trimmed loss is not convex: that it has no other stationary point, where a training could rest, is not proved.

The gradient through the target, or not (`through`): the penalty's gradient in A is 2λ E[(σAω - κω)(x + σω - x)ᵀ] with
it and 2λ E[(σAω - κω)(x + σω)ᵀ] without. They differ by E[(σA - κI)ω xᵀ] = 0, and in b by E[(σA - κI)ω] = 0: an affine
model has the same optimum either way.

The direction. S is that of moments.py, a number times I where ω is random. An ascent depends on A: as ω carries no
gradient, training is stationary where A solves the equation above for the S(A) of its own ω, a fixed point. For one
signed step, and for any steps in the L2 ball, it exists: A is invertible for every S, the ascent's gradient vanishes or
changes sign on null sets of starts alone, so that S(A) is a continuous map of a compact convex set to itself (Brouwer).
Several signed steps gather starts in corners of the cube, and S(A) may jump where the gradient at one changes sign:
there existence is not proved either. Uniqueness is not proved for any. In the L2 ball nothing prefers a basis: S
commutes with Σ, as both are mirrored by the axes of Σ.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from toylab.distributions import GaussianMixture
from toylab.errors import BadInput, Unable
from toylab.objectives import DRO, Denoising, Objective, PseudoHuber, Regularised, Trimmed
from toylab.perturbations import Ascent, Random
from toylab.theory.moments import second_moment
from toylab.theory.perturbation import mean_square, regularised, strength

_ITERATIONS = 200  # of the fixed point
_SETTLED = 1e-10  # relative change of S at the fixed point
_SETTLED_CLIMBED = 5e-5  # where S(A) is a mean over starts, for several signed steps a step function: below its error


class AffineOptimum(NamedTuple):
    """ε(x) = matrix·x + bias: (d, d) and (d,), float64."""

    matrix: Tensor
    bias: Tensor


def gaussian_optimum(objective: Objective, law: GaussianMixture, alpha: float, sigma: float) -> AffineOptimum:
    """The best affine model of `objective` on a single Gaussian at one noise level, in the objective's own sense of
    `through` and of an ω that carries no gradient.

    Denoising (of the clean law, where an oracle is trained on that), PseudoHuber, Trimmed, Regularised with a Random or
    Gaussian direction, and DRO with FGSM(step=0), in closed form. Regularised with FGSM or PGD, in either norm, by
    iterating S <- S(A(S)) from the random direction's S, by shares of that step (Aitken's), until S(A(S)) and S differ
    by less than 1e-10 of S (5e-5 but for one signed step); Unable should it not settle. The relative error of S
    is then that of its quadrature, of which tests/test_theory.py holds the bounds: for one signed step about 1e-8 in
    2-D, 3e-5 in 3-D, 2e-3 in 8-D; in the L2 ball 2e-4 in 2-D and 3-D, 2e-3 in 8-D; for several signed steps 3e-4 in
    2-D, 1e-3 in 3-D, 4e-3 in 8-D.

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
    """The penalty with the same optimum among affine models on Gaussian data. Raises BadInput."""
    match objective:
        case PseudoHuber() | Trimmed():
            return regularised(Denoising())
        case DRO(ascent=Ascent(step=0.0)):
            return Regularised(1.0, objective.radius, Random(objective.ascent.norm))
        case DRO():
            raise BadInput(
                "no closed form for DRO with an ascent step: its ω follows each sample's own residual ε_θ(x_t) - ε; "
                "known is its uniform start, FGSM(step=0)"
            )
        case _:
            return regularised(objective)


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


def _fixed_point(asked: Regularised, cov: Tensor, alpha: float, sigma: float) -> Tensor:
    """A with the S of its own ω."""
    lam, identity = strength(asked, alpha, sigma), torch.eye(len(cov), dtype=torch.float64)
    axes = torch.linalg.eigh(cov).eigenvectors
    norm, steps = getattr(asked.direction, "norm", "linf"), getattr(asked.direction, "steps", 1)
    settled = _SETTLED if norm == "linf" and steps == 1 else _SETTLED_CLIMBED

    def best(s: Tensor) -> Tensor:
        inflated = identity + lam * s
        inverse = torch.linalg.inv(alpha**2 * cov + sigma**2 * inflated)
        return sigma * (inflated if asked.equivariant else identity) @ inverse

    def own(matrix: Tensor) -> Tensor:
        """The S of its ω; in a round ball without what quadrature leaves between the axes of Σ."""
        s = second_moment(asked, matrix, alpha, sigma)
        return axes @ (axes.mT @ s @ axes).diagonal().diag() @ axes.mT if norm == "l2" else s

    if lam == 0:
        return best(torch.zeros_like(cov))
    s = mean_square(asked.radius, alpha, sigma) / 3 * identity
    share, last = 0.5, torch.zeros_like(s)
    for _ in range(_ITERATIONS):
        matrix = best(s)
        step = own(matrix) - s
        if float(step.norm()) <= settled * float(s.norm()):
            return matrix
        if bool(last.any()):  # Aitken: the share that would have ended it, were S(A(S)) linear along the last step
            left = float((step * last).sum() / (last * last).sum())
            share = min(max(share / (1 - left), 0.05), 1.0) if left < 1 else 1.0
        s, last = s + share * step, step
    raise Unable(f"the fixed point of {asked.direction} did not settle: S is off by {float(last.norm()):.1e}")

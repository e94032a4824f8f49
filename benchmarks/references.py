"""What the exact laws are held against: the same three quantities to 50 digits, each by a route of its own.

A reference is a function of a point x and a level (α, σ) that returns log p, ∇ log p and E[X | x] of αX + σZ. None
of them uses the formula that the law itself uses: Gaussians factor their covariance instead of diagonalising it,
and every other family is integrated from the definition p(x) = ∫ N(x; αu, σ² I) dX(u), where

    E[X | x] = ∫ u N(x; αu, σ² I) dX(u) / p(x),     ∇ log p(x) = ∫ (αu - x)/σ² N(x; αu, σ² I) dX(u) / p(x)
"""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple

from benchmarks.integrals import Real, Vector, integrals, mp

Shape = Callable[[Real], tuple[Vector, Real]]
"""u -> a point of a curve, and the speed |γ'(u)| there."""


class Answer(NamedTuple):
    log_p: Real
    score: Vector
    mean: Vector


Reference = Callable[[Vector, Real, Real], Answer]


# -- Gaussians and points --------------------------------------------------------------------------------------------


def gaussians(means: Sequence[Vector], covs: Sequence[Any], weights: Sequence[float] | None = None) -> Reference:
    """Σ_k w_k N(μ_k, C_k): α²C + σ²I = LLᵀ by Cholesky, its determinant and inverse from L."""
    means, covs = [numbers(m) for m in means], [mp.matrix(c) for c in covs]

    @cache
    def factor(k: int, alpha: Real, sigma: Real) -> Any:
        return mp.cholesky(alpha**2 * covs[k] + sigma**2 * mp.eye(len(means[k])))

    def one(k: int, x: Vector, alpha: Real, sigma: Real) -> Answer:
        root, d = factor(k, alpha, sigma), len(x)
        y: Vector = []
        for i in range(d):
            z = x[i] - alpha * means[k][i]
            y.append((z - mp.fdot((root[i, j], y[j]) for j in range(i))) / root[i, i])
        q = [mp.mpf(0)] * d
        for i in reversed(range(d)):
            q[i] = (y[i] - mp.fdot((root[j, i], q[j]) for j in range(i + 1, d))) / root[i, i]
        log_p = -mp.fdot(y, y) / 2 - sum(mp.log(root[i, i]) for i in range(d)) - d * mp.log(2 * mp.pi) / 2
        drawn = [mp.fdot((covs[k][i, j], q[j]) for j in range(d)) for i in range(d)]
        return Answer(log_p, [-v for v in q], [m + alpha * v for m, v in zip(means[k], drawn, strict=True)])

    parts = [lambda x, a, s, k=k: one(k, x, a, s) for k in range(len(means))]
    return mixed(parts, weights)


def diagonal(std: Sequence[float]) -> Any:
    """The covariance with these standard deviations."""
    return mp.diag([mp.mpf(s) ** 2 for s in std])


def low_rank(factor: Sequence[Sequence[float]], std: float) -> Any:
    """F Fᵀ + s² I."""
    f = mp.matrix(factor)
    return f * f.T + mp.mpf(std) ** 2 * mp.eye(f.rows)


def mapped(cov: Any, matrix: Sequence[Sequence[Any]]) -> Any:
    """A C Aᵀ."""
    a = mp.matrix(matrix)
    return a * mp.matrix(cov) * a.T


def empirical(points: Sequence[Vector]) -> Reference:
    """Point masses: the sum itself."""
    return mixed([_kernel(numbers(point)) for point in points])


def _kernel(point: Vector) -> Reference:
    def reference(x: Vector, alpha: Real, sigma: Real) -> Answer:
        square = sum((v - alpha * p) ** 2 for v, p in zip(x, point, strict=True))
        return tilted(-square / (2 * sigma**2) - _log_unit(sigma, len(x)), point, x, alpha, sigma)

    return reference


# -- boxes -----------------------------------------------------------------------------------------------------------


def box(low: Sequence[float], high: Sequence[float], std: float = 0.0) -> Reference:
    """Uniform on a box, one integral a coordinate; with noise of its own (Convolved), an integral over X + std·Z."""
    sides = [_interval(mp.mpf(a), mp.mpf(b), mp.mpf(std)) for a, b in zip(low, high, strict=True)]
    return side_by_side([(side, 1) for side in sides])


def _interval(low: Real, high: Real, std: Real) -> Reference:
    def reference(x: Vector, alpha: Real, sigma: Real) -> Answer:
        def integrand(u: Real) -> tuple[Real, Vector]:
            density = mp.log(_normal_mass((low - u) / std, (high - u) / std)) if std else 0
            return density - ((x[0] - alpha * u) / sigma) ** 2 / 2, [u]

        tails = [min(low, x[0] / alpha) - 15 * std, max(high, x[0] / alpha) + 15 * std] if std else []
        log_mass, mean = integrals(integrand, sorted({low, high, *tails}))
        return tilted(log_mass - mp.log(high - low) - _log_unit(sigma, 1), mean, x, alpha, sigma)

    return reference


def plane(low: Sequence[float], high: Sequence[float], basis: Any, offset: Sequence[float]) -> Reference:
    """Uniform on a parallelogram, basis (D, 2): the kernel of R^D integrated over one coordinate by the error function,
    over the other numerically, without any use of orthogonality."""
    (l1, l2), (h1, h2) = numbers(low), numbers(high)
    first, second = numbers(row[0] for row in basis), numbers(row[1] for row in basis)
    b = numbers(offset)
    length = mp.sqrt(mp.fdot(second, second))

    def reference(x: Vector, alpha: Real, sigma: Real) -> Answer:
        def integrand(u: Real) -> tuple[Real, Vector]:
            rest = [v - alpha * (c + u * q) for v, c, q in zip(x, b, first, strict=True)]
            along, width = mp.fdot(rest, second) / length, sigma / (alpha * length)
            centre = along / (alpha * length)
            near, far = (l2 - centre) / width, (h2 - centre) / width
            mass = _normal_mass(near, far)
            v = centre + width * (_phi(near) - _phi(far)) / mass
            normal = (mp.fdot(rest, rest) - along**2) / sigma**2
            return mp.log(mass) - normal / 2, [u, v]

        log_mass, (u, v) = integrals(integrand, [l1, h1])
        unit = _log_unit(sigma, len(x)) - _log_unit(sigma / (alpha * length), 1)
        mean = [c + u * q + v * r for c, q, r in zip(b, first, second, strict=True)]
        return tilted(log_mass - mp.log((h1 - l1) * (h2 - l2)) - unit, mean, x, alpha, sigma)

    return reference


def _normal_mass(a: Real, b: Real) -> Real:
    """Φ(b) - Φ(a), from the tail in which it lies."""
    a, b = (a, b) if a + b > 0 else (-b, -a)
    return (mp.erfc(a / mp.sqrt(2)) - mp.erfc(b / mp.sqrt(2))) / 2


def _phi(y: Real) -> Real:
    return mp.exp(-(y**2) / 2) / mp.sqrt(2 * mp.pi)


# -- manifolds and heavy tails ---------------------------------------------------------------------------------------


def sphere(dim: int, radius: float = 1.0) -> Reference:
    """Uniform on a sphere: one integral over the angle between u and x."""
    radius = mp.mpf(radius)

    def reference(x: Vector, alpha: Real, sigma: Real) -> Answer:
        r, a = _norm(x), alpha * radius

        def integrand(angle: Real) -> tuple[Real, Vector]:
            square = (r - a) ** 2 + 4 * r * a * mp.sin(angle / 2) ** 2
            return (dim - 2) * mp.log(mp.sin(angle)) - square / (2 * sigma**2), [mp.cos(angle)]

        log_mass, (cosine,) = integrals(integrand, [mp.mpf(0), mp.pi / 2, mp.pi])
        area = mp.loggamma(mp.mpf(dim) / 2) - mp.loggamma(mp.mpf(dim - 1) / 2) - mp.log(mp.pi) / 2
        mean = [radius * cosine * v / r for v in x]
        return tilted(log_mass + area - _log_unit(sigma, dim), mean, x, alpha, sigma)

    return reference


def curve(shape: Shape, edges: Sequence[Real]) -> Reference:
    """Uniform in arc length on a curve: one integral over its parameter."""

    @cache
    def log_length() -> Real:
        return integrals(lambda u: (mp.log(shape(u)[1]), []), edges)[0]

    def reference(x: Vector, alpha: Real, sigma: Real) -> Answer:
        def integrand(u: Real) -> tuple[Real, Vector]:
            gamma, speed = shape(u)
            square = sum((v - alpha * g) ** 2 for v, g in zip(x, gamma, strict=True))
            return mp.log(speed) - square / (2 * sigma**2), gamma

        log_mass, mean = integrals(integrand, edges)
        return tilted(log_mass - log_length() - _log_unit(sigma, len(x)), mean, x, alpha, sigma)

    return reference


def student(centre: Sequence[float], df: int, scale: float) -> Reference:
    """Student's t law by the convolution of its density with the noise, in shells about the centre, over each of which
    the noise averages to a Bessel function; the law itself averages over the variance instead."""
    c, s, d = numbers(centre), mp.mpf(scale), len(centre)
    nu, order = mp.mpf(df), mp.mpf(d) / 2 - 1
    shells = mp.log(2) + mp.log(mp.pi) * d / 2 - mp.loggamma(mp.mpf(d) / 2)  # the area of the unit sphere
    norm = mp.loggamma((nu + d) / 2) - mp.loggamma(nu / 2) - d * mp.log(nu * mp.pi) / 2 - d * mp.log(s)

    def reference(x: Vector, alpha: Real, sigma: Real) -> Answer:
        z = [v - alpha * m for v, m in zip(x, c, strict=True)]
        r = _norm(z)

        def integrand(rho: Real) -> tuple[Real, Vector]:
            log_average, cosine = _shell(order, alpha * rho * r / sigma**2)
            log_t = norm - (nu + d) / 2 * mp.log(1 + (rho / s) ** 2 / nu)
            w = log_t + (d - 1) * mp.log(rho) + log_average - ((r - alpha * rho) / sigma) ** 2 / 2
            return w, [rho * cosine]

        end, core = (r + 15 * sigma * mp.sqrt(d)) / alpha, s / 2
        steps = [core * 4**k for k in range(int(mp.log(end / core, 4)) + 1)] if end > core else []
        log_mass, (along,) = integrals(integrand, sorted({mp.mpf(0), *steps, end}))
        mean = [m + along * v / r for m, v in zip(c, z, strict=True)]
        return tilted(log_mass + shells - _log_unit(sigma, d), mean, x, alpha, sigma)

    return reference


def _shell(order: Real, kappa: Real) -> tuple[Real, Real]:
    """Of exp(κ cos), the angle uniform on a sphere in R^(2·order + 2): log of the mean, less κ, and the mean cosine."""
    if order == -0.5:  # two points
        return mp.log((1 + mp.exp(-2 * kappa)) / 2), mp.tanh(kappa)
    bessel = mp.besseli(order, kappa)
    log_mean = mp.log(mp.gamma(order + 1) * (2 / kappa) ** order * bessel) - kappa
    return log_mean, mp.besseli(order + 1, kappa) / bessel


# -- laws made of laws -----------------------------------------------------------------------------------------------


def mixed(parts: Sequence[Reference], weights: Sequence[float] | None = None) -> Reference:
    """Σ_k w_k law_k; mpmath's exponents have no limit, so densities are added as they are."""
    shares = numbers(weights if weights is not None else [1.0] * len(parts))

    def reference(x: Vector, alpha: Real, sigma: Real) -> Answer:
        answers = [part(x, alpha, sigma) for part in parts]
        masses = [w * mp.exp(a.log_p) for w, a in zip(shares, answers, strict=True)]
        total = mp.fsum(masses)
        score, mean = (
            [mp.fdot(masses, column) / total for column in zip(*rows, strict=True)]
            for rows in ([a.score for a in answers], [a.mean for a in answers])
        )
        return Answer(mp.log(total / mp.fsum(shares)), score, mean)

    return reference


def side_by_side(parts: Sequence[tuple[Reference, int]]) -> Reference:
    """Independent laws, each on as many coordinates as it says."""

    def reference(x: Vector, alpha: Real, sigma: Real) -> Answer:
        answers, start = [], 0
        for part, size in parts:
            answers.append(part(x[start : start + size], alpha, sigma))
            start += size
        score, mean = ([v for a in answers for v in getattr(a, name)] for name in ("score", "mean"))
        return Answer(mp.fsum(a.log_p for a in answers), score, mean)

    return reference


def blurred(part: Reference, std: float) -> Reference:
    """X + std·Z, which at (α, σ) is X at a greater σ."""

    def reference(x: Vector, alpha: Real, sigma: Real) -> Answer:
        answer = part(x, alpha, mp.sqrt(sigma**2 + (alpha * mp.mpf(std)) ** 2))
        mean = [(v + sigma**2 * s) / alpha for v, s in zip(x, answer.score, strict=True)]
        return Answer(answer.log_p, answer.score, mean)

    return reference


def tilted(log_p: Real, mean: Vector, x: Vector, alpha: Real, sigma: Real) -> Answer:
    """An answer whose score is the mean of the kernel's own, (αu - x)/σ²."""
    return Answer(log_p, [(alpha * m - v) / sigma**2 for m, v in zip(mean, x, strict=True)], list(mean))


def numbers(values: Any) -> Vector:
    return [mp.mpf(v) for v in values]


def _norm(x: Vector) -> Real:
    return mp.sqrt(mp.fdot(x, x))


def _log_unit(sigma: Real, dim: int) -> Real:
    """log (2πσ²)^(d/2)."""
    return dim * (mp.log(sigma) + mp.log(2 * mp.pi) / 2)

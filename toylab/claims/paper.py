"""The paper's claims, in our words, each with what would have to be seen here for it to hold.

Margins are ours, since the paper states none: a benefit is one of at least a tenth of the baseline's value. Claims with
the place `ours` are not made there: they ask what became of one when a setting is another, or what was asked since.
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import product

from toylab.claims.comparisons import Keeps, Less, More, Within, each
from toylab.claims.judging import Claim
from toylab.claims.measure import Measure

OUTLIERS = Measure("outlier mass", "outlier-mass")
W2 = Measure("W2 to clean", "w2")
NORMAL = Measure("normal std", "normal-std")
WIDTH = Measure("mode width", "mode-width")
EPS = Measure("ε MSE to clean", "eps-mse")
COST = Measure("cost of a step", "step-cost", against="")

PAPER = ("robust-ran", "robust-adv")
"""With the radius of the paper, which shrinks with the noise, and λ = 0.3."""
FLAT = ("robust-ran-flat", "robust-adv-flat")
"""With a radius of one noise unit at every level."""

BENEFIT, NONE, DOUBLE = 0.1, 0.0, 1.0
"""Margins, as shares of the other method's value."""


def _at(measure: Measure, **cell: str) -> Measure:
    """A measure at a place of a sweep; a key's dots are written as __, and its * as any."""
    named = {key.replace("__", ".").replace(".any.", ".*."): value for key, value in cell.items()}
    return replace(measure, at=tuple(named.items()))


def _attacked(method: str) -> tuple[Less, ...]:
    """Less harm than ddpm beyond what the exact denoiser suffers, under the attacks that search, wherever they push."""
    return tuple(
        Less(Measure("excess displacement", "excess-displacement", attack=attack, place=place), method, "ddpm", BENEFIT)
        for attack, place in product(("greedy", "adaptive"), ("start", "middle", "every"))
    )


def _few_steps(method: str) -> tuple[Less, ...]:
    growth = replace(W2, steps="fewer")
    return tuple(Less(_at(growth, sampler=sampler), method, "ddpm", BENEFIT) for sampler in ("ddpm", "ddim"))


def _memorized(methods: tuple[str, ...]) -> Iterator[Less | More]:
    """From 50 points, each seen once: leakage of the training set, copies of its points, distance to them."""
    leakage, copies, near = (
        _at(Measure(name, metric), contamination="none", size="50")
        for name, metric in (
            ("training leakage", "training-leakage"),
            ("duplicates", "duplicate-share"),
            ("nearest ratio", "nearest-ratio"),
        )
    )
    yield from each(Less, (leakage, copies), methods, "ddpm", BENEFIT)
    yield from each(More, (near,), methods, "ddpm", BENEFIT)


def _grid(method: str, than: str) -> tuple[Less | More, ...]:
    """90 % of the points noisy, as the paper has it, by its two sizes of noise."""
    cells = [{"contamination__fraction": "0.9", "contamination__std": std} for std in ("0.1", "0.2")]
    return each(Less, [_at(measure, **cell) for measure in (NORMAL, W2) for cell in cells], (method,), than, BENEFIT)


_OUTLIERS = (
    Claim(
        "Trained on data with outliers, equivariant training with the paper's own radius draws fewer of them",
        "abstract; toy data, mixture of Gaussians",
        "gmm-outliers",
        each(Less, (OUTLIERS, W2), PAPER, "ddpm", BENEFIT),
    ),
    Claim(
        "The same with a flat radius",
        "ours: the paper's radius shrinks with the noise",
        "gmm-outliers",
        each(Less, (OUTLIERS, W2), FLAT, "ddpm", BENEFIT),
    ),
    Claim(
        "Adversarial pushes do more than random ones against outliers",
        "ours; the paper says so of noise",
        "gmm-outliers",
        (
            *each(Less, (OUTLIERS, W2), ("robust-adv",), "robust-ran", NONE),
            *each(Less, (OUTLIERS, W2), ("robust-adv-flat",), "robust-ran-flat", NONE),
        ),
    ),
    Claim(
        "Data of extreme variability, with heavy tails, are tolerated with the paper's own radius",
        "abstract",
        "heavy-tails",
        each(Less, (OUTLIERS,), ("robust-adv",), "ddpm", BENEFIT),
    ),
    Claim("The same with a flat radius", "ours", "heavy-tails", each(Less, (OUTLIERS,), FLAT, "ddpm", BENEFIT)),
    Claim(
        "Corruption of another kind, missing coordinates, is tolerated with the paper's own radius",
        "abstract: corrupted data",
        "missing-data",
        each(Less, (OUTLIERS,), ("robust-adv",), "ddpm", BENEFIT),
    ),
    Claim(
        "With a flat radius outliers are removed in other families too: EDM and flow matching",
        "ours: asked by reviewers",
        "other-families",
        each(Less, [_at(OUTLIERS, schedule=name) for name in ("ve", "rectified-flow")], FLAT, "ddpm", BENEFIT),
    ),
)

_NOISE = (
    Claim(
        "Trained on data of which 90 % carry noise, equivariant training with the paper's own radius stays nearer to "
        "the clean data",
        "abstract; toy data, plane in R³; image tables",
        "plane-inliers",
        each(Less, (NORMAL, W2), PAPER, "ddpm", BENEFIT),
    ),
    Claim(
        "The same with a flat radius",
        "ours",
        "plane-inliers",
        each(Less, (NORMAL, W2), ("robust-adv-flat",), "ddpm", BENEFIT),
    ),
    Claim(
        "It needs no knowledge of the noise: at most a tenth worse than an oracle that is told the noise and the noisy "
        "points",
        "abstract",
        "plane-inliers",
        each(Less, (NORMAL, W2), ("robust-adv", "robust-adv-flat"), "ambient", -BENEFIT),
    ),
    Claim(
        "Adversarial pushes do more than random ones against noise in the data",
        "image tables, CIFAR-10",
        "plane-inliers",
        each(Less, (NORMAL, W2), ("robust-adv",), "robust-ran", NONE),
    ),
    Claim(
        "Images on a known subspace, 90 % of them noisy: samples stay nearer to it with the paper's own radius",
        "toy data, images on a subspace",
        "subspace-corruption",
        (
            *each(Less, (NORMAL,), PAPER, "ddpm", BENEFIT),
            *each(More, (Measure("PSNR, dB", "psnr"),), PAPER, "ddpm", NONE),
        ),
    ),
    Claim(
        "So it does in high dimension, with a flat radius: a line in 32 and in 512 dimensions",
        "abstract: low and high dimension; the radius is ours",
        "dimension-sweep",
        each(
            Less, [_at(NORMAL, law="subspace", law__dim=dim) for dim in ("32", "512")], ("robust-adv-flat",), "ddpm",
            BENEFIT,
        ),
    ),
    Claim(
        "It tolerates noise of either size on 90 % of the points, with the paper's own radius",
        "image tables, CIFAR-10",
        "contamination-grid",
        _grid("robust-adv", "ddpm"),
    ),
    Claim(
        "And more than plain denoising does when that is given as many evaluations of the network",
        "ours: asked by reviewers",
        "contamination-grid",
        _grid("robust-adv", "ddpm-longer"),
    ),
    Claim(
        "Robust in the last quarter of a training alone, it keeps at least half of the effect",
        "image tables, CelebA, fine-tuned",
        "fine-tune",
        tuple(
            Keeps(_at(measure, methods__any__plan__start="0.75"), _at(measure, methods__any__plan__start="0.0"), method)
            for measure in (OUTLIERS, Measure("leakage", "leakage"))
            for method in PAPER
        ),
    ),
)  # fmt: skip

_INVARIANCE = (
    Claim(
        "Asking for invariance, as adversarial training of classifiers does, breaks the model: errors at least double",
        "abstract; toy data",
        "gmm-outliers",
        each(More, (OUTLIERS, W2), ("invariance",), "ddpm", DOUBLE),
    ),
    Claim(
        "On clean data already, with random and with adversarial pushes",
        "image tables, CIFAR-10, clean",
        "invariance-failure",
        each(
            More, [_at(measure, contamination="none") for measure in (OUTLIERS, W2)],
            ("invariance-ran", "invariance-adv"), "ddpm", DOUBLE,
        ),
    ),
    Claim(
        "Because too little noise is predicted",
        "ours: toylab/theory",
        "invariance-failure",
        each(
            Less, (_at(Measure("noise share", "noise-share"), contamination="none"),),
            ("invariance-ran", "invariance-adv"), "ddpm", NONE,
        ),
    ),
)  # fmt: skip

_FLOW = (
    Claim(
        "It makes the denoiser smoother: the predicted noise moves with a push",
        "abstract; method",
        "gmm-outliers",
        each(Less, (Measure("equivariance error", "equivariance-error"),), PAPER, "ddpm", BENEFIT),
    ),
    Claim(
        "And the diffusion flow: it stretches noise less, on the way to data",
        "abstract",
        "gmm-outliers",
        each(Less, (Measure("Lyapunov exponent of the flow", "lyapunov"),), PAPER, "ddpm", NONE),
    ),
    Claim(
        "With the paper's own radius it resists attacks on the sampling trajectory: less displacement beyond the exact "
        "denoiser's",
        "abstract; attacks",
        "trajectory-attack",
        _attacked("robust-adv"),
    ),
    Claim("The same with a flat radius", "ours", "trajectory-attack", _attacked("robust-adv-flat")),
    Claim(
        "Its samples lose less with few steps, with the paper's own radius",
        "few-step tables, CIFAR-10",
        "few-steps",
        _few_steps("robust-adv"),
    ),
    Claim("The same with a flat radius", "ours", "few-steps", _few_steps("robust-adv-flat")),
    Claim(
        "It memorizes less of a small training set, with the paper's own radius",
        "abstract",
        "memorization",
        tuple(_memorized(("robust-adv",))),
    ),
    Claim("The same with a flat radius", "ours", "memorization", tuple(_memorized(FLAT))),
)

_L03, _L05 = ({"law": "three-gaussians", "methods__any__lam": lam} for lam in ("0.3", "0.5"))
_GAUSSIAN = _at(WIDTH, law="gaussian", methods__any__lam="1.0")

_PRICE = (
    Claim(
        "On clean data there is a price (λ = 0.3, flat radius)",
        "image tables, clean rows",
        "clean-price",
        each(More, [_at(measure, **_L03) for measure in (EPS, W2)], PAPER, "ddpm", BENEFIT),
    ),
    Claim(
        "It smooths too much: modes come out narrower on clean data (λ = 0.3, flat radius)",
        "limitations",
        "clean-price",
        each(Less, (_at(WIDTH, **_L03),), PAPER, "ddpm", NONE),
    ),
    Claim(
        "λ = 0.3 smooths less than 0.5",
        "choice of λ",
        "clean-price",
        tuple(More(_at(WIDTH, **_L03), method, method, NONE, _at(WIDTH, **_L05)) for method in PAPER),
    ),
    Claim(
        "On one Gaussian it learns the covariance divided by 1 + λs: widths within 3 % of that law's (λ = 1)",
        "ours: toylab/theory",
        "clean-price",
        tuple(Within(_GAUSSIAN, method, 0.97, 1.03, over=f"implied-{method}") for method in PAPER),
    ),
    Claim(
        "A step of training costs about 2.5 times one of ddpm, give or take a fifth",
        "cost",
        "objectives",
        (Within(COST, "robust-adv", 2.0, 3.0),),
        command="python -m benchmarks.objectives",
    ),
)

CLAIMS: tuple[Claim, ...] = (*_OUTLIERS, *_NOISE, *_INVARIANCE, *_FLOW, *_PRICE)

"""The error ledger: where a method's error comes from, part by part, each against an exact reference.

Between the clean law and the samples of a trained network stands a chain; each link adds one part of the error:

    contamination    from the clean law to the one that was trained on: what the data say
    objective        to the exact optimum of the objective on that law: what was asked for
    fit              to the network trained on endless data: what the network and its training make of it. Where the
                     optimum is not known these two are one part, `objective + fit`
    training set     to the network trained on the training set: what its points, repeated, add
    discretisation   what the sampler's steps add, with the exact score of the law that was trained on, started from
                     that law's own x_T
    prior            what starting it from the prior instead adds
    floor            what exact samples of the clean law have themselves, as there are finitely many

*In ε* the links are fields e_0, ..., e_K and a part is E‖e_k - e_(k-1)‖²/d, over x_t of the clean law, averaged over
log-SNR. Errors that point the same way add up to more than their squares, and less where they cancel:

    E‖e_K - e_0‖² = Σ_k E‖e_k - e_(k-1)‖² + 2 Σ_(j<k) E⟨e_j - e_(j-1), e_k - e_(k-1)⟩

The last sum, over d, is the `interaction`. Samplers and samples have no part in ε.

*In W2* to the clean law a part is by how much a link's W2 is above that of the one before, so that parts add up to the
total exactly and may be negative: a link can bring samples nearer. Their order is floor, contamination, discretisation,
prior, objective, fit, training set; a part is what it adds to those before.

*In nats* the prior's part is known by itself: by how much the expected log-likelihood of the law that was trained on
falls when the exact flow starts from the prior, KL(p_T ‖ N(0, (α² + σ²) I)) at t_max (toylab/likelihood.py).
"""

import re
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

from toylab.denoisers import Denoiser
from toylab.distributions import Distribution
from toylab.errors import BadInput
from toylab.likelihood import prior_gap
from toylab.metrics import Estimate
from toylab.results import ENDLESS, Row, by_seed
from toylab.schedules import Schedule
from toylab.statistics import Interval

FROM_LAW = "-from-law"
"""How the names of references end whose samples start from the law's own x_T instead of the prior."""

CONTAMINATION, OBJECTIVE, BOTH, FIT, TRAINING_SET = (
    "contamination", "objective", "objective + fit", "fit", "training set",
)  # fmt: skip
PRIOR = "prior"
PARTS = ("floor", CONTAMINATION, "discretisation", PRIOR, OBJECTIVE, BOTH, FIT, TRAINING_SET)
INTERACTION, TOTAL = "interaction", "total"
ORDER = (TOTAL, *PARTS, INTERACTION)
"""In which they are shown."""
PRIOR_IN_NATS = "ledger-prior-nats"
"""What results.csv calls the prior's part in nats."""

Account = dict[str, list[float]]
"""Part, interaction or total -> one number a seed."""


def chain_of(
    clean: Denoiser, trained_on: Denoiser | None, optimum: Denoiser | None, endless: Denoiser | None, trained: Denoiser
) -> dict[str, Denoiser]:
    """Part -> the field at the end of its link. trained_on: None where that is the clean law; optimum: None where it
    is not known; endless: None where the training itself was on endless data."""
    links = {"": clean, CONTAMINATION: trained_on, OBJECTIVE: optimum}
    fit = BOTH if optimum is None else FIT
    links |= {fit: trained} if endless is None else {fit: endless, TRAINING_SET: trained}
    return {part: field for part, field in links.items() if field is not None}


@torch.no_grad()
def eps_parts(chain: Mapping[str, Denoiser], x_t: Tensor, t: float) -> dict[str, Estimate]:
    """Every part of a chain in ε, and their interaction, over the points x_t (M, n, d) of the clean law."""
    fields = {part: denoiser.eps(x_t, t).double() for part, denoiser in chain.items()}
    (_, first), *links = fields.items()
    squares, before = {}, first
    for part, eps in links:
        squares[part], before = (eps - before).square().mean(-1), eps
    squares[INTERACTION] = (before - first).square().mean(-1) - torch.stack([*squares.values()]).sum(0)
    return {part: Estimate.of_mean(terms) for part, terms in squares.items()}


def prior_in_nats(law: Distribution, schedule: Schedule, x: Tensor) -> Estimate:
    """The prior's part in nats, over points x (M, n, d) of the law at t_max.

    To every gap q is added exp(-q) - 1, whose mean is 0: terms are then of the size of the divergence itself, 0 at the
    least, where gaps are of that of its root.
    """
    gap = prior_gap(law, schedule, x)
    return Estimate.of_mean(gap + torch.expm1(-gap))


def metric_of(part: str) -> str:
    """What results.csv calls a part in ε."""
    return "ledger-" + re.sub("[^a-z]+", "-", part)


def accounts(rows: Sequence[Row]) -> dict[str, dict[str, Account]]:
    """W2 and ε -> method -> account. Raises BadInput for the rows of a run that was not measured for it."""
    ledgers = dict.fromkeys(row["method"] for row in rows if row["metric"] == metric_of(INTERACTION))
    if not ledgers:
        raise BadInput("this run has no error ledger; run it with --set evaluation.ledger=true")
    eps = {method: dict(_in_eps(rows, method)) for method in ledgers}
    return {"W2": {method: dict(_in_w2(rows, method, eps[method])) for method in ledgers}, "ε": eps}


def in_nats(rows: Sequence[Row]) -> list[list[str]]:
    """Heading, then one line a method: the prior's part in nats; none for a run that was not measured for it."""
    return table(prior_accounts(rows))


def prior_accounts(rows: Sequence[Row]) -> dict[str, Account]:
    """Method -> account of the prior's part in nats alone."""
    methods = dict.fromkeys(row["method"] for row in rows if row["metric"] == PRIOR_IN_NATS)
    return {method: {PRIOR: by_seed(rows, method, PRIOR_IN_NATS, "clean")} for method in methods}


def table(accounts: Mapping[str, Account]) -> list[list[str]]:
    """Heading, then one line a method: mean and 95 % interval over seeds, a dash where there is no such part; none
    where there are no methods."""
    used = [part for part in ORDER if any(part in account for account in accounts.values())]
    body = [
        [method, *(str(Interval.of(account[part])) if part in account else "-" for part in used)]
        for method, account in accounts.items()
    ]
    return [["method", *used], *body] if body else []


def _in_eps(rows: Sequence[Row], method: str) -> Iterator[tuple[str, list[float]]]:
    for part in (*PARTS, INTERACTION):
        if values := by_seed(rows, method, metric_of(part), "clean"):
            yield part, values
    yield TOTAL, by_seed(rows, method, "eps-mse", "clean")


def _in_w2(rows: Sequence[Row], method: str, eps: Account) -> Iterator[tuple[str, list[float]]]:
    law = "contaminated" if CONTAMINATION in eps else "clean"
    ends = {
        "floor": "clean-samples",
        CONTAMINATION: "contaminated-samples",
        "discretisation": f"exact-{law}{FROM_LAW}",
        PRIOR: f"exact-{law}",
        OBJECTIVE: f"optimum-{method}",
        BOTH: ENDLESS + method if TRAINING_SET in eps else method,
        FIT: ENDLESS + method if TRAINING_SET in eps else method,
        TRAINING_SET: method,
    }
    before = [0.0] * len(eps[TOTAL])
    for part, end in ends.items():
        if part in (CONTAMINATION, OBJECTIVE, BOTH, FIT, TRAINING_SET) and part not in eps:
            continue
        values = by_seed(rows, end, "w2", "clean")
        yield part, [value - last for value, last in zip(values, before, strict=True)]
        before = values
    yield TOTAL, before

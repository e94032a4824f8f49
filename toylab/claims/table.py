"""The table of claims, as text."""

from collections.abc import Sequence

from toylab.claims.judging import Judgement, Verdict
from toylab.summaries import markdown as markdown_table

RULES = (
    "Every line under *measured* is a comparison: the mean over seeds of what it names, with its 95 % Student "
    "interval, then what is asked of it. A difference is taken seed by seed: both methods see the same data and noise.",
    "A comparison passes (✓) where that interval, corrected by Holm's method for the comparisons of its claim, lies "
    "wholly on the side that is asked for, beyond the bound, and fails (✗) elsewhere. A bound given as a share of a "
    "method's value is that share of its value of the same seed.",
    "*holds*: every comparison passes; *holds partly*: some do; *does not hold*: none does, which may also mean that "
    "the seeds are too few to tell.",
    "*not tested here*: the results are missing, or have not what is needed; the command that makes them is given.",
    "Results are those of each experiment's default preset. They are of laws in few dimensions and small networks: a "
    "verdict says what holds there, and not what would on images.",
)
_HEADING = ["claim", "where the paper makes it", "experiment", "measured", "verdict"]


def table(judgements: Sequence[Judgement], line: str = "\n") -> list[list[str]]:
    """Heading, then a line a claim. line: between the comparisons of a claim."""
    return [_HEADING, *(_row(judgement, line) for judgement in judgements)]


def markdown(judgements: Sequence[Judgement]) -> str:
    """The page: how many verdicts of each kind, the table, the rules."""
    verdicts = [judgement.verdict for judgement in judgements]
    total = ", ".join(f"{kind}: {verdicts.count(kind)}" for kind in Verdict if kind in verdicts)
    rules = "\n".join(f"* {rule}" for rule in RULES)
    return (
        "# Claims, and what became of them here\n\n"
        "What the paper *What is Adversarial Training for Diffusion Models?* "
        "([arXiv:2505.21742](https://arxiv.org/abs/2505.21742)) claims, in our words, beside what was measured.\n"
        f"{total}. Made by `toylab claims -o docs/claims.md` from the results in `figures/`.\n\n"
        f"{markdown_table(table(judgements, '<br>'))}\n\n## How a verdict is reached\n\n{rules}\n"
    )


def _row(judgement: Judgement, line: str) -> list[str]:
    claim = judgement.claim
    measured = [
        f"{'✓' if passed else '✗'} {finding}"
        for finding, passed in zip(judgement.findings, judgement.passed, strict=True)
    ]
    if judgement.verdict is Verdict.UNTESTED:
        measured = [f"{judgement.reason}; made by `{claim.made_by}`"]
    return [claim.text, claim.place, claim.experiment, line.join(measured), str(judgement.verdict)]

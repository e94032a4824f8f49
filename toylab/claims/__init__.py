"""Claims of the paper (arXiv:2505.21742), and verdicts on them by stated rules from results.csv files.

    measure.py       what is read off rows: one number a seed of a method
    comparisons.py   what is compared over the same seeds, and when a comparison passes
    judging.py       a claim, where its rows are, its verdict
    paper.py         the claims, each a text, a place, an experiment and its comparisons
    table.py         the table of them all

No verdict is written down anywhere: it follows from rows and from the claim's comparisons.
"""

from toylab.claims.comparisons import Comparison, Keeps, Less, More, Within
from toylab.claims.judging import Claim, Judgement, OfRun, Results, Verdict, judge
from toylab.claims.measure import Measure, Missing
from toylab.claims.paper import CLAIMS
from toylab.claims.table import markdown, table

__all__ = [
    "CLAIMS", "Claim", "Comparison", "Judgement", "Keeps", "Less", "Measure", "Missing", "More", "OfRun",
    "Results", "Verdict", "Within", "judge", "markdown", "table",
]  # fmt: skip

"""What a training step costs with every objective, and with what saves on it, as a ratio to ddpm's.

    python -m benchmarks.objectives            about 2 minutes; writes objectives.md here, and the ratio of every turn
                                               to figures/objectives/results.csv, where `toylab claims` finds it

Trainings of 4 members, width 64, batches of 384, one thread. Objectives take turns; a turn is 20 steps, so that what is
computed in some of them is counted; each ratio is the median over the turns of what was measured in the same turn.
"""

import argparse
import math
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from toylab import process

process.settle()

import torch  # noqa: E402

from benchmarks.__main__ import BATCH, LAW, learned  # noqa: E402
from toylab import randomness  # noqa: E402
from toylab.contamination import inlier_noise  # noqa: E402
from toylab.data import LabelledFinite  # noqa: E402
from toylab.index import OBJECTIVES  # noqa: E402
from toylab.objectives import Objective, Plan, robust_adv, robust_ran  # noqa: E402
from toylab.results import Measurement, to_csv  # noqa: E402
from toylab.training import Trainer, Training  # noqa: E402

HERE = Path(__file__).parent
ROWS = HERE.parent / "figures" / "objectives" / "results.csv"
MEMBERS = 4
TURN = 20  # steps


def contestants() -> dict[str, Objective]:
    """Every objective with its defaults, and the two of the paper with each saving."""
    found: dict[str, Objective] = {name: OBJECTIVES.load(name)() for name in OBJECTIVES}
    for name, build in (("robust-ran", robust_ran), ("robust-adv", robust_adv)):
        found |= {f"{name}, one sample in {k}": build(plan=Plan(one_in=k)) for k in (2, 4, 8)}
        found |= {f"{name}, one step in {k}": build(plan=Plan(every=k)) for k in (2, 4, 10)}
    return found


def measure(turns: int) -> dict[str, list[float]]:
    """The ratios to ddpm of every turn, by name."""
    torch.set_num_threads(1)
    settings, seeds = Training(steps=10**9, batch=BATCH), range(MEMBERS)
    law = inlier_noise(LAW)  # labels are told to oracles alone; for the others this source is as any other
    sources = [LabelledFinite(law, 10_000, g) for g in randomness.streams(seeds, "data")]
    trainings = {
        name: iter(Trainer(learned(MEMBERS), sources, objective, settings, seeds))
        for name, objective in contestants().items()
    }
    seconds: dict[str, list[float]] = {name: [] for name in trainings}
    for turn in range(turns + 1):
        for name, training in trainings.items():
            start = time.perf_counter()
            for _ in range(TURN):
                next(training)
            if turn:  # the first warms up
                seconds[name].append(time.perf_counter() - start)
    base = seconds["ddpm"]
    return {name: [s / b for s, b in zip(v, base, strict=True)] for name, v in seconds.items()}


def tidy(ratios: Mapping[str, Sequence[float]]) -> str:
    """The text of a results.csv: a turn stands for a seed."""
    rows = [
        Measurement(name, turn, "step-cost", "", ratio, math.nan)
        for name, values in ratios.items()
        for turn, ratio in enumerate(values)
    ]
    return to_csv(rows, {"experiment": "objectives", "preset": "default"}, {})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=25)
    given = parser.parse_args()
    built, ratios = contestants(), measure(given.turns)
    lines = ["| objective | evaluations a step | cost of a step, ddpm = 1 |", "|---|---|---|"]
    lines += [
        f"| {name} | {built[name].evaluations:g} | {statistics.median(values):.2f} |" for name, values in ratios.items()
    ]
    report = "\n".join(lines) + f"\n\nMade by `python -m benchmarks.objectives`, torch {torch.__version__}.\n"
    print(report)
    (HERE / "objectives.md").write_text(report)
    ROWS.parent.mkdir(parents=True, exist_ok=True)
    ROWS.write_text(tidy(ratios))


if __name__ == "__main__":
    main()

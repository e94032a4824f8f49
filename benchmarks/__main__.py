"""What things cost, as ratios within one run.

    python -m benchmarks             the table; fails if a ratio is more than 20 % above benchmarks/baseline.json
    python -m benchmarks --update    and make it the new baseline, with its table in costs.md

The unit is one step of a bare training loop in plain torch (a Sequential of the same size, the same draws, Adam),
so that a machine's speed cancels. Contestants take turns, `--rounds` times after a warm-up, and each ratio is the
median over the rounds of what was measured in the same turn. Trainings use one thread unless the row says otherwise.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from toylab import process

process.settle()

import torch  # noqa: E402
from torch import nn  # noqa: E402

from toylab import randomness  # noqa: E402
from toylab.contamination import outliers  # noqa: E402
from toylab.data import Finite  # noqa: E402
from toylab.denoisers import Denoiser, Exact, Learned  # noqa: E402
from toylab.distributions.named import three_gaussians  # noqa: E402
from toylab.index import OBJECTIVES  # noqa: E402
from toylab.metrics.transport import w2_between  # noqa: E402
from toylab.networks import MLP  # noqa: E402
from toylab.samplers import ddim, grid  # noqa: E402
from toylab.schedules import DDPM  # noqa: E402
from toylab.training import Trainer, Training  # noqa: E402

HERE = Path(__file__).parent
BATCH, WIDTH = 384, 64
TOLERANCE = 1.2
LAW = outliers(three_gaussians(), 0.1)

Work = Callable[[], object]


class Contestant(NamedTuple):
    """What is timed, how often a round, the unit it is divided by, and the members that share its cost."""

    name: str
    work: Work
    unit: Work
    share: int = 1
    repeats: int = 5


def bare_step() -> Work:
    """DDPM training as one would write it for this page: one model, no members, no averages, no clipping."""
    points = LAW.sample(10_000, torch.Generator().manual_seed(0)).float()
    hidden = [m for i in (11, WIDTH, WIDTH) for m in (nn.Linear(i, WIDTH), nn.GELU())]
    network = nn.Sequential(*hidden, nn.Linear(WIDTH, 2))
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3, fused=True)
    alpha_bar = torch.cumprod(1 - torch.linspace(1e-4, 0.02, 1000), 0)
    octaves = torch.tensor([2.0**k for k in range(4)])

    def step() -> None:
        x0 = points[torch.randint(len(points), (BATCH,))]
        t, eps = torch.randint(1000, (BATCH, 1)), torch.randn(BATCH, 2)
        x_t = alpha_bar[t].sqrt() * x0 + (1 - alpha_bar[t]).sqrt() * eps
        angle = octaves * t / 1000
        loss = (network(torch.cat([x_t, t / 1000, angle.sin(), angle.cos()], -1)) - eps).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def learned(members: int) -> Learned:
    network = MLP(2, WIDTH, members=members, generators=randomness.streams(range(members), "weights"))
    return Learned(network, DDPM())


def training_step(objective: str, members: int, threads: int = 1) -> Work:
    sources = [Finite(LAW, 10_000, g) for g in randomness.streams(range(members), "data")]
    settings = Training(steps=10**9, batch=BATCH)
    steps = iter(Trainer(learned(members), sources, OBJECTIVES.load(objective)(), settings, range(members)))
    return with_threads(threads, lambda: next(steps))


def with_threads(threads: int, work: Work) -> Work:
    def run() -> None:
        torch.set_num_threads(threads)
        work()
        torch.set_num_threads(1)

    return run


def sampler_step(denoiser: Denoiser, members: int) -> Work:
    x = torch.randn(members, 1000, 2, dtype=torch.float64)
    times = grid(denoiser.schedule, 100)[50:52]
    return torch.no_grad()(lambda: list(ddim(denoiser, x, times)))


def score() -> Work:
    x = torch.randn(10_000, 2, dtype=torch.float64)
    return lambda: LAW.score(x, 0.8, 0.6)


def transport() -> Work:
    x, y = (LAW.sample(500, torch.Generator().manual_seed(seed)) for seed in (0, 1))
    return lambda: w2_between(x, y)


def start_up(*words: str) -> Work:
    return lambda: subprocess.run([sys.executable, *words], check=True, capture_output=True)


def contestants(all_threads: int) -> Iterator[Contestant]:
    step, python = bare_step(), start_up("-c", "pass")
    for members, name in ((1, "1 member: a step"), (4, "4 members: a step, per member")):
        for objective in ("ddpm", "robust-ran", "robust-adv", "invariance"):
            yield Contestant(f"{objective}, {name}", training_step(objective, members), step, members)
    yield Contestant("ddpm, 8 members: a step, per member", training_step("ddpm", 8), step, 8)
    yield Contestant("ddpm, 1 member, all threads: a step", training_step("ddpm", 1, all_threads), step)
    yield Contestant("ddpm, 8 members, all threads: a step, per member", training_step("ddpm", 8, all_threads), step, 8)
    yield Contestant("DDIM, 4 x 1,000 points: one evaluation", sampler_step(learned(4), 4), step)
    exact = sampler_step(Exact(LAW, DDPM()), 4)
    yield Contestant("DDIM with the exact denoiser, 4 x 1,000 points: one evaluation", exact, step)
    yield Contestant("exact score at 10,000 points", score(), step)
    yield Contestant("W2 between 500 and 500 points", transport(), step)
    yield Contestant("`toylab list`, over a bare interpreter", start_up("-m", "toylab", "list"), python, repeats=1)


def measure(rounds: int) -> dict[str, float]:
    """The ratios, by name."""
    all_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    entries = list(contestants(all_threads))
    ratios: dict[str, list[float]] = {entry.name: [] for entry in entries}
    for turn in range(rounds + 1):
        for name, work, unit, share, repeats in entries:
            base = clock(unit, 4 * repeats)
            ratio = clock(work, repeats) / base / share
            if turn:  # the first warms up
                ratios[name].append(ratio)
        print(f"round {turn} of {rounds}", file=sys.stderr, flush=True)
    return {name: statistics.median(values) for name, values in ratios.items()}


def clock(work: Work, repeats: int) -> float:
    """Median seconds."""
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def table(ratios: dict[str, float], baseline: dict[str, float]) -> str:
    """Markdown; beside a baseline where there is one."""
    lines = ["| what | ratio |" + " baseline |" * bool(baseline), "|---|---|" + "---|" * bool(baseline)]
    for name, ratio in ratios.items():
        slower = " **slower**" if is_slower(name, ratio, baseline) else ""
        before = f" {baseline[name]:.2f} |" if name in baseline else " - |" * bool(baseline)
        lines.append(f"| {name} | {ratio:.2f}{slower} |{before}")
    one, many = "ddpm, 1 member, all threads: a step", "ddpm, 8 members, all threads: a step, per member"
    lines.append(f"\n8 members at once cost {ratios[many] / ratios[one]:.2f} of a single training, per member.")
    for members in ("1 member: a step", "4 members: a step, per member"):
        base = ratios[f"ddpm, {members}"]
        costs = ", ".join(f"{o} {ratios[f'{o}, {members}'] / base:.2f}" for o in ("robust-ran", "robust-adv"))
        lines.append(f"Over ddpm, {members.split(':')[0]}: {costs}.")
    return "\n".join(lines) + "\n"


def is_slower(name: str, ratio: float, baseline: dict[str, float]) -> bool:
    """By more than the tolerance; what the baseline does not have is not."""
    return ratio > TOLERANCE * baseline.get(name, ratio)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--update", action="store_true", help="make this the baseline")
    given = parser.parse_args()
    file = HERE / "baseline.json"
    baseline = json.loads(file.read_text()) if file.exists() else {}
    ratios = measure(given.rounds)
    print(report := table(ratios, {} if given.update else baseline))
    if given.update:
        file.write_text(json.dumps({name: round(ratio, 3) for name, ratio in ratios.items()}, indent=1) + "\n")
        head = f"Made by `python -m benchmarks --update`, torch {torch.__version__}.\n\n"
        (HERE / "costs.md").write_text(head + report)
        return 0
    return int(any(is_slower(name, ratio, baseline) for name, ratio in ratios.items()))


if __name__ == "__main__":
    sys.exit(main())

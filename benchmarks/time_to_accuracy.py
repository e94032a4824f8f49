"""Seconds of training until the learned noise is near the exact one, beside libraries of the same kind.

    python -m benchmarks.time_to_accuracy        about 40 minutes; writes time-to-accuracy.{csv,md,svg} here

The problem: three Gaussians of standard deviation 0.3, 10,000 training points, an MLP with three hidden layers
of 128, batches of 512, one thread. The measure: mean squared error of ε against the exact score, averaged over
12 noise levels evenly spaced in log σ/α from 0.05 to 8, 2,000 points each. The clock: process time of the
training alone, evaluations left out.

smalldiffusion, azula and torchcfm are trained as their own READMEs and examples do (loop, optimiser, schedule,
learning rate), for `--minutes` each, and evaluated all along the way: a level counts from the first evaluation
below it. toylab trains with its default recipe, whose learning rate ends with the training: every point of its
curve is a training of its own, from the start, and the median over seeds is taken.

The peers (benchmarks/peers.py) are installed into a folder of their own, with einops and tqdm but without their other
dependencies, so that torch stays as it is.
"""

import argparse
import csv
import io
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from toylab import process

process.settle()

import torch  # noqa: E402
from torch import Tensor  # noqa: E402

from benchmarks.peers import BATCH, PEERS, WIDTH, Eps  # noqa: E402
from toylab import randomness  # noqa: E402
from toylab.data import Finite  # noqa: E402
from toylab.denoisers import Learned  # noqa: E402
from toylab.distributions.named import three_gaussians  # noqa: E402
from toylab.networks import MLP  # noqa: E402
from toylab.objectives import Denoising  # noqa: E402
from toylab.schedules import DDPM  # noqa: E402
from toylab.training import Trainer, Training  # noqa: E402

HERE = Path(__file__).parent
LEVELS = (5e-3, 2e-3, 1e-3)
SIZE = 10_000
BUDGETS = (125, 175, 250, 350, 500, 700, 1000, 1400, 2000, 4000, 6000, 10000)
PARAMETRISATIONS = ("eps", "x0", "v", "edm")
RATIOS = [0.05 * (8 / 0.05) ** (k / 11) for k in range(12)]

# -- the measure ---------------------------------------------------------------------------------------------------


class Judge:
    """The mean squared error of an Eps at fixed points."""

    def __init__(self) -> None:
        self.law = three_gaussians()
        generator = randomness.stream(0, "time-to-accuracy")
        x0 = self.law.sample(2000 * len(RATIOS), generator).split(2000)
        self.points = [
            x + r * torch.randn(x.shape, generator=generator, dtype=x.dtype) for x, r in zip(x0, RATIOS, strict=True)
        ]
        self.exact = [-r * self.law.score(x, 1.0, r) for x, r in zip(self.points, RATIOS, strict=True)]

    @torch.no_grad()
    def __call__(self, eps: Eps) -> float:
        errors = [
            (eps(x.float(), r).double() - exact).square().mean()
            for x, r, exact in zip(self.points, RATIOS, self.exact, strict=True)
        ]
        return float(torch.stack(errors).mean())


def training_set(seed: int) -> Tensor:
    return Finite(three_gaussians(), SIZE, randomness.stream(seed, "data")).points


# -- toylab --------------------------------------------------------------------------------------------------------


def toylab(parametrisation: str, seed: int, steps: int) -> tuple[float, Eps]:
    """One training with the default recipe: its process time, and what it learned."""
    start = time.process_time()
    source = Finite(three_gaussians(), SIZE, randomness.stream(seed, "data"))
    network = MLP(2, WIDTH, 3, generators=[randomness.stream(seed, "weights")])
    denoiser = Learned(network, DDPM(), parametrisation, source.points.var(0).mean().sqrt())  # type: ignore[arg-type]
    trainer = Trainer(denoiser, [source], Denoising(), Training(steps=steps, batch=BATCH), [seed])
    for _ in trainer:
        pass
    seconds = time.process_time() - start
    schedule = DDPM()

    def eps(x: Tensor, ratio: float) -> Tensor:
        t = schedule.time(ratio)
        return trainer.ema.eps(float(schedule(t)[0]) * x, t)

    return seconds, eps


# -- running -------------------------------------------------------------------------------------------------------


def run_toylab(parametrisation: str, seeds: int) -> Iterator[tuple[float, float]]:
    judge = Judge()
    for _ in range(2):
        toylab(parametrisation, 0, 50)  # warm-up
    for steps in BUDGETS:
        runs = [toylab(parametrisation, seed, steps) for seed in range(seeds)]
        yield statistics.median(seconds for seconds, _ in runs), statistics.median(judge(eps) for _, eps in runs)


def run_peer(name: str, limit: float) -> Iterator[tuple[float, float]]:
    """Evaluate whenever the clock has advanced by 3 %, until `limit` seconds of training."""
    judge = Judge()
    torch.manual_seed(0)
    steps = PEERS[name](training_set(0))
    next(steps)
    spent, mark = 0.0, time.process_time()
    due = 0.25
    for eps in steps:
        now = spent + time.process_time() - mark
        if now >= due:
            yield now, judge(eps)
            spent, mark, due = now, time.process_time(), now * 1.03
        if now >= limit:
            return


def worker(name: str, limit: float, seeds: int) -> None:
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)  # as toylab's own runs do; for peers as well
    kind, _, parametrisation = name.partition(" ")
    rows = run_toylab(parametrisation, seeds) if kind == "toylab" else run_peer(name, limit)
    for seconds, mse in rows:
        print(f"{name},{seconds:.3f},{mse:.6g}", flush=True)


def contest(limit: float, seeds: int) -> tuple[list[dict[str, str]], dict[str, str]]:
    """Every contestant in a process of its own, one after the other: curve rows, and the peers' versions."""
    rows: list[dict[str, str]] = []
    with tempfile.TemporaryDirectory() as folder:
        install = [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-deps",
            "--target",
            folder,
            *PEERS,
            "einops",
            "tqdm",
        ]
        subprocess.run(install, check=True)
        environment = os.environ | {"PYTHONPATH": f"{folder}{os.pathsep}{HERE.parent}", "OMP_NUM_THREADS": "1"}
        ask = f"from importlib.metadata import version\nfor name in {list(PEERS)}: print(name, version(name))"
        said = subprocess.run([sys.executable, "-c", ask], env=environment, check=True, capture_output=True, text=True)
        versions = dict(line.split() for line in said.stdout.splitlines())
        for name in [*(f"toylab {p}" for p in PARAMETRISATIONS), *PEERS]:
            print(f"{name} ...", file=sys.stderr, flush=True)
            command = [
                sys.executable,
                "-m",
                "benchmarks.time_to_accuracy",
                "--worker",
                name,
                "--minutes",
                str(limit / 60),
                "--seeds",
                str(seeds),
            ]
            said = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
            rows += csv.DictReader(io.StringIO("name,seconds,mse\n" + said.stdout))
    return rows, versions


# -- reporting -----------------------------------------------------------------------------------------------------


def reached(rows: list[dict[str, str]], name: str, level: float) -> float:
    """Seconds to the first point below the level; infinite where there is none."""
    times = [float(r["seconds"]) for r in rows if r["name"] == name and float(r["mse"]) < level]
    return min(times, default=math.inf)


def table(rows: list[dict[str, str]], versions: dict[str, str], limit: float) -> str:
    names = list(dict.fromkeys(r["name"] for r in rows))
    lines = [
        "| trained by | " + " | ".join(f"{level:g}" for level in LEVELS) + " | least error seen |",
        "|---|" + "---|" * (len(LEVELS) + 1),
    ]
    for name in names:
        times = [reached(rows, name, level) for level in LEVELS]
        cells = [f"{t:.1f} s" if t < math.inf else "-" for t in times]
        least = min(float(r["mse"]) for r in rows if r["name"] == name)
        label = f"{name} {versions[name]}" if name in versions else name
        lines.append(f"| {label} | {' | '.join(cells)} | {least:.1e} |")
    for parametrisation in PARAMETRISATIONS:
        cells = []
        for level in LEVELS:
            ours = reached(rows, f"toylab {parametrisation}", level)
            best = min(reached(rows, peer, level) for peer in PEERS)
            sign = "" if best < math.inf else "at least "
            cells.append(f"{sign}{min(best, limit) / ours:.0f}x" if ours < math.inf else "-")
        lines.append(f"| *best peer / toylab {parametrisation}* | {' | '.join(cells)} | |")
    return "\n".join(lines) + "\n"


def draw(rows: list[dict[str, str]], path: Path) -> None:
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    FigureCanvasSVG(figure)
    ax = figure.subplots()
    for name in dict.fromkeys(r["name"] for r in rows):
        x, y = zip(*((float(r["seconds"]), float(r["mse"])) for r in rows if r["name"] == name), strict=True)
        ax.loglog(x, y, "o-" if name.startswith("toylab") else "-", markersize=3, label=name)
    for level in LEVELS:
        ax.axhline(level, color="0.6", linewidth=0.5)
    ax.set_xlabel("process time of training, one thread (s)")
    ax.set_ylabel("mean squared error of ε against the exact score")
    ax.legend(frameon=False, fontsize=8)
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=5.0, help="of each peer")
    parser.add_argument("--seeds", type=int, default=3, help="of toylab's trainings")
    parser.add_argument("--out", type=Path, default=HERE / "time-to-accuracy", help="without suffix")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker:
        worker(given.worker, 60 * given.minutes, given.seeds)
        return
    rows, versions = contest(60 * given.minutes, given.seeds)
    with open(given.out.with_suffix(".csv"), "w", newline="") as file:
        writer = csv.DictWriter(file, ["name", "seconds", "mse"], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    report = (
        table(rows, versions, 60 * given.minutes) + f"\ntorch {version('torch')}, {given.minutes:g} minutes a peer\n"
    )
    given.out.with_suffix(".md").write_text(report)
    draw(rows, given.out.with_suffix(".svg"))
    print(report)


if __name__ == "__main__":
    main()

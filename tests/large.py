"""Long and large work in a process of its own, which prints as JSON the most memory that it has had, in bytes.

    large.py steps N        N steps of training in a tiny run, with a checkpoint every second
    large.py cells N        a tiny run at each of N points of a grid
    large.py points LAW N   N samples of a law, their scores and log-densities at a noise level

`early` is that of the first fifth of it, or before there are points; `end` that of all; of steps without what follows.
"""

import json
import resource
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from tests.tiny import offered
from toylab import index
from toylab.distributions import Distribution
from toylab.experiments import trainings
from toylab.launch import configure, prepare


def peak() -> int:
    """The most memory that this process has had, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def run(experiment: str, changes: Mapping[str, Any], part: str = "") -> dict[str, int]:
    """One of tests/tiny.py with these settings, the part of it that is called so, and how many rows it found."""
    early = end = 0
    with TemporaryDirectory() as root, offered(experiment) as patch:
        patch.setattr(trainings, "CHECKPOINT_SECONDS", 1.0)
        launched = prepare(configure("tiny", "smoke", changes=[changes]), "cpu", Path(root))
        for progress in launched.carry_out():
            if part in progress.label:
                early, end = early if 5 * progress.done > progress.total else peak(), peak()
        return {"early": early, "end": end, "rows": len(launched.folder.rows)}


def steps(count: int) -> dict[str, int]:
    return run("EXPERIMENT", {"baseline": False, "training": {"steps": count}}, "training")


def cells(count: int) -> dict[str, int]:
    return run("GRIDDED", {"grid": {"contamination.fraction": [k / count for k in range(count)]}})


def points(name: str, count: int) -> dict[str, int]:
    """Also whether each of the last thousand has the score and log-density that it has alone, and the dimension."""
    law: Distribution = index.LAWS.load(name)()
    generator = torch.Generator().manual_seed(0)

    def found(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return law.score(x, 0.8, 0.6), law.log_prob(x, 0.8, 0.6)

    found(law.sample(1000, generator))
    early, x = peak(), law.sample(count, generator)
    of_all, of_few = found(x), found(x[-1000:])
    same = all(torch.allclose(a[-1000:], b, rtol=1e-12, atol=1e-12) for a, b in zip(of_all, of_few, strict=True))
    return {"early": early, "end": peak(), "same": same, "dim": law.dim}


if __name__ == "__main__":
    what, *given, number = sys.argv[1:]
    print(json.dumps({"steps": steps, "cells": cells, "points": points}[what](*given, int(number))))

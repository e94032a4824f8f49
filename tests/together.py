"""Trains a tiny model in as many processes as it is started in, and writes the state: together.py NETWORK FILE [FROM].

FROM: a state to go on from, at its fifth step; else the training stops there once, to be gone on with, in FILE-5.
"""

import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from toylab import parallel, randomness
from toylab.data import Finite
from toylab.denoisers import Learned
from toylab.distributions.images import digits
from toylab.networks import mlp
from toylab.networks.unet import unet
from toylab.objectives import Plan, robust_adv
from toylab.schedules import DDPM
from toylab.training import Trainer, Training


def main(network: str, file: Path, start: Path | None = None) -> None:
    torch.set_num_threads(1)
    company = parallel.join(2, "ddp", torch.device("cpu")) if torch.distributed.is_torchelastic_launched() else None
    seeds, law = [0, 1], digits(rank=4, components=2)
    streams = randomness.streams(seeds, "weights")
    made = mlp(law.shape, 2, streams, 8, 1) if network == "mlp" else unet(law.shape, 2, streams, [4, 8], heads=2)
    denoiser = Learned(made, DDPM(), data_std=torch.ones(2)).double()
    sources = [Finite(law, 50, randomness.stream(seed, "data"), torch.float64) for seed in seeds]
    settings, objective = Training(steps=8, batch=8, accumulate=4), robust_adv(0.5, plan=Plan(every=3))
    trainer = Trainer(denoiser, sources, objective, settings, seeds, company=company)
    if start is not None:
        trainer.restore(load_file(start))
    for step in trainer:
        if step.number == 5 and start is None:
            _save(trainer, file.with_name(file.name + "-5"))
    _save(trainer, file)


def _save(trainer: Trainer, file: Path) -> None:
    state = {name: tensor.contiguous() for name, tensor in trainer.state().items()}
    if trainer.company.rank == 0:
        save_file(state, file)


if __name__ == "__main__":
    main(sys.argv[1], *map(Path, sys.argv[2:]))

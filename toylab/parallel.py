"""Who takes part in a training: this process alone, or several, each with a device of its own.

A batch is drawn in parts, each from streams of its own (`training.accumulate` says how many); process r of W takes
parts r, r + W, ... So W processes take the same step as one that goes through all parts one after the other. The first
process writes; the others train with it and do nothing else.
"""

import atexit
import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

import torch
from torch import Tensor, nn

from toylab.errors import BadInput, needs, one_line, unknown

if TYPE_CHECKING:
    from lightning_fabric import Fabric

T = TypeVar("T")

STRATEGIES = ("ddp",)
AGREED_EVERY = 50
"""Steps between two questions to all processes: each waits for the others."""


class Company(Protocol):
    """The processes of a training. rank: the number of this one, from 0; size: how many they are."""

    rank: int
    size: int

    def joined(self, network: nn.Module) -> nn.Module:
        """The network, its gradients averaged over the processes in every backward pass."""
        ...

    def apart(self, network: nn.Module) -> AbstractContextManager[None]:
        """Where backward passes through a joined network do not average, since another one follows."""
        ...

    def mean(self, tensors: list[Tensor]) -> list[Tensor]:
        """The mean of each over the processes."""
        ...

    def gathered(self, tensor: Tensor) -> list[Tensor]:
        """That of every process, by rank."""
        ...

    def told(self, of_first: T) -> T:
        """What the first process says, to all of them; each waits for the others."""
        ...


class Alone:
    """One process."""

    rank, size = 0, 1

    def joined(self, network: nn.Module) -> nn.Module:
        return network

    def apart(self, network: nn.Module) -> AbstractContextManager[None]:
        return nullcontext()

    def mean(self, tensors: list[Tensor]) -> list[Tensor]:
        return tensors

    def gathered(self, tensor: Tensor) -> list[Tensor]:
        return [tensor]

    def told(self, of_first: T) -> T:
        return of_first


class Several:
    """The processes of a lightning-fabric that was launched."""

    def __init__(self, fabric: "Fabric"):
        self.fabric, self.rank, self.size = fabric, fabric.global_rank, fabric.world_size

    def joined(self, network: nn.Module) -> nn.Module:
        return cast(nn.Module, self.fabric.setup_module(network, move_to_device=False))

    def apart(self, network: nn.Module) -> AbstractContextManager[None]:
        return cast(Any, self.fabric.no_backward_sync(cast(Any, network)))

    def mean(self, tensors: list[Tensor]) -> list[Tensor]:
        return [cast(Tensor, self.fabric.all_reduce(tensor, reduce_op="mean")) for tensor in tensors]

    def gathered(self, tensor: Tensor) -> list[Tensor]:
        found = cast(Tensor, self.fabric.all_gather(tensor.to(self.fabric.device)))
        return list(found.to(tensor.device)) if self.size > 1 else [tensor]

    def told(self, of_first: T) -> T:
        return cast(T, self.fabric.broadcast(of_first))


_here: Company = Alone()


def here() -> Company:
    """The processes that this one belongs to."""
    return _here


def by_first(work: Callable[[], T]) -> T:
    """What the first process does, and all of them learn. Raises what that raises; the others leave without a word."""
    found, error = None, None
    if _here.rank == 0:
        try:
            found = work()
        except Exception as raised:
            error = raised
    found, failed = _here.told((found, error is not None))
    if error is not None:
        raise error
    if failed:
        raise SystemExit(1)
    return cast(T, found)


def part() -> None:
    """Leave the others, when all of them are done; the first process goes on alone."""
    global _here
    if _here.size > 1:
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()
        _here = Alone() if _here.rank == 0 else _here


def started() -> int | None:
    """How many processes of each machine torchrun or Slurm has started, this one among them; None where neither has."""
    if "TORCHELASTIC_RUN_ID" in os.environ:
        return int(os.environ["LOCAL_WORLD_SIZE"])
    tasks = int(os.environ.get("SLURM_STEP_NUM_TASKS", 1))  # of a step, which is srun's: sbatch and salloc start one
    return tasks // _nodes() if tasks > 1 else None


def _nodes() -> int:
    """How many machines torchrun or Slurm has started processes on."""
    return int(os.environ.get("GROUP_WORLD_SIZE") or os.environ.get("SLURM_STEP_NUM_NODES") or 1)


def join(devices: int, strategy: str, device: torch.device) -> Company:
    """Make this process one of several, started here or by torchrun or Slurm; device("cuda") is then its own.

    devices: of each machine. Needs lightning-fabric (extra `gpu`). Raises BadInput where there are fewer devices, or
    another number of processes was started.
    """
    global _here
    if strategy not in STRATEGIES:
        raise BadInput(unknown("strategy", strategy, STRATEGIES))
    if device.type == "mps":
        raise BadInput("there is one mps device at most; --devices is for cpu and cuda")
    try:
        from lightning_fabric import Fabric
        from lightning_fabric.plugins.environments.lightning import LightningEnvironment
        from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
        from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
        from lightning_fabric.utilities.exceptions import MisconfigurationException
    except ImportError:
        raise BadInput(needs("training on several devices", "lightning-fabric", "gpu")) from None
    by_torchrun = "TORCHELASTIC_RUN_ID" in os.environ
    kind = TorchElasticEnvironment if by_torchrun else SLURMEnvironment if started() else LightningEnvironment
    nodes = _nodes() if started() else 1  # by ourselves others are started here alone, also in a Slurm job of one task
    try:
        fabric = Fabric(accelerator=device.type, devices=devices, num_nodes=nodes, strategy=strategy, plugins=kind())
        fabric.launch()
    except (RuntimeError, ValueError, MisconfigurationException) as error:
        raise BadInput(f"cannot use {devices} devices: {one_line(error)}") from None
    atexit.register(_leave)
    _here = Several(fabric)
    return _here


def _leave() -> None:
    """Whatever ends this process: one that ends as part of a group may be aborted by its threads."""
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()

"""Checkpoints of a training under way.

checkpoints/NAME/STEP.safetensors is the whole state (toylab/training.py), tensors alone; STEP.json, written after it,
says its step, the smoothed loss, and the SHA-256 of the tensors' file, without which it counts for nothing. The last
few are kept, and the one of the smallest loss. One that is cut short or altered is passed over for the one before, and
the log says so.

    raw.network.*   the weights as they are trained; of a U-Net `raw.network.unet.*`, what diffusers calls the same
                    without this prefix, with a leading axis of members (toylab/networks/unet.py)
    ema.network.*   the averaged weights, the ones to sample from; also what weights/NAME.safetensors holds
    adam.*, lent.*  moments of the optimizer, lasting gradients;     rng.*  the states of the streams
    step, sound     steps taken; of each member those before its loss was not finite, if ever it was not
"""

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from safetensors.torch import load
from torch import Tensor

from toylab.files import NoFile, read_whole, write_json, write_whole
from toylab.runs import UNREADABLE, Run, as_safetensors

KEPT = 2
"""How many of the last are kept, besides the best."""


class Checkpoint(NamedTuple):
    """What is known of one: its step, smoothed loss, and the hash of its tensors' file."""

    step: int
    loss: float
    sha256: str


class Checkpoints:
    """Those of one training in a run folder."""

    def __init__(self, folder: Run, name: str, kept: int = KEPT):
        self._run, self._name, self._kept = folder, f"checkpoints/{name}", kept

    def save(self, state: Mapping[str, Tensor], step: int, loss: float) -> None:
        """Write one, then remove those that are neither among the last nor the best. loss: NaN is never the best."""
        content = as_safetensors(state)
        write_whole(self._run.path / self._tensors(step), content)
        finite = loss if math.isfinite(loss) else None
        about = {"step": step, "loss": finite, "sha256": hashlib.sha256(content).hexdigest()}
        write_json(self._run.path / self._about(step), about)
        known = self.known()
        last = sorted(known, key=lambda one: one.step)[-self._kept :]
        for one in known:
            if one not in last and one != self.best:
                for file in (self._about(one.step), self._tensors(one.step)):
                    (self._run.path / file).unlink(missing_ok=True)

    def known(self) -> list[Checkpoint]:
        """All that say what they are."""
        return [one for path in sorted((self._run.path / self._name).glob("*.json")) for one in _read(path)]

    @property
    def best(self) -> Checkpoint | None:
        """That of the smallest smoothed loss."""
        return min(self.known(), key=lambda one: one.loss, default=None)

    def latest(self) -> dict[str, Tensor] | None:
        """The state of the last one that is whole; None where there is none. Raises TooLarge."""
        for one in sorted(self.known(), key=lambda one: one.step, reverse=True):
            path = self._run.path / self._tensors(one.step)
            with suppress(FileNotFoundError, IsADirectoryError, NoFile):
                content = read_whole(path)
                if hashlib.sha256(content).hexdigest() == one.sha256:
                    return load(content)
            self._run.log(f"{path.relative_to(self._run.path)} is damaged: it is passed over")
        return None

    def _tensors(self, step: int) -> str:
        return f"{self._name}/{step}.safetensors"

    def _about(self, step: int) -> str:
        return f"{self._name}/{step}.json"


def _read(path: Path) -> Iterator[Checkpoint]:
    """What the file says, nothing where it is no such file."""
    try:
        about: dict[str, Any] = json.loads(read_whole(path))
        loss = math.inf if about["loss"] is None else float(about["loss"])
        yield Checkpoint(int(about["step"]), loss, str(about["sha256"]))
    except UNREADABLE:
        return

"""Makes a tiny run whole, and again while it is killed at random moments: killed.py ROOT KILLS.

The moments are of a clock, or just before, between or after the two steps of a write. Every process is forked from
this one, which has imported all that takes long and computed nothing. Prints how many died, and at what; exits 1 where
a run that was killed and gone on with is not byte for byte the one that never was.
"""

import os
import random
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.tiny import offered
from toylab import files
from toylab.experiments import trainings
from toylab.launch import configure, prepare
from toylab.runs import Run

STEPS, OFTEN = 400, 0.1
"""Of training, and seconds between checkpoints."""
LONGEST = 300
"""Seconds after which a process is taken to hang."""


def carried_out(root: Path, steps: int, every: float = 1.0) -> Path:
    """The tiny run of so many steps, without figures, with a checkpoint every so many seconds."""
    with offered() as patch:
        patch.setattr(trainings, "CHECKPOINT_SECONDS", every)
        patch.setattr(trainings, "POLL_SECONDS", 0.01)
        launched = prepare(configure("tiny", changes=[{"training": {"steps": steps}}]), "cpu", root)
        list(launched.carry_out())
    return launched.folder.path


def forked(work: Callable[[], object], after: float | None = None) -> int:
    """How a process ends that does this: its exit status, negative the signal; after: seconds until it is killed."""
    sys.stdout.flush()
    if not (process := os.fork()):
        code = 1
        try:
            signal.alarm(LONGEST)
            work()
            code = 0
        finally:
            os._exit(code)
    if after is not None:
        time.sleep(after)
        os.kill(process, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def dying(write: int, moment: str, work: Callable[[], object]) -> None:
    """Work that is killed in its n-th write from 0: when nothing of it is on the disk for sure, when the temporary file
    is, or when it has its name."""
    fsync, replace, seen = os.fsync, Path.replace, [0]

    def synced(descriptor: int) -> None:
        if seen[0] == write and moment == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        fsync(descriptor)
        if seen[0] == write and moment == "between":
            os.kill(os.getpid(), signal.SIGKILL)

    def replaced(path: Path, target: Path) -> Path:
        moved = replace(path, target)
        if seen[0] == write and moment == "after":
            os.kill(os.getpid(), signal.SIGKILL)
        seen[0] += 1
        return moved

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files.os, "fsync", synced)
        patch.setattr(Path, "replace", replaced)
        work()


def difference(one: Path, other: Path) -> str:
    """What two runs of the same settings do not have in common; empty where they are the same."""
    for name in ("results.csv", "weights/ddpm.safetensors", "weights/robust-adv.safetensors"):
        if (one / name).read_bytes() != (other / name).read_bytes():
            return f"{name} differs"
    arrays = Run(one).arrays("samples.npz"), Run(other).arrays("samples.npz")
    if any(arrays[0][key].tobytes() != arrays[1][key].tobytes() for key in arrays[0]):
        return "samples.npz differs"
    left = [path.name for path in other.rglob("*") if path.suffix == ".part"]
    return "" if not left and Run(other).is_done else f"not whole: {Run(other).damaged()}, {left}"


def main(root: Path, kills: int) -> None:
    chance, died = random.Random(0), Counter[str]()
    start = time.perf_counter()
    assert forked(lambda: carried_out(root / "whole", STEPS, OFTEN)) == 0
    seconds, killed = time.perf_counter() - start, root / "killed"

    def again() -> None:
        found = [path for path in killed.iterdir() if difference(next((root / "whole").iterdir()), path)]
        assert not found, found
        shutil.rmtree(killed)

    while died.total() < kills:
        if chance.random() < 0.5:
            how, code = "clock", forked(lambda: carried_out(killed, STEPS, OFTEN), chance.uniform(0, seconds))
        else:
            how, write = chance.choice(("before", "between", "after")), chance.randrange(30)
            code = forked(partial(dying, write, how, partial(carried_out, killed, STEPS, OFTEN)))
        if code == 0:
            again()
        elif code == -signal.SIGKILL:
            died[how] += 1
        else:
            raise SystemExit(f"a run that was gone on with ended with {code}")
    assert forked(lambda: carried_out(killed, STEPS, OFTEN)) == 0
    assert len([*killed.iterdir()]) == 1
    again()
    print(dict(died))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))

"""What a process should settle before torch starts, so that small networks train fast; what its threads share; and
what of the machine it may use.

OpenMP's threads spin while they wait for each other: with one core taken by another process a step then takes
far longer, so they are told to sleep. glibc gives memory back to the system after every step and asks
for it again, page by page, in the next: it is told to keep it, but for blocks above 32 MiB, which small ones that
stay among them would break into pieces that nothing fits.
"""

import ctypes
import os
import threading
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

FORWARD_MODE = threading.RLock()
"""Held around every torch.func.jvp: its levels belong to the process, and two threads in them at once crash it."""

_CGROUP = Path("/sys/fs/cgroup/memory.max")
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3  # mallopt(3)


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Memory(NamedTuple):
    """Bytes, None where the system does not tell."""

    total: int | None
    available: int | None


def memory() -> Memory:
    """Of the machine, or of the container if that may use less."""
    total = available = None
    with suppress(OSError, ValueError):
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    with suppress(OSError, ValueError, LookupError):
        lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
        available = 1024 * int(lines["MemAvailable"].split()[0])
    with suppress(OSError, ValueError):  # "max" where there is no limit
        limit = int(_CGROUP.read_text())
        used = int(_CGROUP.with_name("memory.current").read_text())
        total = limit if total is None else min(limit, total)
        available = limit - used if available is None else min(limit - used, available)
    return Memory(total, available)


def settle() -> None:
    """Call before torch is imported, as the `toylab` command does. What the environment already sets stays; where
    there is no glibc the memory part does nothing."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if mallopt is not None and not any(key.startswith("MALLOC_") for key in os.environ):
        for option, size in ((_TRIM_THRESHOLD, 1 << 30), (_TOP_PAD, 1 << 26), (_MMAP_THRESHOLD, 1 << 25)):
            mallopt(option, size)

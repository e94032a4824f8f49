"""What a process should settle before torch starts, so that small networks train fast; and what its threads share.

OpenMP's threads spin while they wait for each other: with one core taken by another process a step then takes
far longer, so they are told to sleep. glibc gives memory back to the system after every step and asks
for it again, page by page, in the next: it is told to keep it, but for blocks above 32 MiB, which small ones that
stay among them would break into pieces that nothing fits.
"""

import ctypes
import os
import threading

FORWARD_MODE = threading.RLock()
"""Held around every torch.func.jvp: its levels belong to the process, and two threads in them at once crash it."""

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3  # mallopt(3)


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def settle() -> None:
    """Call before torch is imported, as the `toylab` command does. What the environment already sets stays; where
    there is no glibc the memory part does nothing."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if mallopt is not None and not any(key.startswith("MALLOC_") for key in os.environ):
        for option, size in ((_TRIM_THRESHOLD, 1 << 30), (_TOP_PAD, 1 << 26), (_MMAP_THRESHOLD, 1 << 25)):
            mallopt(option, size)

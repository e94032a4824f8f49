"""What a process settles before torch starts."""

import os

import pytest

from toylab import process


def test_threads_sleep_while_they_wait_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    process.settle()
    assert os.environ["OMP_WAIT_POLICY"] == "PASSIVE"
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    process.settle()
    assert os.environ["OMP_WAIT_POLICY"] == "ACTIVE"


@pytest.mark.parametrize("told", [True, False])
def test_memory_is_kept_unless_the_environment_says_how(told: bool, monkeypatch: pytest.MonkeyPatch):
    asked: list[int] = []

    class Libc:
        @staticmethod
        def mallopt(option: int, size: int) -> None:
            asked.append(option)

    for key in [key for key in os.environ if key.startswith("MALLOC_")]:
        monkeypatch.delenv(key)
    if told:
        monkeypatch.setenv("MALLOC_ARENA_MAX", "1")
    monkeypatch.setattr(process.ctypes, "CDLL", lambda name: Libc)
    process.settle()
    assert asked == ([] if told else [-1, -2, -3])

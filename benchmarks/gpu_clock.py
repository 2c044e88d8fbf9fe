"""Seconds of work on a device, and the speed of its arithmetic and memory."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch


class Clock:
    """Times work on a device."""

    def __init__(self, device: torch.device, runs: int) -> None:
        self.device = device
        self.runs = runs

    def best(self, work: Callable[[], object]) -> float:
        """Seconds, the least of several runs after one for warming up."""
        seconds = []
        for _ in range(self.runs + 1):
            self._wait()
            start = time.perf_counter()
            work()
            self._wait()
            seconds.append(time.perf_counter() - start)
        return min(seconds[1:])

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def ceilings(clock: Clock) -> tuple[float, float]:
    """Operations a second of a float32 matrix product, and bytes a second of a copy."""
    large = clock.device.type == "cuda"
    n, numbers = (8192, 1 << 28) if large else (1024, 1 << 24)
    a, b = torch.rand(2, n, n, device=clock.device)
    product = torch.empty_like(a)
    operations = 2 * n**3 / clock.best(lambda: torch.mm(a, b, out=product))
    source = torch.rand(numbers, device=clock.device)
    copy = torch.empty_like(source)
    return operations, 8 * numbers / clock.best(lambda: copy.copy_(source))


def plain(value: float) -> str:
    """Three digits, without an exponent."""
    return f"{float(f'{value:.3g}'):g}"

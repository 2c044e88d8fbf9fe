"""The computer that runs the plans, and a clock for the epochs of a training."""

from __future__ import annotations

import argparse
import time
from typing import Any, NamedTuple

from benchmarks import measure
from rsparse.work.device import choose_device
from rsparse.work.progress import Progress
from rsparse.work.workers import LocalWorkers, usable_cores


class Computer(NamedTuple):
    """The number of processes, and the ``--device`` of attacks and trainings."""

    jobs: int = 2
    device: str = "auto"

    @property
    def workers(self) -> LocalWorkers:
        """The workers of all stages."""
        return LocalWorkers(self.jobs)

    @property
    def is_on_gpu(self) -> bool:
        """Whether torch computes on a device other than the CPU."""
        return choose_device(self.device, for_gradients=True).torch != "cpu"

    @property
    def name(self) -> str:
        """``NVIDIA H200``, or ``AMD EPYC, AVX-512, 2 cores``."""
        device = choose_device(self.device, for_gradients=True).torch
        if device == "cpu":
            cores = self.workers.cores(usable_cores())
            return f"{measure.processor()}, {cores} cores"
        import torch

        return torch.cuda.get_device_name(device)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--jobs`` and ``--device``."""
    default = Computer()
    parser.add_argument("--jobs", type=int, default=default.jobs)
    parser.add_argument(
        "--device", default=default.device, choices=("auto", "cpu", "cuda"),
        help="where attacks and trainings are computed",
    )  # fmt: skip


def chosen_computer(options: argparse.Namespace) -> Computer:
    """The computer that the options describe."""
    return Computer(options.jobs, options.device)


class EpochClock:
    """A progress that measures the time of a training's epochs.

    The clock runs from the start of the first epoch to the last image of the last one. Work before
    that, such as purifying images and validating the original, does not count.
    """

    def __init__(self, shown: Progress) -> None:
        self._shown = shown
        self.is_shown = shown.is_shown
        self._epochs = 0
        self._start = self._last = self._now()

    def start(self, task: str, total: int, done: int = 0, **known: Any) -> None:
        """Note when an epoch begins."""
        if task.startswith("epoch "):
            self._epochs += 1
            if self._epochs == 1:
                self._start = self._last = self._now()
        self._shown.start(task, total, done, **known)

    def advance(self, items: int = 1, work: float | None = None) -> None:
        """Note the current time."""
        self._last = self._now()
        self._shown.advance(items, work)

    def describe(self, task: str) -> None:
        """Pass it on."""
        self._shown.describe(task)

    def message(self, sentence: str) -> None:
        """Pass it on."""
        self._shown.message(sentence)

    def an_epoch(self) -> tuple[float, float]:
        """Mean CPU seconds of all cores together, and mean wall seconds, of an epoch."""
        cpu, wall = (
            (last - start) / max(self._epochs, 1)
            for start, last in zip(self._start, self._last, strict=True)
        )
        return cpu, wall

    def _now(self) -> tuple[float, float]:
        return time.process_time(), time.perf_counter()

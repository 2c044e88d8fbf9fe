"""Helpers of the benchmarks: one core, interleaved medians, the machine's peak, Markdown."""

from __future__ import annotations

import argparse
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import cv2
import numpy as np
from threadpoolctl import threadpool_info, threadpool_limits

from rsparse.work.workers import usable_cores

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OPENCV_FOR_THREADS_NUM")
VERSIONS = ("numpy", "numba", "scikit-learn", "opencv-python-headless", "scipy")


def parser(description: str) -> argparse.ArgumentParser:
    """The options of every benchmark."""
    made = argparse.ArgumentParser(description=description.splitlines()[0])
    made.add_argument("--shared", type=Path, help="folder with photos/ and train/; else embedded")
    made.add_argument("--full", action="store_true", help="larger samples, more sizes")
    made.add_argument(
        "--work", type=Path, default=Path("bench-work"), help="folder for peers and copies"
    )
    return made


def pin() -> None:
    """Restrict this process and its children to one thread and, if possible, to one core."""
    os.environ.update(dict.fromkeys(THREADS, "1"))
    threadpool_limits(1)
    cv2.setNumThreads(1)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def cpu(work: Callable[[], object]) -> Callable[[], float]:
    """``work`` as a function that returns its CPU seconds."""

    def timed() -> float:
        start = time.process_time()
        work()
        return time.process_time() - start

    return timed


def interleaved(timed: Mapping[str, Callable[[], float]], rounds: int = 7) -> dict[str, float]:
    """Median result of each function in interleaved runs, after one warm-up round."""
    seconds_of: dict[str, list[float]] = {name: [] for name in timed}
    for turn in range(rounds + 1):
        for name, function in timed.items():
            seconds = function()
            if turn:
                seconds_of[name].append(seconds)
    return {name: statistics.median(seconds) for name, seconds in seconds_of.items()}


class Peak:
    """How fast the BLAS is at a large float32 product: the limit that a floor is set by.

    Timed in turn with what is measured against it, since a core's speed drifts.
    """

    def __init__(self, side: int = 1024) -> None:
        self.operations = 2 * side**3
        self._factor = np.random.default_rng(0).standard_normal((side, side)).astype(np.float32)
        self._product = np.empty_like(self._factor)

    def __call__(self) -> float:
        """CPU seconds of one product."""
        return cpu(lambda: np.matmul(self._factor, self._factor, out=self._product))()

    def alone(self) -> float:
        """Operations a second."""
        return self.operations / interleaved({"": self}, rounds=15)[""]


def child_cpu(command: Sequence[str | Path]) -> tuple[float, float]:
    """CPU and wall seconds of a command and all that it started.

    Raises
    ------
    subprocess.CalledProcessError
        If it fails.
    """
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([str(part) for part in command], stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL, check=True)  # fmt: skip
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return used, wall


def given_share(processes: int, seconds: float = 2.0) -> float:
    """Share of a core that each of several processes that only count gets."""
    code = (
        "import sys, time\n"
        "start, began = time.perf_counter(), time.process_time()\n"
        f"while time.process_time() - began < {seconds}: sum(range(1000))\n"
        "print((time.process_time() - began) / (time.perf_counter() - start))"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        for _ in range(processes)
    ]
    return statistics.mean(float(process.communicate()[0]) for process in running)


def rsparse(*arguments: str | Path | int) -> list[str]:
    """The command line of this checkout's ``rsparse``."""
    return [sys.executable, "-m", "rsparse", *map(str, arguments)]


def target(what: str, measured: float, limit: float, *, at_least: bool, digits: int = 2) -> str:
    """One line that says whether a target was met; ``report`` counts them."""
    met = measured >= limit if at_least else measured <= limit
    sign = "≥" if at_least else "≤"
    verdict = "**met**" if met else "**missed**"
    return f"- {verdict}: {what}: {measured:.{digits}f}, wanted {sign} {limit:g}"


def machine() -> str:
    """The processor, the versions, and the peak of one core, in a paragraph."""
    libraries = sorted(
        f"{library['internal_api']} {library['version']} ({library.get('architecture', '?')})"
        for library in threadpool_info() if library["user_api"] == "blas"
    )  # fmt: skip
    versions = ", ".join(f"{name} {_version(name)}" for name in VERSIONS)
    return (
        f"{processor()}, {usable_cores()} cores usable; {platform.system()} "
        f"{platform.machine()}; Python {platform.python_version()}, {versions}; "
        f"BLAS: {', '.join(libraries)}."
    )


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "absent"


def processor() -> str:
    """The model of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    facts = dict(part.split(":", 1) for part in lines if ":" in part)
    named = {key.strip(): value.strip() for key, value in facts.items()}
    wide = ", AVX-512" if "avx512f" in named.get("flags", "") else ""
    return named.get("model name", platform.machine()) + wide

"""Small disks and process limits for tests; the disks are unmounted afterwards."""

from __future__ import annotations

import resource
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(place: Path, size: str) -> Iterator[Path]:
    """Mount an in-memory disk of this size, or skip the test if mounting is not possible."""
    place.mkdir(parents=True, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)]
    try:
        done = subprocess.run(mount, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("there is no mount command")
    if done.returncode:
        pytest.skip(f"a small disk cannot be mounted: {done.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def enlarge(place: Path, size: str) -> None:
    """Enlarge a small disk."""
    subprocess.run(["mount", "-o", f"remount,size={size}", str(place)], check=True)


def at_most(limit: int, size: int) -> Callable[[], None]:
    """Return a ``preexec_fn`` that sets the resource limit ``limit`` to ``size``."""
    return lambda: resource.setrlimit(limit, (size, size))


@contextmanager
def read_only_disk(place: Path) -> Iterator[Path]:
    """A small disk that is mounted read-only, as after an error of the disk."""
    with small_disk(place, "64k") as disk:
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        yield disk

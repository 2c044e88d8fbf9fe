"""Devices that compute arrays: the names ``--device`` accepts and what they mean here."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from rsparse.errors import InputError, missing_package
from rsparse.work.workers import LocalWorkers, Workers

TORCH_CPU = "torch-cpu"
"""Use torch on the CPU: slower than the CPU engine, but torch code can be tested on any machine."""

_FOR_IMAGES = re.compile(r"cuda(:\d+)?|torch-cpu")
_FOR_GRADIENTS = re.compile(r"(cuda|mps|xpu)(:\d+)?|torch-cpu")
_DRIVERS = ("libcuda.so.1", "nvcuda.dll")
_AMD_DRIVER = Path("/dev/kfd")


@dataclass(frozen=True)
class Device:
    """A device that computes arrays; ``Device()`` is the CPU.

    Attributes
    ----------
    name : str
        ``cpu``, ``cuda``, ``cuda:1``, ``mps``, ``xpu``, or ``torch-cpu`` for tests.
    """

    name: str = "cpu"

    @property
    def torch(self) -> str:
        """Torch's name of the device, for gradients and for images."""
        return "cpu" if self.name == TORCH_CPU else self.name

    @property
    def takes_images(self) -> bool:
        """Whether torch cleans and classifies images on this device.

        If not, the CPU cores do it without torch, even if gradients are computed on ``mps``.
        """
        return _FOR_IMAGES.fullmatch(self.name) is not None

    def for_images(self) -> Device:
        """Return this device if it takes images, else the CPU."""
        return self if self.takes_images else CPU

    def record(self) -> dict[str, str]:
        """The entry of this device in a record; empty for the CPU without torch.

        Results of two devices may differ by one grey level, so a record must name the device.
        """
        return {"device": self.name.partition(":")[0]} if self.takes_images else {}


CPU = Device()


def choose_device(
    name: str, workers: Workers = LocalWorkers(), *, for_gradients: bool = False
) -> Device:
    """The device that ``--device`` selects.

    Parameters
    ----------
    name : str
        ``cpu``. ``cuda``, ``cuda:1``: a GPU, used by torch. ``mps``, ``xpu``: for gradients only.
        ``auto``: ``cuda`` if torch can use a GPU, else ``cpu``; torch is imported only if a driver
        is installed. ``torch-cpu``: torch on the CPU, for tests.
    workers : Workers
        With workers on other machines, ``auto`` is ``cpu``, and a named device for images is
        refused. Gradients are computed on those machines' own devices.
    for_gradients : bool
        Whether the device computes gradients, for attacks or training.

    Raises
    ------
    InputError
        If there is no such device, torch is not installed, or torch cannot use the device here.
    """
    if name == "auto":
        return Device("cuda") if workers.can_share_device and has_gpu() else CPU
    if name == "cpu":
        return CPU
    known = _FOR_GRADIENTS if for_gradients else _FOR_IMAGES
    if not known.fullmatch(name):
        names = "cpu, cuda, cuda:N, mps" if for_gradients else "cpu, cuda, cuda:N"
        raise InputError(f"device: expected {names} or auto, got {name!r}")
    if not (for_gradients or workers.can_share_device):
        raise InputError("--cluster and --device cannot be used together; give one of them")
    _check_usable(name)
    return Device(name)


def has_gpu() -> bool:
    """Whether torch is installed and can use a GPU."""
    if not has_gpu_driver() or find_spec("torch") is None:
        return False
    import torch

    return torch.cuda.is_available()


def has_gpu_driver() -> bool:
    """Whether an NVIDIA or AMD driver is installed; checked in a millisecond, without torch."""
    return _AMD_DRIVER.exists() or any(map(_can_be_loaded, _DRIVERS))


def _can_be_loaded(library: str) -> bool:
    import ctypes

    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def _check_usable(name: str) -> None:
    if find_spec("torch") is None:
        raise missing_package(f"device {name!r}: needs", "torch", "attack")
    import torch

    try:
        torch.zeros(1, device=Device(name).torch)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        lines = str(error).splitlines() or [type(error).__name__]
        detail = lines[0].partition(". ")[0]
        raise InputError(
            f"device {name!r}: cannot be used here: {detail.rstrip('.')}; "
            "use cpu, or auto, which uses a GPU if there is one"
        ) from error

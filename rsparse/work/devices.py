"""Where torch computes: what a user may name, and what can be used here."""

from __future__ import annotations

import re
from importlib.util import find_spec

from rsparse.errors import InputError

TORCH_CPU = "torch-cpu"
"""Torch on the CPU where it need not be torch: slower, and how its tests run anywhere."""


def torch_device(name: str) -> str:
    """The torch device to compute on; ``auto`` is the first GPU, or the CPU without one.

    ``torch-cpu`` is the CPU.

    Raises
    ------
    InputError
        If torch knows no such device or cannot use it here.
    """
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name == TORCH_CPU:
        return "cpu"
    try:
        torch.zeros(1, device=name)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        detail = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            f"device {name!r}: cannot be used here: {detail.rstrip('.')}; "
            "use cpu, or auto, which takes a GPU where there is one"
        ) from error
    return name


def optional_torch_device(name: str) -> str | None:
    """The torch device to purify or classify on, or None where it is done without torch.

    Parameters
    ----------
    name : str
        ``cpu``: without torch, which is not even imported. ``cuda``, ``cuda:1``: by torch.
        ``auto``: ``cuda`` where torch is installed and finds a GPU, else ``cpu``.
        ``torch-cpu``: torch on the CPU, for tests.

    Raises
    ------
    InputError
        If there is no such device, torch is not installed, or it cannot use the device here.
    """
    if name == "cpu":
        return None
    if name not in ("auto", TORCH_CPU) and not re.fullmatch(r"cuda(:\d+)?", name):
        raise InputError(f"device: expected cpu, cuda, cuda:N or auto, got {name!r}")
    if find_spec("torch") is None:
        if name == "auto":
            return None
        raise InputError(
            f"device {name!r}: needs torch, which is not installed: pip install 'rsparse[attack]'"
        )
    if name == "auto":
        found = torch_device("auto")
        return None if found == "cpu" else found
    return torch_device(name)


def recorded_device(torch_device: str | None) -> dict[str, str]:
    """What a record says of where an image was purified: nothing of the CPU without torch.

    Two ways of computing may differ in a grey level, so that a record has to tell them apart.
    """
    if torch_device is None:
        return {}
    return {"device": TORCH_CPU if torch_device == "cpu" else torch_device.partition(":")[0]}


def device_beside_cores(name: str) -> str | None:
    """Of the device that attacks are made on: torch's, if it also does what the cores could do.

    That is a GPU of CUDA's (or ``torch-cpu``); for any other it is None.

    Raises
    ------
    InputError
        As ``optional_torch_device``.
    """
    does = name in ("auto", TORCH_CPU) or name.startswith("cuda")
    return optional_torch_device(name) if does else None

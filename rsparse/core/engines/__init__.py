"""Compute the method: ``engine.Engine`` is the interface, and each folder implements it.

``cpu/`` processes one image at a time; its inner loops are compiled by numba or written in NumPy.
``torch/`` processes batches of images with torch's own operations. ``triton/`` replaces those that
are slow on a GPU by its own kernels. Each step of the method is one method of ``Engine``, one
implementation in each engine, and one call in ``core.regionsparse``.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rsparse.core.engines.engine import Engine

ENGINES = ("numpy", "numba", "torch", "triton")


def engine_for(torch_device: str | None = None) -> Engine[Any]:
    """Return the fastest engine for a device.

    Parameters
    ----------
    torch_device : str, optional
        Torch's name of the device. By default, the CPU without torch.
    """
    if torch_device is None:
        from rsparse.core.engines.cpu import loops
        from rsparse.core.engines.cpu.engine import CpuEngine

        return CpuEngine(loops.fastest)
    has_kernels = torch_device.startswith("cuda") and find_spec("triton") is not None
    return load_engine("triton" if has_kernels else "torch", torch_device)


def load_engine(name: str, torch_device: str = "cpu") -> Engine[Any]:
    """Return an engine by its name, one of ``ENGINES``.

    Raises
    ------
    ValueError
        If there is no such engine, or it is not installed.
    """
    if name == "torch":
        from rsparse.core.engines.torch.engine import TorchEngine

        return TorchEngine(torch_device)
    if name == "triton":
        from rsparse.core.engines.triton.engine import TritonEngine

        return TritonEngine(torch_device)
    from rsparse.core.engines.cpu.engine import CpuEngine
    from rsparse.core.engines.cpu.loops import NUMBA, NUMPY

    loops = {"numpy": NUMPY, "numba": NUMBA}.get(name)
    if loops is None:
        raise ValueError(f"expected one of {', '.join(ENGINES)} that is installed, got {name!r}")
    return CpuEngine(loops)

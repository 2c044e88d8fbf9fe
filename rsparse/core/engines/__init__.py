"""What computes the method: ``engine.Engine`` says what an engine does, and the folders do it.

``cpu/`` takes one image at a time, its inner loops compiled by numba or in NumPy; ``torch/`` takes
batches of images by torch's own operations; ``triton/`` does so with kernels of our own where
torch is slow on a GPU. A step of the method is a function of ``Engine``, one in each engine, and
a line in ``core.regionsparse``.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rsparse.core.engines.engine import Engine

ENGINES = ("numpy", "numba", "torch", "triton")


def engine_for(torch_device: str | None = None) -> Engine[Any]:
    """The engine that is fastest somewhere.

    Parameters
    ----------
    torch_device : str, optional
        As torch names it; without one it is the CPU, without torch.
    """
    if torch_device is None:
        from rsparse.core.engines.cpu import loops

        return load_engine(loops.fastest.name)
    has_kernels = torch_device.startswith("cuda") and find_spec("triton") is not None
    return load_engine("triton" if has_kernels else "torch", torch_device)


def load_engine(name: str, torch_device: str = "cpu") -> Engine[Any]:
    """An engine by its name, one of ``ENGINES``.

    Raises
    ------
    ValueError
        If there is none of that name, or it is not installed.
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

"""Select the inner loops of the backward passes, as the engine for the CPU selects its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rsparse.core.backward import numpy_loops
from rsparse.core.engines.cpu.loops import NUMBA as NUMBA_ENGINE


@dataclass(frozen=True)
class BackwardLoops:
    """One implementation of the inner loops; ``numpy_loops`` documents each of them."""

    name: str
    strongest: Callable[..., None]
    pull_back: Callable[..., None]
    bilateral_gradient: Callable[..., None]


NUMPY = BackwardLoops(
    "numpy", numpy_loops.strongest, numpy_loops.pull_back, numpy_loops.bilateral_gradient
)


def _numba() -> BackwardLoops | None:
    if NUMBA_ENGINE is None:
        return None
    from rsparse.core.backward import numba_loops

    return BackwardLoops(
        "numba", numba_loops.strongest, numba_loops.pull_back, numba_loops.bilateral_gradient
    )


NUMBA = _numba()
fastest: BackwardLoops = NUMBA or NUMPY
"""The loops in use; read it from here at each call."""

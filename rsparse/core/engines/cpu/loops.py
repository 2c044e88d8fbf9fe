"""The inner loops of coding, learning and total variation: compiled by numba, or in NumPy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec

from rsparse.core.engines.cpu import numpy_loops


@dataclass(frozen=True)
class Loops:
    """The inner loops in one implementation; ``numpy_loops`` documents what each one does."""

    name: str
    pursue: Callable[..., None]
    gather: Callable[..., None]
    add_patches: Callable[..., None]
    add_codes: Callable[..., None]
    descend: Callable[..., None]
    smooth: Callable[..., None]


NUMPY = Loops(
    "numpy",
    numpy_loops.pursue,
    numpy_loops.gather,
    numpy_loops.add_patches,
    numpy_loops.add_codes,
    numpy_loops.descend,
    numpy_loops.smooth,
)


def _numba() -> Loops | None:
    """The compiled loops where numba is installed: it follows a new Python some weeks later."""
    if find_spec("numba") is None:
        return None
    from rsparse.core.engines.cpu import numba_loops, numba_variation

    return Loops(
        "numba",
        numba_loops.pursue,
        numba_loops.gather,
        numba_loops.add_patches,
        numba_loops.add_codes,
        numba_loops.descend,
        numba_variation.smooth,
    )


NUMBA = _numba()
fastest: Loops = NUMBA or NUMPY
"""What omp, the learner and total variation run: read it from this module at every call."""

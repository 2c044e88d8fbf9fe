"""Select the inner loops of coding, learning and smoothing: numba, or NumPy without it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec

from rsparse.core.engines.cpu import numpy_loops, numpy_non_local, numpy_unrolled
from rsparse.errors import InputError


@dataclass(frozen=True)
class Loops:
    """One implementation of the inner loops.

    ``numpy_loops`` documents each of them, ``numpy_unrolled`` and
    ``numpy_non_local`` the last three.
    """

    name: str
    pursue: Callable[..., None]
    gather: Callable[..., None]
    add_patches: Callable[..., None]
    add_codes: Callable[..., None]
    descend: Callable[..., None]
    smooth: Callable[..., None]
    shrink: Callable[..., None]
    add_weighted: Callable[..., None]
    non_local: Callable[..., None]


NUMPY = Loops(
    "numpy",
    numpy_loops.pursue,
    numpy_loops.gather,
    numpy_loops.add_patches,
    numpy_loops.add_codes,
    numpy_loops.descend,
    numpy_loops.smooth,
    numpy_unrolled.shrink,
    numpy_unrolled.add_weighted,
    numpy_non_local.non_local,
)


def _numba() -> Loops | None:
    """Return the compiled loops, if numba is installed; it supports new Pythons with a delay."""
    if find_spec("numba") is None:
        return None
    try:
        from rsparse.core.engines.cpu import (
            numba_loops,
            numba_non_local,
            numba_unrolled,
            numba_variation,
        )
    except ValueError as error:  # from its settings, such as NUMBA_NUM_THREADS=0
        raise InputError(
            f"numba cannot be used: {str(error).rstrip('.').lower()}; "
            "check the environment variables that start with NUMBA_"
        ) from error

    return Loops(
        "numba",
        numba_loops.pursue,
        numba_loops.gather,
        numba_loops.add_patches,
        numba_loops.add_codes,
        numba_loops.descend,
        numba_variation.smooth,
        numba_unrolled.shrink,
        numba_unrolled.add_weighted,
        numba_non_local.non_local,
    )


NUMBA = _numba()
fastest: Loops = NUMBA or NUMPY
"""The loops that coding, learning, denoising and smoothing use; read it at each call."""

"""When the pursuit of a signal stops."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

from rsparse.errors import InputError


@dataclass(frozen=True)
class Stops:
    """The pursuit of a signal stops at the first of these.

    Attributes
    ----------
    sparsity : int
        K: this many atoms.
    energy : float
        A residual whose squared norm is at most this; 0 for no such limit.
    correlation : float
        No atom of norm 1 whose correlation with the residual is above this; 0 for no such limit.
    """

    sparsity: int
    energy: float
    correlation: float

    @classmethod
    def of(
        cls,
        n_nonzero_coefs: int | None,
        tol: float | None,
        threshold: float | None,
        shape: tuple[int, int],
    ) -> Stops:
        """Check the parameters of ``omp`` for a dictionary of some shape (k, m).

        Raises
        ------
        InputError
            If one is outside its range.
        """
        most = min(shape)
        if n_nonzero_coefs is None:
            given = tol is not None or threshold is not None
            sparsity = most if given else min(most, max(1, shape[1] // 10))
        elif isinstance(n_nonzero_coefs, bool) or not isinstance(n_nonzero_coefs, Integral):
            raise InputError(f"n_nonzero_coefs: expected a whole number, got {n_nonzero_coefs!r}")
        elif not 1 <= n_nonzero_coefs <= most:
            raise InputError(
                f"n_nonzero_coefs: expected 1 to {most} for {shape[0]} atoms of {shape[1]} "
                f"numbers, got {n_nonzero_coefs}"
            )
        else:
            sparsity = int(n_nonzero_coefs)
        return cls(sparsity, _limit("tol", tol), _limit("threshold", threshold))

    def scaled(self, scale: float) -> Stops:
        """The same for signals that are multiplied by ``scale``."""
        return Stops(self.sparsity, self.energy * scale**2, self.correlation * scale)


def _limit(name: str, value: Any) -> float:
    if value is None:
        return 0.0
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value) or value < 0:
        raise InputError(f"{name}: expected a number of 0 or more, got {value!r}")
    return float(value)

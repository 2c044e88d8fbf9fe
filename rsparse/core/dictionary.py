"""Define the dictionary Ψ and the patches that it codes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from rsparse.core.omp import gram_matrix
from rsparse.errors import InputError

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Dictionary:
    """The dictionary Ψ and how its patches were prepared.

    Attributes
    ----------
    atoms : float32 array of shape (n_atoms, b·b·c)
        Atoms as rows, each of norm 1.
    patch_size : int
        b.
    color : bool
        Colour patches (c = 3), or grey patches (c = 1); with the latter each channel is coded
        separately.
    normalize : bool
        Whether patches are z-scored (eq. 17) before coding.
    """

    atoms: Floats
    patch_size: int
    color: bool = True
    normalize: bool = True

    def __post_init__(self) -> None:
        if self.patch_size < 1:
            raise InputError(
                f"dictionary: expected a patch size of 1 or more, got {self.patch_size}"
            )
        expected = self.patch_size**2 * self.channels
        if self.atoms.ndim != 2 or self.atoms.shape[1] != expected or len(self.atoms) < 1:
            kind = "colour" if self.color else "grey"
            raise InputError(
                f"dictionary: expected atoms of {expected} numbers for {kind} patches of "
                f"{self.patch_size}×{self.patch_size}, got an array of shape {self.atoms.shape}"
            )
        if not np.isfinite(self.atoms).all():
            raise InputError("dictionary: contains numbers that are not finite")
        norms = np.linalg.norm(self.atoms, axis=1)
        if not np.allclose(norms, 1, atol=1e-3):
            worst = int(np.abs(norms - 1).argmax())
            raise InputError(
                f"dictionary: expected atoms of norm 1, but atom {worst} has norm "
                f"{norms[worst]:.3g}"
            )
        if self.atoms.dtype != np.float32:  # the pursuit expects float32
            object.__setattr__(self, "atoms", self.atoms.astype(np.float32))

    @property
    def channels(self) -> int:
        """The number c of channels of a patch."""
        return 3 if self.color else 1

    @cached_property
    def gram(self) -> Floats:
        """Inner products of all atoms."""
        return gram_matrix(self.atoms)

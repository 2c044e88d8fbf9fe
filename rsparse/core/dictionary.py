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

    @cached_property
    def centred(self) -> CentredAtoms:
        """Its atoms for colour patches whose channels have the mean 0."""
        return CentredAtoms.of(self.atoms, self.patch_size)


@dataclass(frozen=True)
class CentredAtoms:
    """Atoms for colour patches whose channels have the mean 0.

    Attributes
    ----------
    atoms : float32 array of shape (k, b·b·3)
        Rows of norm 1; each channel of an atom has the mean 0.
    patch_size : int
        b.
    """

    atoms: Floats
    patch_size: int

    @classmethod
    def of(cls, atoms: Floats, patch_size: int) -> CentredAtoms:
        """Subtract the means of the channels; what is left of a constant atom is dropped."""
        rows = atoms.reshape(len(atoms), -1, 3).astype(np.float64)
        rows = (rows - rows.mean(axis=1, keepdims=True)).reshape(len(atoms), -1)
        norms = np.linalg.norm(rows, axis=1, keepdims=True)
        usable = norms[:, 0] > 1e-3
        kept = (rows[usable] / norms[usable]).astype(np.float32)
        return cls(np.ascontiguousarray(kept), patch_size)

    @cached_property
    def gram(self) -> Floats:
        """Inner products of all atoms."""
        return gram_matrix(self.atoms)

    @cached_property
    def encoder(self) -> Floats:
        """The atoms as columns, (b·b·3, k)."""
        return np.ascontiguousarray(self.atoms.T)

    @cached_property
    def decoder(self) -> Floats:
        """The atoms, and three more rows that are the constant channels, (k + 3, b·b·3)."""
        channels = np.tile(np.eye(3, dtype=np.float32), self.patch_size**2)
        return np.ascontiguousarray(np.concatenate([self.atoms, channels]))

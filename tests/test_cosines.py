"""The dictionary of cosines."""

from __future__ import annotations

import numpy as np
import pytest

from rsparse.core.cosines import cosines
from rsparse.errors import InputError


@pytest.mark.parametrize(("b", "c"), [(4, 1), (8, 1), (4, 3), (8, 3)])
def test_as_many_atoms_as_numbers_are_an_orthonormal_base(b, c):
    atoms = cosines(b, c, b * b * c)
    assert np.allclose(atoms @ atoms.T, np.eye(b * b * c), atol=1e-5)


@pytest.mark.parametrize("n_atoms", [7, 192, 256, 1024])
def test_atoms_have_norm_1_and_vary_about_0_but_for_the_first(n_atoms):
    atoms = cosines(8, 3, n_atoms)
    assert atoms.shape == (n_atoms, 192)
    assert atoms.dtype == np.float32
    assert np.allclose(np.linalg.norm(atoms, axis=1), 1, atol=1e-5)
    assert np.allclose(atoms[0], 1 / np.sqrt(192))
    assert np.abs(atoms[1:].mean(axis=1)).max() < 1e-6


def test_no_two_atoms_are_the_same():
    atoms = cosines(8, 3, 1024)
    inner = np.abs(np.triu(atoms @ atoms.T, k=1))
    assert inner.max() < 0.999


def test_smooth_atoms_come_first():
    patches = cosines(8, 1, 64).reshape(64, 8, 8)
    roughness = np.square(np.diff(patches, axis=1)).sum((1, 2))
    roughness += np.square(np.diff(patches, axis=2)).sum((1, 2))
    assert np.corrcoef(roughness, np.arange(64))[0, 1] > 0.9


def test_a_patch_of_one_pixel_has_no_cosines():
    with pytest.raises(InputError, match="there are no 9 different cosines for patches of 1×1"):
        cosines(1, 1, 9)

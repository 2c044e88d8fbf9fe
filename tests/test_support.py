"""Supports of patches under perturbations (eq. 8–13), and the radius inside which they hold."""

from __future__ import annotations

import numpy as np
import pytest

from rsparse.core.dictionary import Dictionary
from rsparse.core.support import (
    Coding,
    code_patches,
    compare,
    image_radius,
    patch_radii,
)


def orthonormal(b: int = 2, seed: int = 0) -> np.ndarray:
    """An orthonormal basis of grey b×b patches, as rows."""
    m = b * b
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(m, m)))[0].astype(np.float32)


def overcomplete(b: int, n_atoms: int, channels: int = 1, seed: int = 0) -> np.ndarray:
    atoms = np.random.default_rng(seed).normal(size=(n_atoms, b * b * channels))
    return (atoms / np.linalg.norm(atoms, axis=1, keepdims=True)).astype(np.float32)


def choose(patch: np.ndarray, atoms: np.ndarray, sparsity: int, least: float = 0.0) -> list[int]:
    """Orthogonal matching pursuit as its definition says, in double precision."""
    chosen: list[int] = []
    residual = patch
    for _ in range(sparsity):
        correlations = np.abs(atoms @ residual)
        correlations[chosen] = -1
        if correlations.max() <= least:
            break
        chosen.append(int(correlations.argmax()))
        span = atoms[chosen]
        residual = patch - span.T @ np.linalg.lstsq(span.T, patch, rcond=None)[0]
    return chosen


def coded(patches: np.ndarray, atoms: np.ndarray, sparsity: int, least: float = 0.0) -> Coding:
    chosen = np.full((len(patches), sparsity), -1, np.int32)
    for row, patch in enumerate(patches):
        found = choose(patch, atoms, sparsity, least)
        chosen[row, : len(found)] = found
    return Coding(patches, chosen, np.ones(patches.shape[1]))


def test_with_an_orthonormal_dictionary_the_gaps_of_the_coefficients_decide():
    """The border between two atoms is at half the gap of their coefficients, times √2."""
    dictionary = Dictionary(orthonormal(), 2, color=False, normalize=False)
    atoms = dictionary.atoms.astype(float)
    patch = np.array([[5.0, -3.0, 1.5, 0.5]]) @ atoms
    assert patch_radii(coded(patch, atoms, 1), dictionary) == pytest.approx([2 / np.sqrt(2)])
    assert patch_radii(coded(patch, atoms, 2), dictionary) == pytest.approx([1.5 / np.sqrt(2)])
    assert patch_radii(coded(patch, atoms, 3), dictionary) == pytest.approx([1 / np.sqrt(2)])


@pytest.mark.parametrize("least", [0.0, 0.7])
@pytest.mark.parametrize("sparsity", [1, 2, 4])
def test_inside_the_radius_nothing_changes_and_just_outside_something_can(sparsity, least):
    rng = np.random.default_rng(1)
    atoms = overcomplete(3, 20)
    dictionary = Dictionary(atoms, 3, color=False, normalize=False)
    atoms = atoms.astype(float)
    patches = rng.normal(size=(30, 9))
    coding = coded(patches, atoms, sparsity, least)
    radii = patch_radii(coding, dictionary, least)
    assert (radii > 0).all()
    escaped = 0
    for patch, chosen, radius in zip(patches, coding.atoms, radii, strict=True):
        own = [atom for atom in chosen if atom >= 0]
        for _ in range(200):
            direction = rng.normal(size=9)
            step = direction * radius / np.linalg.norm(direction)
            assert choose(patch + 0.999 * step, atoms, sparsity, least) == own
            escaped += choose(patch + 4 * step, atoms, sparsity, least) != own
    assert escaped > 0


def test_the_radius_of_one_atom_is_reached():
    """Moving straight to the nearest border changes the atom exactly there."""
    atoms = overcomplete(3, 20)
    dictionary = Dictionary(atoms, 3, color=False, normalize=False)
    atoms = atoms.astype(float)
    patch = np.random.default_rng(2).normal(size=9)
    (a,) = choose(patch, atoms, 1)
    sign = np.sign(atoms[a] @ patch)
    borders = [sign * atoms[a] + s * atoms[b] for b in range(20) if b != a for s in (1, -1)]
    distances = [border @ patch / np.linalg.norm(border) for border in borders]
    (radius,) = patch_radii(coded(patch[None], atoms, 1), dictionary)
    assert radius == pytest.approx(min(distances))
    nearest = borders[int(np.argmin(distances))]
    towards = -nearest / np.linalg.norm(nearest)
    assert choose(patch + 0.9999 * radius * towards, atoms, 1) == [a]
    assert choose(patch + 1.0001 * radius * towards, atoms, 1) != [a]


@pytest.mark.parametrize("color", [True, False])
def test_no_perturbation_inside_the_radius_of_an_image_moves_an_atom(color):
    """The statistics of the image move with it, which the radius has to allow for."""
    rng = np.random.default_rng(3)
    b = 2
    dictionary = Dictionary(overcomplete(b, 12, 3 if color else 1), b, color=color)
    x = rng.uniform(0.2, 0.8, size=(9, 11, 3)).astype(np.float32)
    codings = code_patches(x, dictionary, 2, 1)
    radius = min(image_radius(coding, patch_radii(coding, dictionary)) for coding in codings)
    assert 0 < radius < 1
    for _ in range(50):
        e = rng.normal(size=x.shape)
        e *= 0.98 * radius / np.linalg.norm(e)
        moved = code_patches((x + e).astype(np.float32), dictionary, 2, 1)
        for before, after in zip(codings, moved, strict=True):
            np.testing.assert_array_equal(before.atoms, after.atoms)


def test_the_codes_are_those_of_the_product():
    from rsparse.core.engines.cpu.coding import sparse_code

    rng = np.random.default_rng(4)
    dictionary = Dictionary(overcomplete(4, 40, 3), 4)
    x = rng.uniform(size=(16, 16, 3)).astype(np.float32)
    (coding,) = code_patches(x, dictionary, 3, 4)
    atoms = dictionary.atoms.astype(float)
    pixels, _ = sparse_code(x, dictionary, 3, 4)
    for row, (patch, chosen) in enumerate(zip(coding.patches, coding.atoms, strict=True)):
        span = atoms[chosen]
        fitted = span.T @ np.linalg.lstsq(span.T, patch, rcond=None)[0]
        i, j = 4 * (row // 4), 4 * (row % 4)
        window = pixels[i : i + 4, j : j + 4].reshape(-1)
        original = x[i : i + 4, j : j + 4].reshape(-1)
        mean = original - patch * coding.deviation
        np.testing.assert_allclose(window, fitted * coding.deviation + mean, atol=1e-4)


def test_a_complete_orthonormal_dictionary_keeps_all_of_the_perturbation():
    rng = np.random.default_rng(5)
    dictionary = Dictionary(orthonormal(), 2, color=False, normalize=False)
    x = rng.uniform(0.3, 0.7, size=(8, 8, 3)).astype(np.float32)
    x_adv = (x + rng.uniform(-0.01, 0.01, size=x.shape)).astype(np.float32)
    found = compare(x, x_adv, dictionary, 4, 2)
    assert found.analysis == pytest.approx(1, abs=1e-5)
    assert (found.moved, found.common) == (0, 1)
    assert found.inside == pytest.approx(1, abs=1e-5)
    assert found.survives == pytest.approx(1, abs=1e-3)
    assert found.change == pytest.approx(np.linalg.norm(x_adv - x), rel=1e-5)
    assert found.patches == 3 * 16


def test_a_perturbation_in_the_span_of_the_chosen_atoms_survives_and_one_beside_does_not():
    atoms = orthonormal()
    dictionary = Dictionary(atoms, 2, color=False, normalize=False)
    patch = 0.5 + 0.3 * atoms[0].reshape(2, 2)
    own = choose(patch.ravel().astype(float), atoms.astype(float), 1)[0]
    x = np.tile(patch, (4, 4))[:, :, None].repeat(3, axis=2).astype(np.float32)
    for atom, expected in ((own, 1.0), ((own + 1) % 4, 0.0)):
        e = 0.01 * np.tile(atoms[atom].reshape(2, 2), (4, 4))[:, :, None].repeat(3, axis=2)
        found = compare(x, (x + e).astype(np.float32), dictionary, 1, 2)
        assert found.inside == pytest.approx(expected, abs=1e-4)
        assert found.chosen == pytest.approx(expected, abs=1e-2)
        assert found.survives == pytest.approx(expected, abs=1e-2)


def test_equal_images_have_no_ratios():
    dictionary = Dictionary(overcomplete(2, 12, 3), 2)
    x = np.random.default_rng(6).uniform(size=(8, 8, 3)).astype(np.float32)
    found = compare(x, x, dictionary, 2, 2)
    assert np.isnan([found.analysis, found.chosen, found.inside, found.survives]).all()
    assert (found.moved, found.common, found.change) == (0, 1, 0)


def test_a_flat_image_has_no_radius():
    dictionary = Dictionary(overcomplete(2, 12, 3), 2)
    x = np.full((8, 8, 3), 0.5, np.float32)
    (coding,) = code_patches(x, dictionary, 2, 2)
    assert image_radius(coding, patch_radii(coding, dictionary)) == 0

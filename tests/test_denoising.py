"""Sparse denoising of float images: exact cases, and what it gains on pictures."""

from __future__ import annotations

import numpy as np
import pytest

from rsparse.core.cosines import cosines
from rsparse.core.denoising import COARSE, OmpDenoising, coverage, mend_coarse, omp_denoise
from rsparse.core.dictionary import CentredAtoms, Dictionary
from rsparse.core.engines.cpu import loops
from rsparse.core.patches import positions
from rsparse.core.unrolled import unrolled_denoise
from rsparse.data import demo_photos
from rsparse.denoisers.sparse import embedded_weights
from rsparse.store.finding import find_images
from rsparse.store.images import decode_image, to_unit

HOW = OmpDenoising(threshold=3, stride=4, sparsity=32, coarse=False)
WEIGHTS = embedded_weights("answers")
COSINES = CentredAtoms.of(cosines(8, 3, 192), 8)


def photographs() -> list[np.ndarray]:
    files = list(find_images([demo_photos("test")]))[::10]
    return [to_unit(decode_image(file.read(), file.path)) for file in files]


def noisy(x: np.ndarray, sigma: float) -> np.ndarray:
    return x + np.float32(sigma) * np.random.default_rng(0).standard_normal(x.shape, np.float32)


def error(x: np.ndarray, y: np.ndarray) -> float:
    return float(np.square(x - y).mean())


def test_centred_atoms_have_no_means_and_norm_one():
    atoms = CentredAtoms.of(cosines(4, 3, 48), 4)
    assert len(atoms.atoms) == 45  # the three constant ones have gone
    assert np.abs(atoms.atoms.reshape(45, 16, 3).mean(axis=1)).max() < 1e-7
    assert np.allclose(np.linalg.norm(atoms.atoms, axis=1), 1, atol=1e-6)
    assert Dictionary(cosines(4, 3, 48), 4).centred.atoms.tobytes() == atoms.atoms.tobytes()


@pytest.mark.parametrize("weighted", [True, False])
def test_a_complete_basis_without_threshold_is_the_identity(each_engine, weighted):
    x = np.random.default_rng(0).random((19, 22, 3), np.float32)
    how = OmpDenoising(1e-6, 3, 192, weighted, coarse=False)
    assert np.allclose(omp_denoise(x, 1e-3, COSINES, how), x, atol=1e-4)


def test_a_high_threshold_leaves_the_means_of_patches(each_engine):
    x = np.random.default_rng(0).random((16, 16, 3), np.float32)
    how = OmpDenoising(100, 8, 32)
    blocks = x.reshape(2, 8, 2, 8, 3).mean(axis=(1, 3))
    expected = blocks.repeat(8, axis=0).repeat(8, axis=1)
    assert np.allclose(omp_denoise(x, 1.0, COSINES, how), expected, atol=1e-6)


def test_one_atom_in_closed_form(each_engine):
    """An atom above the threshold is kept whole, one below it goes."""
    strong, weak = COSINES.atoms[[5, 9]]
    x = (0.5 + 0.4 * strong + 0.02 * weak).reshape(8, 8, 3).astype(np.float32)
    how = OmpDenoising(3, 8, 32, coarse=False)
    expected = (0.5 + 0.4 * strong).reshape(8, 8, 3)
    assert np.allclose(omp_denoise(x, 0.1, COSINES, how), expected, atol=1e-5)


def test_patches_of_many_atoms_count_for_less():
    """The overlap of a flat patch and one of one atom is their mean with weights 1/3 and 1/4."""
    atom = np.zeros((8, 8, 3), np.float32)
    atom[:, ::2], atom[:, 1::2] = 1, -1  # constant over columns of the same parity
    atoms = CentredAtoms.of((atom / np.linalg.norm(atom)).reshape(1, -1), 8)
    x = np.full((8, 12, 3), 0.5, np.float32)
    x[:, 6:] += 0.3 * atom[:, 2:]
    how = OmpDenoising(1, 4, 1, coarse=False)
    first, second = x[:, :8].reshape(-1), x[:, 4:].reshape(-1)
    sigma = 0.5 * (abs(atoms.atoms[0] @ first) + abs(atoms.atoms[0] @ second))
    assert abs(atoms.atoms[0] @ first) < sigma < abs(atoms.atoms[0] @ second)
    y = omp_denoise(x, float(sigma), atoms, how)
    means = [x[:, 4 * i : 4 * i + 8].mean(axis=(0, 1)) for i in range(2)]
    coded = means[1] + (atoms.atoms[0] @ second) * atoms.atoms[0].reshape(8, 8, 3)
    expected = (means[0] / 3 + coded[:, :4] / 4) / (1 / 3 + 1 / 4)
    assert np.allclose(y[:, 4:8], expected, atol=1e-6)


def test_coverage_sums_the_weights_over_each_pixel():
    corners = positions((11, 13), 4, 3)
    weights = np.random.default_rng(0).random(len(corners), np.float32)
    expected = np.zeros((11, 13))
    for (row, column), weight in zip(corners, weights, strict=True):
        expected[row : row + 4, column : column + 4] += weight
    assert np.allclose(coverage(corners, weights, (11, 13), 4), expected, atol=1e-5)


def test_the_coarse_scale_takes_what_its_denoiser_takes():
    x = np.random.default_rng(0).random((33, 38, 3), np.float32)
    assert np.allclose(mend_coarse(x, 8, lambda small: small), x)
    assert np.allclose(mend_coarse(x, 8, lambda small: small - 0.25), x - 0.25)
    seen = []
    mend_coarse(x, 8, lambda small: seen.append(small) or small)
    assert seen[0].shape == (9, 10, 3)
    assert np.allclose(seen[0][2, 3], x[8:12, 12:16].mean(axis=(0, 1)))
    small = x[: 8 * COARSE - COARSE]  # its coarse version has 7 rows
    assert mend_coarse(small, 8, lambda _: pytest.fail("too small to denoise")) is small


@pytest.mark.parametrize(("sigma", "over_blur"), [(0.06, 1.2), (0.12, 1.1), (0.25, 1.0)])
def test_denoising_gains_more_than_a_blur(sigma, over_blur):
    from rsparse.core.filters import gaussian

    gains = []
    for x in photographs():
        y = noisy(x, sigma)
        blurred = min(error(gaussian(y, s), x) for s in (0.7, 1.0, 1.5, 2.0, 3.0))
        coded = error(omp_denoise(y, sigma, COSINES, HOW), x)
        gains.append((blurred / coded, coded / error(unrolled_denoise(y, sigma, WEIGHTS), x)))
    mean = np.exp(np.log(gains).mean(axis=0))
    assert mean[0] > over_blur  # the best of five blurs for each picture
    assert mean[1] > 1.15  # the learned coder over pursuit


def test_weights_trained_on_pixels_keep_more_of_them():
    for x in photographs():
        y = noisy(x, 0.1)
        errors = [
            error(unrolled_denoise(y, 0.1, embedded_weights(keeps)), x)
            for keeps in ("pixels", "answers")
        ]
        assert errors[0] < errors[1]


@pytest.mark.parametrize("size", [(64, 64), (37, 41), (8, 8), (30, 9)])
def test_both_inner_loops_agree(size, monkeypatch):
    y = noisy(np.random.default_rng(1).random((*size, 3), np.float32), 0.1)
    results = []
    for engine in (loops.NUMBA or loops.NUMPY, loops.NUMPY):
        monkeypatch.setattr(loops, "fastest", engine)
        results.append((omp_denoise(y, 0.1, COSINES, HOW), unrolled_denoise(y, 0.1, WEIGHTS)))
    for one, two in zip(*results, strict=True):
        assert np.allclose(one, two, atol=2e-5)
        assert np.isfinite(one).all()


@pytest.mark.parametrize("sigma", [0.05, 0.3])
def test_the_coder_in_torch_is_the_same(sigma, one_torch_core):
    torch = pytest.importorskip("torch")
    from rsparse.core.engines.torch.unrolled import UnrolledCoder

    y = noisy(photographs()[0][:96, :64], sigma)
    network = UnrolledCoder.of(WEIGHTS)
    with torch.inference_mode():
        batch = torch.from_numpy(np.ascontiguousarray(y.transpose(2, 0, 1)[None]))
        expected = network(batch, torch.tensor([sigma]))[0].numpy().transpose(1, 2, 0)
    assert np.allclose(unrolled_denoise(y, sigma, WEIGHTS), expected, atol=2e-5)

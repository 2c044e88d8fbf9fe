"""Coding, overlap and bilateral filter in torch on the CPU, against NumPy and OpenCV."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from rsparse.core.dictionary import Dictionary  # noqa: E402
from rsparse.core.engines.cpu import coding as cpu_coding  # noqa: E402
from rsparse.core.engines.torch import coding  # noqa: E402
from rsparse.core.engines.torch.coding import sparse_code  # noqa: E402
from rsparse.core.engines.torch.filters import bilateral  # noqa: E402
from rsparse.core.engines.torch.grids import Grid  # noqa: E402
from rsparse.core.engines.torch.overlap import add_bands, bands_of, count_coverage  # noqa: E402
from rsparse.core.filters import bilateral as opencv_bilateral  # noqa: E402
from rsparse.core.patches import grid, patch_statistics, touching  # noqa: E402
from rsparse.store.images import to_unit  # noqa: E402
from tests.conftest import make_picture  # noqa: E402


def random_dictionary(b: int, channels: int, **how: bool) -> Dictionary:
    atoms = np.random.default_rng(3).standard_normal((96, b * b * channels))
    atoms = (atoms / np.linalg.norm(atoms, axis=1, keepdims=True)).astype(np.float32)
    return Dictionary(atoms, b, color=channels == 3, **how)


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return to_unit(np.stack([make_picture(seed, 61, 70) for seed in range(3)]))


def all_coded(images, dictionary, sparsity, stride, masks=None):
    b = dictionary.patch_size
    where = Grid.over(images.shape[1:3], b, stride)
    places = [np.arange(len(where))] * len(images)
    if masks is not None:
        places = [np.flatnonzero(touching(m, where.rows, where.columns, b)) for m in masks]
    with torch.inference_mode():
        coded, covered = sparse_code(torch.tensor(images), dictionary, where, places, sparsity)
    return coded.numpy(), covered.numpy()


def assert_same(coded, covered, images, dictionary, sparsity, stride, masks=None):
    """Check against the CPU engine, except for signals with two equally good best atoms."""
    for number, x in enumerate(images):
        mask = None if masks is None else masks[number]
        expected, expected_covered = cpu_coding.sparse_code(x, dictionary, sparsity, stride, mask)
        np.testing.assert_array_equal(covered[number], expected_covered)
        assert (np.abs(coded[number] - expected) < 1e-4).mean() >= 0.999
        assert (coded[number][~expected_covered] == 0).all()


@pytest.mark.parametrize("stride", [1, 2, 3, 5, 8, 11])
@pytest.mark.parametrize(("channels", "b"), [(3, 8), (1, 8), (3, 5)])
def test_images_are_coded_as_without_torch(images, stride, channels, b):
    dictionary = random_dictionary(b, channels)
    coded, covered = all_coded(images, dictionary, 3, stride)
    assert_same(coded, covered, images, dictionary, 3, stride)


def test_a_faint_pattern_on_a_bright_image_survives(images):
    faint = (0.9 + 1e-3 * (images - 0.5)).astype(np.float32)
    square = np.linalg.qr(np.random.default_rng(0).standard_normal((192, 192)))[0]
    coded, _ = all_coded(faint, Dictionary(square.astype(np.float32), 8), 192, 8)
    np.testing.assert_allclose(coded, faint, atol=1e-6)


@pytest.mark.parametrize("stride", [1, 3, 7])
def test_statistics_are_those_of_the_patches(images, stride):
    where = Grid.over(images.shape[1:3], 6, stride)
    mean, deviation = coding._patch_statistics(torch.tensor(images), 6, where)
    for number, x in enumerate(images):
        expected = patch_statistics(x, 6, stride)
        np.testing.assert_allclose(mean[number], expected[0], rtol=1e-6)
        np.testing.assert_allclose(deviation[number], expected[1], rtol=1e-6)


@pytest.mark.parametrize("memory", [1, 1 << 18, 1 << 30])
def test_any_memory_gives_the_same_codes(images, memory, monkeypatch):
    monkeypatch.setattr(coding, "_CPU_BYTES", memory)
    small = images[:2, :16, :17] if memory == 1 else images
    dictionary = random_dictionary(8, 3)
    coded, covered = all_coded(small, dictionary, 3, 2)
    assert_same(coded, covered, small, dictionary, 3, 2)


def test_chunks_hold_every_patch_once_and_cut_layers_alike():
    chunks = list(coding._chunks([5, 0, 12, 3, 1], 5))
    assert all(sum(p.stop - p.start for p in chunk) <= 5 for chunk in chunks)
    assert [tuple(piece) for chunk in chunks for piece in chunk] == [
        (0, 0, 5), (2, 0, 5), (2, 5, 10), (2, 10, 12), (3, 0, 3), (4, 0, 1),
    ]  # fmt: skip


@pytest.mark.parametrize(("length", "stride"), [(12, 1), (12, 3), (13, 3), (4, 2), (21, 5)])
def test_patches_are_summed_where_they_lie(length, stride):
    b, c, width = 4, 3, 9
    rows, columns = grid(length, b, stride), grid(width, b, stride)
    rng = np.random.default_rng(0)
    patches = rng.integers(-9, 9, (2, len(rows), len(columns), b, b, c)).astype(np.float32)
    canvas = torch.zeros(2, length, width, c)
    columns_first = torch.tensor(patches).transpose(3, 4).reshape(*patches.shape[:4], -1)
    where = Grid(rows, columns, stride)
    add_bands(canvas, bands_of(columns_first, where, width), rows, stride)
    hits = count_coverage(torch.ones(2, len(rows), len(columns)), where, b, length, width)
    expected = np.zeros((2, length, width, c), dtype=np.float32)
    covered = np.zeros((2, length, width), dtype=np.float32)
    for y, row in enumerate(rows):
        for x, column in enumerate(columns):
            expected[:, row : row + b, column : column + b] += patches[:, y, x]
            covered[:, row : row + b, column : column + b] += 1
    np.testing.assert_array_equal(canvas.numpy(), expected)
    np.testing.assert_array_equal(hits.numpy(), covered)


@pytest.mark.parametrize("diameter", [1, 2, 5, 9, 31])
@pytest.mark.parametrize("sigmas", [(80.0, 80.0), (10.0, 2.0), (0.5, 80.0), (900.0, 0.7)])
@pytest.mark.parametrize("shape", [(4, 5), (30, 41)])
def test_the_bilateral_filter_is_opencvs(diameter, sigmas, shape):
    noise = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    images = np.stack([make_picture(5, *shape), noise])
    channels_first = torch.tensor(images.transpose(0, 3, 1, 2)).float()
    filtered = bilateral(channels_first, diameter, *sigmas).numpy().transpose(0, 2, 3, 1)
    for image, ours in zip(images, filtered, strict=True):
        theirs = opencv_bilateral(image, diameter, *sigmas).astype(float)
        assert np.abs(ours - theirs).max() <= 1
        assert (ours == theirs).mean() > 0.99

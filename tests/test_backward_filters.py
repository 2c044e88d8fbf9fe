"""The backward passes of the other defenses, against closed forms and differences."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from rsparse.core.backward.filters import gaussian_vjp, mean_vjp
from rsparse.core.backward.jpeg import jpeg_vjp, smooth_jpeg
from rsparse.core.backward.non_local import non_local_vjp
from rsparse.core.backward.variation import variation_vjp
from rsparse.core.compression import jpeg
from rsparse.core.filters import gaussian
from rsparse.core.variation import _plane
from tests.conftest import make_picture


def normal(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def agree(function, x: np.ndarray, vjp, along: np.ndarray, h: float, share: float) -> None:
    """Check ⟨w, J v⟩ by central differences against ⟨Jᵀ w, v⟩."""
    upper = normal(x.shape, 5)
    slope = (function(x + h * along) - function(x - h * along)) / (2 * h)
    scale = np.linalg.norm(upper) * np.linalg.norm(slope)
    found = vjp(upper)
    assert found.dtype == np.float32
    assert np.sum(found * along) == pytest.approx(np.sum(upper * slope), abs=share * scale)


@pytest.mark.parametrize("sigma", [0.5, 1.0, 2.3])
def test_the_blur_is_transposed(sigma):
    """The same kernel on 8-bit images and on floats, up to OpenCV's fixed-point rounding."""
    image = make_picture(1, 21, 17)
    size = (round(sigma * 6 + 1) | 1,) * 2

    def blur(x: np.ndarray) -> np.ndarray:
        return cv2.GaussianBlur(x, size, sigma)

    assert np.abs(blur(image.astype(float)) - gaussian(image, sigma)).max() < 1
    agree(blur, image.astype(float), lambda g: gaussian_vjp(g, sigma), normal(image.shape), 1, 1e-5)


@pytest.mark.parametrize("size", [2, 3, 4, 5])
def test_the_mean_has_the_medians_window(size):
    """Each median of three equal channels with one bright pixel looks at the same pixels."""
    from rsparse.core.filters import median

    image = np.full((9, 8, 3), 10, np.uint8)
    for row, column in ((4, 3), (0, 0), (8, 7)):
        upper = np.zeros(image.shape, np.float32)
        upper[row, column] = 1
        seen = mean_vjp(upper, size)[:, :, 0] > 0
        most = np.where(seen, 200, 10).astype(np.uint8)
        assert median(np.dstack([most] * 3), size)[row, column, 0] == 200
        fewest = np.where(seen, 10, 200).astype(np.uint8)
        assert median(np.dstack([fewest] * 3), size)[row, column, 0] == 10
        assert mean_vjp(upper, size).sum() == pytest.approx(3, abs=1e-5)


@pytest.mark.parametrize("quality", [10, 75, 95])
@pytest.mark.parametrize("shape", [(32, 48), (21, 35)], ids=str)
def test_jpeg_agrees_with_differences(quality, shape):
    image = make_picture(2, *shape)
    x = image.astype(float)
    agree(
        lambda x: smooth_jpeg(x, quality),
        x,
        lambda g: jpeg_vjp(image, g, quality),
        normal(x.shape),
        1e-4,
        1e-4,
    )


@pytest.mark.parametrize("quality", [20, 60, 90])
def test_jpeg_in_floats_is_close_to_libjpegs(quality):
    """What differs is that the stand-in moves coefficients by up to an eighth of a step."""
    image = make_picture(3, 48, 64)
    apart = np.abs(smooth_jpeg(image, quality).clip(0, 255) - jpeg(image, quality))
    change = np.abs(image.astype(float) - jpeg(image, quality))
    assert apart.mean() < 0.5 * change.mean()


def test_blocks_pass_by_the_quality_that_was_drawn():
    from rsparse.attacks.through.backwards import trace
    from rsparse.core.compression import drawn_versions
    from rsparse.defenses import Resources, parse_defense

    (slq,) = parse_defense("slq:block=16")
    image, resources = make_picture(4, 32, 48), Resources({}, 3)
    drawn = drawn_versions((32, 48), 4, 16, resources.random(image))
    assert len(np.unique(drawn)) > 1
    upper = normal(image.shape)
    found = trace(slq, image, resources, "smooth").vjp(upper)
    parts = [
        jpeg_vjp(image, upper * (drawn == n)[:, :, None], quality)
        for n, quality in enumerate((20, 40, 60, 80))
    ]
    np.testing.assert_allclose(found, np.sum(parts, axis=0), atol=1e-6)


@pytest.mark.parametrize(("weight", "keep"), [(0.03, 1.0), (0.2, 1.0), (0.03, 0.5)])
def test_total_variation_agrees_with_differences(weight, keep):
    x = make_picture(5, 14, 17) / 255
    kept = np.random.default_rng(0).random(x.shape) < keep

    def solution(x: np.ndarray) -> np.ndarray:
        known = (x * kept).astype(np.float32)
        fidelity = (kept / weight).astype(np.float32)
        planes = [
            _plane(*(np.ascontiguousarray(a[:, :, c]) for a in (known, fidelity)), 20_000, 0)
            for c in range(3)
        ]
        return np.stack(planes, axis=-1).astype(float)

    along = cv2.GaussianBlur(normal(x.shape), (0, 0), 1.5)
    z = solution(x)
    agree(solution, x, lambda g: variation_vjp(z, g, weight, kept, 500), along, 2e-3, 0.05)


def test_total_variation_of_a_ramp_is_the_identity_inside():
    """On a steep ramp the slope of φ hardly depends on the image, so the solution moves with it."""
    ramp = np.repeat(np.linspace(0, 1, 40)[None, :, None], 3, axis=2).repeat(40, axis=0)
    upper = np.zeros((40, 40, 3), np.float32)
    upper[:, 20] = 1  # constant along the level lines, which the curvature would smooth
    found = variation_vjp(ramp, upper, 1e-4, iterations=500)
    np.testing.assert_allclose(found[5:-5, 20], 1, atol=0.05)


def test_non_local_means_of_a_flat_image_are_means_of_the_search_window():
    image, upper = np.full((20, 21, 3), 80, np.uint8), np.zeros((20, 21, 3), np.float32)
    upper[10, 9, 1] = 25
    found = non_local_vjp(image, upper, 4, 3, 5)
    expected = np.zeros_like(upper)
    expected[8:13, 7:12, 1] = 1
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_non_local_means_keep_to_similar_patches():
    """Two halves that differ by much more than h do not mix."""
    image = np.full((20, 24, 3), 40, np.uint8)
    image[:, 12:] = 200
    upper = np.zeros(image.shape, np.float32)
    upper[10, 9, 0] = 1
    found = non_local_vjp(image, upper, 4, 1, 9)
    assert found[:, :12, 0].sum() == pytest.approx(1, abs=1e-5)
    assert np.abs(found[:, 12:]).max() < 1e-6


def test_bits_have_the_bytes_of_comdefend_and_a_slope_where_the_code_is_small():
    torch = pytest.importorskip("torch")

    from rsparse.data import comdefend_model
    from rsparse.defenses import ComDefend, Resources
    from rsparse.models.torch.binary_code import NOISE, _Bits, load_binary_code

    networks, image = load_binary_code(comdefend_model()), make_picture(6, 24, 27)
    x = torch.from_numpy(image.astype(np.float32) / 255).permute(2, 0, 1)[None]
    restored = networks.restored(x)[0].permute(1, 2, 0).detach().numpy()
    clean = ComDefend(noise=0).clean(image, Resources())
    assert (np.rint(255 * restored) == clean).mean() > 0.999
    drawn = ComDefend(noise=9).drawn(image, Resources()).rows(0, 24, 27)
    noise = torch.from_numpy(drawn).permute(2, 0, 1)[None]
    noisy = networks.restored(x, noise)[0].permute(1, 2, 0).detach().numpy()
    clean = ComDefend(noise=9).clean(image, Resources())
    assert (np.rint(255 * noisy) == clean).mean() > 0.999
    assert np.linalg.norm(networks.vjp(image, normal(image.shape))) > 0
    code = torch.linspace(-100, 100, 2001, requires_grad=True)
    bits = _Bits.apply(code)
    assert bits.tolist() == [0.0] * 1001 + [1.0] * 1000
    (slope,) = torch.autograd.grad(bits.sum(), code)
    assert slope.sum().item() * 0.1 == pytest.approx(1, abs=1e-4)  # the bit rises by 1 in all
    assert slope[1000].item() == pytest.approx(1 / (NOISE * (2 * np.pi) ** 0.5), rel=1e-4)

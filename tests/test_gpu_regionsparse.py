"""Whole images in torch: same result as without it, for any batch and memory size."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import rsparse  # noqa: E402
from rsparse.core.engines import engine_for  # noqa: E402
from rsparse.core.engines.torch.engine import TorchEngine  # noqa: E402
from rsparse.core.engines.torch.precision import float32_in_full  # noqa: E402
from rsparse.core.regionsparse import object_region, purified, purify  # noqa: E402
from rsparse.data import demo_photos  # noqa: E402
from rsparse.defenses.policy import default_policy  # noqa: E402
from rsparse.options.localize import LocalizeParameters  # noqa: E402
from rsparse.options.purify import PurifyParameters  # noqa: E402
from rsparse.store.dictionaries import load_dictionary  # noqa: E402
from rsparse.store.finding import find_images  # noqa: E402
from rsparse.store.images import decode_image  # noqa: E402
from tests.conftest import REPOSITORY, make_picture  # noqa: E402
from tests.refusals import refused  # noqa: E402

WHERE = LocalizeParameters(threshold=60, closing_size=5)
PAPER = PurifyParameters()
CASES = {
    "default": PAPER,
    "whole": PurifyParameters(localize=False, stride=1, sparsity=5),
    "hard cut": PurifyParameters(feather=0, stride=3),
    "side by side": PurifyParameters(stride=4, sparsity=4, bilateral_diameter=5),
    "few atoms for flat patches": PurifyParameters(min_correlation=1.5, sparsity=16, stride=3),
    "no background": PurifyParameters(filter_background=False, feather=9),
    "filtered before": PurifyParameters(prefilter=True, localize=False),
    "filtered before, no background": PurifyParameters(prefilter=True, filter_background=False),
}


@pytest.fixture(scope="module")
def photos() -> np.ndarray:
    """Photographs with added noise."""
    files = find_images([demo_photos("test")])[::10]
    pixels = np.stack([decode_image(file.read(), file.path) for file in files])
    noise = np.random.default_rng(0).integers(-8, 9, pixels.shape)
    return np.clip(pixels + noise, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def learned() -> rsparse.Dictionary:
    """A dictionary learned from images, as in real use."""
    return load_dictionary(REPOSITORY / "fixtures" / "dict.h5")[0]


def agrees(ours: np.ndarray, theirs: np.ndarray) -> bool:
    """Whether 99.9 % of the pixels agree within one grey level."""
    return bool((np.abs(ours.astype(int) - theirs) <= 1).mean() >= 0.999)


@pytest.mark.parametrize("parameters", CASES.values(), ids=CASES)
def test_photographs_are_purified_as_without_torch(photos, learned, parameters):
    ours = rsparse.purify_batch(photos, learned, parameters, WHERE, device="torch-cpu")
    assert ours.dtype == np.uint8
    assert agrees(ours, rsparse.purify_batch(photos, learned, parameters, WHERE))


@pytest.mark.parametrize("device", ["cuda", "cuda:0"])
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_gpu_purifies_as_the_cpu_does(photos, learned, device):
    for parameters in CASES.values():
        ours = rsparse.purify_batch(photos, learned, parameters, WHERE, device=device)
        assert agrees(ours, rsparse.purify_batch(photos, learned, parameters, WHERE))
        alone = rsparse.purify_batch(
            photos, learned, parameters, WHERE, device=device, batch_size=1
        )
        np.testing.assert_array_equal(alone, ours)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_batch_never_waits_for_the_gpu(photos, learned):
    engine = engine_for("cuda")
    regions = [object_region(photo, learned, PAPER, WHERE) for photo in photos]
    with engine.session():
        purified(engine.upload(photos), regions, learned, PAPER, engine)
        torch.cuda.set_sync_debug_mode("error")
        try:
            purified(engine.upload(photos), regions, learned, PAPER, engine)
        finally:
            torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("parameters", CASES.values(), ids=CASES)
def test_all_is_on_the_device_and_no_size_depends_on_its_numbers(photos, learned, parameters):
    """torch's meta device rejects operations across devices and access to values."""
    regions = [object_region(photo, learned, parameters, WHERE) for photo in photos]
    engine = TorchEngine("meta")
    with engine.session():
        clean = purified(engine.upload(photos), regions, learned, parameters, engine)
    assert clean.device.type == "meta"
    assert (clean.shape, clean.dtype) == (photos.shape, torch.float32)


def test_sizes_may_be_mixed_and_the_batch_changes_nothing(small_dictionary):
    images = [make_picture(seed, 20 + 7 * (seed % 3), 30) for seed in range(7)]
    images[3] = np.full((20, 30, 3), 77, dtype=np.uint8)
    results = [
        rsparse.purify_batch(images, small_dictionary, PAPER, device="torch-cpu", batch_size=size)
        for size in (1, 3, 16)
    ]
    for image, *same in zip(images, *results, strict=True):
        assert agrees(same[0], purify(image, small_dictionary, PAPER))
        np.testing.assert_array_equal(same[1], same[0])
        np.testing.assert_array_equal(same[2], same[0])


def test_a_policy_takes_images_of_several_rules_together(small_dictionary):
    images = [make_picture(seed, 40, 30) for seed in range(3)]
    images += [np.full((40, 30, 3), 90 + seed, dtype=np.uint8) for seed in range(2)]
    rng = np.random.default_rng(0)
    images += [rng.integers(128 - d, 129 + d, (40, 30, 3), dtype=np.uint8) for d in (4, 16, 60)]
    chosen = {default_policy().chosen_for(image) for image in images}
    assert len(chosen) >= 3
    ours = rsparse.purify_batch(images[::-1], small_dictionary, device="torch-cpu")[::-1]
    for image, clean in zip(images, ours, strict=True):
        assert agrees(clean, rsparse.purify(image, small_dictionary))
    np.testing.assert_array_equal(ours[3], images[3])


def test_a_mask_is_that_of_all_images(small_dictionary):
    images = np.stack([make_picture(seed, 30, 33) for seed in range(2)])
    mask = np.zeros((30, 33), dtype=bool)
    mask[5:20, 9:28] = True
    ours = rsparse.purify_batch(images, small_dictionary, PAPER, mask=mask, device="torch-cpu")
    assert agrees(ours, rsparse.purify_batch(images, small_dictionary, PAPER, mask=mask))
    nothing = np.zeros_like(mask)
    ours = rsparse.purify_batch(images, small_dictionary, PAPER, mask=nothing, device="torch-cpu")
    assert agrees(ours, rsparse.purify_batch(images, small_dictionary, PAPER, mask=nothing))
    with refused("is 33×30 pixels, but its mask is 30×33"):
        rsparse.purify_batch(images, small_dictionary, PAPER, mask=mask.T, device="torch-cpu")


def test_read_only_and_turned_images_can_be_sent(small_dictionary):
    images = np.stack([make_picture(seed) for seed in range(2)])[:, ::-1]
    images.flags.writeable = False
    small_dictionary.atoms.flags.writeable = False
    try:
        ours = rsparse.purify_batch(images, small_dictionary, PAPER, device="torch-cpu")
    finally:
        small_dictionary.atoms.flags.writeable = True
    assert agrees(ours, rsparse.purify_batch(images, small_dictionary, PAPER))


def test_where_memory_is_short_fewer_images_go_at_a_time(small_dictionary, monkeypatch):
    real, sizes = TorchEngine.sparse_code, []

    def short_of_memory(engine, images, *arguments):
        sizes.append(len(images))
        if len(images) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(engine, images, *arguments)

    images = np.stack([make_picture(seed, 20, 20) for seed in range(5)])
    expected = rsparse.purify_batch(images, small_dictionary, PAPER, device="torch-cpu")
    monkeypatch.setattr(TorchEngine, "sparse_code", short_of_memory)
    ours = rsparse.purify_batch(images, small_dictionary, PAPER, device="torch-cpu")
    np.testing.assert_array_equal(ours, expected)
    assert sizes == [5, 2, 3, 1, 2]


def test_an_image_too_large_for_the_device_is_told(small_dictionary, monkeypatch):
    def no_memory(*arguments):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(TorchEngine, "upload", no_memory)
    with refused(
        "is 20×30 pixels, too large for the memory of device 'cpu'; "
        "use a larger --stride, or --device cpu"
    ):
        rsparse.purify_batch([make_picture(0, 30, 20)], small_dictionary, PAPER, device="torch-cpu")


def test_tf32_is_off_meanwhile_and_as_it_was_afterwards():
    torch.set_float32_matmul_precision("medium")
    try:
        with float32_in_full():
            assert torch.get_float32_matmul_precision() == "highest"
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")

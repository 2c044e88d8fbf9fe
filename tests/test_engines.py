"""What every engine must do: each step in closed form, and equal results from all."""

from __future__ import annotations

import numpy as np
import pytest

from rsparse.core.engines import ENGINES, load_engine
from rsparse.core.engines.cpu import loops
from rsparse.core.engines.cpu.engine import CpuEngine
from rsparse.core.engines.engine import Engine
from rsparse.core.filters import bilateral as opencv_bilateral
from rsparse.core.omp import omp, reconstruct
from rsparse.core.patches import positions, take, z_score
from rsparse.core.regionsparse import Region, object_region, purify_batch
from rsparse.options.purify import PurifyParameters
from rsparse.store.images import to_unit
from tests.conftest import make_picture
from tests.engines import CASES, EVERY_ENGINE, WHERE, Stepwise, complete, random_dictionary
from tests.refusals import refused


@pytest.fixture(params=EVERY_ENGINE)
def engine(request: pytest.FixtureRequest) -> Stepwise:
    return Stepwise(request.param)


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.stack([make_picture(seed, 16, 19) for seed in range(3)])


@pytest.fixture(scope="module")
def masks() -> np.ndarray:
    """Masks of a part of the image, of nothing, and of the whole image."""
    masks = np.zeros((3, 16, 19), dtype=bool)
    masks[0, 3:9, 9:15] = True
    masks[2] = True
    return masks


def everywhere(images: np.ndarray) -> list[np.ndarray]:
    return [np.ones(images.shape[1:3], dtype=bool)] * len(images)


def nearly_equal(ours: np.ndarray, theirs: np.ndarray, share: float = 0.99) -> bool:
    """Whether all values agree within one grey level and most are equal."""
    apart = np.abs(ours.astype(int) - theirs.astype(int))
    return apart.max() <= 1 and bool((apart == 0).mean() >= share)


class TestBilateral:
    """Bilateral filter of one engine."""

    @pytest.mark.parametrize("diameter", [1, 2, 5, 9])
    @pytest.mark.parametrize("sigmas", [(80.0, 80.0), (10.0, 2.0), (900.0, 0.7)])
    def test_is_the_weighted_mean_over_a_disc(self, engine, images, diameter, sigmas):
        radius, (color, space) = max(diameter // 2, 1), sigmas
        image = images[0].astype(np.float64)
        padded = np.pad(image, ((radius, radius), (radius, radius), (0, 0)), mode="reflect")
        sums, weights = np.zeros(image.shape), np.zeros(image.shape[:2])
        for i in range(-radius, radius + 1):
            for j in range(-radius, radius + 1):
                if i * i + j * j > radius * radius:
                    continue
                other = padded[radius + i : radius + i + 16, radius + j : radius + j + 19]
                apart = np.abs(other - image).sum(axis=2)
                weight = np.exp(-(apart**2) / (2 * color**2) - (i * i + j * j) / (2 * space**2))
                sums += weight[:, :, None] * other
                weights += weight
        expected = np.rint(sums / weights[:, :, None])
        filtered = engine.bilateral(images[:1], [0], diameter, color, space)
        assert nearly_equal(filtered[0], expected)

    @pytest.mark.parametrize("shape", [(1, 1), (1, 7), (4, 5), (9, 8)])
    def test_mirrors_small_images_as_opencv_does(self, engine, shape):
        noise = np.random.default_rng(0).integers(0, 256, (1, *shape, 3), dtype=np.uint8)
        expected = opencv_bilateral(noise[0], 5, 80, 80)
        assert nearly_equal(engine.bilateral(noise, [0], 5, 80.0, 80.0)[0], expected, 0.9)

    def test_filters_the_chosen_images_only(self, engine, images):
        before = images.copy()
        filtered = engine.bilateral(images, [0, 2], 5, 80.0, 80.0)
        np.testing.assert_array_equal(images, before)
        np.testing.assert_array_equal(filtered[1], images[1])
        for number in (0, 2):
            assert nearly_equal(filtered[number], opencv_bilateral(images[number], 5, 80, 80))
            alone = engine.bilateral(images[number : number + 1], [0], 5, 80.0, 80.0)
            np.testing.assert_array_equal(alone[0], filtered[number])

    def test_leaves_a_flat_image(self, engine):
        flat = np.full((1, 12, 13, 3), 200, dtype=np.uint8)
        np.testing.assert_array_equal(engine.bilateral(flat, [0], 9, 80.0, 80.0), flat)


def step_by_step(image, dictionary, sparsity, stride, mask):
    """Patches, z-score, OMP, rescaling and averaging, step by step as in the paper."""
    x, b = to_unit(image), dictionary.patch_size
    corners = positions(x.shape[:2], b, stride)
    every = take(x, corners, b)
    mean, deviation = every.mean(axis=0, dtype=float), every.std(axis=0, dtype=float)
    codes = omp(z_score(every), dictionary.atoms, sparsity)
    coded = reconstruct(*codes, dictionary.atoms) * deviation + mean
    sums, counts = np.zeros(x.shape), np.zeros(x.shape[:2])
    touched = {tuple(corner) for corner in positions(x.shape[:2], b, stride, mask)}
    for patch, corner in zip(coded, corners, strict=True):
        if tuple(corner) in touched:
            where = np.s_[corner[0] : corner[0] + b, corner[1] : corner[1] + b]
            sums[where] += patch.reshape(b, b, 3)
            counts[where] += 1
    return sums / np.maximum(counts, 1)[:, :, None], counts > 0


def codings_agree(ours: np.ndarray, theirs: np.ndarray) -> bool:
    """Whether codings agree, except for patches whose two best atoms are equally good."""
    return bool((np.abs(ours - theirs) < 1e-4).mean() >= 0.999)


class TestSparseCode:
    """Sparse coding of one engine."""

    @pytest.mark.parametrize(("sparsity", "stride"), [(1, 2), (2, 1), (5, 3), (3, 6), (2, 8)])
    def test_is_eq_17_then_omp_then_the_average(self, engine, images, masks, sparsity, stride):
        dictionary, before = random_dictionary(), images.copy()
        stops = sparsity, stride, 0.0
        coded, covered = engine.sparse_code(images, list(masks), dictionary, *stops)
        np.testing.assert_array_equal(images, before)
        for number, mask in enumerate(masks):
            expected = step_by_step(images[number], dictionary, sparsity, stride, mask)
            np.testing.assert_array_equal(covered[number], expected[1])
            assert codings_agree(coded[number], expected[0])
            assert (coded[number][~covered[number]] == 0).all()

    @pytest.mark.parametrize("normalize", [True, False])
    @pytest.mark.parametrize("color", [True, False])
    @pytest.mark.parametrize("stride", [1, 2])
    def test_a_complete_dictionary_gives_the_image_back(self, engine, color, normalize, stride):
        image = make_picture(0, 8, 9)[None]
        dictionary = complete(2, color=color, normalize=normalize)
        stops = len(dictionary.atoms), stride, 0.0
        coded, covered = engine.sparse_code(image, everywhere(image), dictionary, *stops)
        assert covered.all()
        np.testing.assert_allclose(coded, to_unit(image), atol=1e-5)

    @pytest.mark.parametrize("shape", [(6, 6), (6, 13), (7, 6), (13, 8)])
    @pytest.mark.parametrize("stride", [1, 2, 6])
    def test_covers_images_hardly_larger_than_a_patch(self, engine, shape, stride):
        image, dictionary = make_picture(1, *shape), random_dictionary()
        mask = np.ones(shape, dtype=bool)
        coded, covered = engine.sparse_code(image[None], [mask], dictionary, 2, stride, 0.0)
        assert covered.all()
        assert codings_agree(coded[0], step_by_step(image, dictionary, 2, stride, mask)[0])

    @pytest.mark.parametrize("level", [0, 51, 255])
    def test_a_flat_image_is_given_back(self, engine, level):
        flat = np.full((2, 14, 17, 3), level, dtype=np.uint8)
        flat[..., 1] = 255 - level
        coded, _ = engine.sparse_code(flat, everywhere(flat), random_dictionary(), 5, 2, 0.0)
        np.testing.assert_allclose(coded, to_unit(flat), atol=1e-6)

    @pytest.mark.parametrize("threshold", [0.05, 0.2, 0.8])
    def test_keeps_the_larger_coefficients_of_an_orthonormal_dictionary(self, engine, threshold):
        image = make_picture(4, 12, 16)  # whole patches of 4×4, side by side
        dictionary = complete(4, normalize=False)
        coded, _ = engine.sparse_code(
            image[None], everywhere(image[None]), dictionary, 48, 4, threshold
        )
        corners = positions((12, 16), 4, 4)
        coefficients = take(to_unit(image), corners, 4) @ dictionary.atoms.T
        coefficients[np.abs(coefficients) <= threshold] = 0
        expected = coefficients @ dictionary.atoms
        np.testing.assert_allclose(take(coded[0], corners, 4), expected, atol=1e-5)

    def test_grey_atoms_code_each_channel_by_itself(self, engine, images):
        dictionary = random_dictionary(5, 1)
        coded, _ = engine.sparse_code(images[:1], everywhere(images[:1]), dictionary, 2, 5, 0.0)
        for channel in range(3):
            alone = np.repeat(images[:1, :, :, [channel]], 3, axis=3)
            expected, _ = engine.sparse_code(alone, everywhere(alone), dictionary, 2, 5, 0.0)
            np.testing.assert_allclose(coded[..., channel], expected[..., 0], atol=1e-6)

    def test_an_image_is_the_same_bytes_alone_and_in_a_batch(self, engine, images, masks):
        coding = random_dictionary(), 4, 4, 0.5
        together = engine.sparse_code(images, list(masks), *coding)
        for number in range(len(images)):
            one = slice(number, number + 1)
            alone = engine.sparse_code(images[one], list(masks[one]), *coding)
            for found, expected in zip(alone, together, strict=True):
                np.testing.assert_array_equal(found, expected[one])


class TestBlend:
    """Eq. (19) of one engine."""

    def test_mixes_by_theta_clips_and_rounds(self, engine):
        """θ 1, 0 and ½; colours outside [0, 1]; halves to even: 0.5 → 0, 1.5 → 2, 2.5 → 2."""
        coded = np.array([1.0, 1.0, 1.0, -0.5, 2.0, 0.0, 0.0, 0.0], dtype=np.float32)
        theta = np.array([1.0, 0.0, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5], dtype=np.float32)
        x_b = np.array([100, 100, 100, 100, 0, 1, 3, 5], dtype=np.uint8)
        expected = np.array([255, 100, 178, 50, 128, 0, 2, 2], dtype=np.uint8)
        pixels = np.broadcast_to(x_b[None, None, :, None], (1, 1, 8, 3)).copy()
        colours = np.broadcast_to(coded[None, None, :, None], (1, 1, 8, 3)).copy()
        covered = np.ones((1, 1, 8), dtype=bool)
        clean = engine.blend(colours, covered, [theta[None]], pixels)
        assert clean.dtype == np.uint8
        np.testing.assert_array_equal(clean[0, 0], np.repeat(expected[:, None], 3, axis=1))

    def test_takes_the_background_where_no_patch_lies(self, engine, images, masks):
        theta = [np.ones((16, 19), dtype=np.float32)] * 3
        coded = np.zeros(images.shape, dtype=np.float32)
        clean = engine.blend(coded, masks, theta, images)
        np.testing.assert_array_equal(clean, np.where(masks[..., None], 0, images))


class TestPurify:
    """The whole method on one engine."""

    @pytest.mark.parametrize("parameters", CASES.values(), ids=CASES)
    def test_every_engine_makes_the_same_of_an_image(self, engine, images, parameters):
        dictionary = random_dictionary()
        regions = [object_region(image, dictionary, parameters, WHERE) for image in images]
        clean = engine.purify(list(images), regions, dictionary, parameters)
        expected = Stepwise("numpy").purify(list(images), regions, dictionary, parameters)
        for ours, theirs in zip(clean, expected, strict=True):
            assert (ours.dtype, ours.shape) == (np.uint8, theirs.shape)
            assert (np.abs(ours.astype(int) - theirs) <= 1).mean() >= 0.999

    def test_the_region_comes_from_the_coding_and_the_rest_from_the_filter(
        self, engine, images, masks
    ):
        dictionary = complete(2, color=False)
        parameters = PurifyParameters(sparsity=4, feather=0)
        regions = [object_region(images[0], dictionary, parameters, mask=masks[0])]
        clean = engine.purify([images[0]], regions, dictionary, parameters)
        for image, ours in zip(images[:1], clean, strict=True):
            np.testing.assert_array_equal(ours[masks[0]], image[masks[0]])
            around = opencv_bilateral(image, 9, 80, 80)[~masks[0]]
            assert nearly_equal(ours[~masks[0]], around)

    @pytest.mark.parametrize("background", [True, False])
    def test_without_a_region_only_the_background_is_left(self, engine, images, background):
        parameters = PurifyParameters(filter_background=background)
        nowhere = np.zeros((16, 19), dtype=bool)
        regions = [Region(nowhere, nowhere.astype(np.float32))] * 3
        clean = engine.purify(list(images), regions, random_dictionary(), parameters)
        for image, ours in zip(images, clean, strict=True):
            if background:
                assert nearly_equal(ours, opencv_bilateral(image, 9, 80, 80))
            else:
                np.testing.assert_array_equal(ours, image)

    def test_sizes_may_be_mixed_and_the_batch_changes_nothing(self, engine):
        pictures = [make_picture(seed, 9 + 3 * (seed % 3), 11) for seed in range(4)]
        pictures[3] = np.full((9, 11, 3), 77, dtype=np.uint8)
        dictionary, parameters = random_dictionary(), PurifyParameters(stride=4)
        regions = [object_region(image, dictionary, parameters, WHERE) for image in pictures]
        together = engine.purify(pictures, regions, dictionary, parameters)
        for picture, region, clean in zip(pictures, regions, together, strict=True):
            alone = engine.purify([picture], [region], dictionary, parameters)
            np.testing.assert_array_equal(alone[0], clean)

    def test_images_may_be_read_only_and_turned(self, engine, images):
        turned = [image[:, ::-1] for image in images]
        for image in turned:
            image.flags.writeable = False
        dictionary, parameters = random_dictionary(), PurifyParameters(stride=4)
        regions = [object_region(image, dictionary, parameters, WHERE) for image in turned]
        clean = engine.purify(turned, regions, dictionary, parameters)
        copies = [image.copy() for image in turned]
        for ours, same in zip(
            clean, engine.purify(copies, regions, dictionary, parameters), strict=True
        ):
            np.testing.assert_array_equal(ours, same)


class Scarce(CpuEngine):
    """An engine with memory for a limited number of images."""

    most_images = None
    out_of_memory = (MemoryError,)

    def __init__(self, room: int) -> None:
        super().__init__(loops.NUMPY)
        self.room, self.sizes = room, []

    def code_over(self, images, *arguments):
        self.sizes.append(len(images))
        if len(images) > self.room:
            raise MemoryError
        return super().code_over(images, *arguments)


def purified_by(engine: Engine, images: np.ndarray) -> list[np.ndarray]:
    dictionary, parameters = random_dictionary(), PurifyParameters(localize=False, stride=4)
    regions = [object_region(image, dictionary, parameters) for image in images]
    return purify_batch(list(images), regions, dictionary, parameters, engine)


def test_where_memory_is_short_fewer_images_go_at_a_time():
    pictures = np.stack([make_picture(seed, 12, 13) for seed in range(5)])
    engine = Scarce(2)
    np.testing.assert_array_equal(
        purified_by(engine, pictures), purified_by(load_engine("numpy"), pictures)
    )
    assert engine.sizes == [5, 2, 3, 1, 2]


def test_an_image_too_large_for_the_memory_is_told(images):
    line = "is 19×16 pixels, too large for the memory of device 'cpu'; use a larger --stride, or "
    with refused(f"{line}--device cpu"):
        purified_by(Scarce(0), images)


def test_the_cpu_takes_one_image_at_a_time(images, monkeypatch):
    sizes, real = [], CpuEngine.upload
    monkeypatch.setattr(
        CpuEngine, "upload", lambda self, some: sizes.append(len(some)) or real(self, some)
    )
    purified_by(load_engine("numba"), images)
    assert sizes == [1, 1, 1]


def test_no_images_are_none():
    assert purified_by(load_engine("numpy"), np.zeros((0, 9, 9, 3), dtype=np.uint8)) == []


def test_an_engine_that_lacks_a_step_cannot_be_made():
    class Half(Engine[np.ndarray]):
        name = "half"

    with pytest.raises(TypeError, match="bilateral.*blend.*download.*sparse_code.*upload"):
        Half()


def test_engines_are_known_by_their_names():
    for name in ENGINES[:2]:
        assert load_engine(name).name == name
    with pytest.raises(ValueError, match="expected one of numpy, numba, torch, triton .*'cpu'"):
        load_engine("cpu")

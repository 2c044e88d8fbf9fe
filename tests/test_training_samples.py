"""Training samples: the split, the order, the draws, and the resulting pixels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rsparse.models.onnx.classifier import load_classifier
from rsparse.models.spec import InputOptions
from rsparse.options.train import TrainParameters
from rsparse.store.images import ImageFile, encode_png
from rsparse.training.adversaries import ADVERSARIAL
from rsparse.training.samples import (
    CLEAN,
    Box,
    Sample,
    View,
    draw,
    draw_box,
    epoch_order,
    load_shard,
    shares_of,
    split,
)
from tests.colour_training import sample_of
from tests.conftest import make_picture
from tests.onnx_models import ConvNet
from tests.refusals import refused

UNIT = InputOptions(preset="unit")


class TestSamples:
    def bare(self, n: int) -> list[Sample]:
        files = {version: ImageFile("a", Path("a.png"), Path()) for version in (CLEAN, "jpeg")}
        return [Sample(f"{number:03d}", files, {}, 0) for number in range(n)]

    def test_split(self):
        """The parts have the requested sizes; adding an image moves few others between them."""
        shown, held = split(self.bare(100), TrainParameters(validation_share=0.2))
        assert (len(shown), len(held)) == (80, 20)
        assert {s.name for s in shown} | {s.name for s in held} == {s.name for s in self.bare(100)}
        _, more = split(self.bare(101), TrainParameters(validation_share=0.2))
        assert len({s.name for s in held} & {s.name for s in more}) >= 19
        _, other = split(self.bare(100), TrainParameters(validation_share=0.2, seed=1))
        assert {s.name for s in other} != {s.name for s in held}
        assert [len(part) for part in split(self.bare(2), TrainParameters())] == [1, 1]
        assert [
            len(part) for part in split(self.bare(2), TrainParameters(validation_share=0.9))
        ] == [
            1,
            1,
        ]

    def test_one_image_cannot_be_split(self):
        with refused("training needs at least 2 images, one of them for validation"):
            split(self.bare(1), TrainParameters())

    def test_an_order_for_each_epoch(self):
        first, second = epoch_order(50, 0, 0), epoch_order(50, 0, 1)
        assert sorted(first) == sorted(second) == list(range(50))
        assert list(first) != list(second)
        assert list(first) == list(epoch_order(50, 0, 0))

    def test_draws(self):
        """Shares are as requested; an epoch has fixed draws; only adversarial ones have an eps."""
        parameters = TrainParameters(clean_share=0.2, attack_eps=10)
        versions = ("jpeg",), (ADVERSARIAL,)
        drawn = [draw(s, *versions, parameters, 3) for s in self.bare(1000)]
        assert drawn == [draw(s, *versions, parameters, 3) for s in self.bare(1000)]
        assert drawn != [draw(s, *versions, parameters, 4) for s in self.bare(1000)]
        found = [np.mean([o.version == v for o in drawn]) for v in (CLEAN, "jpeg", ADVERSARIAL)]
        np.testing.assert_allclose(found, [0.2, 0.4, 0.4], atol=0.05)
        assert np.mean([one.mirrored for one in drawn]) == pytest.approx(0.5, abs=0.06)
        eps = [one.eps for one in drawn if one.version == ADVERSARIAL]
        assert 0 < min(eps) < 0.5 < 9.5 < max(eps) < 10
        assert {one.eps for one in drawn if one.version != ADVERSARIAL} == {0.0}

    def test_draws_by_an_adversarial_share(self):
        """Versions are drawn as often as validation weights them, given by ``shares_of``."""
        parameters = TrainParameters(clean_share=0.2, adversarial_share=0.75)
        purified, adversarial = ("jpeg",), (ADVERSARIAL, f"{ADVERSARIAL}+median")
        drawn = [draw(s, purified, adversarial, parameters, 3) for s in self.bare(2000)]
        wanted = shares_of(purified, adversarial, parameters)
        found = [np.mean([one.version == version for one in drawn]) for version in wanted]
        np.testing.assert_allclose([*wanted.values()], [0.2, 0.2, 0.3, 0.3])
        np.testing.assert_allclose(found, [*wanted.values()], atol=0.04)
        only = [draw(s, (), adversarial, parameters, 3) for s in self.bare(50)]
        assert {one.version for one in only} == {CLEAN, *adversarial}

    def test_without_augmentation(self):
        parameters = TrainParameters(min_crop=1, flip=False)
        drawn = draw(self.bare(1)[0], (), (), parameters, 0)
        assert drawn == View(self.bare(1)[0], CLEAN, Box(), False, 0.0, 1.0, drawn.seed)

    def test_shares_of_blended_images(self):
        """Beta(1, 1) is uniform; an image has the larger share of its own blend."""
        parameters = TrainParameters(mixup=1.0)
        shares = [draw(s, (), (), parameters, 0).share for s in self.bare(1000)]
        assert 0.5 <= min(shares) < 0.51 < 0.99 < max(shares) <= 1
        assert np.mean(shares) == pytest.approx(0.75, abs=0.02)
        plain = [draw(s, (), (), TrainParameters(), 0) for s in self.bare(5)]
        blended = [draw(s, (), (), parameters, 0) for s in self.bare(5)]
        assert [replace(one, share=1.0) for one in blended] == plain

    def test_boxes_stay_inside_and_keep_their_share(self):
        rng = np.random.default_rng(0)
        for box in (draw_box(rng, 0.4) for _ in range(500)):
            assert 0 <= box.top <= box.top + box.height <= 1 + 1e-9
            assert 0 <= box.left <= box.left + box.width <= 1 + 1e-9
            assert 0.4 * 0.74 <= box.height * box.width <= 1 + 1e-9
        picture = make_picture(0, 40, 30)
        assert Box().cut(picture).shape == (40, 30, 3)
        np.testing.assert_array_equal(Box(0.5, 0.1, 0.25, 0.5).cut(picture), picture[20:30, 3:18])
        assert Box(0.999, 0.999, 0.001, 0.001).cut(picture).shape == (1, 1, 3)

    def test_versions_are_cut_alike(self, tmp_path):
        """The teacher's clean image is cropped and mirrored the same way."""
        classifier = load_classifier(ConvNet().save(tmp_path / "m.onnx"), UNIT)
        picture = make_picture(0, 40, 30)
        sample = sample_of(tmp_path, "a", clean=picture, darker=picture // 2)
        view = View(sample, "darker", Box(0.2, 0.3, 0.5, 0.6), mirrored=True)
        shard = load_shard([view], classifier, needs_clean=True)
        assert shard.images.shape == (1, 12, 10, 3)
        np.testing.assert_allclose(shard.images[0], shard.clean[0] // 2, atol=2)
        part = classifier.fit_to_input(picture[8:28, 9:27])
        np.testing.assert_array_equal(shard.clean[0], part[:, ::-1])
        assert (shard.labels.tolist(), shard.eps.tolist()) == ([1], [0.0])

    def test_blending(self, tmp_path):
        """Each image is blended with the previous one in the shard; the teacher's images too."""
        classifier = load_classifier(ConvNet().save(tmp_path / "m.onnx"), UNIT)
        pictures = [make_picture(seed, 12, 10) for seed in range(3)]
        views = [
            View(
                sample_of(tmp_path, f"{n}", clean=picture, darker=picture // 2), "darker",
                share=share,
            )
            for n, (picture, share) in enumerate(zip(pictures, (0.6, 1.0, 0.9), strict=True))
        ]  # fmt: skip
        shard = load_shard(views, classifier, needs_clean=True)
        a, b, c = (picture.astype(float) for picture in pictures)
        wanted = np.stack([0.6 * a + 0.4 * c, b, 0.9 * c + 0.1 * b])
        np.testing.assert_allclose(shard.clean, wanted, atol=0.5001)
        np.testing.assert_allclose(shard.images, wanted / 2, atol=1.0001)
        alone = load_shard(views[:1], classifier, needs_clean=True)
        np.testing.assert_array_equal(alone.clean[0], pictures[0])

    def test_a_file_that_changes_is_noticed(self, tmp_path):
        sample = sample_of(tmp_path, "a", clean=make_picture(0))
        path = sample.files["clean"].path
        path.write_bytes(encode_png(make_picture(1)))
        with refused(f"{path}: changed during the run"):
            sample.load("clean")

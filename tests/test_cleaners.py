"""Cleaners: a device gives the same pixels as the CPU; chains and selection by image."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest

pytest.importorskip("torch")

from rsparse.defenses import DEFENSES, Defense, Resources, parse_defense
from rsparse.defenses.applied import Applied, Cleaned
from rsparse.defenses.cleaner import Choice, Cleaner, SelectingCleaner, clean_isolating_errors
from rsparse.errors import InputError
from rsparse.work.device import CPU, Device
from tests import short_of_memory
from tests.conftest import make_picture
from tests.refusals import refused

TORCH = Device("torch-cpu")
SPECS = [
    *DEFENSES,
    "jpeg+regionsparse:sparsity=2",
    "regionsparse:sparsity=2+jpeg:quality=40+comdefend+median",
    "bit-depth+regionsparse+regionsparse:sparsity=1,localize=no",
    "slq+median",
    "policy:default",
    "bit-depth+policy:coarse+jpeg",
]
PICTURES = [make_picture(seed, 48, 56 + 4 * (seed == 2)) for seed in range(4)]


@pytest.fixture
def resources(small_dictionary) -> Resources:
    return Resources({"": small_dictionary})


def applied_to(cleaner: Cleaner, images, masks=None) -> list:
    masks = masks or [None] * len(images)
    sent = pickle.loads(pickle.dumps(cleaner))
    prepared = [sent.prepare(*given) for given in zip(images, masks, strict=True)]
    return list(cleaner.finish(pickle.loads(pickle.dumps(prepared))))


def cleaned(cleaner: Cleaner, images, masks=None) -> list:
    results = applied_to(cleaner, images, masks)
    return [r if isinstance(r, InputError) else r.pixels for r in results]


@pytest.mark.parametrize("spec", SPECS)
class TestEveryDefense:
    def test_a_device_gives_the_pixels_of_the_cores(self, spec, resources):
        """Up to one grey level, which later parts of a chain may spread over a few pixels."""
        (defense,) = parse_defense(spec)
        for ours, picture in zip(
            cleaned(defense.on(TORCH, resources), PICTURES), PICTURES, strict=True
        ):
            expected = defense.clean(picture, resources).astype(int)
            difference = np.abs(ours - expected)
            if not defense.has_device_part:
                assert (difference == 0).all()
            assert (difference > 1).mean() < (0.05 if "+" in spec else 1e-3)

    def test_a_device_and_the_cores_tell_the_same(self, spec, resources):
        (defense,) = parse_defense(spec)
        told = [defense.apply(picture, resources) for picture in PICTURES[:2]]
        np.testing.assert_array_equal(told[0].pixels, defense.clean(PICTURES[0], resources))
        for device in (CPU, TORCH):
            results = applied_to(defense.on(device, resources), PICTURES[:2])
            for result, (_, applied) in zip(results, told, strict=True):
                assert _without_measures(result.applied) == _without_measures(applied)
                if not defense.has_device_part or spec.startswith("policy"):
                    assert result.applied == applied
                assert len(applied) >= spec.count("+") + 1

    def test_only_what_has_a_device_part_uses_the_device(self, spec, resources):
        (defense,) = parse_defense(spec)
        assert defense.on(TORCH, resources).uses_device == defense.has_device_part
        assert not defense.on(CPU, resources).uses_device
        assert not defense.on(Device("mps"), resources).uses_device

    def test_an_image_does_not_depend_on_its_batch(self, spec, resources):
        (defense,) = parse_defense(spec)
        cleaner = defense.on(TORCH, resources)
        together = cleaned(cleaner, PICTURES)
        for number, picture in enumerate(PICTURES):
            (alone,) = cleaned(cleaner, [picture])
            np.testing.assert_array_equal(together[number], alone)
        assert cleaned(cleaner, []) == []


def _without_measures(applied) -> list:
    """What later parts of a chain measure depends on the device, up to rounding."""
    return [replace(part, measured={}) for part in applied]


def test_a_chain_hands_its_mask_to_every_part(resources):
    (chain,) = parse_defense("regionsparse:sparsity=1+none+regionsparse:sparsity=3")
    mask = np.zeros(PICTURES[0].shape[:2], bool)
    mask[:, :20] = True
    (ours,) = cleaned(chain.on(TORCH, resources), PICTURES[:1], [mask])
    expected = chain.clean(PICTURES[0], resources, mask)
    assert (np.abs(ours.astype(int) - expected) <= 1).mean() > 0.99
    without = chain.clean(PICTURES[0], resources)
    assert (np.abs(ours.astype(int) - without) <= 1).mean() < 0.9


@dataclass(frozen=True)
class RefusesWide(Defense):
    """A toy cleaner that accepts images of at most 56 columns."""

    name: ClassVar[str] = "toy"

    def clean(self, image, resources, mask=None):
        if image.shape[1] > 56:
            raise InputError(f"is {image.shape[1]} pixels wide")
        return image.copy()


def test_an_image_that_a_part_of_a_chain_refuses_spares_the_others(resources, monkeypatch):
    from rsparse.defenses import Chain, ComDefend

    first = cleaned(Chain((ComDefend(), RefusesWide())).on(TORCH, resources), PICTURES)
    assert [str(found) for found in first if isinstance(found, InputError)] == ["is 60 pixels wide"]
    assert isinstance(first[2], InputError)
    short_of_memory.for_images_of_width(60, monkeypatch)
    (chain,) = parse_defense("comdefend+regionsparse+comdefend+jpeg")
    second = cleaned(chain.on(TORCH, resources), PICTURES)
    assert [isinstance(found, InputError) for found in second] == [False, False, True, False]
    with refused("is 60 pixels wide"):
        Chain((RefusesWide(), ComDefend())).on(TORCH, resources).prepare(PICTURES[2])


def test_codecs_of_a_chain_are_those_of_its_parts_where_they_are_done():
    (chain,) = parse_defense("jpeg+comdefend")
    assert {"comdefend.onnx", "onnxruntime"} <= set(chain.codecs())
    assert "torch" not in chain.codecs()
    assert {"comdefend.onnx", "torch"} <= set(chain.codecs(TORCH))
    assert "onnxruntime" not in chain.codecs(TORCH)


@dataclass(frozen=True)
class Adds(Cleaner):
    """A toy cleaner that adds a number on the device and records the batch sizes."""

    number: int
    batches: list

    def prepare(self, image, mask=None):
        return image

    def finish(self, batch):
        self.batches.append(len(batch))
        return [Cleaned(image + np.uint8(self.number), (Applied("toy"),)) for image in batch]


def by_width(image) -> Choice:
    is_wide = int(image.shape[1] > 56)
    return Choice(is_wide, is_wide + 1, {"width": image.shape[1] + 0.000_001})


def test_one_of_several_is_chosen_for_each_image_and_finishes_its_own_together():
    batches: list[int] = []
    cleaner = SelectingCleaner({0: Adds(1, batches), 1: Adds(2, batches)}, by_width)
    prepared = [cleaner.prepare(picture) for picture in PICTURES]
    for found, picture in zip(cleaner.finish(prepared), PICTURES, strict=True):
        number = 1 + int(picture.shape[1] > 56)
        np.testing.assert_array_equal(found.pixels, picture + np.uint8(number))
        told = Applied("toy", rule=number, measured={"width": picture.shape[1]})
        assert found.applied == (told,)
    assert batches == [3, 1]
    cleaner.finish(prepared[:2])
    assert batches == [3, 1, 2]  # a cleaner with no images is not called


def test_a_batch_that_is_too_large_is_cleaned_one_by_one():
    def clean(batch):
        if sum(batch) > 5:
            raise InputError("too large")
        return [-number for number in batch]

    assert list(clean_isolating_errors(clean, [1, 2])) == [-1, -2]
    assert [str(found) for found in clean_isolating_errors(clean, [1, 9, 2])] == [
        "-1",
        "too large",
        "-2",
    ]
    assert list(clean_isolating_errors(clean, [])) == []

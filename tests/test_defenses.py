"""Every defense satisfies the contract of its base class; chains and spec strings."""

from __future__ import annotations

import dataclasses
import json
import pickle
import subprocess
import sys

import numpy as np
import pytest

from rsparse.defenses import (
    DEFENSES,
    Chain,
    Defense,
    NoDefense,
    RegionSparse,
    Resources,
    defense_text,
    parse_defense,
)
from tests.conftest import make_picture
from tests.refusals import refused

ALL = [defense() for defense in DEFENSES.values()]
CHAINS = parse_defense("bilateral+jpeg:quality=40") + parse_defense("slq+slq")


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    made = make_picture(3, 33, 42)
    made.setflags(write=False)
    return made


@pytest.fixture
def resources(small_dictionary) -> Resources:
    return Resources({"": small_dictionary})


@pytest.mark.parametrize("defense", ALL + CHAINS, ids=repr)
class TestDefense:
    def test_it_gives_an_image_of_the_same_size_and_leaves_its_input_alone(
        self, defense, picture, resources
    ):
        before = picture.copy()
        clean = defense.clean(picture, resources)
        assert (clean.shape, clean.dtype) == (picture.shape, np.uint8)
        assert not np.shares_memory(clean, picture)
        np.testing.assert_array_equal(picture, before)

    def test_equal_images_give_equal_results_in_any_order(self, defense, picture, resources):
        first = defense.clean(picture, resources)
        defense.clean(make_picture(4), resources)
        sent = pickle.loads(pickle.dumps((defense, resources)))
        np.testing.assert_array_equal(sent[0].clean(picture, sent[1]), first)

    @pytest.mark.parametrize("shape", [(1, 1, 3), (1, 30, 3), (30, 1, 3), (2, 3, 3), (7, 5, 3)])
    def test_small_images_work_or_are_refused(self, defense, resources, shape):
        image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
        if "regionsparse" in defense.kind and min(shape[:2]) < 4:
            with refused(f"is {shape[1]}×{shape[0]} pixels, smaller than a patch of 4×4"):
                defense.clean(image, resources)
            return
        clean = defense.clean(image, resources)
        assert (clean.shape, clean.dtype) == (shape, np.uint8)

    def test_a_seed_matters_where_it_says_so(self, defense, picture, resources):
        other = dataclasses.replace(resources, seed=1)
        same = (defense.clean(picture, resources) == defense.clean(picture, other)).all()
        assert same == (not defense.is_random)

    def test_its_record_is_json(self, defense):
        record = defense.as_record()
        assert record["name"] == defense.kind
        assert json.loads(json.dumps(record)) == record

    def test_its_text_is_the_name_of_a_folder_and_spells_it(self, defense):
        text = defense_text(defense)
        assert not set(text) & set('/\\:*?"<>| \n')
        spec = "+".join(
            f"{part.name}:" + ",".join(f"{key}={value}" for key, value in parameters(part).items())
            for part in getattr(defense, "parts", [defense])
        )
        assert parse_defense(spec) == [defense]

    def test_codecs_are_versions_by_name(self, defense):
        known = {"jpeg": "libjpeg", "slq": "libjpeg", "comdefend": "onnxruntime"}
        expected = {known[part] for part in defense.kind.split("+") if part in known}
        assert {name.split("-")[0] for name in defense.codecs()} - {"comdefend.onnx"} == expected
        assert all(defense.codecs().values())


def parameters(defense: Defense) -> dict[str, object]:
    return {
        name: value for name, value in defense.as_record().items() if name != "name" and value != ""
    }


def test_the_registry_knows_them_by_their_names():
    assert all(defense.name == name for name, defense in DEFENSES.items())
    assert {"regionsparse", "none", "jpeg", "median"} <= set(DEFENSES)


def test_importing_them_loads_nothing_heavy():
    code = (
        "import sys, rsparse.defenses as d; d.parse_defense('jpeg+tv+regionsparse'); "
        "print(sorted({'numpy', 'cv2', 'PIL', 'scipy', 'skimage', 'onnxruntime', 'numba'} "
        "& set(sys.modules)))"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "[]\n"


class TestParsing:
    def test_lists_give_one_defense_for_each_value(self):
        texts = [defense_text(found) for found in parse_defense("jpeg:quality=20,75")]
        assert texts == ["jpeg-quality=20", "jpeg-quality=75"]

    def test_each_part_of_a_chain_may_hold_a_list(self):
        found = parse_defense("median:size=2,3+none+jpeg:quality=20,75")
        assert [defense_text(chain) for chain in found] == [
            f"median-size={size}+none+jpeg-quality={quality}"
            for size in (2, 3) for quality in (20, 75)
        ]  # fmt: skip
        assert found[0].kind == "median+none+jpeg"

    def test_regionsparse_takes_all_its_parameters(self):
        found = parse_defense("regionsparse:sparsity=1,localize=no,closing-size=7,dictionary=dct")
        assert found == [RegionSparse(sparsity=1, localize=False, closing_size=7, dictionary="dct")]
        assert defense_text(RegionSparse()) == "regionsparse-sparsity=2"

    def test_a_number_may_hold_a_plus(self):
        assert parse_defense("gaussian:sigma=1e+1+none") == parse_defense("gaussian:sigma=10+none")

    @pytest.mark.parametrize(
        ("text", "line"),
        [
            ("jpg", "unknown defense 'jpg'; did you mean jpeg? Known: " + ", ".join(DEFENSES)),
            ("median+", "unknown defense ''; known: " + ", ".join(DEFENSES)),
            (
                "none+jpeg:quality=0",
                "defense 'jpeg:quality=0': quality: expected a whole number from 1 to 100, got 0",
            ),
            ("none:size=3", "defense 'none:size=3': unknown parameter 'size'; it takes none"),
            ("jpeg:quality=7,7", "defense 'jpeg:quality=7,7': gives the same defense twice"),
        ],
    )
    def test_mistakes(self, text, line):
        with refused(line):
            parse_defense(text)


class TestChain:
    def test_each_part_cleans_what_the_one_before_left(self, picture, resources):
        bilateral, jpeg = CHAINS[0].parts
        expected = jpeg.clean(bilateral.clean(picture, resources), resources)
        np.testing.assert_array_equal(CHAINS[0].clean(picture, resources), expected)

    def test_its_record_holds_its_parts(self):
        assert CHAINS[0].as_record() == {
            "name": "bilateral+jpeg",
            "parts": [part.as_record() for part in CHAINS[0].parts],
        }

    def test_what_a_part_needs_the_chain_needs(self):
        with refused("regionsparse needs a dictionary: --dict dict.h5"):
            Chain((NoDefense(), RegionSparse())).check(Resources())
        with refused("regionsparse needs a dictionary named 'dct': --dict dct=dict.h5"):
            Chain((RegionSparse(dictionary="dct"),)).check(Resources())

    def test_a_mask_reaches_the_parts(self, picture, resources):
        nowhere = np.zeros(picture.shape[:2], dtype=bool)
        chain = parse_defense("none+regionsparse:filter-background=no")[0]
        np.testing.assert_array_equal(chain.clean(picture, resources, nowhere), picture)


def test_random_numbers_follow_from_seed_pixels_and_size():
    def drawn(seed: int, image: np.ndarray) -> float:
        return float(Resources(seed=seed).random(image).random())

    image = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    assert drawn(0, image) == drawn(0, image.copy())
    assert len({drawn(0, image), drawn(1, image), drawn(0, image + 1),
                drawn(0, image.reshape(4, 2, 3))}) == 4  # fmt: skip

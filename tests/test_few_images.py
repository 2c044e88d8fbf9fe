"""The study of how many images a dictionary needs: its dictionaries, its errors and its table."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")

from rsparse.core.learning import patch_rng, standardized, take_patches
from rsparse.options.learn_dict import LearnParameters
from rsparse.store.images import encode_png
from studies.few_images import ATTACKED, Study, curve, held_out, table
from studies.tables import write_rows
from tests.conftest import make_picture


def row(images: int, seed: int, error: float, right: float) -> dict[str, str]:
    return {"images": str(images), "seed": str(seed), "photographs": "40",
            "error K=2": str(error), "clean": "80.0", ATTACKED: str(right)}  # fmt: skip


def test_the_table_has_means_and_ranges(tmp_path):
    path = tmp_path / "few.csv"
    write_rows(path, [row(5, 0, 10, 20), row(50, 0, 8, 30), row(5, 1, 12, 40), row(50, 1, 8, 32)])
    lines = table(path).splitlines()
    assert [cell.strip() for cell in lines[2].strip("|").split("|")] == [
        "5", "11.00", "80.0 (80.0–80.0)", "30.0 (20.0–40.0)",
    ]  # fmt: skip
    assert list(curve(path)) == [(5, 11.0, 30.0), (50, 8.0, 31.0)]


def test_a_dictionary_is_learned_from_so_many_images(tmp_path):
    train = tmp_path / "train"
    train.mkdir()
    names = [f"{number}.png" for number in range(4)]
    for number, name in enumerate(names):
        (train / name).write_bytes(encode_png(make_picture(number, 30, 30)))
    write_rows(train / "labels.csv", [{"file": name, "label": "0"} for name in names])
    study = Study(tmp_path, tmp_path, 4)
    one, two = study._learned(2, 0), study._learned(3, 0)
    order = np.random.default_rng(0).permutation(4)
    assert list(study._taken) == list(order[:3])
    assert one.atoms.shape == two.atoms.shape == (256, 192)
    assert (one.atoms != two.atoms).any()


def test_held_out_patches_are_standardised_and_not_smoothed():
    images = [make_picture(seed, 40, 44) for seed in range(2)]
    found = held_out(images)
    plain = LearnParameters(smoothing=False, patches_per_image=10_000)
    first = standardized(take_patches(images[0], plain, patch_rng(1, 0, 0)), plain)
    np.testing.assert_array_equal(found[:10_000], first)
    assert found.shape == (20_000, 192)

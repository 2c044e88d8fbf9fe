"""Photographs in chunks: attacked once, judged once, and as ``evaluate`` does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from rsparse.core.noise import noise_level
from rsparse.defenses import parse_defense
from rsparse.evaluation.model_choice import ModelChoice
from rsparse.evaluation.plan import parse_attacks
from rsparse.models.spec import InputOptions
from rsparse.store.images import decode_image, encode_png
from studies.chunks import Photographs, judged
from studies.least_change import accuracy, gains, groups_of
from tests.conftest import REPOSITORY, make_picture

FIXTURES = REPOSITORY / "fixtures"
ATTACKS = ["fgsm:eps=4", "deepfool:scale=1,3", "cw-l2:d=0.05,steps=20"]


@pytest.fixture
def photographs(tmp_path) -> Photographs:
    """Pictures labelled by colour, of which the last one is labelled wrongly."""
    folder = tmp_path / "photos"
    folder.mkdir()
    rows = ["file,label"]
    for number in range(7):
        pixels = make_picture(number, 16, 16) // 2
        pixels[..., number % 3] += 60
        (folder / f"{number}.png").write_bytes(encode_png(pixels))
        rows.append(f"{number}.png,{number % 3 if number < 6 else 2}")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    return made(tmp_path)


def made(tmp_path: Path, attacks: list[str] = ATTACKS) -> Photographs:
    return Photographs(
        tmp_path / "photos",
        slice(None),
        ModelChoice(FIXTURES / "colours.onnx", InputOptions(preset="unit")),
        parse_attacks(attacks),
        {"": FIXTURES / "dict.h5"},
        tmp_path / "work",
        2,
    )


def test_images_are_those_of_the_command_attack(photographs, tmp_path, run_cli):
    folder = tmp_path / "photos"
    out = tmp_path / "adv"
    result = run_cli("attack", folder, "-m", FIXTURES / "colours.onnx", "--preset", "unit",
                     "-o", out, "--labels", folder / "labels.csv", "--jobs", 1,
                     *(word for text in ATTACKS[:2] for word in ("-a", text)))  # fmt: skip
    assert result.exit_code == 0, result.stderr
    assert photographs.columns[0] == "clean"
    for column in photographs.columns[1:4]:
        images = [photographs.images(chunk, column) for chunk in range(2)]
        assert [len(some) for some in images] == [3, 3]
        for chunk, some in enumerate(images):
            for number, image in enumerate(some):
                path = out / column / f"{2 * number + chunk}.png"
                np.testing.assert_array_equal(image, decode_image(path.read_bytes(), path))


def test_each_image_is_judged_once(photographs, tmp_path, monkeypatch):
    defenses = {text: parse_defense(text)[0] for text in ("none", "regionsparse:localize=no")}
    found = judged(photographs, range(2), defenses, (noise_level,))
    assert found.right["none"].shape == found.measures["noise_level"].shape == (5, 6)
    assert found.right["none"][0].all()
    assert not found.right["none"][3].any()  # three times the change that fools
    image = photographs.images(1, "fgsm-eps=4")[2]
    assert found.measures["noise_level"][1, 5] == noise_level(image)

    again = made(tmp_path)
    monkeypatch.setattr(Photographs, "_is_right", None)
    monkeypatch.setattr(Photographs, "_attack", None)
    for name, flags in judged(again, range(2), defenses, (noise_level,)).right.items():
        np.testing.assert_array_equal(flags, found.right[name])


def test_another_attack_and_another_dictionary_are_judged_anew(photographs, tmp_path):
    defense = parse_defense("regionsparse:localize=no")[0]
    first = photographs.right(0, defense)
    more = made(tmp_path, [*ATTACKS, "bim:eps=9"]).right(0, defense)
    np.testing.assert_array_equal(more[:-1], first)
    other = made(tmp_path)
    kept = [path.read_bytes() for path in (tmp_path / "work").rglob("right/*")]
    assert len(kept) == 1
    other._digests[""] = "another"
    np.testing.assert_array_equal(other.right(0, defense), first)
    assert len(list((tmp_path / "work").rglob("right/*"))) == 2


def test_gains_are_paired_and_over_the_columns_of_each_group():
    columns = ("clean", "deepfool-scale=2", "bim-eps=2")
    assert groups_of(columns) == {"all": [1, 2], "least change": [1], "others": [2]}
    right = {
        "policy-default": np.array([[1, 1, 1, 1], [1, 1, 1, 0], [1, 1, 0, 0]], bool),
        "policy-sparing": np.array([[1, 1, 1, 1], [1, 0, 0, 0], [1, 1, 0, 0]], bool),
        "policy-without-jpeg": np.array([[1, 1, 1, 1], [1, 1, 0, 0], [1, 1, 0, 0]], bool),
        "jpeg-quality=75": np.array([[1, 1, 1, 1], [1, 1, 0, 0], [0, 0, 0, 0]], bool),
        "jpeg-quality=20": np.array([[1, 1, 0, 0], [1, 0, 0, 0], [1, 0, 0, 0]], bool),
        "a+b": np.array([[1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]], bool),
    }
    kinds = dict(zip(right, (*["ours"] * 3, "single", "single", "chain"), strict=True))
    rows = {(row["columns"], row["kind"]): row for row in gains(columns, right, kinds)}
    least = rows["least change", "single"]
    assert (least["other"], least["difference"], least["n_columns"]) == (
        "jpeg-quality=75",
        "25.0",
        "1",
    )
    assert rows["others", "single"]["other"] == "jpeg-quality=20"
    assert rows["all", "sparing"]["difference"] == "25.0"
    assert rows["others", "sparing"]["difference"] == "0.0"
    assert rows["all", "without JPEG"]["difference"] == "12.5"
    (first, *_) = accuracy(columns, right, kinds)
    assert (first["deepfool-scale=2"], first["all"]) == ("75.0", "62.5")

"""The embedded default model and photographs: size, licences, splits and accuracy."""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from rsparse.core.learning import learn_dictionary
from rsparse.core.regionsparse import purify
from rsparse.data import demo_model, demo_photos
from rsparse.models.onnx.classifier import Classifier, load_classifier
from rsparse.options.learn_dict import LearnParameters
from rsparse.store.finding import find_images
from rsparse.store.images import decode_image

PHOTOS = demo_photos("test").parent
LICENSES = (PHOTOS.parent / "LICENSES.md").read_text(encoding="utf-8")
SIDE = 128


class Crop(NamedTuple):
    """A row of crops.csv."""

    label: str
    split: str
    file: str
    source: str
    x: int
    y: int
    side: int

    def overlaps(self, other: Crop) -> bool:
        return (
            self.x < other.x + other.side
            and other.x < self.x + self.side
            and self.y < other.y + other.side
            and other.y < self.y + self.side
        )


def read_crops() -> list[Crop]:
    with (PHOTOS / "crops.csv").open(newline="", encoding="utf-8") as stream:
        _, *rows = csv.reader(stream)
    return [Crop(*row[:4], *map(int, row[4:])) for row in rows]


def read_png(path: Path) -> np.ndarray:
    return decode_image(path.read_bytes(), path)


def read_split(split: str) -> tuple[np.ndarray, np.ndarray]:
    """Read the photographs of a split, uint8 (n, h, w, 3), and their class indices."""
    folder = demo_photos(split)
    photos = find_images([folder])
    labels = sorted(path.name for path in folder.iterdir())
    y = [labels.index(photo.name.split("/")[0]) for photo in photos]
    return np.stack([read_png(photo.path) for photo in photos]), np.array(y)


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return load_classifier(demo_model())


def test_photographs_are_many_small_and_rgb() -> None:
    x = np.concatenate([read_split(split)[0] for split in ("train", "test")])
    assert len(x) >= 60
    assert x.shape[1:] == (SIDE, SIDE, 3)
    assert x.dtype == np.uint8
    assert sum(path.stat().st_size for path in PHOTOS.rglob("*.png")) < 3.5e6


def test_every_class_has_photographs_in_both_splits() -> None:
    counts = Counter((crop.label, crop.split) for crop in read_crops())
    assert len({label for label, _ in counts}) >= 8
    assert set(counts.values()) == {5}
    assert len(counts) % 2 == 0


def test_the_table_lists_the_files() -> None:
    on_disk = {path.relative_to(PHOTOS).as_posix() for path in PHOTOS.rglob("*.png")}
    assert {crop.file for crop in read_crops()} == on_disk
    for crop in read_crops():
        assert Path(crop.file).parts[:2] == (crop.split, crop.label)


def test_training_and_test_crops_are_disjoint() -> None:
    by_source = defaultdict(lambda: {"train": [], "test": []})
    for crop in read_crops():
        by_source[crop.source][crop.split].append(crop)
    for crops in by_source.values():
        for train, test in product(crops["train"], crops["test"]):
            assert not train.overlaps(test), (train, test)


def test_nothing_was_enlarged() -> None:
    assert min(crop.side for crop in read_crops()) >= SIDE


@pytest.mark.parametrize("label", sorted({crop.label for crop in read_crops()}))
def test_every_source_has_a_licence_that_allows_passing_on(label: str) -> None:
    (row,) = (line for line in LICENSES.splitlines() if line.startswith(f"| {label} |"))
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert {crop.source for crop in read_crops() if crop.label == label} == {cells[1].split("`")[1]}
    assert cells[-1] in {"public domain", "[CC0 1.0]", "[CC BY 2.0]"}
    assert "](http" in cells[2]


def test_crops_can_be_cut_again_from_the_installed_sources(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("skimage")
    monkeypatch.syspath_prepend(Path(__file__).parent.parent / "scripts")
    demo_photos_script = pytest.importorskip("demo_photos")
    demo_photos_script.write_photos(tmp_path)
    assert (tmp_path / "crops.csv").read_bytes() == (PHOTOS / "crops.csv").read_bytes()
    for crop in read_crops():
        again, shipped = read_png(tmp_path / crop.file), read_png(PHOTOS / crop.file)
        difference = np.abs(again.astype(int) - shipped)
        assert difference.mean() < 1, crop.file  # JPEG decoders differ by a grey level or two


def test_model_is_small_and_needs_no_options(classifier: Classifier) -> None:
    assert demo_model().stat().st_size <= 1.5e6
    spec = classifier.spec
    assert spec.size == (SIDE, SIDE)
    assert (spec.mean, spec.std, spec.range) == ((0.5,) * 3, (0.5,) * 3, 1.0)
    assert list(spec.labels or ()) == sorted(path.name for path in demo_photos("test").iterdir())
    assert classifier.batch is None


def test_nodes_bear_inception_names(classifier: Classifier) -> None:
    names = {node.name for node in classifier.graph.graph.node}
    assert {"conv", "conv_1", "mixed/tower/conv_1", "mixed_2/join", "pool_3", "logits"} <= names


def test_accuracy_on_unseen_crops(classifier: Classifier) -> None:
    x, y = read_split("test")
    assert (classifier.logits(x).argmax(1) == y).mean() >= 0.95


def test_torch_twin_agrees(classifier: Classifier) -> None:
    torch = pytest.importorskip("torch")
    from rsparse.models.torch.twin import load_twin

    x = (read_split("test")[0][::5] / 255).astype(np.float32)
    twin = load_twin(classifier)
    with torch.no_grad():
        logits = twin(torch.from_numpy(x.transpose(0, 3, 1, 2))).numpy()
    np.testing.assert_allclose(logits, classifier.logits(x), atol=1e-4)


@pytest.mark.slow
def test_an_attack_breaks_it_and_purifying_mends_it(classifier: Classifier) -> None:
    """The demo's claim, on crops used for neither the network nor the dictionary."""
    pytest.importorskip("torch")
    from rsparse.attacks import Bim, run_attack
    from rsparse.models.torch.twin import load_twin

    x, y = read_split("test")
    attacked = run_attack(load_twin(classifier), (x / 255).astype(np.float32), y, Bim(eps=8))
    x_adv = np.rint(attacked.x_adv * 255).astype(np.uint8)
    dictionary = learn_dictionary(list(read_split("train")[0]), LearnParameters())
    x_purified = [purify(image, dictionary) for image in x_adv]
    assert (classifier.logits(x_adv).argmax(1) == y).mean() < 0.10
    assert (classifier.logits(x_purified).argmax(1) == y).mean() >= 0.60

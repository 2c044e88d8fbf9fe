"""Photographs for the studies of detection: clean, attacked, and changed after the attack.

The photographs of ``photos/`` are split in two halves. Those of one are attacked, and their clean
versions tell the false alarms; those of the other one are a reference of the same origin.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from rsparse.attacks import parse_attack, run_attack
from rsparse.models.onnx.classifier import Classifier, load_classifier
from rsparse.models.torch.twin import load_twin
from rsparse.store.images import decode_image, encode_png, to_pixels, to_unit
from studies.pages import DOCS
from studies.plans import model
from studies.tables import read_rows

Pixels = NDArray[np.uint8]
Photograph = tuple[str, Pixels, int]
"""Name, pixels and class."""

SIDE = 224
CLEAN, SAME_ORIGIN = "clean", "same-origin"
_HALVES = {CLEAN: 0, SAME_ORIGIN: 1}
_AT_ONCE = 4


class Attacked(NamedTuple):
    """An attack; ``factor`` multiplies the change that it finds, image by image.

    ``often`` multiplies the number of photographs, where few attacked ones fool after rounding.
    """

    spec: str
    factor: float = 1.0
    often: int = 1


ATTACKS = {  # CW's images of least change become right again by rounding, so theirs are doubled
    "fgsm-eps=2": Attacked("fgsm:eps=2"),
    "fgsm-eps=10": Attacked("fgsm:eps=10"),
    "bim-eps=2": Attacked("bim:eps=2"),
    "bim-eps=10": Attacked("bim:eps=10"),
    "mi-fgsm-d=0.01": Attacked("mi-fgsm:d=0.01"),
    "mi-fgsm-d=0.1": Attacked("mi-fgsm:d=0.1"),
    "deepfool-scale=2": Attacked("deepfool:scale=2", often=2),
    "cw-l2-doubled": Attacked("cw-l2:steps=30", 2.0),
    "cw-l2-confidence=10": Attacked("cw-l2:confidence=10,steps=30"),
}


def jpeg(image: Pixels) -> Pixels:
    """The image after JPEG compression of quality 85, which halves the resolution of colour."""
    encoded = cv2.imencode(".jpg", image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])[1]
    return np.ascontiguousarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR)[:, :, ::-1])


def half(image: Pixels) -> Pixels:
    """The image at half its size."""
    rows, columns = image.shape[:2]
    return cv2.resize(image, (columns // 2, rows // 2), interpolation=cv2.INTER_AREA)


def turned(image: Pixels) -> Pixels:
    """The image turned by 90°."""
    return np.ascontiguousarray(np.rot90(image))


AS_IT_IS, TURNED = "as it is", "turned by 90°"
VERSIONS: Mapping[str, Callable[[Pixels], Pixels]] = {
    AS_IT_IS: lambda image: image, "half size": half, "JPEG 85": jpeg, TURNED: turned,
}  # fmt: skip


def photographs(shared: Path, part: str) -> Iterator[Photograph]:
    """The photographs of one half of ``photos/``."""
    for row in islice(read_rows(shared / "photos" / "labels.csv"), _HALVES[part], None, 2):
        path = shared / "photos" / row["file"]
        yield path.stem, decode_image(path.read_bytes(), path), int(row["label"])


def train_photographs(shared: Path, every: int) -> list[Path]:
    """Every n-th photograph of ``train/``."""
    rows = read_rows(shared / "train" / "labels.csv")
    return [shared / "train" / row["file"] for row in rows[::every]]


def classifier_of(shared: Path) -> Classifier:
    """MobileNet-v2, on one core."""
    chosen = model(shared, "mobilenet-v2")
    return load_classifier(chosen.path, chosen.input_options)


def right_photographs(shared: Path, wanted: int) -> list[Photograph]:
    """The first photographs that the classifier gets right, at the size of its input."""
    classifier = classifier_of(shared)
    found: list[Photograph] = []
    for name, pixels, label in photographs(shared, CLEAN):
        image = classifier.fit_to_input(pixels)
        if len(found) < wanted and int(classifier.logits([image]).argmax()) == label:
            found.append((name, image, label))
    return found


def clean_folder(options: argparse.Namespace, part: str) -> Path:
    """A folder of one half of ``photos/``, at the size of the classifier's input."""
    folder: Path = options.work / part
    if not folder.exists():
        fit = classifier_of(options.shared).fit_to_input
        write_images(folder, {n: fit(x) for n, x, _ in photographs(options.shared, part)})
    return folder


def attacked_folders(options: argparse.Namespace) -> list[Path]:
    """A folder for each attack, of the images that fool the classifier."""
    folders = {name: options.work / "attacked" / name for name in ATTACKS}
    missing = {name: folder for name, folder in folders.items() if not folder.exists()}
    if missing:
        most = max(attacked.often for attacked in ATTACKS.values())
        given = right_photographs(options.shared, most * options.attacked)
        for name, folder in missing.items():
            some = given[: ATTACKS[name].often * options.attacked]
            write_images(folder, fooling(ATTACKS[name], some, classifier_of(options.shared)))
            print(folder, flush=True)
    return [folder for folder in folders.values() if any(folder.glob("*.png"))]


def fooling(
    attacked: Attacked, given: Sequence[Photograph], classifier: Classifier
) -> dict[str, Pixels]:
    """The attacked images that fool a classifier after rounding, by name."""
    (attack,) = parse_attack(attacked.spec)
    twin, made = load_twin(classifier), {}
    for start in range(0, len(given), _AT_ONCE):
        names, images, labels = zip(*given[start : start + _AT_ONCE], strict=True)
        x = to_unit(np.stack(images))
        x_adv = run_attack(twin, x, np.array(labels), attack).x_adv
        pixels = to_pixels(np.clip(x + np.float32(attacked.factor) * (x_adv - x), 0, 1))
        predictions = classifier.logits(list(pixels)).argmax(axis=1)
        rows = zip(names, pixels, labels, predictions, strict=True)
        made |= {name: image for name, image, label, answer in rows if answer != label}
    return made


def changed(folder: Path, version: str) -> Path:
    """A folder of the same name with each image changed, of the clean ones every second."""
    if version == AS_IT_IS:
        return folder
    target = folder.parent / version / folder.name
    if not target.exists():
        paths = sorted(folder.glob("*.png"))[:: 2 if folder.name == CLEAN else 1]
        change = VERSIONS[version]
        write_images(target, {p.stem: change(decode_image(p.read_bytes(), p)) for p in paths})
    return target


def still_fooling(options: argparse.Namespace, folder: Path) -> int:
    """How many images of a folder the classifier gets wrong."""
    labels = {
        Path(row["file"]).stem: int(row["label"])
        for row in read_rows(options.shared / "photos" / "labels.csv")
    }
    classifier = classifier_of(options.shared)
    wrong = 0
    for path in folder.glob("*.png"):
        image = classifier.fit_to_input(decode_image(path.read_bytes(), path))
        wrong += int(classifier.logits([image]).argmax()) != labels[path.stem]
    return wrong


def write_images(folder: Path, images: Mapping[str, Pixels]) -> None:
    """Write PNG files; the folder appears when it is complete."""
    begun = folder.with_name(f"{folder.name}.part")
    begun.mkdir(parents=True, exist_ok=True)
    for name, pixels in images.items():
        (begun / f"{name}.png").write_bytes(encode_png(pixels))
    begun.rename(folder)


def options_of(text: str) -> argparse.Namespace:
    """The options of this study, described by the first line of a text."""
    parser = argparse.ArgumentParser(description=text.splitlines()[0])
    parser.add_argument("--shared", type=Path, required=True, help="photographs and models")
    parser.add_argument("--work", type=Path, required=True, help="folder for the artifacts")
    parser.add_argument("--every", type=int, default=4, help="take every n-th photograph of train")
    parser.add_argument("--attacked", type=int, default=24, help="photographs to attack")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument(
        "-o", "--output", type=Path, default=DOCS / "detection", help="folder for the tables"
    )
    return parser.parse_args()

"""Measure how well ``rsparse detect`` finds attacks, and what an attacker who knows it leaves.

    python -m studies.detection --shared ../shared --work bench-work/detection

The reference is measured on photographs of ``train/``; attacks and false alarms on ``photos/``,
which sets nothing. An attacked image counts if it fools the classifier after rounding.
The result is docs/detection/rates.csv. The work folder keeps all; an interrupted run goes on.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from rsparse.attacks import Attack, attack_text, parse_attack, run_attack
from rsparse.commands.detect.calibrate import calibrate_images
from rsparse.commands.detect.detect import detect_images
from rsparse.commands.detect.results import DetectOutcome
from rsparse.commands.detect.setup import DetectorFiles
from rsparse.core.metrics import Estimate
from rsparse.models.onnx.classifier import Classifier, load_classifier
from rsparse.models.torch.twin import load_twin
from rsparse.options.detect import DetectParameters
from rsparse.store.images import decode_image, encode_png, to_pixels, to_unit
from rsparse.work.workers import LocalWorkers
from studies.least_change import attacked_photographs
from studies.pages import DOCS
from studies.plans import model
from studies.tables import Row, read_rows, write_rows

Pixels = NDArray[np.uint8]

ATTACKS = (
    "fgsm:eps=2", "fgsm:eps=10", "bim:eps=2", "bim:eps=10", "mi-fgsm:d=0.01", "mi-fgsm:d=0.1",
)  # fmt: skip
CLEAN = "clean"
SIDE = 224
DEEPFOOL = "deepfool-scale=2"
_CHUNKS = (0, 1)  # of the photographs of ``studies.least_change``
_AT_ONCE = 4


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


VERSIONS: Mapping[str, Callable[[Pixels], Pixels]] = {
    "as it is": lambda image: image, "half size": half, "JPEG 85": jpeg, "turned by 90°": turned,
}  # fmt: skip


def main() -> None:
    options = options_of(__doc__)
    attacked = attacked_folders(options)
    clean = options.work / CLEAN
    if not clean.exists():
        classifier = classifier_of(options.shared)
        every_second = islice(photographs(options.shared), 0, None, 2)
        write_images(clean, {name: classifier.fit_to_input(x) for name, x, _ in every_second})
    rows: list[Row] = []
    for kind, files, side in detectors(options):
        reference = options.work / f"reference-{kind}.h5"
        workers = LocalWorkers(options.jobs)
        if not reference.exists():
            calibrate_images(
                train_photographs(options), reference, DetectParameters(resize_to=side),
                files=files, workers=workers,
            )  # fmt: skip
        usable = [folder for folder in attacked if any(folder.glob("*.png"))]
        for version, change in VERSIONS.items():
            folders = [changed(folder, version, change) for folder in (clean, *usable)]
            found = detect_images(
                folders[:1], reference, None, DetectParameters(), files=files,
                attacked=folders[1:], workers=workers,
            )  # fmt: skip
            rows += list(rates(kind, version, found))
            write_rows(options.output / "rates.csv", rows)
            print(kind, version, flush=True)


def detectors(options: argparse.Namespace) -> Iterator[tuple[str, DetectorFiles, str | None]]:
    """The detector without a classifier, and the one with MobileNet-v2."""
    yield "image", DetectorFiles(), str(SIDE)
    chosen = model(options.shared, "mobilenet-v2")
    yield "model", DetectorFiles(chosen.path, chosen.input_options), None


def rates(kind: str, version: str, found: DetectOutcome) -> Iterator[Row]:
    """A row of false alarms, and a row for each attack."""
    start = {"detector": kind, "images": version}
    yield {**start, "attack": "clean", **_share(found.detected), **_area(None)}
    for folder in found.attacked:
        yield {**start, "attack": folder.folder, **_share(folder.found), **_area(folder.area)}


def _share(share: Estimate) -> Row:
    value, low, high = (f"{100 * number:.1f}" for number in share.numbers)
    return {"n": str(share.n), "found": value, "found_low": low, "found_high": high}


def _area(area: Estimate | None) -> Row:
    words = ("", "", "") if area is None else (f"{number:.3f}" for number in area.numbers)
    return dict(zip(("auc", "auc_low", "auc_high"), words, strict=True))


def photographs(shared: Path) -> Iterator[tuple[str, Pixels, int]]:
    """The name, the pixels and the class of each of ``photos/``."""
    for row in read_rows(shared / "photos" / "labels.csv"):
        path = shared / "photos" / row["file"]
        yield path.stem, decode_image(path.read_bytes(), path), int(row["label"])


def train_photographs(options: argparse.Namespace) -> list[Path]:
    """Every n-th photograph of ``train/``."""
    rows = read_rows(options.shared / "train" / "labels.csv")
    return [options.shared / "train" / row["file"] for row in rows[:: options.every]]


def classifier_of(shared: Path) -> Classifier:
    """MobileNet-v2, on one core."""
    chosen = model(shared, "mobilenet-v2")
    return load_classifier(chosen.path, chosen.input_options)


def right_photographs(shared: Path, wanted: int) -> Iterator[tuple[str, Pixels, int]]:
    """The first photographs that the classifier gets right, at the size of its input."""
    classifier, n = classifier_of(shared), 0
    for name, pixels, label in photographs(shared):
        if n == wanted:
            return
        image = classifier.fit_to_input(pixels)
        if int(classifier.logits([image]).argmax()) == label:
            n += 1
            yield name, image, label


def attacked_folders(options: argparse.Namespace) -> list[Path]:
    """A folder for each attack, of the images that fool the classifier."""
    attacks = [attack for spec in ATTACKS for attack in parse_attack(spec)]
    folders = [options.work / "attacked" / attack_text(attack) for attack in attacks]
    missing = [pair for pair in zip(attacks, folders, strict=True) if not pair[1].exists()]
    if missing:
        given = list(right_photographs(options.shared, options.attacked))
        for attack, folder in missing:
            write_images(folder, fooling(attack, given, classifier_of(options.shared)))
            print(folder, flush=True)
    least = options.work / "attacked" / DEEPFOOL
    if not least.exists():
        write_images(least, fooling_least(options))
    return [*folders, least]


def fooling_least(options: argparse.Namespace) -> dict[str, Pixels]:
    """Photographs that ``studies.least_change`` attacked with DeepFool and that fool, by name."""
    given, made = attacked_photographs(options.shared, options.work), {}
    for chunk in _CHUNKS:
        images, labels = given.images(chunk, DEEPFOOL), given.labels(chunk)
        answers = given.classifier.logits(list(images)).argmax(axis=1)
        for number in np.flatnonzero(answers != labels):
            made[f"{chunk:02d}-{number:02d}"] = images[number]
    return made


def fooling(
    attack: Attack, given: Sequence[tuple[str, Pixels, int]], classifier: Classifier
) -> dict[str, Pixels]:
    """The attacked images that fool a classifier after rounding, by name."""
    twin, made = load_twin(classifier), {}
    for start in range(0, len(given), _AT_ONCE):
        names, images, labels = zip(*given[start : start + _AT_ONCE], strict=True)
        result = run_attack(twin, to_unit(np.stack(images)), np.array(labels), attack)
        pixels = to_pixels(result.x_adv)
        predictions = classifier.logits(list(pixels)).argmax(axis=1)
        rows = zip(names, pixels, labels, predictions, strict=True)
        made |= {name: image for name, image, label, answer in rows if answer != label}
    return made


def write_images(folder: Path, images: Mapping[str, Pixels]) -> None:
    """Write PNG files; the folder appears when it is complete."""
    begun = folder.with_name(f"{folder.name}.part")
    begun.mkdir(parents=True, exist_ok=True)
    for name, pixels in images.items():
        (begun / f"{name}.png").write_bytes(encode_png(pixels))
    begun.rename(folder)


def changed(folder: Path, version: str, change: Callable[[Pixels], Pixels]) -> Path:
    """A folder of the same name with each image changed, of the clean ones every second."""
    target = folder.parent / version / folder.name
    if version == "as it is":
        return folder
    if not target.exists():
        paths = sorted(folder.glob("*.png"))[:: 2 if folder.name == CLEAN else 1]
        images = {path.stem: change(decode_image(path.read_bytes(), path)) for path in paths}
        write_images(target, images)
    return target


def options_of(text: str) -> argparse.Namespace:
    """The options of this study, described by the first line of a text."""
    parser = argparse.ArgumentParser(description=text.splitlines()[0])
    parser.add_argument("--shared", type=Path, required=True, help="photographs and models")
    parser.add_argument("--work", type=Path, required=True, help="folder for the artifacts")
    parser.add_argument("--every", type=int, default=4, help="take every n-th photograph of train")
    parser.add_argument("--attacked", type=int, default=24, help="photographs to attack")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument(
        "-o", "--output", type=Path, default=DOCS / "detection", help="folder for the tables"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()

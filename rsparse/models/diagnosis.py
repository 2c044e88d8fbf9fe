"""Say what is probably wrong where a classifier misses labels that it should know.

Three mistakes are common: labels that are counted from one, labels that number the classes in
another order, and an input that is prepared in another way than the network was trained with. All
look like a bad model.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsparse.core.paired import SIGNIFICANT, Pairs
from rsparse.errors import InputError, attempt
from rsparse.models.onnx.classifier import Classifier
from rsparse.models.spec import PRESETS, InputSpec
from rsparse.store.images import ImageFile, Pixels, decode_image

SUSPICIOUS = 0.75
"""The accuracy below which a mistake is looked for."""

FEWEST, MOST_TRIED = 5, 20
"""Labelled images that are needed, and images that are classified again in other ways."""

_FEWEST_LABELS, _FEWEST_OF_A_LABEL, _CONSISTENT = 3, 2, 0.9
"""Labels, images of each, and share of equal answers that tell another order of the classes."""


def hints(
    classifier: Classifier,
    images: Sequence[ImageFile],
    labels: Mapping[str, int],
    predicted: Mapping[str, int],
) -> list[str]:
    """Sentences about likely mistakes in the labels or the model's input; usually none.

    Parameters
    ----------
    classifier : Classifier
    images : sequence of ImageFile
        Some of them are classified again if the accuracy is suspicious.
    labels, predicted : mapping of str to int
        Given classes and the classifier's answers, by name.
    """
    names = [image.name for image in images if image.name in labels and image.name in predicted]
    given = np.array([labels[name] for name in names], np.int64)
    found = np.array([predicted[name] for name in names], np.int64)
    if len(names) < FEWEST or np.mean(given == found) >= SUSPICIOUS:
        return []
    shifted = _shifted_labels(given, found)
    if shifted is not None:
        return [shifted]
    by_name = {image.name: image for image in images}
    chosen = [by_name[names[i * len(names) // MOST_TRIED]] for i in range(MOST_TRIED)]
    other = _other_input(classifier, list(dict.fromkeys(chosen)), labels)
    sentence = other or _permuted_labels(given, found)
    return [] if sentence is None else [sentence]


def _shifted_labels(given: NDArray[np.int64], found: NDArray[np.int64]) -> str | None:
    for step, words in ((-1, "less one"), (1, "plus one")):
        fits, right = given + step == found, given == found
        if is_better(fits, right):
            return (
                f"labels {words} fit {fits.sum()} of {len(given)} images, as given they fit "
                f"{right.sum()}; the first class is 0 unless --first-class 1 is given"
            )
    return None


def _permuted_labels(given: NDArray[np.int64], found: NDArray[np.int64]) -> str | None:
    """Whether each label always gets one answer, and no two labels the same one.

    A model that is wrong for another reason, or fooled by an attack, rarely answers so.
    """
    answers = {
        label: np.unique(found[given == label], return_counts=True)
        for label in np.unique(given).tolist()
        if (given == label).sum() >= _FEWEST_OF_A_LABEL
    }
    order = {label: int(own[counts.argmax()]) for label, (own, counts) in answers.items()}
    if len(order) < _FEWEST_LABELS or len(set(order.values())) < len(order):
        return None
    repeated = np.isin(given, list(order))
    fits = sum(int(counts.max()) for _, counts in answers.values())
    if fits < _CONSISTENT * repeated.sum() or not is_better(
        np.array([order[label] for label in given[repeated].tolist()]) == found[repeated],
        (given == found)[repeated],
    ):
        return None
    label, answer = next((label, answer) for label, answer in order.items() if label != answer)
    return (
        f"the labels seem to number the classes in another order: each label has its own answer "
        f"for {fits} of {repeated.sum()} images, such as {answer} for label {label}, but as given "
        f"they fit {(given == found).sum()} of {len(given)}; check the order of the classes"
    )


def is_better(other: NDArray[np.bool_], own: NDArray[np.bool_]) -> bool:
    """Whether more images are right in another way, by a one-sided sign test at 5 %."""
    pairs = Pairs.of(other, own)
    return pairs.only_first > pairs.only_second and pairs.p / 2 < SIGNIFICANT


def _other_input(
    classifier: Classifier, images: Sequence[ImageFile], labels: Mapping[str, int]
) -> str | None:
    """The way to prepare the input that classifies most images correctly, if clearly more."""
    pixels, given = [], []
    for image in images:
        try:
            pixels.append(decode_image(image.read(), image.path))
        except InputError:
            continue  # reported already
        given.append(labels[image.name])
    if not pixels:
        return None
    right = _is_right(classifier, pixels, given)
    best, words = right, ""
    for name, spec in other_specs(classifier.spec):
        tried = _is_right(classifier.with_spec(spec), pixels, given)
        if tried.sum() > best.sum():
            best, words = tried, name
    if not words or not is_better(best, right):
        return None
    return (
        f"{words} would classify {best.sum()} of {len(given)} images correctly, not "
        f"{right.sum()}; check how the model's input is prepared"
    )


def _is_right(
    classifier: Classifier, pixels: Sequence[Pixels], given: Sequence[int]
) -> NDArray[np.bool_]:
    fitted = [classifier.fit_to_input(image) for image in pixels]
    answers = np.array([classifier.logits([image])[0].argmax() for image in fitted])
    return np.asarray(answers == np.array(given))


def other_specs(spec: InputSpec) -> Iterator[tuple[str, InputSpec]]:
    """Other ways to prepare an image of the same size, each with its name."""
    orders = {"rgb": "bgr", "bgr": "rgb"}
    if spec.channels in orders:
        order = orders[spec.channels]
        yield f"channel order {order}", replace(spec, channels=order)
    ways = {f"preset {name}": values for name, values in PRESETS.items()}
    ways["input range 255 without a mean"] = {"mean": (0.0,) * 3, "std": (1.0,) * 3, "range": 255.0}
    scalings = [
        (name, {key: values[key] for key in ("mean", "std", "range")})
        for name, values in ways.items()
    ]
    scalings += [(f"undoing preset {name}", _undone(spec, v)) for name, v in PRESETS.items()]
    seen = {spec}
    for name, scaling in scalings:
        other = attempt(partial(replace, spec, **scaling))
        if isinstance(other, InputError):
            continue  # means for three colours do not fit a grey image
        if other not in seen:
            seen.add(other)
            yield name, other


def _undone(spec: InputSpec, saved: Mapping[str, Any]) -> dict[str, Any]:
    """The scaling of images that were saved after they were normalised: it undoes that first."""
    mean, std = np.asarray(saved["mean"]), np.asarray(saved["std"])
    return {
        "mean": tuple(((np.asarray(spec.mean) - mean * spec.range) / std).tolist()),
        "std": tuple((np.asarray(spec.std) / std).tolist()),
    }

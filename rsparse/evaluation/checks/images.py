"""Checks of the images, their labels and the input of the model, before any attack."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from rsparse.core.metrics import wilson_interval
from rsparse.core.paired import SIGNIFICANT, Flags, Pairs, images_to_exceed, tail
from rsparse.evaluation.checks.evidence import Classes, ImageEvidence, ModelAnswers
from rsparse.evaluation.checks.outcomes import (
    FAIL,
    NOT_RUN,
    PASS,
    UNDECIDED,
    Finding,
    combined,
    enough,
    needed,
    percent,
    rare,
)
from rsparse.evaluation.results import CLEAN, Check, Column, JudgedDefense
from rsparse.evaluation.results import Evaluation as Results

NOT_EXAMINED = "the images were not examined"
HALF_WIDTH = 0.1
"""The largest half width of the 95 % interval of an accuracy for which the images suffice."""
ENOUGH_IMAGES = 93
"""The number of images from which Wilson's interval is never wider than ± ``HALF_WIDTH``."""
MOST_COPIES = 0.05


def image_checks(results: Results, images: ImageEvidence | None) -> Iterator[Check]:
    """The checks that need no attack and no defense; clean accuracy is first."""
    yield from _clean_checks(results, images)
    named = {
        "labels fit the classes": _labels,
        "the model's input is right": _readings,
        "nothing was learned from the images": _learned,
    }
    for name, judge in named.items():
        finding = Finding(NOT_RUN, NOT_EXAMINED) if images is None else judge(images)
        yield Check(name, "", "", *finding)
    copies = Finding(NOT_RUN, NOT_EXAMINED) if images is None else _copies(results, images)
    yield Check("images are different", "", "", *copies)
    yield Check("every image was judged", "", "", *_judged(results, images))
    yield Check("images judged", "", "", *_number(results))


def chance(predictions: Classes, labels: Classes, n_classes: int) -> float:
    """The share of images that would be right if the answers did not depend on the images.

    This is the agreement of answers and labels that are drawn independently, each as often as it
    occurs. If all labels are equal, nothing can be said; it is then one in the number of classes.
    """
    if len(set(labels.tolist())) < 2:
        return 1 / n_classes
    shares = [np.unique(values, return_counts=True) for values in (predictions, labels)]
    answered, labelled = (
        {int(value): count / len(labels) for value, count in zip(*each, strict=True)}
        for each in shares
    )
    agreement = sum(share * labelled.get(value, 0.0) for value, share in answered.items())
    return max(1 / n_classes, agreement)


def _clean_checks(results: Results, images: ImageEvidence | None) -> Iterator[Check]:
    undefended = next(d for d in results.defenses if d.kind == "none")
    for column in (c for c in results.columns if c.family == CLEAN):
        scenario = CLEAN if column.judged == results.model else f"{CLEAN}: {column.judged}"
        for defense in results.defenses:
            finding = (
                _selected(results, images)
                if results.only_correct and column.judged == results.model and defense is undefended
                else _clean(results, column, defense, undefended)
            )
            yield Check("clean accuracy", scenario, defense.text, *finding)


def _selected(results: Results, images: ImageEvidence | None) -> Finding:
    """Accuracy of the undefended model if only the images that it gets right were selected."""
    right, n = len(results.names), len(results.names) + results.left_out
    most = _most_frequent(results.labels) if images is None else images.most_frequent
    expected = max(most, 1 / len(results.class_names))
    if most == 1.0:
        expected = 1 / len(results.class_names)
    text = f"{percent(right / n)} of {n} images, of which only those that are right were judged"
    return better_than_chance(right, n, expected, most == 1.0, text)


def _clean(
    results: Results, column: Column, defense: JudgedDefense, undefended: JudgedDefense
) -> Finding:
    correct, bare = (results.correct(column, d) for d in (defense, undefended))
    trial = results.trial(column, defense)
    assert trial is not None
    expected = chance(trial.prediction, results.labels, len(results.class_names))
    text = f"{percent(float(bare.mean()))} without a defense"
    if defense is not undefended:
        text += f", {percent(float(correct.mean()))} with this one"
    one_label = _most_frequent(results.labels) == 1.0
    right = int(np.count_nonzero(correct))
    return better_than_chance(right, len(correct), expected, one_label, text)


def _most_frequent(labels: Classes) -> float:
    """The share of the most frequent label."""
    return float(np.unique(labels, return_counts=True)[1].max() / len(labels))


def better_than_chance(right: int, n: int, expected: float, one_label: bool, text: str) -> Finding:
    """Whether an accuracy is better than chance."""
    share = right / n
    compared = f"{text}; chance is {percent(expected)}"
    if at_chance(right, n, expected):
        return Finding(FAIL, f"{compared}: no better than chance")
    if one_label and n > 1:
        reason = "all labels are equal, so the same answer to every image would do as well"
        return Finding(UNDECIDED, f"{text}; {reason}")
    if tail(right, n, expected) < SIGNIFICANT:
        return Finding(PASS, compared)
    return Finding(UNDECIDED, f"{compared}; {enough(images_to_exceed(share, expected, n))}")


def at_chance(right: int, n: int, expected: float) -> bool:
    """Whether an accuracy is at chance.

    It is if it is not significantly above, and even the upper end of its 95 % interval is less
    than halfway between chance and 100 %.
    """
    high = wilson_interval(right, n)[1]
    above = tail(right, n, expected) < SIGNIFICANT
    return right <= expected * n or (not above and high < (1 + expected) / 2)


def _labels(images: ImageEvidence) -> Finding:
    """No other numbering of the classes fits the labels better than the plan's own."""
    own = images.predictions == images.labels
    shifted = {"labels less one": images.labels - 1, "labels plus one": images.labels + 1}
    fits = {
        text: images.predictions == labels
        for text, labels in shifted.items()
        if _depend(images.predictions, labels)
    }
    fits["labels in another order"] = _reordered(images)
    return _none_better(own, fits, "the labels as given", "fit")


def _reordered(images: ImageEvidence) -> Flags:
    """Which images are right if each label means the class that the others with it are given."""
    right = np.zeros(len(images.labels), bool)
    for i, label in enumerate(images.labels):
        others = images.labels == label
        others[i] = False
        if np.count_nonzero(others) > 1:
            classes, counts = np.unique(images.predictions[others], return_counts=True)
            usual = classes[counts.argmax()]
            distinct = usual == label or not _is_usual_elsewhere(images, int(label), int(usual))
            right[i] = images.predictions[i] == usual and distinct
    return right


def _is_usual_elsewhere(images: ImageEvidence, label: int, answer: int) -> bool:
    """Whether images with another label are mostly given this class too: the model prefers it."""
    given = images.predictions == answer
    return bool(np.count_nonzero(given & (images.labels != label)) * 2 >= np.count_nonzero(given))


def _readings(images: ImageEvidence) -> Finding:
    """No other input of a model classifies more images correctly than the given one."""
    findings = [_reading(images.labels, name, each) for name, each in images.answers.items()]
    outcome = combined(finding.outcome for finding in findings)
    worst = [finding.detail for finding in findings if finding.outcome == outcome]
    return Finding(outcome, "; ".join(worst[:3]))


def _reading(labels: Classes, model: str, answers: ModelAnswers) -> Finding:
    own = answers.given == labels
    if own.all():
        return Finding(PASS, f"{model}: the given input classifies all {len(own)} images")
    fits = {
        text: classes == labels
        for text, classes in answers.others.items()
        if _depend(classes, labels)
    }
    if not fits:
        reason = "with any other input, the answers do not depend on the images"
        return Finding(NOT_RUN, f"{model}: {reason}")
    outcome, detail = _none_better(own, fits, "the given input", "classifies")
    return Finding(outcome, f"{model}: {detail}")


def _depend(predictions: Classes, labels: Classes) -> bool:
    """Whether more images are right than if the answers did not depend on the images."""
    n, n_classes = len(labels), 1 + int(max(predictions.max(initial=0), labels.max(initial=0)))
    right = int(np.count_nonzero(predictions == labels))
    return tail(right, n, chance(predictions, labels, n_classes)) < SIGNIFICANT


def _none_better(own: Flags, others: dict[str, Flags], given: str, verb: str) -> Finding:
    n, right = len(own), int(np.count_nonzero(own))
    if not n:
        return Finding(NOT_RUN, "there are no labelled images")
    best = max(others, key=lambda text: np.count_nonzero(others[text]))
    pairs = Pairs.of(others[best], own)
    most = int(np.count_nonzero(others[best]))
    if not (right or most):
        return Finding(NOT_RUN, f"no image is right, neither by {given} nor by any other")
    if pairs.only_first <= pairs.only_second:
        return Finding(PASS, f"{given} {verb} {right} of {n} images, {best} {most}")
    text = f"{best} {verb} {most} of {n} images, {given} {right}"
    if pairs.p < SIGNIFICANT:
        return Finding(FAIL, text)
    return Finding(UNDECIDED, f"{text} ({needed(pairs)})")


def _copies(results: Results, images: ImageEvidence) -> Finding:
    """Hardly any picture is among the images twice, as if it were two."""
    if not images.copies:
        return Finding(PASS, "no two images show the same picture")
    again = len({second for _, second in images.copies})
    first, second = images.copies[0]
    text = f"{again} images repeat the picture of another one, such as {second} that of {first}"
    return Finding(FAIL if again > MOST_COPIES * len(results.names) else PASS, text)


def _learned(images: ImageEvidence) -> Finding:
    """No model, dictionary or reference of a detector was made from the judged images."""
    if images.learned_from:
        return Finding(FAIL, f"made from the judged images: {', '.join(images.learned_from)}")
    return Finding(PASS, "no record of a model, dictionary or detector names the judged images")


def _judged(results: Results, images: ImageEvidence | None) -> Finding:
    """Images that cannot be read, attacked or cleaned would count as wrong, or not at all."""
    missing = sum(int(np.count_nonzero(trial.prediction < 0)) for trial in results.trials)
    answers = sum(len(trial.prediction) for trial in results.trials)
    if images is not None and images.unreadable:
        n = images.unreadable + len(results.names) + results.left_out
        found = rare(images.unreadable, n, "cannot be read", "")
        if found.outcome == FAIL:
            return found
    what, none = "are missing and count as wrong", "every image has an answer in every trial"
    return rare(missing, answers, what, none, "answers")


def _number(results: Results) -> Finding:
    """The images suffice for an interval of at most ± 10 points."""
    n = len(results.names)
    chosen = (
        f"only those that the undefended model classifies correctly; {results.left_out} left out"
        if results.only_correct
        else "all, whether or not the undefended model classifies them correctly"
    )
    text = f"{n} images: {chosen}"
    if n >= ENOUGH_IMAGES:
        return Finding(PASS, text)
    low, high = wilson_interval(n / 2, n)
    width = math.ceil(50 * (high - low))
    return Finding(
        UNDECIDED,
        f"{text}; an accuracy is known to ± {width} points, {ENOUGH_IMAGES} images give ± 10",
    )

"""The pictures of a report, made from the judged images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rsparse.core.activation import activation_ratio
from rsparse.core.attention import overlay_map, stretch_to_unit
from rsparse.evaluation.results import Column, JudgedDefense
from rsparse.models.onnx.graph import FeatureLayer
from rsparse.report.figures import Figure, activation_figure
from rsparse.report.pictures import (
    ImagePair,
    ImageVersion,
    Panel,
    Pixels,
    PredictedLabel,
    Sheet,
    data_url,
    evenly,
)
from rsparse.report.subjects import Family, Subjects
from rsparse.report.tables import class_name

Maps = tuple[NDArray[np.float32], NDArray[np.int64]]


@dataclass(frozen=True)
class VersionLoader:
    """The source of the versions of an image.

    Attributes
    ----------
    load : callable
        Loads the pixels of an image, by column and name.
    clean : callable
        Applies the judged defense to pixels.
    """

    load: Callable[[Column, str], Pixels]
    clean: Callable[[Pixels], Pixels]


def make_sheets(subjects: Subjects, versions: VersionLoader, n: int) -> tuple[Sheet, ...]:
    """Pairs of attacked and cleaned images: ``n`` for each attack at its middle strength."""
    judged = subjects.judged
    assert judged is not None
    return tuple(
        Sheet(
            family.key,
            title_of(family),
            judged.text,
            tuple(
                _pair(subjects, versions, _middle(subjects, family), i)
                for i in evenly(subjects.evaluation.names, n)
            ),
        )
        for family in subjects.families_of(subjects.main_scenario)
    )


def title_of(family: Family) -> str:
    """The title of an attack at its middle strength."""
    column = family.middle
    if column.strength is None:
        return family.title
    return f"{family.title}, {column.strength_name} = {column.strength:g}"


def _pair(subjects: Subjects, versions: VersionLoader, column: Column, i: int) -> ImagePair:
    name = subjects.evaluation.names[i]
    adversarial = versions.load(column, name)
    labels = (
        _predicted_label(subjects, column, subjects.undefended, i),
        _predicted_label(subjects, column, subjects.judged, i),
    )
    return ImagePair(name, data_url(adversarial), data_url(versions.clean(adversarial)), labels)


def _middle(subjects: Subjects, family: Family) -> Column:
    """The attack at its middle strength, made through the judged defense if there is such a one."""
    if subjects.judged is None:
        return family.middle
    return subjects.evaluation.column_against(family.middle, subjects.judged)


def _predicted_label(
    subjects: Subjects, column: Column, defense: JudgedDefense | None, i: int
) -> PredictedLabel:
    trial = None if defense is None else subjects.evaluation.trial(column, defense)
    if trial is None:
        return PredictedLabel("not judged", None)
    return _label(subjects, int(trial.prediction[i]), i)


def _label(subjects: Subjects, index: int, i: int) -> PredictedLabel:
    correct = index == int(subjects.evaluation.labels[i])
    return PredictedLabel(class_name(subjects, index), correct)


def make_panels(
    subjects: Subjects,
    versions: VersionLoader,
    attend: Callable[[Sequence[Pixels]], Maps],
    n: int,
) -> tuple[Panel, ...]:
    """Attention on benign, attacked and cleaned versions of images, each under another attack.

    Parameters
    ----------
    subjects : Subjects
    versions : VersionLoader
    attend : callable
        Returns attention maps (k, h, w) of k images, and the classes that they explain (k,).
    n : int
        Number of images.
    """
    clean, families = subjects.clean, subjects.families_of(subjects.main_scenario)
    assert clean is not None
    panels = []
    for rank, i in enumerate(evenly(subjects.evaluation.names, n)):
        family, name = families[rank % len(families)], subjects.evaluation.names[i]
        adversarial = versions.load(_middle(subjects, family), name)
        pictures = [versions.load(clean, name), adversarial, versions.clean(adversarial)]
        maps, classes = attend(pictures)
        drawn = [
            ImageVersion(
                heading,
                data_url(pixels, 160),
                data_url(overlay_map(pixels, stretch_to_unit(map_)), 160),
                _label(subjects, int(index), i),
            )
            for heading, pixels, map_, index in zip(
                ("benign", "adversarial", "purified"), pictures, maps, classes, strict=True
            )
        ]
        label = class_name(subjects, int(subjects.evaluation.labels[i]))
        panels.append(Panel(name, f"{label}; {title_of(family)}", tuple(drawn)))
    return tuple(panels)


def make_activations(
    subjects: Subjects,
    versions: VersionLoader,
    measure: Callable[[Sequence[Pixels]], tuple[list[FeatureLayer], NDArray[np.float64]]],
    n: int,
) -> list[Figure]:
    """Total activation by depth of attacked and cleaned images, relative to the benign ones.

    Parameters
    ----------
    subjects : Subjects
    versions : VersionLoader
    measure : callable
        Returns the layers, and the total activation of each for k images, (k, n_layers).
    n : int
        Number of images.
    """
    clean, judged = subjects.clean, subjects.judged
    assert clean is not None
    assert judged is not None
    figures = []
    for family in subjects.families_of(subjects.main_scenario):
        totals = []
        for i in evenly(subjects.evaluation.names, n):
            name = subjects.evaluation.names[i]
            adversarial = versions.load(_middle(subjects, family), name)
            layers, measured = measure(
                [versions.load(clean, name), adversarial, versions.clean(adversarial)]
            )
            totals.append(measured)
        benign, *others = np.stack(totals, axis=1)
        kept = [number for number, layer in enumerate(layers) if layer.kind == "conv"]
        depth = np.array([layers[number].index for number in kept])
        ratios = [
            (label, activation_ratio(other, benign)[:, kept])
            for label, other in zip(("adversarial", f"behind {judged.text}"), others, strict=True)
        ]
        figures.append(activation_figure(family, depth, ratios))
    return figures

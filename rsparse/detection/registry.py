"""List the scores by name, and parse their specs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rsparse.detection.image_scores import Color, Noise, Period
from rsparse.detection.model_scores import Disagreement, Instability, Lead, Squeezers, Swing
from rsparse.detection.score import Score
from rsparse.errors import InputError
from rsparse.options.specs import parse_spec

SCORES: dict[str, type[Score]] = {
    score.name: score
    for score in (Noise, Period, Color, Instability, Lead, Swing, Disagreement, Squeezers)
}
"""All scores; those of the image alone come first."""


def parse_scores(texts: Sequence[str]) -> tuple[Score, ...]:
    """Return the scores that specs describe, in their order.

    Raises
    ------
    InputError
        If a name, parameter or value is unknown, or a score is given twice.

    Examples
    --------
    >>> [score.text for score in parse_scores(["noise", "swing:quality=40"])]
    ['noise', 'swing-quality=40']
    """
    scores = tuple(score for text in texts for score in parse_spec(text, SCORES, kind="score"))
    for place, score in enumerate(scores):
        if score in scores[:place]:
            raise InputError(f"--score: {score.spec} is given twice")
    return scores


def default_scores(with_model: bool) -> tuple[Score, ...]:
    """Return the scores that are measured unless others are chosen.

    Parameters
    ----------
    with_model : bool
        Whether there is a classifier, which some scores need.
    """
    of_image: tuple[Score, ...] = (Noise(), Period(), Color())
    return (*of_image, Instability(), Lead()) if with_model else of_image


def score_of(record: Mapping[str, Any]) -> Score:
    """Recreate a score from the result of its ``as_record``.

    Raises
    ------
    InputError
        If this version has no score with that name or those parameters.
    """
    values = {key: value for key, value in record.items() if key != "name"}
    try:
        return SCORES[record["name"]](**values)
    except (KeyError, TypeError) as error:
        raise InputError(f"unknown score {dict(record)}") from error

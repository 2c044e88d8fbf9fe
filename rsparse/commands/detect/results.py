"""What ``rsparse detect`` found: image by image, and by folder where the truth is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from rsparse.commands.detect.calibrate import notes_on
from rsparse.commands.detect.measuring import MeasuredFolder
from rsparse.commands.detect.setup import DetectorSetup
from rsparse.core.conformal import Reference
from rsparse.core.metrics import Estimate, share_of
from rsparse.core.roc import area_under_roc
from rsparse.options.detect import DetectParameters
from rsparse.store.detections import Detection
from rsparse.store.reference_scores import ReferenceScores
from rsparse.work.runs import Outcome


@dataclass(frozen=True)
class FoundAmong:
    """What was found among the images of one folder of attacked images.

    Attributes
    ----------
    folder : str
    found : Estimate
        The share detected.
    area : Estimate
        The probability that an image of the folder has a larger combined score than one of the
        given images.
    """

    folder: str
    found: Estimate
    area: Estimate

    def as_json(self) -> dict[str, Any]:
        """For scripts."""
        return {"folder": self.folder, "found": as_json(self.found), "auc": as_json(self.area)}


def as_json(estimate: Estimate) -> dict[str, Any]:
    """A share or an area with its 95 % interval, for scripts."""
    shown: dict[str, Any] = {"value": estimate.value, "interval_95": [estimate.low, estimate.high]}
    return {**shown, "count": estimate.correct, "of": estimate.n} if estimate.n else shown


@dataclass
class DetectOutcome(Outcome):
    """Also holds what was found in each image.

    Attributes
    ----------
    rows : list of Detection
    columns : tuple of str
        Short names of the scores.
    false_alarms : float
        The level of false alarms.
    n_reference : int
        Clean images in the reference.
    attacked : list of FoundAmong
        For each folder that is known to be attacked; the given images then count as clean.
    """

    rows: list[Detection] = field(default_factory=list)
    columns: tuple[str, ...] = ()
    false_alarms: float = 0.05
    n_reference: int = 0
    attacked: list[FoundAmong] = field(default_factory=list)
    is_written: bool = True

    @property
    def detected(self) -> Estimate:
        """The share of the given images that look attacked."""
        given = [row.detected for row in self.rows if not row.folder]
        return share_of(sum(given), len(given))

    def as_json(self) -> dict[str, Any]:
        """For scripts."""
        content = {
            **super().as_json(),
            "false_alarms": self.false_alarms,
            "n_reference": self.n_reference,
            "detected": as_json(self.detected),
            "attacked": [folder.as_json() for folder in self.attacked],
        }
        if self.is_written:
            return content
        return {**content, "output": None, "images": [self._row_as_json(row) for row in self.rows]}

    def _row_as_json(self, row: Detection) -> dict[str, Any]:
        values = vars(row) | {"scores": dict(zip(self.columns, row.scores, strict=True))}
        return {**values, **({} if row.folder else {"folder": None})}


def outcome_of(
    found: Mapping[str, MeasuredFolder],
    clean: ReferenceScores,
    setup: DetectorSetup,
    parameters: DetectParameters,
) -> DetectOutcome:
    """Rank all images among the clean ones; the given ones come first in ``found``."""
    reference = Reference(clean.scores)
    scores = setup.detector.scores
    columns = tuple(score.text for score in scores)
    tolerances = np.array([parameters.tolerance if score.is_level else 1.0 for score in scores])
    outcome = DetectOutcome(
        Path("-"),
        columns=columns,
        false_alarms=parameters.false_alarms,
        n_reference=len(clean.digests),
        passed_over=found[""].outcome.passed_over,
        notes=[*notes_on(len(clean.digests)), *_note_on_sizes(found, clean)],
    )
    of_given = None
    for folder, measured in found.items():
        outcome.done += measured.outcome.done
        outcome.resumed += measured.outcome.resumed
        outcome.failed += measured.outcome.failed
        result = reference.unusualness(measured.scores / tolerances)
        of_given = result.combined if of_given is None else of_given
        detected = result.p_value <= parameters.false_alarms
        outcome.rows += [
            Detection(folder, name, digest, bool(flag), float(p), float(sum_), tuple(values))
            for (name, digest), flag, p, sum_, values in zip(
                measured.digests.items(),
                detected,
                result.p_value,
                result.combined,
                measured.scores.tolist(),
                strict=True,
            )
        ]
        if folder:
            share = share_of(int(detected.sum()), len(detected))
            area = area_under_roc(of_given, result.combined)
            outcome.attacked.append(FoundAmong(folder, share, area))
    return outcome


def _note_on_sizes(found: Mapping[str, MeasuredFolder], clean: ReferenceScores) -> list[str]:
    """Say if images have another size than the reference, since noise depends on it."""
    others = {measured.size for measured in found.values()} - {clean.size}
    if not others:
        return []
    own, other = ("x".join(map(str, size)) for size in (clean.size, sorted(others)[0]))
    return [
        f"the clean images of the reference are {own}, these images {other}; noise depends on the "
        "size: make them alike, such as with --resize-to for both"
    ]

"""The inputs and parameters of an attack's artifact."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rsparse.attacks.attack import Attack
from rsparse.attacks.scaling import Scaling
from rsparse.commands.attack.through import AttackedDefense
from rsparse.errors import InputError
from rsparse.models.onnx.classifier import Classifier
from rsparse.options.attack import AttackRunParameters
from rsparse.options.labels import LabelOptions
from rsparse.store.files import sha256_of
from rsparse.store.inputs import ImageInputs
from rsparse.store.job import Job
from rsparse.store.journal import to_line
from rsparse.store.labels import OWN_PREDICTIONS, Labels, find_labels
from rsparse.store.records import IMAGES, Record, Source

SCALING = "scaling"
"""The parameter in a record that the attack itself computes."""

CHOSEN = "chosen"


@dataclass(frozen=True)
class Origin:
    """The inputs and parameters that all attacks of one command share.

    ``labels`` are those known before the run. ``through`` is the defense that the attacks include
    in the attacked model.
    """

    inputs: ImageInputs
    classifier: Classifier
    parameters: AttackRunParameters
    device: str
    labels: Labels
    through: AttackedDefense | None = None

    def job(self, attack: Attack) -> Job:
        """The job of one attack."""
        values = self.parameters.as_record()
        seed = values.pop("seed")
        values |= {
            "attack": attack.as_record(),
            "device": self.device,
            "labels": self.labels.origin,
            "input": self.classifier.input_record(),
        }
        known: dict[str, Any] = {
            "model": self.classifier.sha256,
            "images": self.inputs.names_digest(),
            "labels": sha256_of(to_line(self.labels.by_name)),
        }
        if self.through is not None:
            values |= self.through.as_parameters()
            known["dictionaries"] = [source.sha256 for source in self.through.sources]
        return Job("attack", IMAGES, values, seed, known)

    def sources(self, digests: Mapping[str, str]) -> list[Source]:
        """The sources of the artifact, given the digests of the attacked images by name."""
        sources = [*self.inputs.sources(digests), self.classifier.source(), *self.labels.sources()]
        return sources if self.through is None else [*sources, *self.through.sources]

    def record(
        self,
        attack: Attack,
        digests: Mapping[str, str],
        scaling: Scaling | None = None,
        format_name: str = IMAGES,
    ) -> Record:
        """The record of the artifact, given the digests of the attacked images by name."""
        job = replace(self.job(attack), format=format_name)
        computed = {} if scaling is None else {SCALING: vars(scaling)}
        return job.record(self.sources(digests), computed)

    def matches(
        self, attack: Attack, record: Mapping[str, Any], digests: Mapping[str, str]
    ) -> bool:
        """Whether the attack would make this artifact from the images with these digests."""
        return self.job(attack).matches(record, self.sources(digests), [SCALING])

    def require_match(
        self,
        place: Path,
        attack: Attack,
        record: Mapping[str, Any],
        digests: Mapping[str, str],
        otherwise: str,
    ) -> None:
        """``Job.require_match`` for the artifact of an attack on the images with these digests."""
        sources = self.sources(digests)
        self.job(attack).require_match(place, record, sources, otherwise, [SCALING])


def known_labels(
    inputs: ImageInputs, options: LabelOptions, classifier: Classifier, allow_predicted: bool
) -> Labels:
    """The labels of images that are to be attacked.

    Parameters
    ----------
    inputs : ImageInputs
    options : LabelOptions
    classifier : Classifier
    allow_predicted : bool
        Whether the model's own predictions may take the place of missing labels. ``by_name`` is
        then empty, and the origin says so.

    Raises
    ------
    InputError
        If the images have no labels, and predictions are not allowed; also as ``find_labels``.
    """
    labels = find_labels(inputs, options, classifier.class_names, classifier.n_classes)
    if labels.by_name:
        return labels
    if allow_predicted:
        return replace(labels, origin=OWN_PREDICTIONS)
    raise InputError(
        f"{inputs.paths[0]}: its images have no labels ({labels.reason}); pass --labels FILE, put "
        "the images into subfolders named after the classes, or pass --predicted-labels to take "
        "the model's own predictions as the right classes"
    )

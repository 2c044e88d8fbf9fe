"""What an attack's artifact was made from, and with which parameters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rsparse.attacks.parameters import Attack
from rsparse.attacks.scaling import Scaling
from rsparse.commands.attack.attacker import Target
from rsparse.models.onnx.classifier import Classifier
from rsparse.options.attack import AttackRunParameters
from rsparse.store.files import sha256_of, sha256_of_file
from rsparse.store.inputs import ImageInputs
from rsparse.store.journal import to_line
from rsparse.store.records import IMAGES, Record, Source


@dataclass(frozen=True)
class Origin:
    """Everything that all attacks of one command have in common.

    ``labels`` are those known beforehand, ``label_origin`` tells where they were found, and
    ``label_file`` is the CSV file, if it was one.
    """

    inputs: ImageInputs
    classifier: Classifier
    parameters: AttackRunParameters
    device: str
    labels: Mapping[str, int]
    label_origin: str
    label_file: Path | None

    def values(self, attack: Attack, scaling: Scaling | None = None) -> dict[str, Any]:
        """The parameters of an attack's record."""
        values = self.parameters.as_record()
        del values["seed"]
        return {
            **values,
            "attack": attack.as_record(),
            "device": self.device,
            "labels": self.label_origin,
            "input": self.classifier.input_record(),
            **({} if scaling is None else {"scaling": vars(scaling)}),
        }

    def identity(self, attack: Attack) -> dict[str, Any]:
        """What tells an unfinished run from others."""
        return {
            "stage": "attack",
            "parameters": self.values(attack),
            "seed": self.parameters.seed,
            "model": self.classifier.sha256,
            "images": self.inputs.names_digest(),
            "known_labels": sha256_of(to_line(self.labels)),
        }

    def record(
        self,
        attack: Attack,
        targets: Iterable[Target],
        scaling: Scaling | None = None,
        format_name: str = IMAGES,
    ) -> Record:
        """The record of the artifact that holds the attacked ``targets``."""
        used = {target.image.name: target.digest for target in targets}
        sources = [*self.inputs.sources(used), self.classifier.source()]
        if self.label_file is not None:
            sources.append(Source(self.label_file.name, sha256_of_file(self.label_file)))
        values = self.values(attack, scaling)
        return Record(format_name, "attack", values, self.parameters.seed, tuple(sources))

"""Photographs attacked through a defense or without it, kept in blocks of a few."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from rsparse.attacks import Attack, attack_text, parse_attack, run_attack
from rsparse.core.noise import Pixels
from rsparse.defenses import Defense, Resources, parse_defense
from rsparse.models.onnx.classifier import Classifier
from rsparse.models.torch.twin import Twin, load_twin
from rsparse.store.dictionaries import load_dictionary
from rsparse.store.files import sha256_of, sha256_of_file, write_atomic
from rsparse.store.images import decode_image, to_pixels, to_unit
from rsparse.store.job import METHODS
from rsparse.store.journal import to_line
from studies.tables import read_rows
from studies.watched import Photograph, classifier_of

BLOCK = 4  # photographs that are attacked together
SLOW = ("tvm", "comdefend")  # these one by one, so that less is lost when a run is interrupted
_THROUGH = "adaptive"


@dataclass(frozen=True)
class Block:
    """What an attack left of a few photographs behind a defense.

    Attributes
    ----------
    defense, attack : str
        Their specs.
    start : int
        The number of its first photograph.
    clean, right : list of bool
        Which are right without the attack, and after it.
    seconds : float
        CPU seconds that the attack took for all of them.
    steps : list of int
        Gradient steps of each, of attacks that tell them.
    asked : int
        How often a random defense was asked about each result; 0 for others.
    fooled : list of int
        How many of these answers were wrong.
    """

    defense: str
    attack: str
    start: int
    clean: list[bool]
    right: list[bool]
    seconds: float
    steps: list[int]
    asked: int = 0
    fooled: Sequence[int] = ()


def right_photographs(shared: Path, wanted: int) -> list[Photograph]:
    """The first of all photographs that the classifier gets right, at the size of its input."""
    classifier = classifier_of(shared)
    found: list[Photograph] = []
    for row in read_rows(shared / "photos" / "labels.csv"):
        path = shared / "photos" / row["file"]
        image = classifier.fit_to_input(decode_image(path.read_bytes(), path))
        if int(classifier.logits([image]).argmax()) == int(row["label"]):
            found.append((path.stem, image, int(row["label"])))
        if len(found) == wanted:
            break
    return found


def size_of(defense: str) -> int:
    """How many photographs a block of a defense has."""
    return 1 if defense in SLOW else BLOCK


class Blocks:
    """All blocks of a study, made on demand and kept in a folder.

    Parameters
    ----------
    photographs : sequence of (name, image, class)
        That the classifier gets right, at the size of its input.
    shared : Path
        Has the classifier.
    dictionary : Path
    work : Path
    """

    def __init__(
        self,
        photographs: Sequence[Photograph],
        shared: Path,
        dictionary: Path,
        work: Path,
    ) -> None:
        self._photographs, self._shared, self._work = photographs, shared, work
        self._dictionary = dictionary

    @cached_property
    def _classifier(self) -> Classifier:
        return classifier_of(self._shared)

    @cached_property
    def _twin(self) -> Twin:
        return load_twin(self._classifier)

    @cached_property
    def _resources(self) -> Resources:
        return Resources({"": load_dictionary(self._dictionary)[0]})

    @cached_property
    def _digest(self) -> str:
        return sha256_of_file(self._dictionary)

    def made(self, defense: str, attack: str, start: int) -> Block:
        """A block, from the folder if it is there."""
        path = self._path(defense, attack, start)
        if not path.exists():
            made = self._make(defense, attack, start)
            write_atomic(path, json.dumps(asdict(made)).encode(), durable=False)
        return Block(**json.loads(path.read_text(encoding="utf-8")))

    def photographs(self, defense: str, attacks: Sequence[str], most: int) -> int:
        """For how many photographs all these attacks are there, without a gap from the first on."""
        for start in range(0, most, size_of(defense)):
            if not all(self._path(defense, attack, start).exists() for attack in attacks):
                return start
        return most

    def joined(self, defense: str, attack: str, n: int) -> Block:
        """The blocks of the first ``n`` photographs as one."""
        blocks = [self.made(defense, attack, start) for start in range(0, n, size_of(defense))]
        return Block(
            defense,
            attack,
            0,
            [each for block in blocks for each in block.clean],
            [each for block in blocks for each in block.right],
            sum(block.seconds for block in blocks),
            [each for block in blocks for each in block.steps],
            blocks[0].asked,
            [each for block in blocks for each in block.fooled],
        )

    def _make(self, defense_spec: str, attack_spec: str, start: int) -> Block:
        (defense,), (attack,) = parse_defense(defense_spec), parse_attack(attack_spec)
        chosen = self._photographs[start : start + size_of(defense_spec)]
        images, labels = [image for _, image, _ in chosen], np.array([each[2] for each in chosen])
        begun = time.process_time()
        attacked, notes = self._attacked(defense, attack, np.stack(images), labels)
        seconds = time.process_time() - begun
        eps = attack.eps  # type: ignore[attr-defined]
        assert np.abs(attacked.astype(int) - np.stack(images)).max() <= eps
        return Block(
            defense_spec,
            attack_spec,
            start,
            self._right(defense, images, labels),
            self._right(defense, list(attacked), labels),
            seconds,
            [note["gradients"] for note in notes if "gradients" in note],
            max((note.get("asked", 0) for note in notes), default=0),
            [note["fooled"] for note in notes if "fooled" in note],
        )

    def _attacked(
        self, defense: Defense, attack: Attack, images: np.ndarray, labels: np.ndarray
    ) -> tuple[np.ndarray, list[dict[str, Any]]]:
        """The pixels of the files that the attack leaves, and what it tells about them."""
        module = self._twin
        if attack.name == _THROUGH:
            module = attack.through(self._twin, defense, self._resources).eval()  # type: ignore[assignment]
        result = run_attack(module, to_unit(images), labels, attack)
        return to_pixels(result.x_adv), result.notes or []

    def _right(self, defense: Defense, images: Sequence[Pixels], labels: np.ndarray) -> list[bool]:
        cleaned = [defense.clean(image, self._resources) for image in images]
        classes = self._classifier.logits(cleaned).argmax(axis=1)
        return [bool(right) for right in classes == labels]

    def _path(self, defense_spec: str, attack_spec: str, start: int) -> Path:
        (defense,), (attack,) = parse_defense(defense_spec), parse_attack(attack_spec)
        names = [name for name, _, _ in self._photographs[start : start + size_of(defense_spec)]]
        record = defense.as_record()
        identity = {
            "defense": record.get("rules", record),  # whatever a policy is called
            "attack": attack_text(attack),
            "dictionary": self._digest,
            "names": names,
            "method": METHODS["attack"],
        }
        key = sha256_of(to_line(identity))[:16]
        return self._work / attack_text(attack) / f"{start:03d}-{key}.json"

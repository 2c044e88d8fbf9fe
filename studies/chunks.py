"""Attacked photographs and which are right behind each defense, kept chunk by chunk.

A search for a policy asks the same question many times: is this image right behind that defense?
Here each (photograph, attack, defense) is judged once. A chunk is a few photographs from all over
the list, so that a search can begin with the first chunks. A file is written when it is complete,
and an interrupted run continues. Attacks, defenses and the classifier are those of ``evaluate``;
CW-L2 and MI-FGSM are scaled to their average d within a chunk.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from functools import cached_property, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rsparse.attacks import Attack, attack_text, run_attack
from rsparse.attacks.scaling import scale_to_average, scaled
from rsparse.core.noise import Pixels
from rsparse.defenses import Defense, Resources
from rsparse.evaluation.model_choice import ModelChoice
from rsparse.models.onnx.classifier import Classifier, load_classifier
from rsparse.models.torch.twin import Twin, load_twin
from rsparse.store.dictionaries import load_dictionary
from rsparse.store.files import sha256_of, sha256_of_file, write_atomic
from rsparse.store.images import decode_image, to_pixels, to_unit
from rsparse.store.journal import to_line
from studies.tables import read_rows

CLEAN = "clean"
_AT_ONCE = 8  # images in one batch
Flags = NDArray[np.bool_]


class Photographs:
    """Labelled photographs that a classifier gets right, in chunks, attacked and judged.

    Parameters
    ----------
    folder : Path
        The photographs, with ``labels.csv``.
    taken : slice
        Which of them, in the order of the labels.
    model : ModelChoice
    attacks : sequence of Attack
        The columns after the clean one.
    dictionaries : mapping of str to Path
        By the names that defenses use.
    work : Path
        Keeps all results.
    n_chunks : int
    """

    def __init__(
        self,
        folder: Path,
        taken: slice,
        model: ModelChoice,
        attacks: Sequence[Attack],
        dictionaries: Mapping[str, Path],
        work: Path,
        n_chunks: int,
    ) -> None:
        rows = read_rows(folder / "labels.csv")[taken]
        self._rows = [(folder / row["file"], int(row["label"])) for row in rows]
        self._model = model
        self.attacks = {attack_text(attack): attack for attack in attacks}
        self.columns = (CLEAN, *self.attacks)
        self._dictionaries = dictionaries
        self._digests: dict[str, str] = {}
        identity = [[path.name, label] for path, label in self._rows]
        digest = sha256_of(to_line({"photographs": identity, "n_chunks": n_chunks}))[:12]
        self._work = work / f"{model.name}-{digest}"
        self.n_chunks = n_chunks

    def alone(self) -> Photographs:
        """The same without what was loaded, so that it can be sent to another process."""
        other = copy(self)
        for name in ("classifier", "_twin"):
            other.__dict__.pop(name, None)
        return other

    @cached_property
    def classifier(self) -> Classifier:
        """The classifier, on one core."""
        return load_classifier(self._model.path, self._model.input_options)

    @cached_property
    def _twin(self) -> Twin:
        return load_twin(self.classifier)

    def _resources(self, defense: Defense) -> Resources:
        named = {name: self._dictionaries[name] for name in defense.dictionaries}
        return Resources({name: load_dictionary(path)[0] for name, path in named.items()})

    def _digest(self, name: str) -> str:
        if name not in self._digests:
            self._digests[name] = sha256_of_file(self._dictionaries[name])
        return self._digests[name]

    def images(self, chunk: int, column: str) -> NDArray[np.uint8]:
        """A chunk's images in a column, (n, h, w, 3), at the size of the classifier's input."""
        if column == CLEAN:
            return self._clean(chunk)[0]
        path = self._work / f"{chunk:02d}" / f"{column}.npz"
        if not path.exists():
            self._attack(chunk, self.attacks[column].unscaled())
        return _read(path)["images"]

    def labels(self, chunk: int) -> NDArray[np.int64]:
        """The classes of a chunk's images, (n,)."""
        return self._clean(chunk)[1]

    def right(self, chunk: int, defense: Defense, columns: Sequence[str] = ()) -> Flags:
        """Which images of a chunk are right behind a defense, (columns, n); by default in all."""
        columns = columns or self.columns
        digests = {name: self._digest(name) for name in defense.dictionaries}
        record = {"defense": defense.as_record(), "dictionaries": digests}
        path = self._work / f"{chunk:02d}" / "right" / f"{sha256_of(to_line(record))[:12]}.npz"
        known = dict(_read(path)) if path.exists() else {}
        missing = [column for column in columns if column not in known]
        resources = self._resources(defense) if missing else Resources()
        for column in missing:
            cleaned = [defense.clean(x, resources) for x in self.images(chunk, column)]
            known[column] = self._is_right(cleaned, self._clean(chunk)[1])
        if missing:
            _write(path, known)
        return np.stack([known[column] for column in columns])

    def measured(self, chunk: int, measure: Callable[[Pixels], float]) -> NDArray[np.float64]:
        """A measure of each image of a chunk, (columns, n)."""
        path = self._work / f"{chunk:02d}" / f"{measure.__name__}.npz"
        known = dict(_read(path)) if path.exists() else {}
        missing = [column for column in self.columns if column not in known]
        for column in missing:
            known[column] = np.array([measure(image) for image in self.images(chunk, column)])
        if missing:
            _write(path, known)
        return np.stack([known[column] for column in self.columns])

    def _clean(self, chunk: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """The photographs of a chunk that the classifier gets right, and their labels."""
        path = self._work / f"{chunk:02d}" / f"{CLEAN}.npz"
        if not path.exists():
            rows = self._rows[chunk :: self.n_chunks]
            fit = self.classifier.fit_to_input
            images = np.stack([fit(decode_image(p.read_bytes(), p)) for p, _ in rows])
            labels = np.array([label for _, label in rows])
            kept = self._is_right(list(images), labels)
            _write(path, {"images": images[kept], "labels": labels[kept]})
        content = _read(path)
        return content["images"], content["labels"]

    def _is_right(self, images: Sequence[Pixels], labels: NDArray[np.int64]) -> Flags:
        starts = range(0, len(images), _AT_ONCE)
        found = [self.classifier.logits(images[i : i + _AT_ONCE]).argmax(1) for i in starts]
        return np.equal(np.concatenate(found), labels)

    def _attack(self, chunk: int, unscaled: Attack) -> None:
        """Attack a chunk, and keep the result with each wanted scaling."""
        images, labels = self._clean(chunk)
        x = to_unit(images)
        x_adv = np.concatenate([
            run_attack(self._twin, x[i : i + _AT_ONCE], labels[i : i + _AT_ONCE], unscaled).x_adv
            for i in range(0, len(x), _AT_ONCE)
        ])  # fmt: skip
        for text, attack in self.attacks.items():
            if attack.unscaled() != unscaled:
                continue
            tau = attack.factor
            if attack.average_d is not None:
                pairs = partial(zip, x, x_adv, strict=True)
                shrink = not attack.seeks_minimum
                tau = scale_to_average(pairs, attack.average_d, shrink=shrink).tau
            content = {"images": to_pixels(scaled(x, x_adv, tau))}
            _write(self._work / f"{chunk:02d}" / f"{text}.npz", content)


class Judged(NamedTuple):
    """What is known of several chunks; every array is (columns, images)."""

    right: dict[str, Flags]
    measures: dict[str, NDArray[np.float64]]


def judged(
    photographs: Photographs,
    chunks: Sequence[int],
    defenses: Mapping[str, Defense],
    measures: Sequence[Callable[[Pixels], float]],
) -> Judged:
    """Judge chunks behind all defenses, of which each has a name, and measure their images."""
    return Judged(
        {
            name: np.concatenate([photographs.right(c, defense) for c in chunks], axis=1)
            for name, defense in defenses.items()
        },
        {
            measure.__name__: np.concatenate(
                [photographs.measured(c, measure) for c in chunks], axis=1
            )
            for measure in measures
        },
    )


def _read(path: Path) -> Mapping[str, NDArray]:
    with np.load(path, allow_pickle=False) as content:
        return dict(content)


def _write(path: Path, content: Mapping[str, NDArray]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    np.savez(buffer, **content)
    write_atomic(path, buffer.getvalue(), durable=False)

"""Adversarial images that another program made: measure them, and take them into an evaluation.

The images are joined with the selected ones by name. They are copied into ``given/NAME/`` at the
judged model's input size, with the change of each one and the predictions, so that they are judged
like those that an attack of the evaluation made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from rsparse.commands.evaluate.select import Selection
from rsparse.core.metrics import dissimilarity, l2_distance
from rsparse.errors import InputError
from rsparse.evaluation.plan import Plan
from rsparse.models.onnx.classifier import Classifier
from rsparse.store.files import safe_join, sha256_of
from rsparse.store.folders import OutputFolder, is_finished, read_manifest, record_of
from rsparse.store.images import ImageFile, Pixels, decode_image, to_unit
from rsparse.store.inputs import ImageInputs, load_inputs
from rsparse.store.job import Job
from rsparse.store.journal import Entry
from rsparse.store.records import IMAGES, Source
from rsparse.work.progress import SILENT, Progress
from rsparse.work.runs import load_image, refuse_all_failed, run_images, save_png, source_digests
from rsparse.work.steps import OneByOne
from rsparse.work.workers import LocalWorkers, Workers


@dataclass(frozen=True)
class MeasureStep:
    """Measures one given image against the benign one, and writes it."""

    classifier: Classifier
    benign: Mapping[str, Entry]
    clean: Path
    originals: Mapping[str, ImageFile]
    output: Path

    def __call__(self, image: ImageFile) -> Entry:
        pixels, digest = load_image(image)
        entry = self.benign[image.name]
        file = safe_join(self.clean, entry["file"])
        x = decode_image(file.read_bytes(), file)
        x_adv = self._at_input_size(pixels, x, image)
        after = int(self.classifier.logits([x_adv])[0].argmax())
        changed = np.abs(x_adv.astype(np.int64) - x)
        d = float(dissimilarity(to_unit(x)[None], to_unit(x_adv)[None])[0])
        label = entry["label"]
        return {
            **save_png(self.output, image.name, x_adv),
            "source_sha256": digest,
            "label": label,
            "prediction_before": entry["prediction"],
            "prediction_float": after,
            "prediction": after,
            "success_float": after != label,
            "success": after != label,
            "nothing_found": not changed.any(),
            "linf": int(changed.max()),
            "l2": round(float(l2_distance(to_unit(x)[None], to_unit(x_adv)[None])[0]), 6),
            "d": round(d, 6) if np.isfinite(d) else None,
        }

    def _at_input_size(self, pixels: Pixels, x: Pixels, image: ImageFile) -> Pixels:
        """The image as the model sees it: as it is, or fitted like the benign image."""
        if pixels.shape == x.shape:
            return pixels
        original = self.originals[image.name]
        size = decode_image(original.read(), original.path).shape
        if pixels.shape != size:
            raise InputError(
                f"{image.path}: expected the size of the model's input ({_size(x.shape)}) or of "
                f"the benign image {original.path} ({_size(size)}), got {_size(pixels.shape)}"
            )
        return self.classifier.fit_to_input(pixels)


def _size(shape: Sequence[int]) -> str:
    return f"{shape[1]}×{shape[0]}"


def given_images(folder: Path, names: Sequence[str]) -> ImageInputs:
    """The images of a folder that have one of ``names``, which come with the names' order.

    An image of a subfolder is also found by the last part of its name, if only one has it.

    Raises
    ------
    InputError
        If the folder cannot be read, or has none of the names.
    """
    inputs = load_inputs([folder])
    found = {image.name: image for image in inputs.images}
    last: dict[str, list[ImageFile]] = {}
    for image in inputs.images:
        last.setdefault(image.name.rpartition("/")[2], []).append(image)
    joined = []
    for name in names:
        alike = last.get(name.rpartition("/")[2], [])
        own = found.get(name) or (alike[0] if len(alike) == 1 else None)
        if own is not None:
            joined.append(replace(own, name=name))
    if not joined:
        raise InputError(
            f"{folder}: none of its images has the name of a benign one; it has "
            f"{inputs.images[0].name!r}, the benign images {names[0]!r}"
        )
    return replace(inputs, images=joined, labels={})


def given_by_name(
    plan: Plan, progress: Progress
) -> tuple[dict[str, ImageInputs], frozenset[str] | None]:
    """The given images of a plan by their name, and the benign images that all of them have.

    Returns
    -------
    images : dict of str to ImageInputs
    names : frozenset of str, or None
        None if the plan has no given images.
    """
    if not plan.adversarial:
        return {}, None
    names = [image.name for image in load_inputs(plan.images).images]
    given = {label: given_images(folder, names) for label, folder in plan.adversarial.items()}
    shared = frozenset(names)
    for label, inputs in given.items():
        has = {image.name for image in inputs.images}
        if len(has) < len(names):
            missing = next(name for name in names if name not in has)
            progress.message(
                f"{plan.adversarial[label]}: has {len(has)} of {len(names)} benign images (not "
                f"{missing!r}); only images that it has are evaluated"
            )
        shared &= has
    if not shared:
        raise InputError("no benign image has a counterpart in every folder of --adversarial")
    return given, shared


def take_in(
    inputs: ImageInputs,
    originals: Mapping[str, ImageFile],
    classifier: Classifier,
    selection: Selection,
    output: Path,
    *,
    workers: Workers = LocalWorkers(),
    overwrite: bool = False,
    progress: Progress = SILENT,
) -> dict[str, Any]:
    """Copy given images into ``output`` with their measurements, or read what is there.

    Parameters
    ----------
    inputs : ImageInputs
        From ``given_images``.
    originals : mapping of str to ImageFile
        The files of the benign images, by name.
    classifier : Classifier
        The judged model.
    selection : Selection
        The benign images at the model's input size.
    output : Path

    Returns
    -------
    dict
        The manifest of ``output``.

    Raises
    ------
    InputError
        If no image can be used, or ``output`` holds the copies of other images.
    """
    work = _Measuring(inputs, originals, classifier, selection, output)
    if overwrite or not is_finished(output):
        work.run(workers, overwrite, progress)
    return work.read()


class _Measuring:
    """The measuring of given images: its job, and what it reads and writes."""

    def __init__(
        self,
        inputs: ImageInputs,
        originals: Mapping[str, ImageFile],
        classifier: Classifier,
        selection: Selection,
        output: Path,
    ) -> None:
        self.benign = {entry["name"]: entry for entry in selection.entries}
        self.inputs, self.originals = inputs.only(self.benign), originals
        self.classifier, self.selection, self.output = classifier, selection, output
        known = {"model": classifier.sha256, "images": self.inputs.names_digest()}
        self.job = Job("measure", IMAGES, {"input": classifier.input_record()}, known=known)

    def sources(self, digests: Mapping[str, str]) -> list[Source]:
        """The given and the benign images of these names, and the model."""
        lines = "".join(f"{name} {self.benign[name]['sha256']}\n" for name in sorted(digests))
        clean = sha256_of(lines.encode())
        given = sha256_of("".join(f"{n} {digests[n]}\n" for n in sorted(digests)).encode())
        return [
            Source(self.inputs.paths[0].resolve().name, given, None),
            Source(self.selection.folder.name, clean, self.selection.record),
            self.classifier.source(),
        ]

    def run(self, workers: Workers, overwrite: bool, progress: Progress) -> None:
        """Measure the images and copy them into the output."""
        clean, output = self.selection.folder, self.output
        folder = OutputFolder.open(output, self.job.identity(), self.inputs.paths, overwrite)
        step = MeasureStep(self.classifier, self.benign, clean, self.originals, output)
        done, resumed, failed = run_images(
            self.inputs,
            folder.journal,
            OneByOne(step),
            task=f"measure {output.name}",
            workers=workers,
            progress=progress,
            folder=output,
            shared_paths=[*self.inputs.paths, clean, self.classifier.path],
        )
        refuse_all_failed(failed, done + resumed, folder)
        folder.finish(self.job.record(self.sources(dict(source_digests(folder.journal)))), failed)

    def read(self) -> dict[str, Any]:
        """The manifest of the output; ``InputError`` if it holds other images."""
        manifest = read_manifest(self.output)
        if manifest is None:
            raise InputError(f"{self.output}: contains other files; choose another output")
        errors = {entry["name"] for entry in manifest["failed"]}
        sources = self.sources(self.inputs.digests(without=errors))
        otherwise = "holds other images of that name"
        self.job.require_match(self.output, record_of(manifest), sources, otherwise)
        return manifest

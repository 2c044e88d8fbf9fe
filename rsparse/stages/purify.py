"""``rsparse purify``: attacked images and a dictionary in, cleaned images out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from rsparse.core.dictionary import Dictionary
from rsparse.core.regionsparse import Floats, Mask, object_region, purify
from rsparse.devices import purifying_device, recorded_device
from rsparse.errors import InputError
from rsparse.images import ImageFile, Pixels
from rsparse.parallel import Here, Workers
from rsparse.parameters import LocalizeParameters, PurifyParameters, PurifyRunParameters
from rsparse.pipeline import Overlapped
from rsparse.progress import SILENT, Progress
from rsparse.runs import (
    OneByOne,
    Outcome,
    failure,
    load_image,
    refuse_all_failed,
    run_images,
    save_png,
    source_digests,
)
from rsparse.store.dictionaries import load_dictionary
from rsparse.store.files import sha256_of_file
from rsparse.store.folders import OutputFolder
from rsparse.store.inputs import load_inputs
from rsparse.store.journal import Entry
from rsparse.store.records import IMAGES, Record, Source


@dataclass(frozen=True)
class PurifyStep:
    """Purifies one image and writes it."""

    dictionary: Dictionary
    parameters: PurifyParameters
    localization: LocalizeParameters
    masks: Mapping[str, ImageFile] | None
    labels: Mapping[str, int]
    output: Path

    def __call__(self, image: ImageFile) -> Entry:
        pixels, mask, entry = self.load(image)
        clean = purify(pixels, self.dictionary, self.parameters, self.localization, mask)
        return self.save(image, clean, entry)

    def load(self, image: ImageFile) -> tuple[Pixels, Mask | None, Entry]:
        """The pixels of an image, the mask given for it, and what its entry says of both."""
        pixels, digest = load_image(image)
        entry: Entry = {"source_sha256": digest}
        if self.masks is None:
            return pixels, None, entry
        if image.name not in self.masks:
            raise InputError(f"has no mask named {image.name!r}")
        picture, entry["mask_sha256"] = load_image(self.masks[image.name])
        return pixels, picture[:, :, 0] > 127, entry

    def save(self, image: ImageFile, clean: Pixels, entry: Entry) -> Entry:
        """Write a purified image; its whole entry."""
        if image.name in self.labels:
            entry["label"] = self.labels[image.name]
        return {**save_png(self.output, image.name, clean), **entry}

    def has_same_mask(self, entry: Entry) -> bool:
        """Whether the mask that made an entry is the one that is given now."""
        if self.masks is None:
            return True
        return entry["mask_sha256"] == sha256_of_file(self.masks[entry["name"]].path)


class Ready(NamedTuple):
    """An image on its way to the device, or clean on its way to the disk."""

    image: ImageFile
    pixels: Pixels
    region: tuple[Mask, Floats]
    entry: Entry


@dataclass(frozen=True)
class TorchStep:
    """Purifies batches by torch, in the parts that ``Overlapped`` puts together.

    An image that cannot be used goes on as its failure's entry.
    """

    step: PurifyStep
    device: str

    def overlapped(
        self, threads: int
    ) -> Overlapped[ImageFile, Ready | Entry, Ready | Entry, Entry]:
        """The parts; the threads also find the object regions."""
        return Overlapped(self.load, self.purify, self.save, threads)

    def load(self, image: ImageFile) -> Ready | Entry:
        """Decode an image and find its object region."""
        step = self.step
        try:
            pixels, mask, entry = step.load(image)
            region = object_region(
                pixels, step.dictionary, step.parameters, step.localization, mask
            )
        except InputError as error:
            return failure(image, error)
        return Ready(image, pixels, region, entry)

    def purify(self, batch: Sequence[Ready | Entry]) -> list[Ready | Entry]:
        """Replace pixels by clean ones."""
        clean = iter(self._together([item for item in batch if isinstance(item, Ready)]))
        return [next(clean) if isinstance(item, Ready) else item for item in batch]

    def save(self, item: Ready | Entry) -> Entry:
        """Write a clean image; its entry."""
        if not isinstance(item, Ready):
            return item
        try:
            return self.step.save(item.image, item.pixels, item.entry)
        except InputError as error:
            return failure(item.image, error)

    def _together(self, batch: Sequence[Ready]) -> list[Ready | Entry]:
        from rsparse.gpu.regionsparse import purify_together

        images, regions = [item.pixels for item in batch], [item.region for item in batch]
        dictionary, parameters = self.step.dictionary, self.step.parameters
        try:
            clean = purify_together(images, regions, dictionary, parameters, self.device)
        except InputError as error:
            if len(batch) == 1:
                return [failure(batch[0].image, error)]
            return [result for item in batch for result in self._together([item])]
        return [item._replace(pixels=pixels) for item, pixels in zip(batch, clean, strict=True)]


def purify_images(
    paths: Sequence[Path],
    dictionary_path: Path,
    output: Path,
    parameters: PurifyParameters,
    localization: LocalizeParameters,
    *,
    masks: Path | None = None,
    how: PurifyRunParameters | None = None,
    workers: Workers = Here(),
    overwrite: bool = False,
    progress: Progress = SILENT,
) -> Outcome:
    """Purify all images in ``paths`` into the folder ``output``.

    On a GPU there is one process, and the workers' cores decode, localize and encode.

    Raises
    ------
    InputError
        If an input cannot be used, the output is taken, or no image could be purified.
    """
    if masks is not None and not parameters.localize:
        raise InputError("--masks and --no-localize exclude each other; give one of them")
    how = how or PurifyRunParameters()
    device = purifying_device(how.device)
    if device is not None and not isinstance(workers, Here):
        raise InputError("--cluster and --device exclude each other; give one of them")
    dictionary, dictionary_record = load_dictionary(dictionary_path)
    inputs = load_inputs(paths)
    given = load_inputs([masks]) if masks is not None else None
    dictionary_source = Source(
        dictionary_path.name, sha256_of_file(dictionary_path), dictionary_record
    )
    values = {**parameters.as_record(), **recorded_device(device)}
    if parameters.localize and given is None:
        values["localization"] = localization.as_record()
    run = {
        "stage": "purify",
        "parameters": values,
        "dictionary": dictionary_source.sha256,
        "images": inputs.names_digest(),
        "masks": given.names_digest() if given else None,
    }
    read = [*paths, *([masks] if masks is not None else [])]
    folder = OutputFolder.open(output, run, read, overwrite)
    named_masks = {mask.name: mask for mask in given.images} if given else None
    step = PurifyStep(dictionary, parameters, localization, named_masks, inputs.labels, output)
    threads = workers.cores(len(inputs.images), pays_from=0)
    batches = OneByOne(step) if device is None else TorchStep(step, device).overlapped(threads)
    batching = {} if device is None else {"batch_size": how.batch_size}
    done, resumed, failed = run_images(
        inputs, folder.journal, batches, what="purify", workers=workers, progress=progress,
        folder=output, sees=read, holds=step.has_same_mask, **batching,
    )  # fmt: skip
    refuse_all_failed(failed, done + resumed, folder)
    sources = [*inputs.sources(source_digests(folder.journal)), dictionary_source]
    if given is not None:
        used = {entry["name"]: entry["mask_sha256"] for entry in folder.journal.entries()}
        sources += given.sources(used)
    folder.finish(Record(IMAGES, "purify", values, inputs=tuple(sources)), failed)
    return Outcome(output, done, resumed, failed)

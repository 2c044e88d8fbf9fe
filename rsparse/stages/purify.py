"""``rsparse purify``: attacked images and a dictionary in, cleaned images out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rsparse.core.dictionary import Dictionary
from rsparse.core.regionsparse import purify
from rsparse.errors import InputError
from rsparse.images import ImageFile
from rsparse.parallel import Here, Workers
from rsparse.parameters import LocalizeParameters, PurifyParameters
from rsparse.progress import SILENT, Progress
from rsparse.runs import (
    OneByOne,
    Outcome,
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
        pixels, digest = load_image(image)
        mask = None
        entry: Entry = {"source_sha256": digest}
        if self.masks is not None:
            if image.name not in self.masks:
                raise InputError(f"has no mask named {image.name!r}")
            picture, entry["mask_sha256"] = load_image(self.masks[image.name])
            mask = picture[:, :, 0] > 127
        clean = purify(pixels, self.dictionary, self.parameters, self.localization, mask)
        if image.name in self.labels:
            entry["label"] = self.labels[image.name]
        return {**save_png(self.output, image.name, clean), **entry}

    def has_same_mask(self, entry: Entry) -> bool:
        """Whether the mask that made an entry is the one that is given now."""
        if self.masks is None:
            return True
        return entry["mask_sha256"] == sha256_of_file(self.masks[entry["name"]].path)


def purify_images(
    paths: Sequence[Path],
    dictionary_path: Path,
    output: Path,
    parameters: PurifyParameters,
    localization: LocalizeParameters,
    *,
    masks: Path | None = None,
    workers: Workers = Here(),
    overwrite: bool = False,
    progress: Progress = SILENT,
) -> Outcome:
    """Purify all images in ``paths`` into the folder ``output``.

    Raises
    ------
    InputError
        If an input cannot be used, the output is taken, or no image could be purified.
    """
    if masks is not None and not parameters.localize:
        raise InputError("--masks and --no-localize exclude each other; give one of them")
    dictionary, dictionary_record = load_dictionary(dictionary_path)
    inputs = load_inputs(paths)
    given = load_inputs([masks]) if masks is not None else None
    dictionary_source = Source(
        dictionary_path.name, sha256_of_file(dictionary_path), dictionary_record
    )
    values = parameters.as_record()
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
    done, resumed, failed = run_images(
        inputs, folder.journal, OneByOne(step), what="purify", workers=workers, progress=progress,
        folder=output, sees=read, holds=step.has_same_mask,
    )  # fmt: skip
    refuse_all_failed(failed, done + resumed, folder)
    sources = [*inputs.sources(source_digests(folder.journal)), dictionary_source]
    if given is not None:
        used = {entry["name"]: entry["mask_sha256"] for entry in folder.journal.entries()}
        sources += given.sources(used)
    folder.finish(Record(IMAGES, "purify", values, inputs=tuple(sources)), failed)
    return Outcome(output, done, resumed, failed)

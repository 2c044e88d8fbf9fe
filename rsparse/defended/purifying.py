"""Clean image files with a defense, write them, and tell what was done to each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from rsparse.core.change import change_between
from rsparse.core.noise import noise_level
from rsparse.defended.images import CleanedImage, DefendedImages, PreparedImage
from rsparse.defended.treatment import Treatment
from rsparse.defenses.applied import five_digits
from rsparse.errors import InputError
from rsparse.models.fit import Fit
from rsparse.models.resize import fit_pixels
from rsparse.store.files import sha256_of_file
from rsparse.store.images import ImageFile, Pixels
from rsparse.store.journal import Entry
from rsparse.work.device import Device
from rsparse.work.runs import load_image, save_png
from rsparse.work.steps import ImageStep


class ImageToPurify(NamedTuple):
    """An image with its pixels and its entry so far, prepared for cleaning unless it is kept."""

    image: ImageFile
    pixels: Pixels
    prepared: PreparedImage | None
    entry: Entry


class PurifiedImage(NamedTuple):
    """A purified image that is not yet written, what was done to it, and its entry so far."""

    image: ImageFile
    before: Pixels
    pixels: Pixels
    treatment: Treatment
    entry: Entry


@dataclass(frozen=True)
class PurifyStep(ImageStep[ImageToPurify, PurifiedImage]):
    """Cleans an image with a defense and writes it.

    With ``detected``, whether each image looks attacked by the SHA-256 of its file, the others are
    written as they are.
    """

    images: DefendedImages
    masks: Mapping[str, ImageFile] | None
    labels: Mapping[str, int]
    output: Path
    fit: Fit | None = None
    detected: Mapping[str, bool] | None = None

    @property
    def device(self) -> Device:
        return self.images.device

    def load(self, image: ImageFile) -> ImageToPurify:
        pixels, digest = load_image(image)
        if self.fit is not None:
            pixels = fit_pixels(pixels, self.fit)
        entry: Entry = {"source_sha256": digest}
        if self.detected is not None:
            if digest not in self.detected:
                raise InputError("is not among the images that were examined; detect again")
            entry["detected"] = self.detected[digest]
            if not entry["detected"]:
                return ImageToPurify(image, pixels, None, entry)
        mask = None
        if self.masks is not None:
            if image.name not in self.masks:
                raise InputError(f"has no mask named {image.name!r}")
            picture, entry["mask_sha256"] = load_image(self.masks[image.name])
            mask = picture[:, :, 0] > 127
        return ImageToPurify(image, pixels, self.images.prepare(pixels, mask), entry)

    def work(self, batch: Sequence[ImageToPurify]) -> list[PurifiedImage | InputError]:
        to_clean = [item.prepared for item in batch if item.prepared is not None]
        cleaned = iter(self.images.finish(to_clean))
        made: list[PurifiedImage | InputError] = []
        for item in batch:
            image, before, prepared, entry = item
            done = _kept(before) if prepared is None else next(cleaned)
            if isinstance(done.pixels, InputError):
                made.append(done.pixels)
            else:
                assert done.treatment is not None
                made.append(PurifiedImage(image, before, done.pixels, done.treatment, entry))
        return made

    def save(self, output: PurifiedImage) -> Entry:
        image, before, pixels, treatment, entry = output
        if image.name in self.labels:
            entry["label"] = self.labels[image.name]
        told = {"noise": _noise(before, treatment), **treatment.as_json()}
        return {**save_png(self.output, image.name, pixels), **entry, **told}

    def has_same_mask(self, entry: Entry) -> bool:
        """Whether an entry was made with the current mask, if it was needed."""
        if self.masks is None or "mask_sha256" not in entry:
            return True
        return entry["mask_sha256"] == sha256_of_file(self.masks[entry["name"]].path)


def _noise(image: Pixels, treatment: Treatment) -> float:
    """The noise level of an image, which a policy has usually measured."""
    measured = treatment.applied[0].measured if treatment.applied else {}
    return measured["noise"] if "noise" in measured else five_digits(noise_level(image))


def _kept(pixels: Pixels) -> CleanedImage:
    """An image to which nothing is done."""
    return CleanedImage(pixels, 0.0, Treatment((), change_between(pixels, pixels)))

"""The parts of a report that need the images, the dictionary or the model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from rsparse.defenses import Resources
from rsparse.defenses.recorded import defense_of
from rsparse.errors import InputError
from rsparse.models.onnx.classifier import Classifier, load_classifier
from rsparse.models.onnx.probes import attention_maps, layer_activations
from rsparse.models.spec import InputOptions
from rsparse.options.report import ReportParameters
from rsparse.report.evaluated import (
    EvaluatedImages,
    digests,
    refuse_other_model,
    with_embedded,
)
from rsparse.report.figures import Figure
from rsparse.report.gallery import VersionLoader, make_activations, make_panels, make_sheets
from rsparse.report.pictures import Gallery
from rsparse.report.subjects import Subjects
from rsparse.store.dictionaries import load_dictionary
from rsparse.store.files import sha256_of_file
from rsparse.store.images import Pixels
from rsparse.work.progress import Progress


class PictureMaker:
    """Makes the parts that need the images, the dictionary or the model, or states why not."""

    def __init__(
        self,
        images: EvaluatedImages,
        subjects: Subjects,
        dictionaries: Mapping[str, Path],
        model: Path | None,
        input_options: InputOptions | None,
        progress: Progress,
    ) -> None:
        self.subjects = subjects
        self.progress = progress
        record = subjects.evaluation.record
        known = set(digests(record))
        dictionaries = with_embedded(dictionaries, known)
        for path in [*dictionaries.values(), *([model] if model is not None else [])]:
            if sha256_of_file(path) not in known:
                raise InputError(f"{path}: is not the file that the evaluation used")
        if model is not None:
            refuse_other_model(model, subjects.evaluation.model, record)
        loaded = {name: load_dictionary(path)[0] for name, path in dictionaries.items()}
        self.resources = Resources(loaded, record.get("seed") or 0)
        self.classifier = None
        if model is not None:
            self.classifier = load_classifier(model, input_options).check().of_cut_images
        self.load = images.load

    def make(self, parameters: ReportParameters, *, pictures: bool) -> tuple[Gallery, list[Figure]]:
        """The gallery, with pictures if requested, and the figures that need the images."""
        try:
            versions = VersionLoader(self.load, self._cleaner())
        except InputError as error:
            missing = f"Left out: {error}."
            return Gallery((), (), missing, missing, missing), []
        gallery, n = Gallery(), len(self.subjects.families_of(self.subjects.main_scenario))
        self.progress.start("report", 2 * n + 1)
        if pictures:
            sheets, missing = _unless_refused(
                lambda: make_sheets(self.subjects, versions, parameters.sheet_images)
            )
            gallery = replace(gallery, sheets=sheets, missing_sheets=missing)
        self.progress.advance(n)
        classifier = self.classifier
        if classifier is None:
            missing = "Left out: attention maps and activations need the classifier; pass --model."
            return replace(gallery, missing_panels=missing, missing_activations=missing), []
        return self._with_model(gallery, versions, classifier, parameters, pictures, n)

    def _with_model(
        self,
        gallery: Gallery,
        versions: VersionLoader,
        classifier: Classifier,
        parameters: ReportParameters,
        pictures: bool,
        n: int,
    ) -> tuple[Gallery, list[Figure]]:
        if pictures:
            attend = partial(attention_maps, classifier)
            panels, missing = _unless_refused(
                lambda: make_panels(self.subjects, versions, attend, parameters.attention_images)
            )
            gallery = replace(gallery, panels=panels, missing_panels=missing)
        self.progress.advance()
        measure = partial(layer_activations, classifier)
        figures, missing = _unless_refused(
            lambda: tuple(
                make_activations(self.subjects, versions, measure, parameters.activation_images)
            )
        )
        self.progress.advance(n)
        return replace(gallery, missing_activations=missing), list(figures)

    def _cleaner(self) -> Callable[[Pixels], Pixels]:
        judged = self.subjects.judged
        if judged is None:
            raise InputError("no defense was judged")
        if self.subjects.clean is None:
            raise InputError("the clean images were not judged")
        defense = defense_of(judged.parameters)
        defense.check(self.resources)
        return cache_by_bytes(partial(defense.clean, resources=self.resources))


def _unless_refused(make: Callable[[], tuple[Any, ...]]) -> tuple[tuple[Any, ...], str]:
    """The result of ``make`` and an empty text; if it refuses, no result and the reason."""
    try:
        return make(), ""
    except InputError as error:
        return (), f"Left out: {error}."


def cache_by_bytes(clean: Callable[[Pixels], Pixels]) -> Callable[[Pixels], Pixels]:
    """Wrap ``clean`` so that it cleans each distinct image only once."""
    done: dict[tuple[tuple[int, ...], bytes], Pixels] = {}

    def cached(pixels: Pixels) -> Pixels:
        key = (pixels.shape, pixels.tobytes())
        if key not in done:
            done[key] = clean(pixels)
        return done[key]

    return cached

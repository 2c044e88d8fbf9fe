"""Put a detector together, from options or as a reference was made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rsparse.defenses.resources import load_resources
from rsparse.detection.detector import Detector
from rsparse.detection.registry import default_scores
from rsparse.detection.score import Score
from rsparse.errors import InputError
from rsparse.models.fields import read_fit
from rsparse.models.fit import Fit
from rsparse.models.onnx.classifier import load_classifier
from rsparse.models.spec import InputOptions
from rsparse.options.detect import DetectParameters
from rsparse.store.records import Source
from rsparse.work.device import choose_device
from rsparse.work.progress import SILENT, Progress
from rsparse.work.workers import LocalWorkers, Workers


@dataclass(frozen=True)
class DetectorFiles:
    """The files that a detector may need.

    Attributes
    ----------
    model : Path, optional
    input_options : InputOptions, optional
        The model's input, as given by the user.
    dictionaries : mapping of str to Path
        By name; "" is the default one.
    """

    model: Path | None = None
    input_options: InputOptions | None = None
    dictionaries: Mapping[str, Path] = field(default_factory=dict)


@dataclass(frozen=True)
class DetectorSetup:
    """A detector, and the sources of its classifier and dictionaries."""

    detector: Detector
    sources: tuple[Source, ...]
    paths: tuple[Path, ...] = ()

    def parameters(self) -> dict[str, Any]:
        """All that a measurement depends on besides the image, as JSON types."""
        detector = self.detector
        values: dict[str, Any] = {"scores": [score.as_record() for score in detector.scores]}
        if detector.classifier is not None:
            values |= {"input": detector.classifier.input_record(), **detector.device.record()}
        elif detector.fit is not None:
            values["size"] = list(detector.fit.size)
            values |= {} if detector.fit.crop is None else {"crop": detector.fit.crop}
        codecs = {k: number for view in detector.views for k, number in view.codecs().items()}
        return {**values, **({"codecs": codecs} if codecs else {})}

    @property
    def seed(self) -> int | None:
        """The seed of random views; None if there are none."""
        detector = self.detector
        return detector.resources.seed if any(view.is_random for view in detector.views) else None

    def known(self) -> dict[str, Any]:
        """The digests of the files used, which distinguish runs."""
        return {"files": [source.sha256 for source in self.sources]}


def set_up(
    scores: Sequence[Score],
    files: DetectorFiles,
    parameters: DetectParameters,
    workers: Workers = LocalWorkers(),
    progress: Progress = SILENT,
) -> DetectorSetup:
    """Put a detector together.

    Parameters
    ----------
    scores : sequence of Score
        Empty for the default ones.
    files : DetectorFiles
        Files that no score needs are not read.
    parameters : DetectParameters
    workers, progress
        As for every stage.

    Raises
    ------
    InputError
        If a file cannot be used, or a score lacks what it needs.
    """
    chosen = tuple(scores) or default_scores(files.model is not None)
    if files.model is not None and not any(score.needs_model for score in chosen):
        raise InputError("--model: none of the scores needs a classifier; leave it out")
    views = list(dict.fromkeys(view for score in chosen for view in score.views))
    if files.model is None:
        _refuse_missing_model(chosen)
        fit = _fit_of(parameters)
        return DetectorSetup(Detector(chosen, fit=fit), ())
    if parameters.resize_to is not None:
        raise InputError(
            "--resize-to and --model cannot be used together; images are brought to its input"
        )
    resources, used = load_resources(views, files.dictionaries, 0, any_dictionary=True)
    classifier = load_classifier(files.model, files.input_options).check()
    classifier.tell(progress)
    device = choose_device(parameters.device, workers)
    detector = Detector(chosen, resources, classifier, classifier.spec.fit, device)
    return DetectorSetup(detector, (classifier.source(), *used.values()), (files.model,))


def set_up_as(
    place: Path,
    record: Mapping[str, Any],
    scores: Sequence[Score],
    files: DetectorFiles,
    parameters: DetectParameters,
    workers: Workers = LocalWorkers(),
    progress: Progress = SILENT,
) -> DetectorSetup:
    """Put the detector together with which a reference was made, with some of its scores.

    Parameters
    ----------
    place, record : Path, mapping
        The reference's file and record.
    scores : sequence of Score
    files, parameters, workers, progress
        As for ``set_up``.

    Raises
    ------
    InputError
        If the reference was made with other files, another input or another size.
    """
    recorded = record["parameters"]
    if parameters.resize_to is not None:
        raise InputError(f"--resize-to: {place} sets the size; leave it out")
    if files.model is None:
        _refuse_missing_model(scores, f" of {place}")
        if "input" in recorded:  # of a classifier that the chosen scores do not need
            recorded = {"size": recorded["input"]["size"], "crop": _crop_in(recorded["input"])}
        size = recorded.get("size")
        fit = None if size is None else Fit((int(size[0]), int(size[1])), recorded.get("crop"))
        return DetectorSetup(Detector(tuple(scores), fit=fit), ())
    setup = set_up(scores, files, parameters, workers, progress)
    made_with = {source["sha256"] for source in record["inputs"]}
    for source in setup.sources:
        if source.sha256 not in made_with:
            raise InputError(f"{place}: was not made with {source.name}; make it again")
    now = setup.parameters()
    for key in ("input", "device", "codecs"):
        if key in now and now[key] != recorded.get(key):
            raise InputError(
                f"{place}: was made with another {key} ({recorded.get(key)}, not {now[key]}); "
                "make it again"
            )
    return setup


def _crop_in(recorded_input: Mapping[str, Any]) -> float | None:
    from rsparse.models.fields import crop_share

    return crop_share(recorded_input["resize"])


def _refuse_missing_model(scores: Sequence[Score], where: str = "") -> None:
    needing = [score.text for score in scores if score.needs_model]
    if needing:
        raise InputError(
            f"score {needing[0]}{where} needs a classifier: give --model m.onnx, or choose others, "
            "such as --score noise --score period --score color"
        )


def _fit_of(parameters: DetectParameters) -> Fit | None:
    text = parameters.resize_to
    return None if text is None else read_fit(text, "resize-to")

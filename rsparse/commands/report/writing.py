"""Writing a report into a folder, completely or not at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rsparse.commands.report.files import PLACES, checked_formats, files_of, is_report_file
from rsparse.commands.report.making import PictureMaker
from rsparse.errors import InputError
from rsparse.evaluation.loading import load_evaluation
from rsparse.evaluation.requirements import Outcome, parse_requirement
from rsparse.models.spec import InputOptions
from rsparse.options.report import ReportParameters
from rsparse.report.certified import certified_figure
from rsparse.report.evaluated import (
    EvaluatedImages,
    digests,
)
from rsparse.report.figures import Figure
from rsparse.report.headline import headline
from rsparse.report.pictures import Gallery
from rsparse.report.required import judge_requirements
from rsparse.report.sections import figures_of
from rsparse.report.subjects import Subjects, find_subjects
from rsparse.store.certificates import load_certificates
from rsparse.store.files import safe_join
from rsparse.store.outputs import AtomicFolder
from rsparse.work.progress import SILENT, Progress


@dataclass
class ReportOutcome:
    """The written report, its verdict, the requirements, and the omitted parts with the reasons.

    ``failed`` has a message for each judged image that is missing or damaged; parts that need it
    are omitted as well.
    """

    output: Path
    main: Path
    sentences: tuple[str, ...]
    requirements: tuple[Outcome, ...] = ()
    left_out: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """For scripts."""
        return {
            "output": str(self.output),
            "main": str(self.main),
            "verdict": list(self.sentences),
            "requirements": [each.as_json() for each in self.requirements],
            "left_out": self.left_out,
            "failed": self.failed,
        }


def write_report(
    folder: Path,
    output: Path,
    parameters: ReportParameters,
    *,
    formats: Sequence[str] = ("html",),
    dictionaries: Mapping[str, Path] | None = None,
    model: Path | None = None,
    input_options: InputOptions | None = None,
    judged: str | None = None,
    certificates: Path | None = None,
    requirements: Sequence[str] = (),
    overwrite: bool = False,
    progress: Progress = SILENT,
) -> ReportOutcome:
    """Write a report of the evaluation in ``folder`` into the folder ``output``.

    Parameters
    ----------
    folder : Path
        A finished evaluation.
    output : Path
        Written completely or not at all.
    parameters : ReportParameters
    formats : sequence of str
        Elements of ``FORMATS``. The page includes its figures' data as CSV.
    dictionaries : mapping of str to Path, optional
        The dictionaries of the judged defense, by name.
    model : Path, optional
        The judged classifier, for attention and activations.
    input_options : InputOptions, optional
        The model's input, as given by the user.
    judged : str, optional
        Short name of the defense that the verdict is about.
    certificates : Path, optional
        Certificates of the evaluation's images, by ``rsparse certify``.
    requirements : sequence of str
        What the evaluation has to show, such as ``adaptive.eps=2>=0.1``.
    overwrite : bool
        Replace an existing report.
    progress : Progress

    Raises
    ------
    InputError
        If the folder has no finished evaluation, a dictionary or model is not the evaluated one,
        or the output exists.
    """
    chosen = checked_formats(formats)
    required = [parse_requirement(text) for text in requirements]
    subjects = find_subjects(load_evaluation(folder), judged)
    outcomes = judge_requirements(required, subjects)
    with AtomicFolder.open(output, is_report_file, [folder], overwrite) as target:
        gallery, figures = Gallery(), figures_of(subjects)
        certified = [] if certificates is None else [_certified(certificates, subjects)]
        images = EvaluatedImages(folder)
        if "html" in chosen or "png" in chosen or "csv" in chosen:
            maker = PictureMaker(
                images, subjects, dictionaries or {}, model, input_options, progress
            )
            gallery, measured = maker.make(parameters, pictures="html" in chosen)
            figures += measured
        figures += certified
        with target.filled() as place:
            for name, content in files_of(chosen, subjects, figures, gallery, outcomes):
                path = safe_join(place, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
    missing = [gallery.missing_sheets, gallery.missing_panels, gallery.missing_activations]
    left_out = list(dict.fromkeys(filter(None, missing)))
    main = output / PLACES[chosen[0]]
    failed = list(dict.fromkeys(images.failed))
    sentences = tuple(line.text for line in headline(subjects))
    return ReportOutcome(output, main, sentences, outcomes, left_out, failed)


def _certified(path: Path, subjects: Subjects) -> Figure:
    """The figure of the certificates of the evaluation's images.

    Raises
    ------
    InputError
        If they are of another model, or do not cover all images.
    """
    found, record = load_certificates(path)
    if not set(digests(record)) & _models(subjects.evaluation.record):
        raise InputError(f"{path}: is not of a model that the evaluation used")
    try:
        return certified_figure(found.only(subjects.evaluation.names), record)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _models(record: Mapping[str, Any]) -> set[str]:
    """The digests of the models that an evaluation used."""
    return {s["sha256"] for s in record["inputs"] if Path(s["name"]).suffix.lower() == ".onnx"}

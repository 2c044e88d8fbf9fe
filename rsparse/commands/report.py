"""``rsparse report``: an evaluation in, a page, tables and figures out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from rsparse.defenses import Resources
from rsparse.defenses.recorded import defense_of
from rsparse.errors import InputError
from rsparse.evaluation.loading import load_evaluation
from rsparse.evaluation.requirements import Outcome, parse_requirement
from rsparse.models.onnx.classifier import Classifier, load_classifier
from rsparse.models.onnx.probes import attention_maps, layer_activations
from rsparse.models.spec import InputOptions
from rsparse.options.report import ReportParameters
from rsparse.pictures.charts import png
from rsparse.report.certified import certified_figure
from rsparse.report.evaluated import (
    EvaluatedImages,
    digests,
    refuse_other_model,
    with_embedded,
)
from rsparse.report.figures import Figure
from rsparse.report.gallery import VersionLoader, make_activations, make_panels, make_sheets
from rsparse.report.headline import headline
from rsparse.report.junit import render_junit
from rsparse.report.markdown import render_markdown
from rsparse.report.page import data_files, render_page
from rsparse.report.pictures import Gallery
from rsparse.report.required import judge_requirements
from rsparse.report.sections import figures_of
from rsparse.report.subjects import Subjects, find_subjects
from rsparse.store.certificates import load_certificates
from rsparse.store.dictionaries import load_dictionary
from rsparse.store.files import safe_join, sha256_of_file
from rsparse.store.images import Pixels
from rsparse.store.outputs import AtomicFolder
from rsparse.work.progress import SILENT, Progress

FORMATS = ("html", "md", "png", "csv", "junit")
PAGE, TABLES, DATA, FIGURES, CASES = "index.html", "report.md", "data", "figures", "junit.xml"
PLACES = {"html": PAGE, "md": TABLES, "png": FIGURES, "csv": DATA, "junit": CASES}


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
    chosen = _checked_formats(formats)
    required = [parse_requirement(text) for text in requirements]
    subjects = find_subjects(load_evaluation(folder), judged)
    outcomes = judge_requirements(required, subjects)
    target = AtomicFolder(output, _is_report_file, [folder], overwrite)
    gallery, figures = Gallery(), figures_of(subjects)
    certified = [] if certificates is None else [_certified(certificates, subjects)]
    images = EvaluatedImages(folder)
    if "html" in chosen or "png" in chosen or "csv" in chosen:
        maker = _PictureMaker(images, subjects, dictionaries or {}, model, input_options, progress)
        gallery, measured = maker.make(parameters, pictures="html" in chosen)
        figures += measured
    figures += certified
    with target.filled() as place:
        for name, content in _files(chosen, subjects, figures, gallery, outcomes):
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


def _checked_formats(formats: Sequence[str]) -> list[str]:
    for name in formats:
        if name not in FORMATS:
            raise InputError(f"format: expected one of {', '.join(FORMATS)}, got {name!r}")
    return [name for name in FORMATS if name in formats]


def _is_report_file(file: Path) -> bool:
    """Whether a report may contain a file with this relative path."""
    if file.parent == Path():
        return file.name in (PAGE, TABLES, CASES)
    return (str(file.parent), file.suffix) in ((DATA, ".csv"), (FIGURES, ".png"))


def _files(
    formats: Sequence[str],
    subjects: Subjects,
    figures: Sequence[Figure],
    gallery: Gallery,
    outcomes: Sequence[Outcome],
) -> Iterator[tuple[str, bytes]]:
    """Name and content of every file of a report."""
    if "html" in formats:
        yield PAGE, render_page(subjects, figures, gallery).encode(errors="backslashreplace")
    if "md" in formats:
        yield TABLES, render_markdown(subjects).encode(errors="backslashreplace")
    if "html" in formats or "csv" in formats:
        for name, text in data_files(subjects, figures).items():
            yield f"{DATA}/{name}", text.encode(errors="backslashreplace")
    if "junit" in formats:
        yield CASES, render_junit(outcomes, subjects.evaluation.checks).encode()
    if "png" in formats:
        for figure in figures:
            yield f"{FIGURES}/{figure.key}.png", png(figure.chart, figure.title)


class _PictureMaker:
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
            missing = "Left out: it needs the classifier; pass --model."
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

"""``rsparse activations``: benign and attacked images and a classifier in, ``act.h5`` out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsparse.core.activation import total_activation
from rsparse.errors import InputError
from rsparse.models.onnx.classifier import load_classifier
from rsparse.models.onnx.graph import FeatureLayer, activation_layers
from rsparse.models.onnx.probes import PeakProbe
from rsparse.models.spec import InputOptions
from rsparse.options.activations import ActivationParameters
from rsparse.options.specs import nearest
from rsparse.pictures.activations import draw_activations
from rsparse.store.activations import VERSIONS, activation_entry, save_activations
from rsparse.store.files import refuse_existing, require_suffix
from rsparse.store.hdf5_reading import open_hdf5
from rsparse.store.images import ImageFile
from rsparse.store.inputs import ImageInputs, load_inputs
from rsparse.store.job import Job
from rsparse.store.joins import JoinedImage, join_inputs
from rsparse.store.journal import Entry, journal_beside
from rsparse.store.records import ACTIVATIONS, Source
from rsparse.store.together import appear_together
from rsparse.work.progress import SILENT, Progress
from rsparse.work.runs import Outcome, load_image, refuse_all_failed, run_images
from rsparse.work.steps import OneByOne, failure
from rsparse.work.workers import LocalWorkers, Workers


@dataclass(frozen=True)
class ActivationStep:
    """Measures both versions of an image."""

    probe: PeakProbe
    chosen: tuple[int, ...]
    gamma: float

    def __call__(self, image: ImageFile) -> Entry:
        assert isinstance(image, JoinedImage)
        loaded = [load_image(version) for version in (image.others[0], image)]
        pixels, digests = zip(*loaded, strict=True)
        logits, peaks = self.probe.peaks(pixels)
        totals = [total_activation(peak, self.gamma) for peak in peaks]
        return activation_entry(
            image.name,
            digests,
            [int(label) for label in logits.argmax(axis=1)],
            np.stack(totals, axis=1),
            [peaks[number] for number in self.chosen],
        )


@dataclass
class ActivationOutcome(Outcome):
    """Also holds the ratio of every layer, and the number of predictions the attack changed."""

    gamma: float = 0.0
    layers: list[FeatureLayer] = field(default_factory=list)
    chosen: tuple[int, ...] = ()
    ratios: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    changed: int = 0
    plot: Path | None = None

    def as_json(self) -> dict[str, Any]:
        """For scripts."""
        layers = [
            {
                "name": layer.name,
                "kind": layer.kind,
                "index": layer.index,
                "channels": layer.channels,
                "ratio": None if np.isnan(ratio) else float(ratio),
            }
            for layer, ratio in zip(self.layers, self.ratios, strict=True)
        ]
        return {
            **super().as_json(),
            "plot": str(self.plot) if self.plot else None,
            "gamma": self.gamma,
            "changed_predictions": self.changed,
            "layers": layers,
        }


def measure_activations(
    benign: Path,
    adversarial: Path,
    model: Path,
    output: Path,
    parameters: ActivationParameters,
    input_options: InputOptions | None = None,
    *,
    layers: Sequence[str] = (),
    plot: Path | None = None,
    workers: Workers = LocalWorkers(),
    overwrite: bool = False,
    progress: Progress = SILENT,
) -> ActivationOutcome:
    """Compare the layers' activations on attacked images with those on the originals.

    Parameters
    ----------
    benign, adversarial : Path
        Folders whose images are joined by name.
    model : Path
        The ONNX file.
    output : Path
        ``act.h5``.
    parameters : ActivationParameters
    input_options : InputOptions, optional
        The model's input, as given by the user.
    layers : sequence of str
        Layers whose detectors are saved and plotted individually; by default the first, a middle
        and the last one.
    plot : Path, optional
        PNG file for a plot of the ratios and of the chosen layers' detectors.
    workers, overwrite, progress
        As for every stage.

    Raises
    ------
    InputError
        If an input cannot be used, an output exists, or no image is in both folders.
    """
    require_suffix(output, ".h5", ".hdf5")
    if plot is not None:
        require_suffix(plot, ".png")
    inputs = [load_inputs([adversarial]), load_inputs([benign])]
    joined, unmatched = join_inputs(inputs)
    classifier = load_classifier(model, input_options).check()
    classifier.tell(progress)
    all_layers = activation_layers(classifier.graph, str(model))
    chosen = choose_layers(all_layers, layers)
    plots = [] if plot is None else [plot]
    for path in (output, *plots):
        refuse_existing(path, overwrite)
    values = {**parameters.as_record(), "input": classifier.input_record()}
    values["layers"] = [all_layers[number].name for number in chosen]
    known = {"model": classifier.sha256, "images": joined.names_digest()}
    job = Job("activations", ACTIVATIONS, values, known=known)
    step = ActivationStep(PeakProbe(classifier, all_layers), chosen, parameters.gamma)
    with journal_beside(output, job.identity(), overwrite, plots) as journal:
        done, resumed, failed = run_images(
            joined,
            journal,
            OneByOne(step),
            task="measure",
            workers=workers,
            progress=progress,
            shared_paths=[model],
        )
        missing = InputError(f"has no benign image of the same name in {benign}")
        failed += [failure(image, missing) for image in unmatched]
        refuse_all_failed(failed, done + resumed, None)
        sources = [*_sources(inputs, journal.entries()), classifier.source()]
        outcome = ActivationOutcome(
            output, done, resumed, failed, parameters.gamma, all_layers, chosen, plot=plot
        )
        outcome.passed_over = joined.passed_over
        with appear_together(output, journal) as members:
            record = job.record(sources)
            save_activations(output, record, journal, all_layers, chosen, members.create)
            picture = _read_ratios(outcome, members.temporary(output))
            if plot is not None:
                members.write(plot, picture)
    return outcome


def _sources(inputs: Sequence[ImageInputs], entries: Iterable[Entry]) -> list[Source]:
    """The benign and the attacked images as inputs of a record."""
    attacked, benign = inputs
    digests = {entry["name"]: entry["sha256"] for entry in entries}
    return [
        *benign.sources({name: both[0] for name, both in digests.items()}),
        *attacked.sources({name: both[1] for name, both in digests.items()}),
    ]


def _read_ratios(outcome: ActivationOutcome, artifact: Path) -> bytes:
    """Read the ratios from the artifact, and draw the plot if there will be one."""
    with open_hdf5(artifact, ACTIVATIONS) as (file, _):
        outcome.ratios = file["ratio/all"][()]
        predicted = [file[f"predicted/{version}"][()] for version in VERSIONS]
        outcome.changed = int((predicted[0] != predicted[1]).sum())
        return b"" if outcome.plot is None else draw_activations(file, outcome.gamma)


def choose_layers(layers: Sequence[FeatureLayer], names: Sequence[str]) -> tuple[int, ...]:
    """Indices of the named layers; by default the first, a middle and the last one.

    The middle one is the concatenation nearest to half the depth, or the nearest convolution if
    the network has no concatenations.

    Raises
    ------
    InputError
        If the model has no layer of a name; the message suggests the nearest name.
    """
    if not names:
        depth = layers[-1].index / 2
        joins = [number for number, layer in enumerate(layers) if layer.kind == "join"]
        inner = joins or range(len(layers))
        middle = min(inner, key=lambda number: abs(layers[number].index - depth))
        return tuple(dict.fromkeys((0, middle, len(layers) - 1)))
    places = {layer.name: number for number, layer in enumerate(layers)}
    for name in names:
        if name not in places:
            guess = nearest(name, places)
            hint = f"; did you mean {guess}?" if guess else ""
            raise InputError(f"layers: the model has no layer {name!r}{hint}")
    return tuple(dict.fromkeys(places[name] for name in names))

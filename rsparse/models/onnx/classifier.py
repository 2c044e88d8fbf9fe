"""Run a classifier from an ONNX file with onnxruntime."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsparse.errors import InputError
from rsparse.models.fields import LOGITS, PROBABILITIES, SQUASH
from rsparse.models.fit import Fit
from rsparse.models.input_sources import overridden, resolve_input_spec
from rsparse.models.onnx.adapted import AdaptedGraph, adapt
from rsparse.models.onnx.behaviour import (
    doubts_about_images,
    doubts_about_logits,
    note_of_sum,
    score_type_of,
)
from rsparse.models.onnx.file import OnnxFile, load_onnx, read_onnx
from rsparse.models.onnx.provenance import record_in
from rsparse.models.onnx.session import Session
from rsparse.models.parity import probe_images
from rsparse.models.resize import fit_pixels, resize
from rsparse.models.spec import LUMA, InputOptions, InputSpec
from rsparse.store.images import to_unit
from rsparse.store.records import Source
from rsparse.work.device import Device
from rsparse.work.progress import Progress

Image = NDArray[np.uint8] | NDArray[np.float32]


class Classifier:
    """A classifier: images in, class scores out.

    Its graph is that of the file in the form that ``adapt`` gives it, without a softmax at the end,
    since attacks and attention need ``logits``. The session opens on the first forward pass. A
    pickled classifier holds the path, not the weights, unless it was made in memory; a process that
    unpickles it several times opens the file once.

    Parameters
    ----------
    path : Path
        The ONNX file.
    spec : InputSpec
        How to prepare its input; ``load_classifier`` finds this out.
    threads : int
        Cores used within one forward pass.

    Raises
    ------
    InputError
        If the file cannot be used or contradicts the spec.
    """

    def __init__(
        self, path: Path, spec: InputSpec, threads: int = 1, *, file: OnnxFile | None = None
    ) -> None:
        self.path = Path(path)
        self.spec = spec
        self.threads = threads
        self.sources: dict[str, str] = {}
        self.overridden: list[str] = []
        self.doubts: list[str] = []
        self.by_device: dict[Device, Any] = {}  # kept by ``models.placed.place``
        self._file = file or load_onnx(self.path)
        self.sha256 = self._file.sha256
        self.record = record_in(self._file.metadata, self.path)
        taken = {"layout": spec.layout, "size": spec.size}
        taken |= self._file.fixed_input(spec.layout)
        if (taken["layout"], taken["size"]) != (spec.layout, spec.size):
            height, width = spec.size
            raise InputError(
                f"{path}: the graph does not take {spec.layout} input of size {height}×{width}"
            )
        self._adapt()
        if spec.labels is not None and len(spec.labels) != self.n_classes:
            raise InputError(_wrong_number_of_names(self))

    def _adapt(self) -> None:
        """Bring the graph into its form, for the score type that is known."""
        spec = self.spec
        self.adapted: AdaptedGraph = adapt(
            self._file, spec.size, spec.layout, spec.scores, spec.score_type
        )
        self.batch = self.adapted.batch
        self.graph = self.adapted.model

    def __reduce__(self) -> tuple[Any, ...]:
        if self._file.in_memory:
            return _rebuild, (self._file.with_metadata({}), self.path, self.spec, self.threads)
        return _reopen, (self.path, self.spec, self.threads, self.sha256)

    def with_spec(self, spec: InputSpec) -> Classifier:
        """The same network with images prepared in another way; the file is not read again."""
        return Classifier(self.path, spec, self.threads, file=self._file)

    @cached_property
    def _session(self) -> Session:
        return self.open_session(self.graph)

    def open_session(self, graph: Any) -> Session:
        """Open a session for a variant of this classifier's graph, e.g. with more outputs."""
        return Session(graph, self.path, self.batch, self.threads)

    @cached_property
    def n_classes(self) -> int:
        """Number of classes, not counting those that the spec's offset skips."""
        n_outputs = self.adapted.n_logits
        if n_outputs <= self.spec.class_offset:
            raise InputError(
                f"{self.path}: has {n_outputs} outputs, "
                f"too few for a class offset of {self.spec.class_offset}"
            )
        return n_outputs - self.spec.class_offset

    def source(self) -> Source:
        """The model as a source in an artifact's record."""
        return Source(self.path.name, self.sha256, self.record)

    def input_record(self) -> dict[str, Any]:
        """How the model's input is prepared, for an artifact's record, without class names."""
        record = self.spec.as_record()
        del record["labels"]
        return record

    def check(self) -> Classifier:
        """Classify an image or two, so that a broken model is reported before any work starts.

        If neither the graph nor the spec says what the outputs are, the spec says so afterwards.

        Raises
        ------
        InputError
            If onnxruntime cannot run the graph.
        """
        if self.spec.score_type is not None:
            self.logits([np.zeros((*self.spec.size, 3), np.uint8)])
            return self
        outputs = self._session.run(self.prepare(probe_images(self.spec.size)))[0]
        self.scores(outputs)
        found, ending = self.adapted.score_type, self.adapted.ending
        self.sources["score_type"] = "outputs" if found is None else "graph"
        score_type = found or score_type_of(outputs, self.adapted.is_within_unit)
        self.spec = replace(self.spec, score_type=score_type)
        self.doubts = doubts_about_images(outputs)
        if found is None and score_type != LOGITS:
            self.doubts += note_of_sum(outputs) if score_type == PROBABILITIES else []
            self._adapt()
            del self._session
        elif not self.doubts and (found is None or ending is not None):
            own = outputs[:, -self.adapted.n_outputs :]
            kind = None if ending is None else ending.kind
            self.doubts = doubts_about_logits(own, kind, self.adapted.is_within_unit)
        return self

    @cached_property
    def of_cut_images(self) -> Classifier:
        """The classifier for images whose edges are cut off already: it cuts nothing more."""
        if self.spec.fit.crop is None:
            return self
        return self.with_spec(replace(self.spec, resize=SQUASH))

    @property
    def notes(self) -> list[str]:
        """What a user should know about the class scores, as sentences about the file."""
        found = *self.overridden, *self.adapted.notes, *self.doubts
        return [f"{self.path.name}: {note}" for note in found]

    def tell(self, progress: Progress) -> None:
        """Print the notes."""
        for note in self.notes:
            progress.message(note)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes; their indices if the spec has no names."""
        return self.spec.labels or tuple(str(index) for index in range(self.n_classes))

    def prepare(self, images: Sequence[Image]) -> NDArray[np.float32]:
        """Prepare the network's input from images of any size.

        Parameters
        ----------
        images : sequence of (h, w, 3) arrays
            uint8, or float32 in [0, 1]. Resized uint8 images are rounded to uint8, so that saving
            the resized image does not change its scores; floats are not rounded.

        Returns
        -------
        ndarray, float32
            (n, 3, H, W) or (n, H, W, 3), depending on the spec; with one channel if it is grey.
        """
        height, width = self.spec.size
        batch = np.empty((len(images), height, width, 3), np.float32)
        for row, image in zip(batch, images, strict=True):
            row[:] = _fitted(image, self.spec.fit)
        if self.spec.channels == "bgr":
            batch = batch[..., ::-1]
        elif self.spec.channels == "grey":
            batch = (batch * np.asarray(LUMA, np.float32)).sum(axis=-1, keepdims=True)
        batch = batch * np.float32(self.spec.range)
        batch -= np.asarray(self.spec.channel_mean, np.float32)
        batch /= np.asarray(self.spec.channel_std, np.float32)
        return np.ascontiguousarray(
            batch.transpose(0, 3, 1, 2) if self.spec.layout == "NCHW" else batch
        )

    def logits(self, images: Sequence[Image]) -> NDArray[np.float32]:
        """Class scores before any softmax, (n, n_classes), for (h, w, 3) images of any size.

        The scores of an image do not depend on the other images in the call, except for rounding
        noise if the graph has a fixed batch above 1.
        """
        return self.scores(self._session.run(self.prepare(images))[0])

    def scores(self, outputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """The class scores among the network's raw outputs (n, n_outputs), checked."""
        expected = self.adapted.n_logits
        if outputs.shape[1:] != (expected,):
            raise InputError(
                f"{self.path}: expected {expected} class scores per image, "
                f"got an output of shape {outputs.shape[1:]}"
            )
        if not np.isfinite(outputs).all():
            raise InputError(f"{self.path}: its class scores are not finite numbers")
        return outputs[:, self.spec.class_offset :]

    def probabilities(self, images: Sequence[Image]) -> NDArray[np.float32]:
        """Probabilities of the classes, (n, n_classes)."""
        return self.probabilities_of(self.logits(images))

    def probabilities_of(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """The probabilities that belong to logits (n, n_classes).

        They are a softmax; for a network whose outputs are sigmoids, each is that of its class
        alone.
        """
        return sigmoid(logits) if self.adapted.is_multi_label else softmax(logits)

    def fit_to_input(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Fit an image to the network's input and round it to 8 bits."""
        return fit_pixels(image, self.spec.fit)


def load_classifier(
    path: Path | str, options: InputOptions | None = None, threads: int = 1
) -> Classifier:
    """Open a classifier and find out how to prepare its input.

    ``sources`` tells where each field of the spec comes from.
    """
    return open_classifier(load_onnx(Path(path)), options, threads)


def open_classifier(
    file: OnnxFile, options: InputOptions | None = None, threads: int = 1
) -> Classifier:
    """``load_classifier`` for a file that is read."""
    spec, sources = resolve_input_spec(file, options)
    classifier = Classifier(file.path, spec, threads, file=file)
    classifier.sources |= sources
    classifier.overridden = overridden(file, options)
    return classifier


@lru_cache(maxsize=4)
def _reopen(path: Path, spec: InputSpec, threads: int, sha256: str) -> Classifier:
    classifier = Classifier(path, spec, threads)
    if classifier.sha256 != sha256:
        raise InputError(f"{path}: changed while it was in use")
    return classifier


@lru_cache(maxsize=4)
def _rebuild(content: bytes, path: Path, spec: InputSpec, threads: int) -> Classifier:
    file = replace(read_onnx(content, path), in_memory=True)
    return Classifier(path, spec, threads, file=file)


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Convert class scores (n, classes) to probabilities."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    powers = np.exp(shifted)
    return (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)


def sigmoid(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Convert scores to the probability of each class for itself."""
    small = np.exp(-np.abs(logits.astype(np.float64)))
    return (np.where(logits < 0, small, 1) / (1 + small)).astype(np.float32)


def _fitted(image: Image, fit: Fit) -> NDArray[np.float32]:
    if image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"expected an image of shape (h, w, 3), got {image.shape}")
    if image.dtype == np.uint8:
        return to_unit(fit_pixels(image.astype(np.uint8, copy=False), fit))
    return resize(image.astype(np.float32, copy=False), fit)


def _wrong_number_of_names(classifier: Classifier) -> str:
    named, classes = len(classifier.spec.labels or ()), classifier.n_classes
    text = f"{classifier.path}: has {classes} classes, but {named} class names were given"
    if classes == named + 1:
        return f"{text}; use --class-offset 1 to skip a leading background class"
    return text

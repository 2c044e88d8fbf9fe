"""Bring a classifier's graph into one form: float32 images in, a row of logits for each out.

Everything else that runs or reads a graph sees this form only: onnxruntime, the torch twin, class
activation maps and activations. What a logit is, is decided here and nowhere else.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
from onnx import helper

from rsparse.errors import InputError
from rsparse.models.fields import LOGITS, PROBABILITIES, SIGMOIDS
from rsparse.models.onnx.appended import append, append_logits, append_two_classes
from rsparse.models.onnx.batch import open_batch
from rsparse.models.onnx.ending import Ending, find_ending, without_ending
from rsparse.models.onnx.file import OnnxFile
from rsparse.models.onnx.functions import with_functions_written_out
from rsparse.models.onnx.integers import take_floats
from rsparse.models.onnx.ports import COLOURS, INTEGERS, Port, choose_output
from rsparse.models.onnx.precision import other_precision, use_float32
from rsparse.models.onnx.probability_operators import SIGMOID
from rsparse.models.onnx.pruning import keep_output
from rsparse.models.onnx.randomness import randomness_of
from rsparse.models.onnx.ranges import is_within_unit
from rsparse.models.onnx.session import Session
from rsparse.models.onnx.shapes import Sides, inferred_shapes

LARGEST_BATCH = 64
"""The largest fixed batch that is run as it is; a single image then costs as much as all."""

LARGEST_TENSOR = 2**31
"""The most numbers of one tensor: 8 GB."""


@dataclass(frozen=True)
class AdaptedGraph:
    """A classifier's graph in the form that rsparse uses.

    Attributes
    ----------
    model : onnx.ModelProto
        Float32 images of the input's layout in, logits (n, n_outputs) out; the file's own model
        if that has the form already.
    batch : int or None
        Images in one forward pass, ``None`` for any number.
    n_outputs : int
        Number of the file's outputs for an image.
    score_type : str or None
        What the outputs of the file are (``InputSpec.score_type``), ``None`` if neither the graph
        nor the caller says so. They are taken for logits then.
    ending : Ending or None
        What was taken out: a ``softmax`` or ``sigmoid``.
    is_within_unit : bool
        Whether the graph keeps every output between 0 and 1, before what was taken out.
    precision : str or None
        ``half`` or ``double`` if the file computes in another precision than float32.
    randomness : str or None
        An operator that draws random numbers, in words.
    """

    model: onnx.ModelProto
    batch: int | None
    n_outputs: int
    score_type: str | None
    ending: Ending | None = None
    is_within_unit: bool = False
    precision: str | None = None
    randomness: str | None = None

    @property
    def n_logits(self) -> int:
        """Number of logits of an image: one output is that of the second of two classes."""
        return max(self.n_outputs, 2)

    @property
    def is_multi_label(self) -> bool:
        """Whether each logit belongs to a sigmoid, not to a softmax over all of them."""
        return self.score_type == SIGMOIDS and self.n_outputs > 1

    @property
    def text(self) -> str:
        """How many logits there are and where they come from, for a description."""
        if self.n_outputs == 1:
            return "2, from one sigmoid" if self.ending else "2, from one output"
        if self.ending is not None:
            return f"{self.n_outputs}, before the {self.ending.kind}"
        if self.score_type in (PROBABILITIES, SIGMOIDS):
            return f"{self.n_outputs}, computed from the probabilities"
        return str(self.n_outputs)

    @property
    def notes(self) -> list[str]:
        """What a user should know about the class scores, each after "FILE: "."""
        notes = [] if self.ending is None else _notes_of_ending(self.ending)
        if self.is_multi_label and self.ending is None:
            notes.append(
                "its outputs are probabilities of each class by itself, though its graph ends in "
                "no sigmoid that could be left out; they do not add up to 1, and the prediction is "
                "the largest"
            )
        elif self.is_multi_label:
            notes.append(
                "each output is a sigmoid of its own; their probabilities do not add up to 1, and "
                "the prediction is the largest"
            )
        elif self.n_outputs == 1:
            notes.append("its one output p means two classes with probabilities 1 − p and p")
        elif self.score_type == PROBABILITIES and self.ending is None:
            notes.append(
                "its outputs are probabilities, though its graph ends in no softmax that could be "
                "left out; the logits are their logarithms"
            )
        if self.randomness is not None:
            notes.append(
                f"its {self.randomness} draws random numbers, so that its scores, and all results, "
                "differ from call to call; export it in evaluation mode, or without that operator"
            )
        if self.precision is not None:
            notes.append(
                f"has numbers of {self.precision} precision, which are computed in float32"
            )
        return notes


def _notes_of_ending(ending: Ending) -> list[str]:
    notes = []
    if ending.over is not None:
        notes.append(
            f"its graph has a {ending.over} over the probabilities of a {ending.kind}; both are "
            "left out, since probabilities are no logits, so that its probabilities here differ "
            "from the file's outputs"
        )
    if ending.changes:
        names = ", ".join(dict.fromkeys(ending.changes))
        notes.append(f"what changes its {ending.kind} afterwards is left out as well: {names}")
    return notes


def adapt(
    file: OnnxFile,
    size: tuple[int, int],
    layout: str = "NCHW",
    scores: str | None = None,
    score_type: str | None = None,
) -> AdaptedGraph:
    """Bring the graph of a file into the form that rsparse uses.

    Parameters
    ----------
    file : OnnxFile
    size : (int, int)
        Height and width of the input.
    layout : {"NCHW", "NHWC"}
    scores : str, optional
        The name of the output with the class scores, needed if there are several.
    score_type : str, optional
        What the outputs are, if the graph does not say so.

    Raises
    ------
    InputError
        If the graph does not give one row of class scores for an image.
    """
    output = choose_output(file.outputs, scores, file.path)
    draft = _Draft(with_functions_written_out(file.model, str(file.path)))
    if len(file.outputs) > 1:
        keep_output(draft.changed(), output.name)
    if file.input.kind in INTEGERS:
        take_floats(draft.changed(), file.input.name)
    precision = other_precision(draft.model)
    if precision is not None:
        use_float32(draft.changed(), precision)
    try:
        ending = find_ending(draft.model)
    except InputError as error:
        raise InputError(f"{file.path}: {error}") from None
    if ending is not None:
        without_ending(draft.changed(), ending)
    batch = _open_batch(draft, file)
    dims = _output_dims(draft.model, file, output, size, layout, batch)
    n_outputs = _make_a_row(draft, dims, output, file, batch)
    kind = None if ending is None else ending.kind
    within = is_within_unit(draft.model)
    found = _score_type(kind, score_type, file.path)
    random = randomness_of(draft.model)
    if n_outputs == 1 and found is None and within:
        found = SIGMOIDS
    if kind is None and found in (PROBABILITIES, SIGMOIDS):
        append_logits(draft.changed(), found)
    if n_outputs == 1:
        if found not in (SIGMOIDS, LOGITS):
            raise InputError(
                f"{file.path}: has a single output that is no sigmoid; expected a score for each "
                "class, or one sigmoid for two classes; if it is the logit or the probability of "
                "the second of two classes, say so: --score-type logits, or sigmoids"
            )
        append_two_classes(draft.changed())
    return AdaptedGraph(draft.model, batch, n_outputs, found, ending, within, precision, random)


def _score_type(kind: str | None, said: str | None, path: Path) -> str | None:
    """What the outputs are: as the end of the graph says, else as the caller says."""
    if kind is None:
        return said
    expected = (SIGMOIDS,) if kind == SIGMOID else (PROBABILITIES, LOGITS)
    if said not in (None, *expected):
        raise InputError(f"{path}: its graph ends in a {kind}, but its score-type is {said}")
    return expected[0]


class _Draft:
    """A model that is copied before it is first changed."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = model
        self._is_own = False

    def changed(self) -> onnx.ModelProto:
        """The copy."""
        if not self._is_own:
            original, self.model = self.model, onnx.ModelProto()
            self.model.CopyFrom(original)
            self._is_own = True
        return self.model


def _open_batch(draft: _Draft, file: OnnxFile) -> int | None:
    """Open a fixed batch if possible; the batch in which the model runs."""
    batch = file.input_dims[0]
    if batch is None or batch == 1:
        return batch
    opened = open_batch(draft.changed(), file.input.name, file.input_dims)
    if opened != batch:
        return opened
    if batch > LARGEST_BATCH:
        raise InputError(
            f"{file.path}: takes {batch} images at a time, which is more than {LARGEST_BATCH}, and "
            "its graph cannot be changed to take one; export it with an open batch size"
        )
    return batch


def _output_dims(
    model: onnx.ModelProto,
    file: OnnxFile,
    output: Port,
    size: tuple[int, int],
    layout: str,
    batch: int | None,
) -> tuple[int, ...]:
    """The sizes of the output: as declared, as inferred, or else those of a black image's."""
    channels = file.input_dims[1 if layout == "NCHW" else 3] or COLOURS
    image = (channels, *size) if layout == "NCHW" else (*size, channels)
    shape = (batch or 1, *image)
    shapes = inferred_shapes(model, {file.input.name: shape})
    _check_sizes(shapes, file.path)
    is_declared = output.dims is not None and None not in output.dims[1:]
    if output.dims and is_declared and output.dims[0] in (None, batch or 1):
        return tuple(side or 1 for side in output.dims)
    found = shapes.get(model.graph.output[0].name)
    sides = tuple(side for side in found or () if isinstance(side, int))
    if found is None or len(sides) < len(found):
        sides = Session(model, file.path, batch).run(np.zeros(shape, np.float32))[0].shape
    return sides


def _check_sizes(shapes: Mapping[str, Sides], path: Path) -> None:
    """Refuse a graph with a tensor that no memory holds; running it could stop the machine."""
    for name, sides in shapes.items():
        numbers = math.prod(side for side in sides if isinstance(side, int))
        if numbers > LARGEST_TENSOR:
            raise InputError(
                f"{path}: computes a tensor of {numbers:,} numbers ({name!r}) for one image; "
                f"at most {LARGEST_TENSOR:,} are computed"
            )


def _grows_along_rows(model: onnx.ModelProto, file: OnnxFile) -> bool:
    """Whether more images give longer rows of scores, not more rows, if as many as classes."""
    more = tuple((side or 1) + (place == 0) for place, side in enumerate(file.input_dims))
    shapes = inferred_shapes(model, {file.input.name: more})
    given = file.input_dims[0] or 1
    return shapes.get(model.graph.output[0].name) == (given, given + 1)


def _make_a_row(
    draft: _Draft, dims: tuple[int, ...], output: Port, file: OnnxFile, batch: int | None
) -> int:
    """Bring the scores into one row for each image, and return how many scores that are."""
    images = batch or 1
    is_column = len(dims) == 2 and dims[0] != images == dims[1]
    if is_column or (dims == (images, images) and _grows_along_rows(draft.model, file)):
        column = helper.make_node("Transpose", [""], ["rsparse.transposed"], perm=[1, 0])
        append(draft.changed(), [column])
        dims = dims[::-1]
    if len(dims) == 2 and dims[0] == images:
        return dims[1]
    axis, sides = 1, [side for side in dims[1:] if side != 1]
    if len(dims) < 2 and file.input_dims[0] == 1:
        axis, sides = 0, list(dims)
    other_images = axis == 1 and dims[:1] != (images,)
    if len(sides) > 1 or (not dims and axis == 1) or other_images:
        shown = replace(output, dims=dims if other_images else (None, *dims[1:])).shape
        raise InputError(
            f"{file.path}: expected one row of class scores per image as output, such as 1×1000, "
            f"but {output.name!r} has shape {shown}"
        )
    row = helper.make_node("Flatten", [""], ["rsparse.row"], axis=axis)
    append(draft.changed(), [row])
    return sides[0] if sides else 1

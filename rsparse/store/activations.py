"""Write ``act.h5``: how strongly each layer responds to benign images and attacked versions.

It covers the n images that both folders contain, sorted by name, and L layers in the graph's order:

==========================  ==============  ==================================================
dataset                     shape, dtype    meaning
==========================  ==============  ==================================================
``name``                    (n,) UTF-8      the image's name, the join key
``sha256/benign``           (n,) UTF-8      of its file; likewise ``sha256/adversarial``
``predicted/benign``        (n,) int64      its class; likewise ``predicted/adversarial``
``layer/name``              (L,) UTF-8      the layer's name in the graph
``layer/kind``              (L,) UTF-8      ``conv``, ``join`` (concatenation) or ``pool``
``layer/index``             (L,) int64      depth: convolutions up to this layer, from 1
``layer/channels``          (L,) int64      feature detectors
``total/benign``            (n, L) float64  V_l of eq. 7; likewise ``total/adversarial``
``ratio/image``             (n, L) float64  adversarial over benign; NaN if benign is 0
``ratio/all``               (L,) float64    ratio of the sums over all images
``peaks/<k>/benign``        (n, c) float32  largest response of each detector of a chosen
                                            layer, named by the group's attribute ``layer``;
                                            likewise ``peaks/<k>/adversarial``
==========================  ==============  ==================================================

The record's parameters hold γ and how the model's input was prepared.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rsparse.core.activation import activation_ratio
from rsparse.store.files import FileCreator, atomic_path
from rsparse.store.hdf5 import create_hdf5, utf8
from rsparse.store.journal import Entry, Journal
from rsparse.store.records import Record

VERSIONS = ("benign", "adversarial")


class LayerInfo(Protocol):
    """What is stored about a layer (``rsparse.models.onnx.graph.FeatureLayer``)."""

    @property
    def name(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def index(self) -> int: ...
    @property
    def channels(self) -> int: ...


def activation_entry(
    name: str,
    digests: Sequence[str],
    predicted: Sequence[int],
    totals: NDArray[np.float64],
    peaks: Sequence[NDArray[np.float32]],
) -> Entry:
    """Return the journal entry of an image.

    Parameters
    ----------
    name : str
    digests, predicted
        One for each of ``VERSIONS``.
    totals : ndarray of shape (2, L), float64
        V_l of both versions.
    peaks : sequence of ndarrays of shape (2, n_channels), float32
        One for each chosen layer.
    """
    return {
        "name": name,
        "source_sha256": digests[VERSIONS.index("adversarial")],
        "sha256": list(digests),
        "predicted": list(predicted),
        "totals": _packed(totals),
        "peaks": [_packed(peak) for peak in peaks],
    }


def save_activations(
    path: Path,
    record: Record,
    journal: Journal,
    layers: Sequence[LayerInfo],
    chosen: Sequence[int],
    create: FileCreator = atomic_path,
) -> None:
    """Write ``act.h5`` from the entries of a journal, one entry at a time.

    ``create`` is as for ``create_hdf5``.
    """
    widths = [layers[place].channels for place in chosen]
    with create_hdf5(path, record, create) as file:
        _write_images(file, journal)
        _write_layers(file.create_group("layer"), layers)
        _make_rows(file.create_group("total"), len(journal), len(layers), np.float64)
        peaks = file.create_group("peaks")
        for number, (place, width) in enumerate(zip(chosen, widths, strict=True)):
            group = peaks.create_group(str(number))
            group.attrs["layer"] = utf8(layers[place].name)
            _make_rows(group, len(journal), width, np.float32)
        for row, entry in enumerate(journal.entries()):
            _write_row(file, row, entry, widths)
        totals = [file[f"total/{version}"][()] for version in VERSIONS]
        ratio = file.create_group("ratio")
        ratio["image"] = activation_ratio(totals[1], totals[0])
        ratio["all"] = activation_ratio(totals[1].sum(axis=0), totals[0].sum(axis=0))


def _write_images(file: Any, journal: Journal) -> None:
    heads = [(entry["name"], entry["sha256"], entry["predicted"]) for entry in journal.entries()]
    file["name"] = utf8([name for name, _, _ in heads])
    sha256, predicted = file.create_group("sha256"), file.create_group("predicted")
    for number, version in enumerate(VERSIONS):
        sha256[version] = utf8([digests[number] for _, digests, _ in heads])
        predicted[version] = np.array([classes[number] for _, _, classes in heads], np.int64)


def _make_rows(group: Any, n_rows: int, width: int, kind: Any) -> None:
    for version in VERSIONS:
        group.create_dataset(version, (n_rows, width), kind)


def _write_layers(group: Any, layers: Sequence[LayerInfo]) -> None:
    group["name"] = utf8([layer.name for layer in layers])
    group["kind"] = utf8([layer.kind for layer in layers])
    group["index"] = np.array([layer.index for layer in layers], dtype=np.int64)
    group["channels"] = np.array([layer.channels for layer in layers], dtype=np.int64)


def _write_row(file: Any, row: int, entry: Entry, widths: Sequence[int]) -> None:
    totals = _unpacked(entry["totals"], np.float64).reshape(2, -1)
    for number, version in enumerate(VERSIONS):
        file[f"total/{version}"][row] = totals[number]
        for place, width in enumerate(widths):
            peaks = _unpacked(entry["peaks"][place], np.float32).reshape(2, width)
            file[f"peaks/{place}/{version}"][row] = peaks[number]


def _packed(numbers: NDArray[Any]) -> str:
    """Encode numbers exactly, as text for a JSON line."""
    return base64.b64encode(np.ascontiguousarray(numbers).tobytes()).decode("ascii")


def _unpacked(text: str, kind: Any) -> NDArray[Any]:
    return np.frombuffer(base64.b64decode(text), dtype=kind)

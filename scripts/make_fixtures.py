"""Write the fixtures: tiny images, a dictionary and a classifier with known answers.

python scripts/make_fixtures.py            # writes fixtures/
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from rsparse.core.dictionary import Dictionary
from rsparse.store.dictionaries import save_dictionary
from rsparse.store.records import DICTIONARY, Record

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures"
PATCH_SIZE = 4
COLOURS = ("red", "green", "blue")
ORIENTATION = 0x0112  # the EXIF tag; 6 means: rotate by 90° clockwise to display


def picture() -> NDArray[np.uint8]:
    """A reddish ramp with a blue square, uint8 (20, 24, 3), with fewer than 256 colours."""
    rows, columns = np.mgrid[0:20, 0:24] // 2
    pixels = np.stack([160 + 8 * columns, 60 + 10 * rows, 40 + 4 * columns], axis=-1)
    pixels[6:14, 7:16] = (70, 80, 200)
    return pixels.astype(np.uint8)


def write_images(folder: Path) -> None:
    """Write one picture in every file format and pixel type that rsparse reads."""
    folder.mkdir(parents=True, exist_ok=True)
    pixels = picture()
    image = Image.fromarray(pixels)
    image.save(folder / "bmp-rgb.bmp")
    image.save(folder / "png-rgb.png")
    image.save(folder / "tiff-rgb.tiff")
    image.save(folder / "webp-lossless.webp", lossless=True, exact=True)
    image.quantize(colors=256, dither=Image.Dither.NONE).save(folder / "png-palette.png")
    grey = np.asarray(image.convert("L"))
    Image.fromarray(grey).save(folder / "png-grey.png")
    Image.fromarray(grey.astype(np.uint16) * 257).save(folder / "png-grey16.png")
    opacity = np.full(grey.shape, 255, dtype=np.uint8)
    opacity[:, :8] = 0
    Image.fromarray(np.dstack([pixels, opacity])).save(folder / "png-alpha.png")
    image.convert("CMYK").save(folder / "jpeg-cmyk.jpg", quality=95)
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    turned = image.transpose(Image.Transpose.ROTATE_90)
    turned.save(folder / "jpeg-rotated.jpg", quality=95, subsampling=0, exif=exif)


def cosine_dictionary() -> Dictionary:
    """The orthonormal cosines of a 4×4 patch, for brightness and two colour contrasts.

    With orthonormal atoms, coding with K of them keeps the K largest coefficients.
    """
    places = np.arange(PATCH_SIZE)
    waves = np.cos(np.pi * np.outer(places, 2 * places + 1) / (2 * PATCH_SIZE))
    colours = np.array([[1, 1, 1], [1, 0, -1], [1, -2, 1]], dtype=float)
    atoms = np.einsum("ui,vj,wc->uvwijc", waves, waves, colours)
    atoms = atoms.reshape(-1, PATCH_SIZE * PATCH_SIZE * 3)
    atoms /= np.linalg.norm(atoms, axis=1, keepdims=True)
    return Dictionary(atoms.astype(np.float32), PATCH_SIZE)


def write_dictionary(path: Path) -> None:
    """Write ``dict.h5`` with the cosines."""
    record = Record(DICTIONARY, "make-fixtures", {"patch_size": PATCH_SIZE})
    save_dictionary(path, record, cosine_dictionary(), {}, {})


def write_classifier(path: Path) -> None:
    """Write a network that says which colour is brightest on average.

    It consists of a 1×1 convolution, global average pooling and a linear layer; both sets of
    weights are the identity. Its scores are the means of the channels, and the attention map of a
    channel is the channel itself.
    """
    identity = np.eye(3, dtype=np.float32)
    nodes = [
        helper.make_node("Conv", ["input", "conv.weight"], ["conv"], name="conv"),
        helper.make_node("Relu", ["conv"], ["relu"], name="relu"),
        helper.make_node("GlobalAveragePool", ["relu"], ["pool"], name="pool"),
        helper.make_node("Flatten", ["pool"], ["features"], name="features"),
        helper.make_node("Gemm", ["features", "weight"], ["scores"], name="scores", transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "colours",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["n", 3, 16, 16])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", 3])],
        [
            numpy_helper.from_array(identity.reshape(3, 3, 1, 1), "conv.weight"),
            numpy_helper.from_array(identity, "weight"),
        ],
    )
    opset = [helper.make_opsetid("", 17)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=8, producer_name="rsparse")
    description = {
        "size": [16, 16], "mean": [0, 0, 0], "std": [1, 1, 1], "labels": COLOURS,
        "score_type": "logits",
    }  # fmt: skip
    helper.set_model_props(model, {"rsparse.input": json.dumps(description, sort_keys=True)})
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString(deterministic=True))


def write_fixtures(folder: Path = FIXTURES) -> None:
    """Write all fixtures."""
    write_images(folder / "images")
    write_dictionary(folder / "dict.h5")
    write_classifier(folder / "colours.onnx")


if __name__ == "__main__":
    write_fixtures()

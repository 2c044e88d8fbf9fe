"""ComDefend: the authors' architecture, the shipped weights, tiling."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from rsparse.data import comdefend_model, demo_photos
from rsparse.defenses import Resources, parse_defense
from rsparse.errors import InputError
from rsparse.models.autoencoder import REACH, Autoencoder, CodeNoise, load_autoencoder
from rsparse.models.onnx.session import Session
from rsparse.store.finding import find_images
from rsparse.store.images import decode_image
from rsparse.work.device import Device
from tests.conftest import make_picture

COMPRESSOR = (3, 16, 32, 64, 128, 256, 128, 64, 32, 12)
RECONSTRUCTOR = (12, 32, 64, 128, 256, 128, 64, 32, 16, 3)
FLOOR = 28.5
"""dB; 29.1 were measured, and 24.0 for the worst of the ten."""


@pytest.fixture(scope="module")
def graph() -> onnx.ModelProto:
    return onnx.load(comdefend_model())


def arrays_of(graph: onnx.ModelProto) -> dict[str, np.ndarray]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.graph.initializer}


def psnr(image: np.ndarray, other: np.ndarray) -> float:
    return 10 * np.log10(255**2 / np.mean((image.astype(float) - other) ** 2))


@pytest.mark.parametrize(
    ("network", "widths"), [("compressor", COMPRESSOR), ("reconstructor", RECONSTRUCTOR)]
)
def test_layers(graph, network, widths):
    convolutions = [
        node
        for node in graph.graph.node
        if node.op_type == "Conv" and node.name.startswith(network)
    ]
    arrays = arrays_of(graph)
    shapes = [arrays[f"{node.input[1]}.half"].shape for node in convolutions]
    assert shapes == [(fan_out, fan_in, 3, 3) for fan_in, fan_out in pairwise(widths)]
    for node in convolutions:
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        assert attributes == {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
    own = [array for name, array in arrays.items() if name.startswith(network)]
    assert {array.dtype for array in own} == {np.dtype(np.float16)}
    assert sum(array.size for array in own) // 1000 == 783
    assert sum(n.op_type == "Elu" for n in graph.graph.node if network in n.output[0]) == 8


def test_the_file_is_small():
    assert comdefend_model().stat().st_size < 4e6


def test_the_code_is_twelve_bits_a_pixel(graph):
    variant = onnx.ModelProto()
    variant.CopyFrom(graph)
    code = helper.make_tensor_value_info(
        "code", onnx.TensorProto.FLOAT, ["batch", 12, "height", "width"]
    )
    variant.graph.output.append(code)
    x = np.random.default_rng(0).random((1, 3, 20, 23), dtype=np.float32)
    _, code = Session(variant, comdefend_model()).run(x)
    assert code.shape == (1, 12, 20, 23)
    assert set(np.unique(code)) == {0, 1}


def test_the_graph_computes_what_numpy_does(graph):
    """Zero-padded convolutions, ELU, signs and a sigmoid, reimplemented in NumPy."""
    arrays = {name: array.astype(float) for name, array in arrays_of(graph).items()}
    image = make_picture(1, 7, 6)

    def convolved(x: np.ndarray, name: str) -> np.ndarray:
        weight, bias = arrays[f"{name}.weight.half"], arrays[f"{name}.bias.half"]
        windows = np.lib.stride_tricks.sliding_window_view(
            np.pad(x, ((0, 0), (1, 1), (1, 1))), (3, 3), axis=(1, 2)
        )
        return np.einsum("oikl,ihwkl->ohw", weight, windows) + bias[:, None, None]

    def through(x: np.ndarray, network: str) -> np.ndarray:
        for layer in range(0, 16, 2):
            x = convolved(x, f"{network}.{layer}")
            x = np.where(x > 0, x, np.expm1(np.minimum(x, 0)))
        return convolved(x, f"{network}.16")

    code = (through(image.transpose(2, 0, 1) / 255 - 0.5, "compressor") > 0).astype(float)
    expected = 255 / (1 + np.exp(-through(code, "reconstructor")))
    restored = load_autoencoder(comdefend_model()).restored(image[None])[0]
    assert np.abs(restored.transpose(2, 0, 1) - expected).max() < 0.51


def test_clean_psnr():
    """Measured on a fifth of the held-out crops, to save time."""
    (defense,) = parse_defense("comdefend")
    photos = find_images([demo_photos("test")])[::5]
    images = [decode_image(photo.read(), photo.path) for photo in photos]
    values = [psnr(image, defense.clean(image, Resources())) for image in images]
    assert np.mean(values) > FLOOR
    assert min(values) > FLOOR - 5


@pytest.mark.parametrize("tile", [48, 25])
def test_tiles_make_no_difference(tile):
    images = make_picture(2, 61, 83)[None]
    networks = load_autoencoder(comdefend_model())
    whole = networks.restored(images)
    np.testing.assert_array_equal(Autoencoder(networks._run, tile).restored(images), whole)


def test_tiles_see_no_more_than_they_must():
    """A pixel affects no pixels farther away than ``REACH``."""
    image = make_picture(2, 5, 90)
    changed = image.copy()
    changed[:, 60:] = 255 - changed[:, 60:]
    both = load_autoencoder(comdefend_model()).restored(np.stack([image, changed]))
    differ = (both[0] != both[1]).any(axis=(0, 2))
    assert not differ[: 60 - REACH].any()
    assert differ[60 - REACH // 2 :].any()


def test_torch_restores_what_onnxruntime_restores():
    """Images of several sizes; rounding may flip a bit of a value near 0."""
    pytest.importorskip("torch")
    images = [
        make_picture(seed, *shape) for seed, shape in enumerate([(40, 31), (9, 60), (40, 31)])
    ]
    ours = load_autoencoder(comdefend_model(), "cpu").restored_together(images)
    expected = load_autoencoder(comdefend_model()).restored_together(images)
    differing = [np.abs(a.astype(int) - b) for a, b in zip(ours, expected, strict=True)]
    assert [a.shape for a in ours] == [image.shape for image in images]
    assert np.mean(np.concatenate([d.ravel() for d in differing]) > 1) < 1e-3


def test_a_batch_too_large_for_the_device_is_halved_and_an_image_refused(monkeypatch):
    torch = pytest.importorskip("torch")
    networks = load_autoencoder(comdefend_model(), "cpu")
    images = np.stack([make_picture(seed, 20, 30) for seed in range(5)])
    whole, network = networks.restored(images), networks._run._network
    memory = 2

    def short_of_memory(x, noise):
        if len(x) > memory:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return network(x, noise)

    monkeypatch.setattr(networks._run, "_network", short_of_memory)
    halved = networks.restored(images)
    assert np.mean(np.abs(halved.astype(int) - whole) > 1) < 1e-3
    memory = 0
    with pytest.raises(InputError, match="too large for the memory of device 'cpu'"):
        networks.restored(images)


def test_noise_is_drawn_from_the_seed_and_the_image():
    image, (defense,) = make_picture(2, 40, 52), parse_defense("comdefend:noise=8")
    clean = defense.clean(image, Resources(seed=3))
    np.testing.assert_array_equal(clean, defense.clean(image, Resources(seed=3)))
    assert (clean != defense.clean(image, Resources(seed=4))).any()
    (still,) = parse_defense("comdefend:noise=0")
    assert not still.is_random
    quiet = still.clean(image, Resources(seed=3))
    networks = load_autoencoder(comdefend_model())
    np.testing.assert_array_equal(quiet, networks.restored(image[None])[0])
    assert (clean != quiet).any()
    assert parse_defense("comdefend")[0].noise == 1  # the authors' N(0, 1)


def test_noise_of_any_size_has_the_bytes_of_the_whole_in_tiles():
    images, noise = make_picture(2, 61, 83)[None], CodeNoise(9.0, 5)
    networks = load_autoencoder(comdefend_model())
    whole = networks.restored(images, [noise])
    tiled = Autoencoder(networks._run, 25).restored(images, [noise])
    np.testing.assert_array_equal(tiled, whole)
    rows = noise.rows(0, 400, 30)
    assert rows.shape == (400, 30, 12)
    assert rows.std() == pytest.approx(9, rel=0.02)
    assert rows.mean() == pytest.approx(0, abs=0.1)
    np.testing.assert_array_equal(noise.rows(7, 9, 30), rows[7:9])


def test_more_noise_flips_more_bits():
    image = make_picture(2, 40, 52)
    clean = [parse_defense(f"comdefend:noise={deviation}")[0].clean(image, Resources()).astype(int)
             for deviation in (0, 1, 30, 300)]  # fmt: skip
    apart = [np.abs(other - clean[0]).mean() for other in clean[1:]]
    assert 0 < apart[0] < apart[1] < apart[2]


@pytest.mark.parametrize("shape", [(1, 1), (3, 40), (17, 2)])
def test_any_size(shape):
    (defense,) = parse_defense("comdefend")
    assert defense.clean(make_picture(0, *shape), Resources()).shape == (*shape, 3)


def test_the_record_tells_weights_and_runtime(graph):
    (defense,) = parse_defense("comdefend")
    assert set(defense.codecs()) == {"comdefend.onnx", "onnxruntime"}
    assert set(defense.codecs(Device("cuda"))) == {"comdefend.onnx", "torch"}


def test_torch_is_not_imported(tmp_path: Path):
    code = """
import json, sys
import numpy as np
from rsparse.defenses import Resources, parse_defense
image = np.full((8, 9, 3), 77, np.uint8)
parse_defense("comdefend")[0].clean(image, Resources())
print(json.dumps("torch" in sys.modules))
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(run.stdout) is False

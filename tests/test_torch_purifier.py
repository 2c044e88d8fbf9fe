"""The torch module: the command's pixels, gradients, and transforms of torchvision and timm."""

from __future__ import annotations

import copy
import importlib
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import rsparse
from rsparse.store.finding import find_images
from rsparse.store.images import decode_image
from tests.refusals import refused

torch = pytest.importorskip("torch")

from rsparse.torch import Purifier  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_torch_core")


@pytest.fixture(scope="module")
def photos() -> np.ndarray:
    from rsparse.data import demo_photos

    files = find_images([demo_photos("test")])[:3]
    return np.stack([decode_image(file.read(), file.path) for file in files])


def tensor(pixels: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(pixels, -1, -3)))


@pytest.mark.parametrize("spec", ["policy:default", "bilateral+jpeg:quality=40", "slq"])
def test_the_pixels_are_those_of_the_command(
    photos, dict_file: Path, run_cli: Callable, tmp_path: Path, spec
):
    from rsparse.data import demo_photos

    files = [file.path for file in find_images([demo_photos("test")])[:3]]
    options = ("--defense", spec, "--dict", dict_file, "--device", "cpu", "-o", tmp_path / "out")
    assert run_cli("purify", *files, *options).exit_code == 0
    written = [decode_image(file.read(), file.path) for file in find_images([tmp_path / "out"])]
    purifier = Purifier(spec, str(dict_file))
    whole = purifier(tensor(photos))
    assert whole.dtype == torch.uint8
    for image, expected in zip(whole, written, strict=True):
        np.testing.assert_array_equal(image, tensor(expected))
    floats = purifier(tensor(photos) / 255)
    assert floats.dtype == torch.float32
    np.testing.assert_array_equal((floats * 255).round(), whole)
    np.testing.assert_array_equal(
        purifier((tensor(photos) / 255).requires_grad_()).detach(), floats
    )
    np.testing.assert_array_equal(purifier(tensor(photos)[0]), whole[0])
    half = purifier((tensor(photos) / 255).half())
    assert half.dtype == torch.float16


def test_the_gradient_is_the_adaptive_backward(photos, dict_file):
    from rsparse.attacks.through.backwards import trace
    from rsparse.attacks.through.cleaning import to_images

    purifier = Purifier("policy:default", dict_file)
    x = (tensor(photos[:2]) / 255).requires_grad_()
    upper = torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    purifier(x).backward(upper)
    for image, above, below in zip(to_images(x), upper, x.grad, strict=True):
        traced = trace(purifier.defense, image, purifier.resources, purifier.backward_name)
        expected = traced.vjp(np.ascontiguousarray(above.permute(1, 2, 0).numpy()))
        np.testing.assert_allclose(below.permute(1, 2, 0), expected, atol=1e-6)
    plain = Purifier("policy:default", dict_file, backward="identity")
    x.grad = None
    plain(x).backward(upper)
    np.testing.assert_array_equal(x.grad, upper)


def test_it_is_a_module_like_others(photos, dict_file):
    purifier = Purifier("regionsparse", dict_file)
    network = torch.nn.Sequential(purifier, torch.nn.Conv2d(3, 2, 3)).eval()
    assert "regionsparse" in repr(network)
    assert list(purifier.state_dict()) == []
    x = tensor(photos) / 255
    expected = purifier(x)
    for other in (copy.deepcopy(purifier), pickle.loads(pickle.dumps(purifier)), purifier.double()):
        np.testing.assert_array_equal(other(x), expected)


@pytest.mark.usefixtures("timm")
def test_torchvisions_transforms(photos):
    transforms = importlib.import_module("torchvision.transforms.v2")
    from torchvision import tv_tensors

    purifier = Purifier("jpeg:quality=40")
    pipeline = transforms.Compose(
        [transforms.ToImage(), transforms.Resize(40), purifier,
         transforms.ToDtype(torch.float32, scale=True), transforms.Normalize([0.5] * 3, [0.5] * 3)]
    )  # fmt: skip
    from PIL import Image

    result = pipeline(Image.fromarray(photos[0]))
    resized = transforms.Resize(40)(transforms.ToImage()(Image.fromarray(photos[0])))
    expected = rsparse.defend(resized.numpy()[None], "jpeg:quality=40")[0]
    np.testing.assert_allclose(result, expected / 127.5 - 1, atol=1e-5)
    image, label = transforms.Compose([purifier])(tv_tensors.Image(resized), 7)
    assert isinstance(image, tv_tensors.Image)
    assert label == 7


@pytest.mark.usefixtures("timm")
def test_timms_transforms(photos):
    timm_data = importlib.import_module("timm.data")
    from PIL import Image

    transform = timm_data.create_transform((3, 40, 40), mean=(0.5,) * 3, std=(0.5,) * 3)
    before = transform(Image.fromarray(photos[0]))
    transform.transforms.insert(-1, Purifier("bit-depth:bits=3"))
    levels = (before * 0.5 + 0.5)[None]
    expected = rsparse.defend(levels, "bit-depth:bits=3")[0] * 2 - 1
    np.testing.assert_allclose(transform(Image.fromarray(photos[0])), expected, atol=1e-5)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_keeps_its_images(photos, dict_file):
    purifier = Purifier("regionsparse", dict_file)
    x = tensor(photos).cuda()
    cleaned = purifier(x)
    assert cleaned.device == x.device
    difference = (cleaned.cpu().int() - purifier(x.cpu()).int()).abs()
    assert (difference <= 1).float().mean() > 0.99


@pytest.mark.parametrize(
    ("x", "message"),
    [
        ("a.png", "expected a tensor, got str; put ToTensor or ToImage before it"),
        (
            torch.zeros(2, 8, 9, 3),
            "expected shape (n, 3, h, w) or (3, h, w), got (2, 8, 9, 3); "
            "move the channels with .movedim(-1, -3)",
        ),
        (torch.zeros(8, 9), "expected shape (n, 3, h, w) or (3, h, w), got (8, 9)"),
        (torch.zeros(0, 3, 8, 9), "expected at least one image, got shape (0, 3, 8, 9)"),
        (
            torch.zeros(1, 3, 8, 9, dtype=torch.int64),
            "expected uint8, or floating point in [0, 1], got torch.int64",
        ),
        (
            torch.full((1, 3, 8, 9), -1.5),
            "expected values in [0, 1], got -1.5 to -1.5; put it before the normalisation",
        ),
    ],
)
def test_other_input_is_refused(x, message):
    with refused(f"Purifier: {message}"):
        Purifier("jpeg")(x)


def test_other_defenses_are_refused():
    with refused("regionsparse needs a dictionary named 'dct': --dict dct=dict.h5"):
        Purifier("regionsparse:dictionary=dct")
    with refused("jpeg has no backward 'atoms'; it has smooth, identity"):
        Purifier("jpeg", backward="atoms")

"""Defenses within ART, foolbox, SecML-Torch and MAITE: the same pixels and gradients."""

from __future__ import annotations

import importlib
import warnings
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

from rsparse.errors import InputError
from rsparse.store.images import to_unit
from tests.conftest import make_picture

torch = pytest.importorskip("torch")

from rsparse.torch import Purifier  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_torch_core")

SPECS = ("jpeg:quality=40", "regionsparse:sparsity=2")
N, SIDE, CLASSES = 3, 24, 4


@pytest.fixture(scope="module")
def x() -> np.ndarray:
    """Images (n, 3, h, w) in [0, 1]."""
    pictures = np.stack([to_unit(make_picture(seed, SIDE, SIDE)) for seed in range(N)])
    return np.ascontiguousarray(pictures.transpose(0, 3, 1, 2))


@pytest.fixture
def network() -> Any:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * SIDE * SIDE, CLASSES)).eval()


@pytest.fixture(params=SPECS)
def purifier(request, dict_file) -> Purifier:
    return Purifier(request.param, dict_file)


def module(name: str) -> Any:
    """An adapter; libraries warn of their own use of others."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module(f"rsparse.adapters.{name}")


@pytest.fixture(scope="module")
def art(tmp_path_factory) -> Any:
    """ART's adapter; ART writes a settings file into the home directory."""
    if find_spec("art") is None:
        pytest.skip("the adversarial robustness toolbox is not installed")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        return module("art")


def clean(purifier: Purifier, x: np.ndarray) -> np.ndarray:
    return purifier(torch.from_numpy(x)).numpy()


def gradient(purifier: Purifier, x: np.ndarray, upper: np.ndarray) -> np.ndarray:
    images = torch.from_numpy(x).requires_grad_()
    purifier(images).backward(torch.from_numpy(upper))
    return images.grad.numpy()


@pytest.mark.parametrize("white", [1, 255])
def test_art_has_the_pixels_and_the_gradient(art, purifier, x, white):
    upper = np.random.default_rng(0).standard_normal(x.shape).astype(np.float32)
    expected, below = clean(purifier, x), gradient(purifier, x, upper)
    last = lambda array: np.ascontiguousarray(array.transpose(0, 2, 3, 1))  # noqa: E731
    labels = np.arange(N)
    for defence, form in (
        (art.PurifyPyTorch(purifier, (0, white), device_type="cpu"), lambda array: array),
        (art.Purify(purifier, (0, white)), last),
        (art.Purify(purifier, (0, white), channels_first=True), lambda array: array),
    ):
        cleaned, kept = defence(form(x * np.float32(white)), labels)
        np.testing.assert_allclose(cleaned, form(expected * white), atol=1e-4)
        np.testing.assert_array_equal(kept, labels)
        found = defence.estimate_gradient(form(x * np.float32(white)), form(upper))
        np.testing.assert_allclose(found, form(below), atol=1e-5)
        assert defence.apply_predict
        assert not defence.apply_fit
    with pytest.raises(InputError, match="clip_values: expected a lower and a higher one"):
        art.Purify(purifier, (1, 0))


def test_arts_attacks_go_through_the_defense(art, purifier, x, network):
    from art.attacks.evasion import FastGradientMethod
    from art.estimators.classification import PyTorchClassifier

    classifier = PyTorchClassifier(
        network, torch.nn.CrossEntropyLoss(), (3, SIDE, SIDE), CLASSES, clip_values=(0, 1),
        preprocessing_defences=[art.PurifyPyTorch(purifier, device_type="cpu")], device_type="cpu",
    )  # fmt: skip
    with torch.no_grad():
        expected = network(purifier(torch.from_numpy(x))).numpy()
    np.testing.assert_allclose(classifier.predict(x), expected, atol=1e-5)
    y = expected.argmax(1)
    images = torch.from_numpy(x).requires_grad_()
    torch.nn.functional.cross_entropy(
        network(purifier(images)), torch.from_numpy(y), reduction="sum"
    ).backward()
    wanted = np.clip(x + np.float32(2 / 255) * images.grad.sign().numpy(), 0, 1)
    x_adv = FastGradientMethod(classifier, eps=2 / 255).generate(x, np.eye(CLASSES)[y])
    assert (np.abs(x_adv - wanted) < 1e-6).mean() > 0.999


def test_foolboxs_attacks_go_through_the_defense(purifier, x, network):
    pytest.importorskip("foolbox")
    adapter = module("foolbox")
    import foolbox

    plain = foolbox.PyTorchModel(network, bounds=(0, 1), device="cpu")
    model = adapter.DefendedModel(plain, purifier)
    images = torch.from_numpy(x)
    with torch.no_grad():
        expected = network(purifier(images))
    np.testing.assert_allclose(model(images), expected)
    y = expected.argmax(1)
    attack = foolbox.attacks.LinfFastGradientAttack(random_start=False)
    _, x_adv, _ = attack(model, images, y, epsilons=2 / 255)
    differentiated = images.clone().requires_grad_()
    torch.nn.functional.cross_entropy(network(purifier(differentiated)), y).backward()
    wanted = (images + 2 / 255 * differentiated.grad.sign()).clamp(0, 1)
    assert ((x_adv - wanted).abs() < 1e-6).float().mean() > 0.999
    wide = adapter.DefendedModel(
        foolbox.PyTorchModel(
            torch.nn.Sequential(Scale(), network).eval(), bounds=(0, 255), device="cpu"
        ),
        purifier,
    )
    np.testing.assert_allclose(wide(images * 255).detach(), expected, atol=1e-4)
    with pytest.raises(InputError, match="model: expected a foolbox model, got Sequential"):
        adapter.DefendedModel(network, purifier)
    with pytest.raises(InputError, match="inputs: expected torch tensors, got ndarray"):
        model(x)


class Scale(torch.nn.Module):
    def forward(self, images: Any) -> Any:
        return images / 255


def test_secml_torchs_attacks_go_through_the_defense(purifier, x, network):
    pytest.importorskip("secmlt")
    adapter = module("secml")
    from secmlt.models.pytorch.base_pytorch_nn import BasePyTorchClassifier

    processing = adapter.PurifyProcessing(purifier)
    classifier = BasePyTorchClassifier(network, preprocessing=processing)
    images = torch.from_numpy(x)
    expected = network(purifier(images))
    np.testing.assert_allclose(classifier(images).detach(), expected.detach())
    differentiated = images.clone().requires_grad_()
    classifier.decision_function(differentiated).sum().backward()
    upper = torch.autograd.functional.jacobian(lambda z: network(z).sum(), purifier(images))
    below = gradient(purifier, x, upper.numpy())
    np.testing.assert_allclose(differentiated.grad, below, atol=1e-6)
    assert processing.invert(images) is images


def test_maites_augmentation(purifier, x):
    augment = module("maite").PurifyAugmentation(purifier)
    images = [x[0], torch.from_numpy(x[1]), np.rint(x[2] * 255).astype(np.uint8)]
    targets, metadata = [0, 1, 2], [{"id": number} for number in range(3)]
    cleaned, same_targets, same_metadata = augment((images, targets, metadata))
    assert (same_targets, same_metadata) == (targets, metadata)
    expected = clean(purifier, x)
    np.testing.assert_array_equal(cleaned[0], expected[0])
    assert isinstance(cleaned[1], torch.Tensor)
    np.testing.assert_array_equal(cleaned[1], expected[1])
    assert cleaned[2].dtype == np.uint8
    np.testing.assert_array_equal(cleaned[2], np.rint(expected[2] * 255))
    assert augment.metadata == {"id": f"rsparse:{purifier.defense.spec}"}
    if find_spec("maite") is not None:
        from maite.protocols.image_classification import Augmentation

        assert isinstance(augment, Augmentation)

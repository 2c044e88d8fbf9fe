"""Classifiers in memory: from torch modules and by name."""

from __future__ import annotations

import pickle
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import rsparse
from rsparse import InputOptions
from tests.hub_server import MODEL, hub, weights
from tests.refusals import refused

torch = pytest.importorskip("torch")
__all__ = ["hub", "weights"]  # the fixtures
pytestmark = pytest.mark.usefixtures("one_torch_core")

INPUT = InputOptions(size=(24, 32), mean=(0.5, 0.4, 0.3), std=(0.5, 0.25, 0.2))


class Small(torch.nn.Module):
    """A network with a batch normalisation, which a training mode would change."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body = torch.nn.Sequential(
            torch.nn.Conv2d(3, 8, 3, stride=2), torch.nn.BatchNorm2d(8), torch.nn.ReLU(),
            torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(8, 5),
        )  # fmt: skip

    def forward(self, x: Any) -> Any:
        return self.body(x)


@pytest.fixture
def photos() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (3, 24, 32, 3), dtype=np.uint8)


def expected(network: Any, photos: np.ndarray) -> np.ndarray:
    mean, std = (np.array(INPUT.given()[name]) for name in ("mean", "std"))
    x = ((photos / 255 - mean) / std).transpose(0, 3, 1, 2).astype(np.float32)
    with torch.no_grad():
        return network.eval()(torch.from_numpy(x)).numpy()


def test_a_torch_module_is_a_classifier(photos):
    network = Small().double().train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    classifier = rsparse.load_classifier(network, INPUT)
    assert network.training, "the module is not changed"
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name])
        assert value.requires_grad == before[name].requires_grad
    logits = expected(network.float(), photos)
    np.testing.assert_allclose(classifier.logits(list(photos)), logits, atol=1e-5)
    assert str(classifier.path) == "Small"
    again = pickle.loads(pickle.dumps(classifier))
    np.testing.assert_array_equal(again.logits(list(photos)), classifier.logits(list(photos)))
    verdicts = rsparse.classify(photos, classifier)
    assert [v.prediction for v in verdicts] == logits.argmax(1).tolist()
    attacked = rsparse.attack(photos, logits.argmax(1), classifier, "fgsm:eps=4")
    assert np.abs(attacked.x_adv.astype(int) - photos).max() == 4
    assert rsparse.activations(photos, classifier)


def test_a_module_may_return_an_object_with_logits(photos):
    class OfTransformers(Small):
        def forward(self, x: Any) -> Any:
            return SimpleNamespace(logits=super().forward(x))

    classifier = rsparse.load_classifier(OfTransformers(), INPUT)
    np.testing.assert_allclose(
        classifier.logits(list(photos)), expected(Small(), photos), atol=1e-5
    )


def test_a_module_of_timm_says_how_to_prepare_its_input(timm: Any):
    network = timm.create_model(MODEL.partition(".")[0], num_classes=7)
    classifier = rsparse.load_classifier(network)
    assert classifier.spec.size == (160, 160)
    assert classifier.spec.mean == tuple(network.pretrained_cfg["mean"])
    assert classifier.spec.resize == "crop:0.95"
    assert classifier.n_classes == 7
    own = rsparse.load_classifier(network, InputOptions(size=(96, 96)))
    assert (own.spec.size, own.spec.mean) == ((96, 96), classifier.spec.mean)


@pytest.mark.parametrize("name", [MODEL, f"timm/{MODEL}", f"hf-hub:timm/{MODEL}"])
def test_a_name_is_a_model_of_timm(hub, name):
    classifier = rsparse.load_classifier(name)
    assert hub.downloads
    assert classifier.n_classes == 1000
    assert classifier.class_names[0] == "tench, Tinca tinca"
    assert str(classifier.path) == MODEL
    assert pickle.loads(pickle.dumps(classifier)).sha256


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            Small(),
            "Small: does not say how to prepare its input; give InputOptions('imagenet-torch'), "
            "or InputOptions(size=(32, 32), mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))",
        ),
        (3, "model: expected a path, a name or a torch module, got 3"),
        ("none.onnx", "none.onnx: cannot be read: no such file or directory"),
    ],
    ids=str,
)
def test_what_cannot_be_loaded(model, message):
    with refused(message):
        rsparse.load_classifier(model)


def test_grey_input_and_other_layouts_are_refused():
    for options in (InputOptions("imagenet-torch", layout="NHWC"),
                    InputOptions(size=(32, 32), channels="grey", mean=(0.0,) * 3)):  # fmt: skip
        with refused("Small: a torch module takes colour images in NCHW"):
            rsparse.load_classifier(Small(), options)


@pytest.mark.usefixtures("timm")
def test_other_names_are_refused():
    with refused(
        "owner/model: is no file, and not of timm; of the Hugging Face hub, the models of timm can "
        "be loaded by name: timm/resnet50.a1_in1k"
    ):
        rsparse.load_classifier("owner/model")
    with pytest.raises(rsparse.InputError, match="timm has no model 'resnet51'; did you mean"):
        rsparse.load_classifier("resnet51")

"""Grad-CAM: class activation maps where both exist, and networks that only it explains."""

from __future__ import annotations

import json
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from rsparse import load_classifier
from rsparse.models.onnx.probes import AttentionProbe, attention_maps, probe_of
from rsparse.models.spec import InputOptions
from rsparse.store.images import decode_image, encode_png
from tests.conftest import make_picture
from tests.onnx_models import ConvNet, linear_classifier
from tests.refusals import refused

torch = pytest.importorskip("torch")
pytest.importorskip("captum")
pytestmark = [
    pytest.mark.usefixtures("one_torch_core"),
    pytest.mark.filterwarnings("ignore:.*backward hook.*"),
]

SAID = {"mean": [0, 0, 0], "std": [1, 1, 1], "labels": ["cat", "dog", "emu", "fox"]}


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("center", [False, True])
def test_with_global_pooling_it_is_the_class_activation_map(tmp_path, center, layout):
    """∂s_c/∂A = w_c / (h w) everywhere, so its mean is the weight of the map over h w."""
    path = ConvNet(metadata={"rsparse.input": json.dumps(SAID)}, layout=layout).save(
        tmp_path / "m.onnx"
    )
    classifier = load_classifier(path)
    image = make_picture(0, *classifier.spec.size)
    for index in range(4):
        cam = AttentionProbe(classifier).explain(image, lambda _, i=index: i, center)
        grad = probe_of(classifier, "grad-cam").explain(image, lambda _, i=index: i, center)
        np.testing.assert_allclose(grad[0], cam[0], atol=1e-5)
        assert grad[2] == cam[2] == index
        np.testing.assert_allclose(grad[1], cam[1] / cam[1].size, atol=1e-5)


class Flat(torch.nn.Module):
    """Without pooling: the first class looks at the left half, the second at the right."""

    def __init__(self) -> None:
        super().__init__()
        self.features = torch.nn.Conv2d(3, 1, 1, bias=False)
        self.head = torch.nn.Linear(16 * 16, 2, bias=False)
        with torch.no_grad():
            self.features.weight.fill_(1 / 3)
            weights = torch.zeros(2, 16, 16)
            weights[0, :, :8], weights[1, :, 8:] = 1, 1
            self.head.weight.copy_(weights.view(2, -1))

    def forward(self, x):
        return self.head(torch.relu(self.features(x)).flatten(1))


def flat():
    return load_classifier(Flat(), InputOptions("unit", size=(16, 16)))


def test_a_network_without_pooling_is_explained():
    """All gradients of a class have one sign: the map is the image's grey, times their mean."""
    classifier, image = flat(), make_picture(3, 16, 16)
    with pytest.raises(Exception, match="expected global average pooling"):
        AttentionProbe(classifier)
    probe = probe_of(classifier)
    _, attention, chosen = probe.explain(image, lambda logits: int(logits.argmax()), center=False)
    np.testing.assert_allclose(attention, image.mean(axis=2) / 255 * 0.5, atol=1e-5)
    again = pickle.loads(pickle.dumps(probe)).explain(image, lambda _: chosen, center=False)
    np.testing.assert_array_equal(again[1], attention)
    maps, classes = attention_maps(classifier, [image, image], [0, 1], center=False)
    assert maps.shape == (2, 16, 16)
    assert list(classes) == [0, 1]


def test_threads_do_not_mix_their_maps():
    """captum keeps the features of the last image that passed, whoever asked for it."""
    probe = probe_of(flat())
    images = [make_picture(seed, 16, 16) for seed in range(40)]

    def explained(image):
        return probe.explain(image, lambda _: 1, center=True)[1]

    expected = [explained(image) for image in images]
    with ThreadPoolExecutor(8) as pool:
        for found, wanted in zip(pool.map(explained, images), expected, strict=True):
            np.testing.assert_array_equal(found, wanted)


def test_the_command_draws_it(tmp_path, run_cli):
    network = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.MaxPool2d(2), torch.nn.Flatten(),
        torch.nn.Linear(4 * 7 * 7, 3),
    )  # fmt: skip
    from rsparse.models.spec import InputSpec
    from rsparse.models.zoo.export import export_onnx

    spec = InputSpec((16, 16))
    content = export_onnx(network.eval(), "net", (16, 16), {"rsparse.input": spec.to_json()})
    (tmp_path / "m.onnx").write_bytes(content)
    (tmp_path / "imgs").mkdir()
    (tmp_path / "imgs" / "a.png").write_bytes(encode_png(make_picture(1, 30, 40)))
    command = ("attention", tmp_path / "imgs", "-m", tmp_path / "m.onnx", "-o")
    assert run_cli(*command, tmp_path / "out").exit_code == 0
    overlay = tmp_path / "out" / "a.png"
    assert decode_image(overlay.read_bytes(), overlay).shape == (30, 40, 3)
    forced = run_cli(*command, tmp_path / "cam", "--method", "cam")
    assert forced.exit_code == 2
    assert "expected global average pooling" in forced.stderr


def test_a_network_without_convolutions_is_refused(tmp_path):
    path = linear_classifier(tmp_path / "m.onnx", np.ones((2, 3 * 4 * 4), np.float32), (4, 4))
    with refused(f"{path}: has no convolution with maps that Grad-CAM could explain"):
        probe_of(load_classifier(path, InputOptions("unit")), "grad-cam")


def test_without_captum_the_extra_is_named(monkeypatch):
    import rsparse.models.onnx.probes as probes

    monkeypatch.setattr(probes, "find_spec", lambda name: None if name == "captum" else True)
    with pytest.raises(Exception, match=r"; Grad-CAM, which can, needs captum, which is"):
        probe_of(flat())

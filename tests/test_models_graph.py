"""Layers, peaks and class activation heads of graphs with known answers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from rsparse.models.onnx.cam_head import find_cam_head
from rsparse.models.onnx.classifier import load_classifier
from rsparse.models.onnx.graph import FeatureLayer, activation_layers
from rsparse.models.onnx.probes import (
    AttentionProbe,
    PeakProbe,
    attention_maps,
    layer_activations,
)
from rsparse.models.spec import InputOptions
from tests.onnx_models import ConvNet, images_of, linear_classifier, save_graph
from tests.refusals import refused

UNIT = InputOptions(preset="unit")


def tensors_of(path: Path, images: list[np.ndarray], names: list[str]) -> list[np.ndarray]:
    """Inner tensors of a graph, computed by onnx's reference evaluator."""
    from onnx.reference import ReferenceEvaluator

    model = onnx.load(path)
    for name in names:
        model.graph.output.append(helper.make_tensor_value_info(name, 1, None))
    x = np.stack(images).transpose(0, 3, 1, 2).astype(np.float32) / 255
    return ReferenceEvaluator(model).run(names, {"image": x})


def test_layers_in_the_words_of_the_graph(tmp_path: Path) -> None:
    layers = activation_layers(onnx.load(ConvNet().save(tmp_path / "m.onnx")))
    assert [(layer.name, layer.kind, layer.channels, layer.index) for layer in layers] == [
        ("conv", "conv", 4, 1),
        ("mixed/left", "conv", 2, 2),
        ("mixed/right", "conv", 3, 3),
        ("mixed", "join", 5, 3),
        ("pool", "pool", 5, 3),
    ]


def test_names_of_other_exporters(tmp_path: Path) -> None:
    path = ConvNet().save(tmp_path / "m.onnx")
    model = onnx.load(path)
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    convolutions[0].name = "/features/features.0/Conv"
    convolutions[1].name = "block/conv"
    convolutions[2].name = "block/conv"
    names = [layer.name for layer in activation_layers(model)]
    assert names[0] == "features/features.0"
    assert names[1:3] == ["t3", "t5"], "by their tensors where the nodes' names are not unique"


@pytest.mark.parametrize(
    ("activation", "tapped"),
    [
        ("Relu", "Relu"),
        ("HardSwish", "HardSwish"),
        ("none", "Conv"),
        ("batch-norm", "Relu"),
        ("silu", "Mul"),
        ("hard-swish", "Div"),
        ("residual", "Conv"),
    ],
)
def test_tapped_after_the_activation(tmp_path: Path, activation: str, tapped: str) -> None:
    model = onnx.load(ConvNet(activation=activation).save(tmp_path / "m.onnx"))
    made_by = {node.output[0]: node.op_type for node in model.graph.node}
    assert made_by[activation_layers(model)[0].tensor] == tapped


def test_peaks_are_maxima_over_positions(tmp_path: Path) -> None:
    path = ConvNet(activation="silu", head="Conv", background=True).save(tmp_path / "m.onnx")
    classifier = load_classifier(path, UNIT)
    layers = activation_layers(classifier.graph)
    assert [layer.name for layer in layers] == [
        "conv",
        "mixed/left",
        "mixed/right",
        "mixed",
        "pool",
    ]
    images = images_of((12, 10), 3)
    logits, peaks = PeakProbe(classifier, layers).peaks(images)
    np.testing.assert_allclose(logits, classifier.logits(images), rtol=1e-5)
    maps = tensors_of(path, images, [layer.tensor for layer in layers])
    for layer, found, expected in zip(layers, peaks, maps, strict=True):
        assert found.shape == (3, layer.channels)
        np.testing.assert_allclose(found, expected.max(axis=(2, 3)), rtol=1e-4, atol=1e-5)


def test_the_peak_of_the_pool_is_the_pooled_mean(tmp_path: Path) -> None:
    images = images_of((12, 10), 2)
    means = []
    for pool in ("GlobalAveragePool", "ReduceMean", "ReduceMean-last", "AveragePool"):
        path = ConvNet(pool=pool, batch=1).save(tmp_path / f"{pool}.onnx")
        classifier = load_classifier(path, UNIT)
        layer = activation_layers(classifier.graph)[-1]
        assert (layer.kind, layer.channels) == ("pool", 5)
        means.append(PeakProbe(classifier, [layer]).peaks(images)[1][0])
        _, features = AttentionProbe(classifier).features(images)
        np.testing.assert_allclose(means[-1], features.mean(axis=(2, 3)), rtol=1e-5)
    for mean in means[1:]:
        np.testing.assert_allclose(mean, means[0], rtol=1e-5)


def test_peaks_of_channels_last_input(tmp_path: Path) -> None:
    images = images_of((12, 10), 2)
    found = []
    for layout in ("NCHW", "NHWC"):
        path = ConvNet(layout=layout).save(tmp_path / f"{layout}.onnx")
        classifier = load_classifier(path, UNIT)
        _, peaks = PeakProbe(classifier, activation_layers(classifier.graph)).peaks(images)
        found.append(np.concatenate(peaks, axis=1))
    np.testing.assert_allclose(found[0], found[1], rtol=1e-5)


def test_the_same_on_arrays(tmp_path: Path) -> None:
    classifier = load_classifier(ConvNet().save(tmp_path / "m.onnx"), UNIT)
    images = images_of((12, 10), 2)
    layers, totals = layer_activations(classifier, images, gamma=0.5)
    _, peaks = PeakProbe(classifier, layers).peaks(images)
    assert totals.shape == (2, 5)
    peak = peaks[3][1].astype(float)
    assert totals[1, 3] == pytest.approx(peak[peak > 0.5].sum())
    maps, classes = attention_maps(classifier, images, center=False)
    assert maps.shape == (2, 12, 10)
    logits, bias = classifier.logits(images), AttentionProbe(classifier).bias
    np.testing.assert_array_equal(classes, logits.argmax(axis=1))
    expected = logits.max(axis=1) - bias[classes]
    np.testing.assert_allclose(maps.mean(axis=(1, 2)), expected, rtol=1e-4)
    assert list(attention_maps(classifier, images, [3, 0])[1]) == [3, 0]


def test_a_network_without_convolutions(tmp_path: Path) -> None:
    path = linear_classifier(tmp_path / "m.onnx", np.ones((2, 12)), (2, 2))
    with refused("m.onnx: has no convolutional layers, so no activations to measure"):
        activation_layers(onnx.load(path), "m.onnx")


@pytest.mark.parametrize(
    "pool", ["GlobalAveragePool", "ReduceMean", "ReduceMean-last", "AveragePool"]
)
@pytest.mark.parametrize("head", ["Gemm", "Gemm-untransposed", "MatMul", "Conv"])
def test_pooled_features_times_weights_are_the_logits(tmp_path: Path, pool: str, head: str) -> None:
    """The probe also asserts this itself, on every batch."""
    if head == "Conv" and pool == "ReduceMean":
        pytest.skip("a convolution needs the pooled axes")
    if head == "Conv" and pool == "ReduceMean-last":
        pytest.skip("a convolution needs the channels first")
    for background in (False, True):
        net = ConvNet(
            pool=pool, head=head, background=background, tail="Softmax", batch=1, seed=3
        )  # fmt: skip
        classifier = load_classifier(net.save(tmp_path / "m.onnx"), UNIT)
        probe = AttentionProbe(classifier)
        np.testing.assert_array_equal(probe.weights, net.weights[int(background) :])
        np.testing.assert_array_equal(probe.bias, net.bias[int(background) :])
        images = images_of((12, 10), 2)
        logits, features = probe.features(images)
        assert features.shape == (2, 5, 12, 10)
        explained = features.mean(axis=(2, 3)) @ probe.weights.T + probe.bias
        np.testing.assert_allclose(explained, logits, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(logits, classifier.logits(images), rtol=1e-4, atol=1e-5)


def test_the_offset_of_the_spec_drops_weights_too(tmp_path: Path) -> None:
    net = ConvNet(classes=5)
    path = net.save(tmp_path / "m.onnx")
    probe = AttentionProbe(load_classifier(path, InputOptions("unit", class_offset=1)))
    assert probe.features(images_of((12, 10), 1))[0].shape == (1, 4)
    np.testing.assert_array_equal(probe.weights, net.weights[1:])


def test_class_maps_that_are_pooled_into_scores(tmp_path: Path) -> None:
    """Networks such as SqueezeNet have no linear layer: the last maps belong to the classes."""
    path = ConvNet(head="none", classes=5).save(tmp_path / "m.onnx")
    probe = AttentionProbe(load_classifier(path, UNIT))
    np.testing.assert_array_equal(probe.weights, np.eye(5))
    logits, features = probe.features(images_of((12, 10), 1))
    np.testing.assert_allclose(features.mean(axis=(2, 3)), logits, rtol=1e-4)


LOOKED_FOR = (
    "m.onnx: expected global average pooling followed by one linear layer "
    "(Gemm, MatMul or 1×1 Conv) before the class scores"
)


def test_networks_without_that_structure(tmp_path: Path) -> None:
    path = linear_classifier(tmp_path / "m.onnx", np.ones((2, 12)), (2, 2))
    with refused(f"{LOOKED_FOR}, found the input where the pooling should be"):
        find_cam_head(onnx.load(path), "m.onnx")
    for pool, found in (("GlobalMaxPool",) * 2, ("AveragePool-part", "AveragePool")):
        net = ConvNet(pool=pool)
        net.weights = np.ones((4, 5 * (1 if pool == "GlobalMaxPool" else 99)), np.float32)
        model = onnx.load(net.save(path))
        with refused(f"{LOOKED_FOR}, found {found} 'pool' where the pooling should be"):
            find_cam_head(model, "m.onnx")
        assert activation_layers(model)[-1].kind == "join", "no global pooling, no such layer"
    nodes = [
        helper.make_node("ReduceMax", ["image"], ["scores"], name="max", axes=[2, 3], keepdims=0)
    ]
    model = onnx.load(save_graph(path, nodes, {}, ("n", 3, 4, 4), ("n", 3)))
    with refused(f"{LOOKED_FOR}, found ReduceMax 'max' where the linear layer should be"):
        find_cam_head(model, "m.onnx")


def test_a_misread_graph_is_noticed(tmp_path: Path) -> None:
    classifier = load_classifier(ConvNet().save(tmp_path / "m.onnx"), UNIT)
    probe = AttentionProbe(classifier)
    probe.weights = probe.weights[::-1]
    message = (
        f"{classifier.path}: its last feature maps and weights do not add up to its class "
        "scores, so they cannot explain a class"
    )
    with refused(message):
        probe.features(images_of((12, 10), 1))


@pytest.mark.shared
def test_layers_of_inception_v3(shared: Path) -> None:
    path = shared / "models" / "inception_v3_299.onnx"
    layers = activation_layers(onnx.load(path))
    by_name = {layer.name: layer for layer in layers}
    assert sum(layer.kind == "conv" for layer in layers) == 94
    assert by_name["conv_2"] == FeatureLayer("conv_2", "conv_2/relu", 64, "conv", 3)
    assert by_name["mixed_1"] == FeatureLayer("mixed_1", "mixed_1/join", 288, "join", 19)
    assert by_name["pool_3"] == FeatureLayer("pool_3", "pool_3", 2048, "pool", 94, spatial=False)
    assert layers[-1] is by_name["pool_3"]


@pytest.mark.shared
@pytest.mark.parametrize(
    ("model", "preset", "n_channels"),
    [
        ("mobilenet_v2_224", "mobilenet-v2", 1280),
        ("mobilenet_v1_075_192", "unit", 768),
        ("inception_v3_299", "inception-v3", 2048),
    ],
)
def test_attention_of_real_networks(shared: Path, model: str, preset: str, n_channels: int) -> None:
    """The probe itself asserts that features times weights are the logits."""
    classifier = load_classifier(shared / "models" / f"{model}.onnx", InputOptions(preset))
    logits, features = AttentionProbe(classifier).features(images_of(classifier.spec.size, 1))
    assert features.shape[:2] == (1, n_channels)
    assert logits.shape == (1, 1000)

"""Train the embedded classifier on the demonstration's photographs and export it to ONNX.

A small Inception network (stem, three mixed blocks of parallel towers, global average pooling)
tells the ten photographs of ``demo_photos.py`` apart. It learns only from random windows of the
training regions, at many positions and scales, mirrored, and with changed contrast, saturation and
colour balance. Half of the windows are also *degraded* (blurred, shrunk and enlarged, compressed as
JPEG or bilaterally filtered), so that the network tolerates smoothed photographs. No attacked or
purified picture is used, and the test regions are never seen.

It runs on one thread with fixed seeds: the same machine and packages give the same bytes.

    python scripts/demo_model.py           # ~4 min; writes the photographs and the model
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch
from demo_photos import (
    PHOTOS,
    SIZE,
    SOURCES,
    degrade,
    recolour,
    test_crops,
    training_crops,
    write_photos,
)
from onnx import TensorProto, helper, numpy_helper
from torch import nn
from torch.nn import functional

MODEL = PHOTOS.parent / "inception_small.onnx"
LABELS = [source.label for source in SOURCES]
SEED = 0
WINDOWS_PER_CLASS = 320
EPOCHS = 10
BATCH = 32


# --- Training data ------------------------------------------------------------------------------


def normalised(crops: np.ndarray) -> torch.Tensor:
    """Return uint8 (n, h, w, 3) as the network's float32 (n, 3, h, w) in [-1, 1]."""
    return torch.from_numpy(crops.transpose(0, 3, 1, 2).astype(np.float32) / 127.5 - 1)


def batches(
    crops: np.ndarray, y: np.ndarray, rng: np.random.Generator
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield the batches of one epoch, newly augmented."""
    order = rng.permutation(len(crops))
    for start in range(0, len(order) - BATCH + 1, BATCH):
        chosen = order[start : start + BATCH]
        x = [recolour(crops[i], rng) for i in chosen]
        x = [degrade(image, rng) if rng.random() < 0.5 else image for image in x]
        yield normalised(np.stack(x)), torch.from_numpy(y[chosen])


# --- Network: one table of layers, read by torch for training and by ONNX for export -------------


@dataclass(frozen=True)
class Layer:
    """A node of the network; only convolutions use ``channels`` and ``kernel``."""

    name: str
    op: str  # conv (with batch norm and ReLU), max_pool, average_pool, concat
    inputs: tuple[str, ...]
    channels: int = 0
    kernel: int = 3
    stride: int = 1


def mixed(name: str, source: str, one: int, three: int, double: int, pool: int) -> list[Layer]:
    """Return an Inception block with 1x1, 3x3, double 3x3 and pooling towers in parallel."""
    outputs = ("conv", "tower/conv_1", "tower_1/conv_2", "tower_2/conv")
    layers = [
        Layer("conv", "conv", (source,), one, 1),
        Layer("tower/conv", "conv", (source,), three // 2, 1),
        Layer("tower/conv_1", "conv", ("tower/conv",), three),
        Layer("tower_1/conv", "conv", (source,), double // 2, 1),
        Layer("tower_1/conv_1", "conv", ("tower_1/conv",), double),
        Layer("tower_1/conv_2", "conv", ("tower_1/conv_1",), double),
        Layer("pool", "average_pool", (source,)),
        Layer("tower_2/conv", "conv", ("pool",), pool, 1),
        Layer("join", "concat", outputs),
    ]
    full = {layer.name: f"{name}/{layer.name}" for layer in layers} | {source: source}
    return [
        Layer(full[n.name], n.op, tuple(full[i] for i in n.inputs), n.channels, n.kernel)
        for n in layers
    ]


LAYERS = [
    Layer("conv", "conv", ("input",), 16, stride=2),
    Layer("conv_1", "conv", ("conv",), 16),
    Layer("pool", "max_pool", ("conv_1",), stride=2),
    Layer("conv_2", "conv", ("pool",), 48),
    Layer("pool_1", "max_pool", ("conv_2",), stride=2),
    *mixed("mixed", "pool_1", 24, 32, 32, 16),
    *mixed("mixed_1", "mixed/join", 32, 48, 48, 16),
    Layer("pool_2", "max_pool", ("mixed_1/join",), stride=2),
    *mixed("mixed_2", "pool_2", 48, 64, 64, 32),
]


class Inception(nn.Module):
    """``LAYERS``, global average pooling and a linear classifier."""

    def __init__(self) -> None:
        super().__init__()
        channels = {"input": 3}
        self.convs = nn.ModuleDict()
        for layer in LAYERS:
            channels[layer.name] = layer.channels or sum(channels[i] for i in layer.inputs)
            if layer.op == "conv":
                fan_in, k = channels[layer.inputs[0]], layer.kernel
                conv = nn.Conv2d(fan_in, layer.channels, k, layer.stride, k // 2, bias=False)
                nn.init.kaiming_normal_(conv.weight)
                self.convs[layer.name] = nn.Sequential(conv, nn.BatchNorm2d(layer.channels))
        self.logits = nn.Linear(channels[LAYERS[-1].name], len(LABELS))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits (n, classes)."""
        values = {"input": x}
        for layer in LAYERS:
            first, *others = (values[name] for name in layer.inputs)
            if layer.op == "conv":
                values[layer.name] = functional.relu(self.convs[layer.name](first))
            elif layer.op == "concat":
                values[layer.name] = torch.cat([first, *others], dim=1)
            else:
                pool = functional.max_pool2d if layer.op == "max_pool" else functional.avg_pool2d
                values[layer.name] = pool(first, layer.kernel, layer.stride, layer.kernel // 2)
        return self.logits(values[LAYERS[-1].name].mean(dim=(2, 3)))


def train() -> Inception:
    """Train from scratch with AdamW and a one-cycle learning rate."""
    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    rng = np.random.default_rng(SEED)
    crops, y = training_crops(WINDOWS_PER_CLASS, rng)
    network = Inception().train()
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=1e-3)
    steps = EPOCHS * (len(crops) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=4e-3, total_steps=steps)
    for epoch in range(EPOCHS):
        losses = []
        for x, target in batches(crops, y, rng):
            loss = functional.cross_entropy(network(x), target, label_smoothing=0.05)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
        print(f"epoch {epoch + 1:2d} of {EPOCHS}: mean loss {np.mean(losses):.3f}", flush=True)
    return network.eval()


# --- Export --------------------------------------------------------------------------------------


def folded(conv: nn.Sequential) -> tuple[np.ndarray, np.ndarray]:
    """Return the weight and bias of a convolution with its batch normalisation folded in."""
    weight, norm = conv[0].weight.double(), conv[1]
    scale = norm.weight.double() / torch.sqrt(norm.running_var.double() + norm.eps)
    bias = norm.bias.double() - norm.running_mean.double() * scale
    return (weight * scale[:, None, None, None]).float().numpy(), bias.float().numpy()


def onnx_nodes(layer: Layer) -> list[onnx.NodeProto]:
    """Return the nodes of a layer; the output of the last one has the layer's name."""
    window = {
        "kernel_shape": [layer.kernel] * 2,
        "strides": [layer.stride] * 2,
        "pads": [layer.kernel // 2] * 4,
    }
    inputs, name = list(layer.inputs), layer.name
    if layer.op == "conv":
        inputs += [f"{name}.weight", f"{name}.bias"]
        before = f"{name}/linear"
        return [
            helper.make_node("Conv", inputs, [before], name=name, **window),
            helper.make_node("Relu", [before], [name], name=f"{name}/relu"),
        ]
    if layer.op == "concat":
        return [helper.make_node("Concat", inputs, [name], name=name, axis=1)]
    if layer.op == "max_pool":
        return [helper.make_node("MaxPool", inputs, [name], name=name, **window)]
    window["count_include_pad"] = 1
    return [helper.make_node("AveragePool", inputs, [name], name=name, **window)]


@torch.no_grad()
def export(network: Inception, path: Path = MODEL) -> None:
    """Write the network and its input description to one ONNX file."""
    arrays = {"logits.weight": network.logits.weight.numpy()}
    arrays["logits.bias"] = network.logits.bias.numpy()
    for name, conv in network.convs.items():
        arrays[f"{name}.weight"], arrays[f"{name}.bias"] = folded(conv)
    nodes = [node for layer in LAYERS for node in onnx_nodes(layer)]
    nodes += [
        helper.make_node("GlobalAveragePool", [LAYERS[-1].name], ["pool_3"], name="pool_3"),
        helper.make_node("Flatten", ["pool_3"], ["features"], name="features"),
        helper.make_node(
            "Gemm",
            ["features", "logits.weight", "logits.bias"],
            ["logits"],
            name="logits",
            transB=1,
        ),
    ]
    graph = helper.make_graph(
        nodes,
        "inception_small",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", 3, SIZE, SIZE])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", len(LABELS)])],
        [numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    opset = [helper.make_opsetid("", 17)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=8, producer_name="rsparse")
    description = {
        "size": [SIZE, SIZE],
        "mean": [0.5] * 3,
        "std": [0.5] * 3,
        "range": 1.0,
        "channels": "rgb",
        "layout": "NCHW",
        "class_offset": 0,
        "labels": LABELS,
    }
    helper.set_model_props(model, {"rsparse.input": json.dumps(description, sort_keys=True)})
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString(deterministic=True))


# --- Measured figures ----------------------------------------------------------------------------


def accuracy(network: nn.Module, x: torch.Tensor, y: torch.Tensor) -> float:
    with torch.no_grad():
        return 100 * (network(x).argmax(1) == y).float().mean().item()


def report(network: Inception) -> None:
    """Print the accuracy on the unseen crops: clean, and attacked with rounding to 8 bits."""
    import foolbox

    crops, classes = test_crops()
    x, y = normalised(crops), torch.from_numpy(classes)
    print(f"unseen crops           {accuracy(network, x, y):5.1f} %")
    model = foolbox.PyTorchModel(network, bounds=(-1, 1), device="cpu")
    attacks = {
        "FGSM": foolbox.attacks.LinfFastGradientAttack(),
        "BIM": foolbox.attacks.LinfBasicIterativeAttack(steps=10),
    }
    for name, attack in attacks.items():
        _, x_adv, _ = attack(model, x, y, epsilons=8 / 127.5)
        x_adv = torch.round((x_adv + 1) * 127.5) / 127.5 - 1
        print(f"{name + ', eps 8':22s} {accuracy(network, x_adv, y):5.1f} %")


if __name__ == "__main__":
    write_photos()
    trained = train()
    export(trained)
    report(trained)
    print(f"{MODEL.name}: {MODEL.stat().st_size / 1e6:.2f} MB")

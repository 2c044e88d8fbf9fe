"""Tiny networks for which the right attack is known."""

from __future__ import annotations

import numpy as np
import torch


class Linear(torch.nn.Module):
    """Logits = weights · pixels + bias, weights (classes, h, w, 3)."""

    def __init__(self, weights: np.ndarray, bias: np.ndarray) -> None:
        super().__init__()
        self.weights, self.bias = weights, bias
        flat = weights.transpose(0, 3, 1, 2).reshape(len(weights), -1)
        self.register_buffer("w", torch.tensor(flat, dtype=torch.float32))
        self.register_buffer("b", torch.tensor(bias, dtype=torch.float32))
        self.eval()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.flatten(1) @ self.w.T + self.b


class Smooth(torch.nn.Module):
    """A small network without kinks."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.register_buffer("kernel", 2 * torch.randn(6, 3, 3, 3, generator=generator))
        self.register_buffer("head", 8 * torch.randn(4, 6, generator=generator))
        self.eval()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        features = torch.nn.functional.conv2d(x - 0.5, self.kernel).tanh().mean((2, 3))
        return features @ self.head.T


SHAPE = (4, 5, 3)


def linear_problem(n: int = 3, margin: float = 0.4) -> tuple[Linear, np.ndarray, np.ndarray]:
    """Two classes; images of class 0, whose logit leads by ``margin``; pixels far from 0 and 1."""
    rng = np.random.default_rng(1)
    weights = rng.normal(size=(2, *SHAPE))
    x = rng.uniform(0.4, 0.6, (n, *SHAPE)).astype(np.float32)
    gap = x.reshape(n, -1) @ (weights[0] - weights[1]).reshape(-1)
    direction = (weights[0] - weights[1]) / np.sum((weights[0] - weights[1]) ** 2)
    x = (x + (margin - gap)[:, None, None, None] * direction).astype(np.float32)
    return Linear(weights, np.zeros(2)), x, np.zeros(n, np.int64)


def smooth_problem(n: int = 3) -> tuple[Smooth, np.ndarray, np.ndarray]:
    x = np.random.default_rng(2).uniform(0.1, 0.9, (n, 9, 8, 3)).astype(np.float32)
    net = Smooth()
    return net, x, classify(net, x)


def classify(net: torch.nn.Module, x: np.ndarray) -> np.ndarray:
    return net(torch.from_numpy(x.transpose(0, 3, 1, 2).copy())).argmax(1).numpy()


def uphill(net: Linear) -> np.ndarray:
    """The gradient of the loss for label 0, up to a positive factor."""
    return net.weights[1] - net.weights[0]


def foolbox_result(net: torch.nn.Module, x: np.ndarray, y: np.ndarray, attack, epsilon) -> tuple:
    """The result of plain foolbox: images (n, h, w, 3) and its success flags."""
    from foolbox.models import PyTorchModel

    model = PyTorchModel(net, bounds=(0, 1), device="cpu")
    pixels = torch.from_numpy(x.transpose(0, 3, 1, 2).copy())
    _, clipped, success = attack(model, pixels, torch.from_numpy(y), epsilons=epsilon)
    return clipped.numpy().transpose(0, 2, 3, 1), success.numpy()


def as_tensor(images: list[np.ndarray]) -> torch.Tensor:
    x = np.stack(images).astype(np.float32) / 255
    return torch.from_numpy(x.transpose(0, 3, 1, 2).copy())

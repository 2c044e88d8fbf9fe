"""Tiny networks and images for evaluations with a known flaw, and for a sound one."""

from __future__ import annotations

import csv
import functools
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from rsparse.store.images import encode_png
from tests.onnx_models import save_graph

CLASSES, SIDE = 4, 8
VALUES = 3 * SIDE * SIDE
FEATURES = 96
Nodes = list[onnx.NodeProto]
Outcomes = dict[tuple[str, str], tuple[str, str]]
FGSM_BIM = ("fgsm:eps=4", "bim:eps=4")


def pictures(n: int, *, seed: int = 1, noise: float = 12.0) -> tuple[np.ndarray, np.ndarray]:
    """Images (n, 8, 8, 3) uint8, each a faint class pattern plus noise, and their labels."""
    patterns = np.random.default_rng(0).choice([-1.0, 1.0], (CLASSES, SIDE, SIDE, 3))
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % CLASSES
    x = 128 + 9 * patterns[labels] + rng.normal(0, noise, (n, SIDE, SIDE, 3))
    return np.clip(np.rint(x), 0, 255).astype(np.uint8), labels


def save_pictures(folder: Path, n: int = 40, **how: float) -> Path:
    """Write ``pictures`` into one folder per class, named by class number."""
    for number, (image, label) in enumerate(zip(*pictures(n, **how), strict=True)):  # type: ignore[arg-type]
        path = folder / str(label) / f"{number:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode_png(image))
    return folder


@functools.cache
def weights() -> dict[str, np.ndarray]:
    """Weights of a network with one hidden layer: random features and a ridge regression."""
    rng = np.random.default_rng(2)
    x, labels = pictures(1200, seed=3)
    pixels = x.transpose(0, 3, 1, 2).reshape(len(x), -1) / 255 - 0.5
    first = rng.normal(0, 1, (FEATURES, VALUES))
    bias = rng.normal(0, 0.3, FEATURES)
    hidden = np.maximum(pixels @ first.T + bias, 0)
    hidden = np.hstack([hidden, np.ones((len(x), 1))])
    wanted = np.eye(CLASSES)[labels]
    second = np.linalg.solve(hidden.T @ hidden + 3 * np.eye(FEATURES + 1), hidden.T @ wanted)
    values = {"w1": first, "b1": bias, "w2": 20 * second[:-1].T, "b2": 20 * second[-1]}
    return {name: value.astype(np.float32) for name, value in values.items()}


def network(
    path: Path,
    before: Callable[[dict[str, np.ndarray]], tuple[Nodes, str]] | None = None,
    after: Callable[[dict[str, np.ndarray]], tuple[Nodes, str]] | None = None,
) -> Path:
    """Save the network; ``before`` changes its input "image", ``after`` its scores "sound".

    Both return nodes and the name of their output, and may add constants.
    """
    constants = weights() | {"half": np.float32(0.5)}
    first, image = before(constants) if before else ([], "image")
    last, scores = after(constants) if after else ([], "sound")
    nodes = [
        *first,
        helper.make_node("Sub", [image, "half"], ["centred"]),
        helper.make_node("Flatten", ["centred"], ["pixels"]),
        helper.make_node("Gemm", ["pixels", "w1", "b1"], ["sums"], transB=1),
        helper.make_node("Relu", ["sums"], ["hidden"]),
        helper.make_node("Gemm", ["hidden", "w2", "b2"], ["sound"], transB=1),
        *last,
    ]
    nodes.append(helper.make_node("Identity", [scores], ["scores"]))
    return save_graph(path, nodes, constants, ("n", 3, SIDE, SIDE), ("n", CLASSES))


def read_checks(folder: Path) -> list[dict[str, str]]:
    with (folder / "checks.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def evaluate(tmp_path: Path, run_cli) -> Callable[..., Outcomes]:
    """Run an evaluation; return each check's outcome and detail by name and defense."""

    def run(
        *more: object,
        images: Path | None = None,
        model: Path | None = None,
        attacks: Sequence[str] = FGSM_BIM,
        defense: str = "median",
    ) -> Outcomes:
        images = images or save_pictures(tmp_path / "images", 24)
        model = model or network(tmp_path / "model.onnx")
        given = [word for attack in attacks for word in ("--attack", attack)]
        preset = () if "--preset" in more or "--input-range" in more else ("--preset", "unit")
        result = run_cli(
            "evaluate", images, "-m", model, *given, "--defense", defense, *preset, "-j", 1,
            "-o", tmp_path / "eval", *more,
        )  # fmt: skip
        assert result.exit_code == 0, result.stderr
        checks = read_checks(tmp_path / "eval")
        return {(c["name"], c["defense"]): (c["outcome"], c["detail"]) for c in checks}

    return run


def failed(outcomes: Outcomes) -> set[str]:
    return {name for (name, _), (outcome, _) in outcomes.items() if outcome == "fail"}


def softmax_inside(path: Path) -> Path:
    """The scores mix saturated probabilities, so their gradient is 0 in float32."""

    def after(constants):
        constants["much"] = np.float32(3000)
        constants["mix"] = (5 * np.eye(CLASSES) + 0.1).astype(np.float32)
        nodes = [
            helper.make_node("Mul", ["sound", "much"], ["large"]),
            helper.make_node("Softmax", ["large"], ["shares"], axis=1),
            helper.make_node("MatMul", ["shares", "mix"], ["mixed"]),
        ]
        return nodes, "mixed"

    return network(path, after=after)


def constant_answer(path: Path) -> Path:
    """The network assigns class 0 to every image."""

    def after(constants):
        constants["nothing"] = np.float32(0)
        constants["first"] = np.eye(CLASSES, dtype=np.float32)[0]
        nodes = [
            helper.make_node("Mul", ["sound", "nothing"], ["zero"]),
            helper.make_node("Add", ["zero", "first"], ["same"]),
        ]
        return nodes, "same"

    return network(path, after=after)

"""``rsparse fetch``: a timm network becomes an ONNX file that every command accepts."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from typer.testing import Result

from rsparse.models.onnx.classifier import load_classifier
from rsparse.models.onnx.graph import activation_layers
from rsparse.models.parity import probe_images

pytestmark = pytest.mark.usefixtures("timm")
SMALL = "test_resnet.r160_in1k"
RANDOM = ("fetch", SMALL, "--no-pretrained")


@pytest.fixture
def small(tmp_path: Path, run_cli: Callable[..., Result]) -> Path:
    """A small timm network with random weights (seed 3)."""
    path = tmp_path / "small.onnx"
    assert run_cli(*RANDOM, "--seed", 3, "-o", path).exit_code == 0
    return path


def test_summary_and_result(run_cli: Callable[..., Result], tmp_path: Path) -> None:
    path = tmp_path / "new" / "small.onnx"
    result = run_cli(*RANDOM, "-o", path, "--json")
    found = json.loads(result.stdout)
    assert found["output"] == str(path)
    assert (found["model"], found["weights"]) == (SMALL, None)
    assert found["sha256"] == load_classifier(path).sha256
    lines = [" ".join(line.split()) for line in result.stderr.splitlines()]
    assert lines[:3] == ["fetched", f"model {SMALL}", "weights random, seed 0"]
    assert "mean, std 0.5; 0.5" in lines
    assert "classes 1000, named" in lines
    assert [file.name for file in path.parent.iterdir()] == ["small.onnx"]


def test_the_file_needs_no_options(small: Path, timm: Any) -> None:
    classifier = load_classifier(small)
    spec = classifier.spec
    assert spec.size == (160, 160)
    assert (spec.mean, spec.std) == ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    assert spec.labels is not None
    assert spec.labels[:2] == ("tench, Tinca tinca", "goldfish, Carassius auratus")
    assert {n for n, source in classifier.sources.items() if source != "metadata"} == {"scores"}
    assert (spec.resize, spec.score_type) == ("crop:0.95", "logits")
    assert classifier.batch is None, "any number of images at a time"
    metadata = {entry.key: entry.value for entry in onnx.load(small).metadata_props}
    origin = json.loads(metadata["rsparse.origin"])
    assert origin == {
        "generator": origin["generator"], "stage": "fetch", "model": SMALL,
        "timm": timm.__version__, "weights": None, "seed": 3,
    }  # fmt: skip


def test_layers_are_the_modules(small: Path, timm: Any) -> None:
    from torch import nn

    modules = timm.create_model(SMALL).named_modules()
    expected = [name for name, module in modules if isinstance(module, nn.Conv2d)]
    layers = activation_layers(onnx.load(small))
    found = [layer.name.replace("/", ".") for layer in layers if layer.kind == "conv"]
    assert sorted(found) == sorted(expected)
    assert layers[-1].name == "global_pool"


def test_same_seed_same_bytes(small: Path, run_cli: Callable[..., Result], tmp_path: Path) -> None:
    again, other = tmp_path / "again.onnx", tmp_path / "other.onnx"
    run_cli(*RANDOM, "--seed", 3, "-o", again)
    run_cli(*RANDOM, "--seed", 4, "-o", other)
    assert again.read_bytes() == small.read_bytes()
    models = [onnx.load(path) for path in (small, other)]
    assert models[0].graph.initializer != models[1].graph.initializer
    for model in models:
        del model.graph.initializer[:]
    assert models[0].graph == models[1].graph, "the graph does not depend on the weights"


def test_every_node_has_its_own_weights(small: Path) -> None:
    graph = onnx.load(small).graph
    assert not [node for node in graph.node if node.op_type == "Identity"]
    taken = [name for node in graph.node for name in node.input]
    stored = [tensor.name for tensor in graph.initializer]
    assert all(taken.count(name) == 1 for name in stored)
    assert not [name for name in stored if name.startswith("onnx::")]


def test_the_twin_and_cam_take_it(small: Path) -> None:
    from rsparse.models.onnx.probes import attention_maps
    from rsparse.models.torch.twin import load_twin

    classifier = load_classifier(small)
    load_twin(classifier)  # raises if its logits differ from onnxruntime's
    maps, _ = attention_maps(
        classifier, probe_images((160, 160))
    )  # raises if the maps explain no class
    assert maps.shape[0] == 2


def test_different_logits_are_refused(
    assert_error: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rsparse.models.zoo import checked

    monkeypatch.setattr(checked, "torch_logits", lambda network, x: np.ones((2, 1000), np.float32))
    with pytest.raises(AssertionError, match="onnxruntime's logits differ from torch's by"):
        assert_error("", *RANDOM, "-o", tmp_path / "m.onnx")
    assert list(tmp_path.iterdir()) == []


def test_unknown_names(assert_error: Callable[..., None], tmp_path: Path) -> None:
    output = ("-o", tmp_path / "m.onnx")
    assert_error(
        "timm has no model 'inception_v3.tf_in2k'; did you mean inception_v3.tf_in1k, "
        "inception_v4.tf_in1k, inception_v3.tv_in1k?",
        "fetch", "inception_v3.tf_in2k", *output,
    )  # fmt: skip
    assert_error(
        "timm has no model 'adv_inception_v3'; it is now called inception_v3.tf_adv_in1k",
        "fetch", "adv_inception_v3", *output,
    )  # fmt: skip
    assert_error(
        "timm has no model 'hf-hub:x/y'; timm.list_pretrained() in Python lists all names",
        "fetch", "hf-hub:x/y", *output,
    )  # fmt: skip
    assert_error(
        "vit_small_patch14_dinov2.lvd142m: outputs features, not classes; choose a classifier",
        "fetch", "vit_small_patch14_dinov2.lvd142m", *output,
    )  # fmt: skip
    assert list(tmp_path.iterdir()) == []


def test_a_name_without_tag_is_the_default_weights() -> None:
    from rsparse.models.zoo.networks import find_model

    model = find_model("inception_v3")
    assert model.name == "inception_v3.tv_in1k"
    assert model.repository == "timm/inception_v3.tv_in1k"


@pytest.mark.parametrize("name", ["tf_in1k", "tf_adv_in1k"])
def test_inception_v3_wants_what_the_preset_says(name: str) -> None:
    from rsparse.models.spec import PRESETS
    from rsparse.models.zoo.networks import find_model

    model = find_model(f"inception_v3.{name}")
    record = model.spec.as_record()
    assert {key: record[key] for key in PRESETS["inception-v3"]} == {
        "size": [299, 299], "mean": [0.5] * 3, "std": [0.5] * 3, "range": 1.0,
    }  # fmt: skip
    assert (model.repository, model.license) == (f"timm/inception_v3.{name}", "apache-2.0")


def test_the_help_names_all_that_were_trained_on_adversarial_images(
    run_cli: Callable[..., Result], timm: Any
) -> None:
    from rsparse.models.zoo.networks import adversarial_training, find_model

    known = {n for n in timm.list_pretrained() if adversarial_training(n.partition(".")[2])}
    text = " ".join(run_cli("fetch", "--help").stdout.split())
    named = set(re.findall(r"\b[a-z0-9_]+\.\w*(?:adv|ap)_in1k", text))
    first, last = "tf_efficientnet_b0.ap_in1k", "tf_efficientnet_b8.ap_in1k"
    assert f"{first} to {last}" in text
    between = {f"tf_efficientnet_b{number}.ap_in1k" for number in range(9)}
    assert known == named | between
    assert find_model("inception_v3.tf_adv_in1k").training == "on adversarial images"
    assert find_model("tf_efficientnet_b0.ap_in1k").training.endswith("(AdvProp)")
    assert find_model("inception_v3.tf_in1k").training is None


def test_a_wrong_name_is_told_before_a_taken_output(
    assert_error: Callable[..., None], tmp_path: Path
) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(b"mine")
    assert_error(
        "timm has no model 'no such model'; timm.list_pretrained() in Python lists all names",
        "fetch", "no such model", "-o", path,
    )  # fmt: skip
    assert_error(
        f"{path}: exists; choose another output or pass --overwrite",
        "fetch", "mobilenetv3_small_050", "-o", path, "--no-pretrained",
    )  # fmt: skip
    assert path.read_bytes() == b"mine"


def test_seed_out_of_range(assert_error: Callable[..., None], tmp_path: Path) -> None:
    assert_error(
        "seed: expected a whole number from 0 to 4294967295, got -1",
        "fetch", SMALL, "--seed", -1, "-o", tmp_path / "m.onnx",
    )  # fmt: skip


def test_operators_that_onnx_lacks_are_named() -> None:
    import torch

    from rsparse.models.zoo.export import export_onnx

    class Odd(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.linalg.det(torch.special.zeta(x, x)).flatten(1)

    with pytest.raises(Exception, match=r"^odd\.net: cannot be exported to ONNX: .*zeta") as caught:
        export_onnx(Odd().eval(), "odd.net", (4, 4), {})
    assert "\n" not in str(caught.value)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    from rsparse.models.zoo.networks import build_network, find_model

    path = tmp_path / "model.safetensors"
    save_file({"fc.weight": torch.zeros(2, 2)}, path)
    with pytest.raises(
        Exception, match=rf"^{SMALL}: cannot be built: Error\(s\) in loading"
    ) as caught:
        build_network(find_model(SMALL), path)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_torchvision_of_another_build(tmp_path: Path) -> None:
    """Run in a process where nothing replaces torchvision's operators."""
    broken = subprocess.run(
        [sys.executable, "-c", "import torchvision"], capture_output=True, text=True, check=False
    )
    if "RuntimeError" not in broken.stderr:
        pytest.skip("torchvision fits torch here")
    command = [sys.executable, "-m", "rsparse", *RANDOM, "-o", str(tmp_path / "m.onnx")]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert result.stderr.startswith("rsparse: error: timm cannot be imported: ")
    assert result.stderr.endswith("; install matching builds of torch and torchvision\n")

"""``rsparse train --device``: images are purified on the training device."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")

from rsparse.commands.train.retraining import purifying_device
from rsparse.defenses import parse_defense
from rsparse.store.folders import read_manifest
from rsparse.work.cluster import Cluster
from rsparse.work.device import CPU, Device
from rsparse.work.workers import LocalWorkers
from tests.colour_training import FAST, save_colours
from tests.colours import MODEL

(REGIONSPARSE,), (JPEG,) = parse_defense("regionsparse"), parse_defense("jpeg")


def test_what_a_device_can_purify_is_purified_there(run_cli, dict_file, tmp_path):
    result = run_cli(
        "train", save_colours(tmp_path / "imgs"), "-m", MODEL, "--distill", *FAST,
        "--device", "torch-cpu", "--defense", "regionsparse:sparsity=1", "--defense", "jpeg",
        "-d", dict_file, "--purified-cache", tmp_path / "kept", "-o", tmp_path / "new.onnx",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    manifests = {path.name: read_manifest(path) for path in (tmp_path / "kept").iterdir()}
    assert {name: m["parameters"].get("device") for name, m in manifests.items()} == {
        "regionsparse-sparsity=1": "torch-cpu",
        "jpeg-quality=75": None,
    }


def test_the_cores_purify_for_devices_that_cannot():
    torch_cpu, here = Device("torch-cpu"), LocalWorkers(2)
    assert purifying_device(REGIONSPARSE, torch_cpu, here) == torch_cpu
    assert purifying_device(REGIONSPARSE, CPU, here) == CPU
    assert purifying_device(REGIONSPARSE, Device("mps"), here) == CPU
    assert purifying_device(JPEG, torch_cpu, here) == CPU
    assert purifying_device(REGIONSPARSE, torch_cpu, Cluster("local:1")) == CPU


def test_a_device_that_is_not_there_is_told_before_anything_is_purified(
    assert_error, dict_file, tmp_path
):
    assert_error(
        "device: expected cpu, cuda, cuda:N, mps or auto, got 'tpu'",
        "train", save_colours(tmp_path / "imgs"), "-m", MODEL, "--distill", "--device", "tpu",
        "--defense", "regionsparse", "-d", dict_file, "-o", tmp_path / "new.onnx",
    )  # fmt: skip
    assert sorted(p.name for p in tmp_path.iterdir()) == ["dict.h5", "imgs", "labels.csv"]

"""onnx2torch is imported without torchvision, which none but detectors need."""

from __future__ import annotations

import subprocess
import sys
from types import ModuleType

import pytest

pytest.importorskip("torch")

from rsparse.models.torch.converter import _torchvision_deferred


def test_a_twin_does_not_wait_for_torchvision():
    code = (
        "import sys, rsparse.models.torch.twin; "
        "print(sorted({'onnx2torch', 'torchvision', 'torch._dynamo'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "['onnx2torch']\n"


def test_an_operator_runs_torchvisions_own(monkeypatch):
    for name in ("torchvision", "torchvision.ops"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    with _torchvision_deferred():
        import torchvision
        from torchvision.ops import nms

        assert not hasattr(torchvision.ops, "__file__")
    assert "torchvision" not in sys.modules
    package, operators = ModuleType("torchvision"), ModuleType("torchvision.ops")
    operators.nms = lambda boxes, *, iou_threshold: (boxes, iou_threshold)
    monkeypatch.setitem(sys.modules, "torchvision", package)
    monkeypatch.setitem(sys.modules, "torchvision.ops", operators)
    assert nms("boxes", iou_threshold=0.5) == ("boxes", 0.5)


def test_torchvision_that_is_there_stays(monkeypatch):
    there = ModuleType("torchvision")
    monkeypatch.setitem(sys.modules, "torchvision", there)
    with _torchvision_deferred():
        assert sys.modules["torchvision"] is there
    assert sys.modules["torchvision"] is there

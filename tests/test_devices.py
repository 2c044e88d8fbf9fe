"""``--device``: what may be named, and what is said where it cannot be used."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import rsparse  # noqa: E402
from rsparse.work import devices  # noqa: E402
from rsparse.work.devices import optional_torch_device, recorded_device  # noqa: E402
from tests.conftest import make_picture  # noqa: E402
from tests.refusals import refused  # noqa: E402


@pytest.fixture
def no_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "find_spec", lambda name: None)


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)


def test_the_cpu_needs_no_torch(no_torch):
    assert optional_torch_device("cpu") is None
    assert optional_torch_device("auto") is None
    for name in ("cuda", "torch-cpu"):
        with refused(
            f"device {name!r}: needs torch, which is not installed: pip install 'rsparse[attack]'"
        ):
            optional_torch_device(name)


def test_torch_cpu_is_torch_on_the_cpu():
    assert optional_torch_device("torch-cpu") == "cpu"


def test_auto_takes_a_gpu_where_there_is_one(gpu):
    assert optional_torch_device("auto") == "cuda"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_auto_is_the_cpu_without_torch_where_there_is_no_gpu():
    assert optional_torch_device("auto") is None


@pytest.mark.parametrize("name", ["gpu", "mps", "cuda:", "cuda:x", "", "CPU"])
def test_other_names_are_refused(name):
    with refused(f"device: expected cpu, cuda, cuda:N or auto, got {name!r}"):
        optional_torch_device(name)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_is_said_what_works(monkeypatch):
    def no_driver(*arguments, **options):
        raise RuntimeError("Found no NVIDIA driver on your system.\nPlease install one.")

    monkeypatch.setattr(torch, "zeros", no_driver)
    with refused(
        "device 'cuda': cannot be used here: Found no NVIDIA driver on your system; "
        "use cpu, or auto, which takes a GPU where there is one"
    ):
        rsparse.purify_batch([], None, device="cuda")


def test_a_record_tells_torch_from_the_rest_and_no_gpus_number():
    assert recorded_device(None) == {}
    assert recorded_device("cuda:1") == recorded_device("cuda") == {"device": "cuda"}
    assert recorded_device("cpu") == {"device": "torch-cpu"}


def test_the_cpu_loads_no_torch():
    code = (
        "import sys, numpy as np, rsparse\n"
        "d = rsparse.Dictionary(np.eye(48, dtype=np.float32), 4)\n"
        "rsparse.purify_batch(np.zeros((2, 9, 9, 3), np.uint8), d, device='cpu')\n"
        "print('torch' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "False\n"


def test_the_device_changes_no_argument_of_before(small_dictionary):
    images = np.stack([make_picture(seed) for seed in range(2)])
    milder = rsparse.PurifyParameters(sparsity=9)
    expected = [rsparse.purify(image, small_dictionary, milder) for image in images]
    np.testing.assert_array_equal(rsparse.purify_batch(images, small_dictionary, milder), expected)

"""``--device``: the accepted names, and the errors if a device cannot be used."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import rsparse  # noqa: E402
from rsparse.errors import missing_package  # noqa: E402
from rsparse.work import device  # noqa: E402
from rsparse.work.cluster import Cluster  # noqa: E402
from rsparse.work.device import CPU, Device, choose_device  # noqa: E402
from tests.conftest import make_picture  # noqa: E402
from tests.onnx_models import four_animals  # noqa: E402
from tests.refusals import refused  # noqa: E402


@pytest.fixture
def no_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "find_spec", lambda name: None)


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fake GPU that seems available but cannot compute."""
    monkeypatch.setattr(device, "has_gpu_driver", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch, "zeros", lambda *shape, device: None)


def test_the_cpu_needs_no_torch(no_torch):
    assert choose_device("cpu") == choose_device("auto") == CPU
    for name in ("cuda", "torch-cpu"):
        with refused(str(missing_package(f"device {name!r}: needs", "torch", "attack"))):
            choose_device(name)


def test_auto_takes_a_gpu_where_there_is_one(gpu):
    assert choose_device("auto") == Device("cuda")
    assert choose_device("auto", for_gradients=True) == Device("cuda")


def test_auto_asks_torch_only_where_there_is_a_driver(gpu, monkeypatch):
    monkeypatch.setattr(device, "has_gpu_driver", lambda: False)
    assert choose_device("auto") == CPU


def test_auto_is_the_cpu_where_torch_cannot_use_the_gpu(gpu, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto") == CPU


def test_a_driver_is_a_library_that_can_be_loaded_or_amds_file(monkeypatch, tmp_path):
    monkeypatch.setattr(device, "_DRIVERS", ("librsparse-none.so.1",))
    monkeypatch.setattr(device, "_AMD_DRIVER", tmp_path / "kfd")
    assert not device.has_gpu_driver()
    (tmp_path / "kfd").touch()
    assert device.has_gpu_driver()
    monkeypatch.setattr(device, "_AMD_DRIVER", tmp_path / "none")
    monkeypatch.setattr(device, "_DRIVERS", ("librsparse-none.so.1", None))  # this program
    assert device.has_gpu_driver()


@pytest.mark.parametrize("for_gradients", [False, True])
def test_with_workers_elsewhere_auto_is_the_cpu(gpu, for_gradients):
    elsewhere = Cluster("local:1")
    assert choose_device("auto", elsewhere, for_gradients=for_gradients) == CPU
    assert choose_device("cpu", elsewhere, for_gradients=for_gradients) == CPU


def test_workers_elsewhere_have_gpus_of_their_own_for_gradients_but_not_for_images(gpu):
    elsewhere = Cluster("local:1")
    assert choose_device("cuda", elsewhere, for_gradients=True) == Device("cuda")
    with refused("--cluster and --device cannot be used together; give one of them"):
        choose_device("cuda", elsewhere)


@pytest.mark.parametrize("name", ["gpu", "mps", "cuda:", "cuda:x", "", "CPU"])
def test_other_names_are_refused(name):
    with refused(f"device: expected cpu, cuda, cuda:N or auto, got {name!r}"):
        choose_device(name)


@pytest.mark.parametrize("name", ["gpu", "tpu", "mps:x", "", "CPU"])
def test_other_names_are_refused_for_gradients(name):
    with refused(f"device: expected cpu, cuda, cuda:N, mps or auto, got {name!r}"):
        choose_device(name, for_gradients=True)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_is_said_what_works(monkeypatch):
    def no_driver(*arguments, **options):
        raise RuntimeError("Found no NVIDIA driver on your system.\nPlease install one.")

    monkeypatch.setattr(torch, "zeros", no_driver)
    with refused(
        "device 'cuda': cannot be used here: Found no NVIDIA driver on your system; "
        "use cpu, or auto, which uses a GPU if there is one"
    ):
        rsparse.purify_batch([], None, device="cuda")


def test_images_go_to_gpus_of_cuda_and_to_torch_on_the_cpu():
    taking = [Device(name) for name in ("cuda", "cuda:1", "torch-cpu")]
    assert [item.for_images() for item in taking] == taking
    for name in ("cpu", "mps", "xpu"):
        assert Device(name).for_images() == CPU
    names = [Device(name).torch for name in ("cpu", "torch-cpu", "cuda:1", "mps")]
    assert names == ["cpu", "cpu", "cuda:1", "mps"]


def test_a_record_tells_torch_from_the_rest_and_no_gpus_number():
    assert CPU.record() == Device("mps").record() == {}
    assert Device("cuda:1").record() == Device("cuda").record() == {"device": "cuda"}
    assert Device("torch-cpu").record() == {"device": "torch-cpu"}


@pytest.mark.parametrize(
    "command", [("purify", "--dict", "dict.h5"), ("classify", "--model", "m.onnx", "--top", "1")]
)
def test_without_a_driver_a_command_loads_no_torch(command, pictures, dict_file, tmp_path):
    """``dict_file`` and the model lie in ``tmp_path``, where the command runs."""
    four_animals(tmp_path / "m.onnx")
    code = (
        "import sys\n"
        "from rsparse.cli import main\n"
        "from rsparse.work import device\n"
        "device.has_gpu_driver = lambda: False\n"
        "try:\n    main()\n"
        "finally:\n    print('torch' in sys.modules, file=sys.stderr)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, *command, str(pictures)],
        capture_output=True, text=True, check=True, cwd=tmp_path,
    )  # fmt: skip
    assert run.stderr.splitlines()[-1] == "False"


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
    found = rsparse.purify_batch(images, small_dictionary, milder, device="cpu")
    np.testing.assert_array_equal(found, expected)

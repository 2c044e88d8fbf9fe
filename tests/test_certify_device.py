"""``rsparse certify --device``: a device counts what the CPU counts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rsparse.commands.certify import device as certify_device
from rsparse.commands.certify.device import CountOnDevice
from rsparse.commands.certify.merge import Image, _both
from rsparse.commands.certify.sampling import Blocks, CountClasses
from rsparse.core.unrolled import unrolled_denoise
from rsparse.data import demo_model, demo_photos
from rsparse.defenses import Resources
from rsparse.denoisers import parse_denoiser
from rsparse.denoisers.sparse import embedded_weights
from rsparse.errors import InputError
from rsparse.models.onnx.classifier import load_classifier
from rsparse.options.certify import CertifyParameters
from rsparse.store.certificates import load_certificates
from rsparse.store.finding import find_images
from rsparse.work.device import Device

torch = pytest.importorskip("torch")

TORCH = Device("torch-cpu")


@pytest.mark.parametrize("spec", ["unrolled", "unrolled:stride=3", "none", "gaussian"])
def test_the_counts_are_those_of_the_cpu(spec, one_torch_core, monkeypatch):
    """Also in several batches, and for a denoiser that stays on the cores."""
    monkeypatch.setattr(certify_device, "TOGETHER", 7)
    parameters = CertifyParameters(n0=1, n=20)
    classifier = load_classifier(demo_model())
    images = list(find_images([demo_photos("test")]))[:2]
    count = CountClasses(classifier, parse_denoiser(spec), Resources(), (0.12,), 0)
    on_device = CountOnDevice(count, TORCH)
    for block in Blocks(images, parameters):
        (counted,) = on_device.work([on_device.load(block)])
        assert on_device.save(counted) == count(block)


@pytest.mark.parametrize("size", [(32, 48), (37, 41), (35, 33), (30, 9), (8, 8)])
@pytest.mark.parametrize("stride", [1, 3, 4, 8])
def test_the_coder_takes_any_size_and_stride(size, stride, one_torch_core):
    x = np.random.default_rng(0).random((2, *size, 3), np.float32)
    weights = embedded_weights("answers")
    expected = [unrolled_denoise(one, 0.1, weights, stride) for one in x]
    denoise = parse_denoiser(f"unrolled:stride={stride}").on("cpu")
    with torch.inference_mode():
        found = denoise(torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2))), 0.1)
    assert np.allclose(found.numpy().transpose(0, 2, 3, 1), expected, atol=3e-5)


def test_a_small_memory_takes_fewer_samples_at_a_time(one_torch_core, monkeypatch):
    classifier = load_classifier(demo_model())
    images = list(find_images([demo_photos("test")]))[:1]
    count = CountClasses(classifier, parse_denoiser("unrolled"), Resources(), (0.12,), 0)
    on_device = CountOnDevice(count, TORCH)
    sizes = []

    def limited(x, sigma):
        sizes.append(len(x))
        if len(x) > 3:
            raise torch.OutOfMemoryError
        return x

    monkeypatch.setitem(on_device.__dict__, "_denoise", limited)
    (block, *_) = Blocks(images, CertifyParameters(n0=10, n=1))
    (counted,) = on_device.work([on_device.load(block)])
    assert len(counted.classes) == 10
    assert [n for n in sizes if n <= 3] == [2, 3, 2, 3]


def test_images_smaller_than_a_patch_are_refused(one_torch_core):
    denoise = parse_denoiser("unrolled").on("cpu")
    with pytest.raises(InputError, match="is 7×20 pixels, smaller than a patch of 8×8"):
        denoise(torch.zeros(1, 3, 20, 7), 0.1)


def test_the_command_names_the_device_and_merges_with_the_cpu(tmp_path: Path, run_cli):
    """Samples of two devices add up; the record says which one took them."""
    photos = tmp_path / "photos"
    photos.mkdir()
    for image in list(find_images([demo_photos("test")]))[:2]:
        (photos / image.path.name).write_bytes(image.path.read_bytes())
    common = ("certify", photos, "-m", demo_model(), "--n0", 4, "--n", 20, "--jobs", 1)
    for output, first, device in (("cpu", 0, "cpu"), ("device", 0, "torch-cpu"),
                                  ("more", 100, "torch-cpu")):  # fmt: skip
        result = run_cli(*common, "--first", first, "--device", device, "-o", tmp_path / output)
        assert result.exit_code == 0, result.stderr
    cpu, record = load_certificates(tmp_path / "cpu")
    device, record_of_device = load_certificates(tmp_path / "device")
    assert np.array_equal(cpu.counts, device.counts)
    assert "device" not in record["parameters"]
    assert record_of_device["parameters"]["device"] == "torch-cpu"
    merged = run_cli("certify", tmp_path / "cpu", tmp_path / "more", "-o", tmp_path / "all")
    assert merged.exit_code == 0, merged.stderr
    both, record_of_both = load_certificates(tmp_path / "all")
    assert both.n == 40
    assert record_of_both["parameters"]["device"] == "merged"


def test_a_selection_that_rounding_changed_merges():
    """That of the earlier samples holds, in any order; estimates add up; empty entries go."""
    first = Image("f", 1, ((0, 10),), ({1: [6, 9], 2: [4, 1]},))
    other = Image("f", 1, ((10, 20),), ({1: [5, 8], 2: [4, 2], 3: [1, 0]},))
    for pair in ((first, other), (other, first)):
        merged = _both("a", *pair, Path("b"))
        assert merged.samples == ((0, 20),)
        assert merged.counts == ({1: [6, 17], 2: [4, 3]},)

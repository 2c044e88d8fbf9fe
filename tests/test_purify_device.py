"""``rsparse purify --device``: batches in torch, with all features of a run on the CPU."""

from __future__ import annotations

import json
import signal
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from rsparse.api import purify  # noqa: E402
from rsparse.options.localize import LocalizeParameters  # noqa: E402
from rsparse.options.purify import PurifyParameters  # noqa: E402
from rsparse.store.folders import MANIFEST, read_manifest  # noqa: E402
from rsparse.store.images import decode_image, encode_png  # noqa: E402
from tests import short_of_memory  # noqa: E402
from tests.conftest import make_picture, tree_of  # noqa: E402
from tests.processes import start, when_done  # noqa: E402

TORCH = ("--device", "torch-cpu")


def read(path: Path) -> np.ndarray:
    return decode_image(path.read_bytes(), path)


@pytest.fixture(scope="session")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of twelve pictures of two sizes."""
    folder = tmp_path_factory.mktemp("many") / "imgs"
    folder.mkdir()
    for seed in range(12):
        picture = make_picture(seed, 48, 56 + 4 * (seed % 5 == 0))
        (folder / f"{seed:02}.png").write_bytes(encode_png(picture))
    return folder


def test_the_images_are_those_of_the_cpu_within_a_grey_level(
    run_cli, many, dict_file, small_dictionary, tmp_path
):
    result = run_cli("purify", many, "--dict", dict_file, *TORCH, "-o", tmp_path / "out")
    assert result.exit_code == 0
    assert result.stdout == f"{tmp_path / 'out'}\n"
    for image in sorted(many.iterdir()):
        clean = read(tmp_path / "out" / image.name).astype(int)
        assert (np.abs(clean - purify(read(image), small_dictionary)) <= 1).mean() >= 0.999


def test_batches_and_threads_change_no_byte(run_cli, many, dict_file, tmp_path):
    trees = []
    for number, (size, jobs) in enumerate([(1, 1), (5, 2), (16, 0), (16, 7)]):
        out = tmp_path / str(number)
        options = (*TORCH, "--batch-size", size, "--jobs", jobs, "-o", out)
        assert run_cli("purify", many, "--dict", dict_file, *options).exit_code == 0
        trees.append(tree_of(out))
    assert trees[0] == trees[1] == trees[2] == trees[3]


def test_the_record_names_torchs_device_and_nothing_else_new(
    run_cli, pictures, dict_file, tmp_path
):
    command = ("purify", pictures, "--dict", dict_file, "--sparsity", 2)
    run_cli(*command, *TORCH, "-o", tmp_path / "torch")
    run_cli(*command, "--batch-size", 3, "-o", tmp_path / "cpu")
    localization = {"localization": LocalizeParameters().as_record()}
    expected = {**PurifyParameters().as_record(), **localization}
    assert read_manifest(tmp_path / "cpu")["parameters"] == expected
    expected["device"] = "torch-cpu"
    assert read_manifest(tmp_path / "torch")["parameters"] == expected


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_comdefend_on_a_device(run_cli, pictures, tmp_path):
    command = ("purify", pictures, "--defense", "comdefend")
    assert run_cli(*command, "-o", tmp_path / "cpu").exit_code == 0
    assert run_cli(*command, *TORCH, "-o", tmp_path / "torch").exit_code == 0
    ours = sorted((tmp_path / "torch").glob("*.png"))
    assert len(ours) > 1
    for path in ours:
        difference = np.abs(read(path).astype(int) - read(tmp_path / "cpu" / path.name))
        assert (difference > 1).mean() < 1e-3
    parameters = read_manifest(tmp_path / "torch")["parameters"]
    assert parameters["device"] == "torch-cpu"
    assert parameters["codecs"]["torch"] == version("torch")


def test_auto_without_a_gpu_gives_the_bytes_of_the_cpu(run_cli, pictures, dict_file, tmp_path):
    for device in ("cpu", "auto"):
        options = ("--device", device, "-o", tmp_path / device)
        assert run_cli("purify", pictures, "--dict", dict_file, *options).exit_code == 0
    assert tree_of(tmp_path / "cpu") == tree_of(tmp_path / "auto")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there(assert_error, pictures, dict_file, tmp_path, monkeypatch):
    def not_compiled(*arguments, **options):
        raise AssertionError("Torch not compiled with CUDA enabled")

    monkeypatch.setattr(torch, "zeros", not_compiled)
    assert_error(
        "device 'cuda': cannot be used here: Torch not compiled with CUDA enabled; "
        "use cpu, or auto, which uses a GPU if there is one",
        "purify", pictures, "--dict", dict_file, "--device", "cuda", "-o", tmp_path / "out",
    )  # fmt: skip
    assert not (tmp_path / "out").exists()


def test_a_device_nobody_knows(assert_error, pictures, dict_file):
    assert_error(
        "device: expected cpu, cuda, cuda:N or auto, got 'tpu'",
        "purify", pictures, "--dict", dict_file, "--device", "tpu",
    )  # fmt: skip


def test_a_killed_run_goes_on_to_the_same_bytes(run_cli, many, dict_file, tmp_path):
    slow = ("--stride", 1, "--sparsity", 30, "--no-localize", "--batch-size", 1)
    arguments = ("purify", many, "--dict", dict_file, *slow, *TORCH)
    with start(*arguments, "-o", tmp_path / "out") as running:
        when_done(running, tmp_path / "out", 2, signal.SIGKILL)
    assert not (tmp_path / "out" / MANIFEST).exists()
    another = run_cli("purify", many, "--dict", dict_file, *slow, "-o", tmp_path / "out")
    assert another.exit_code == 2  # its bytes could differ from those already written
    assert "holds an unfinished run with other inputs or parameters" in another.stderr
    outcome = json.loads(run_cli(*arguments, "-o", tmp_path / "out", "--json").stdout)
    assert outcome["resumed"] >= 2
    assert outcome["done"] == 12 - outcome["resumed"] > 0
    run_cli(*arguments, "-o", tmp_path / "whole")
    assert tree_of(tmp_path / "out") == tree_of(tmp_path / "whole")


def test_ctrl_c_says_one_line(many, dict_file, tmp_path):
    slow = ("--stride", 1, "--sparsity", 30, "--no-localize", "--batch-size", 1)
    arguments = ("purify", many, "--dict", dict_file, *slow, *TORCH, "-o", tmp_path / "out")
    with start(*arguments) as running:
        when_done(running, tmp_path / "out", 1, signal.SIGINT)
        stdout, stderr = running.communicate(timeout=60)
    assert (running.returncode, stdout) == (130, "")
    assert stderr == "rsparse: interrupted; run the same command again to continue\n"


def test_a_bad_image_is_told_and_the_rest_of_its_batch_is_done(
    run_cli, pictures, dict_file, tmp_path
):
    (pictures / "bad.png").write_bytes(b"")
    (pictures / "tiny.png").write_bytes(encode_png(make_picture(0, 3, 9)))
    out = tmp_path / "out"
    result = run_cli("purify", pictures, "--dict", dict_file, *TORCH, "-o", out)
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-2:] == [
        f"rsparse: skipped: {pictures}/bad.png: is an empty file",
        f"rsparse: skipped: {pictures}/tiny.png: is 9×3 pixels, smaller than a patch of 4×4",
    ]
    assert sorted(tree_of(out)) == ["a.png", "b.png", MANIFEST, "sub/c.png"]


def test_an_image_too_large_for_the_device_spares_the_others(
    run_cli, many, dict_file, tmp_path, monkeypatch
):
    short_of_memory.for_images_of_width(60, monkeypatch)
    options = ("--sparsity", 2, "--dict", dict_file, *TORCH, "-o", tmp_path / "out", "--json")
    outcome = json.loads(run_cli("purify", many, *options).stdout)
    assert outcome["done"] == 9
    assert [entry["name"] for entry in outcome["failed"]] == ["00", "05", "10"]
    assert "is 60×48 pixels, too large for the memory of device" in outcome["failed"][0]["error"]


def test_masks_take_the_place_of_localization(
    run_cli, pictures, dict_file, small_dictionary, tmp_path
):
    masks = tmp_path / "masks"
    assert run_cli("localize", pictures, "-o", masks, "--threshold", 20).exit_code == 0
    half = np.zeros((48, 56), dtype=np.uint8)
    half[:, :28] = 255
    (masks / "a.png").write_bytes(encode_png(half))
    (masks / "b.png").unlink()
    out = tmp_path / "out"
    options = ("--sparsity", 2, "--dict", dict_file, "--masks", masks, *TORCH, "-o", out)
    result = run_cli("purify", pictures, *options)
    assert result.stderr.splitlines()[-1] == (
        f"rsparse: skipped: {pictures}/b.png: has no mask named 'b'"
    )
    image = read(pictures / "a.png")
    expected = purify(image, small_dictionary, PurifyParameters(), mask=half > 127)
    assert np.abs(read(out / "a.png").astype(int) - expected).max() <= 1

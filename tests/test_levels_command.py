"""Levels and untrained atoms on the command line: learn-dict writes them, purify goes by them."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from rsparse.core.cosines import cosines
from rsparse.core.levels import Level
from rsparse.store.dictionaries import load_dictionary
from rsparse.store.images import encode_png
from tests.conftest import tree_of

QUICK = ("--patch-size", 4, "--n-atoms", 16, "--patches-per-image", 60)


@pytest.fixture
def learned(run_cli, pictures, tmp_path):
    def learn(*arguments: object):
        path = tmp_path / "levels.h5"
        result = run_cli("learn-dict", pictures, *QUICK, *arguments, "-o", path)
        assert result.exit_code == 0, result.stderr
        return path

    return learn


def noisy_and_flat(folder):
    folder.mkdir()
    rng = np.random.default_rng(0)
    noise = np.clip(128 + rng.normal(0, 20, (40, 40, 3)), 0, 255).astype(np.uint8)
    ramp = np.tile(np.arange(40, dtype=np.uint8)[None, :, None] * 5, (40, 1, 3))
    (folder / "noisy.png").write_bytes(encode_png(noise))
    (folder / "ramp.png").write_bytes(encode_png(ramp))
    return folder


def test_levels_are_kept_in_the_dictionary(learned):
    path = learned("--levels", "keep<0.2,region:8<0.5,whole:2<3,bilateral+whole:1")
    dictionary, record = load_dictionary(path)
    assert dictionary.levels == (
        Level(0.2, 0), Level(0.5, 8), Level(3.0, 2, localize=False),
        Level(np.inf, 1, localize=False, prefilter=True),
    )  # fmt: skip
    assert record["parameters"]["levels"] == "keep<0.2,region:8<0.5,whole:2<3,bilateral+whole:1"
    with h5py.File(path) as file:
        assert {name: str(data.dtype) for name, data in file["levels"].items()} == {
            "noise_below": "float64", "sparsity": "int64", "localize": "bool",
            "prefilter": "bool", "period_below": "float64", "weakest": "float64",
            "stride": "int64",
        }  # fmt: skip


def test_levels_of_older_dictionaries_are_read(learned):
    path = learned("--levels", "region:8<0.5,whole:2")
    with h5py.File(path, "a") as file:
        for name in ("period_below", "weakest", "stride"):
            del file[f"levels/{name}"]
    assert load_dictionary(path)[0].levels == (Level(0.5, 8), Level(np.inf, 2, localize=False))


def test_levels_say_more_than_k(learned):
    text = "region:8:stride=3:period=4<0.5,whole:2:weakest=2"
    assert load_dictionary(learned("--levels", text))[0].levels == (
        Level(0.5, 8, stride=3, period_below=4.0),
        Level(np.inf, 2, localize=False, weakest=2.0),
    )


def test_without_levels_there_is_no_such_group(learned):
    with h5py.File(learned("--levels", "")) as file:
        assert "levels" not in file


def test_purify_goes_by_the_noise_of_each_image(run_cli, learned, tmp_path):
    images = noisy_and_flat(tmp_path / "both")
    auto = learned("--levels", "whole:6<3,whole:1")
    results = {}
    for name, options in {
        "auto": (), "said": ("--sparsity", "auto"), "k6": ("--sparsity", 6, "--no-localize"),
        "k1": ("--sparsity", 1, "--no-localize"),
    }.items():  # fmt: skip
        out = tmp_path / name
        result = run_cli("purify", images, "--dict", auto, "-o", out, *options)
        assert result.exit_code == 0, result.stderr
        results[name] = tree_of(out)
    assert results["auto"] == results["said"]
    assert results["auto"]["ramp.png"] == results["k6"]["ramp.png"]
    assert results["auto"]["noisy.png"] == results["k1"]["noisy.png"]
    assert results["k1"]["noisy.png"] != results["k6"]["noisy.png"]


@pytest.mark.parametrize("levels", ["whole:6<3,whole:1", "keep<3,bilateral+region:2"])
def test_torch_takes_images_of_several_levels_together(run_cli, learned, tmp_path, levels):
    images = noisy_and_flat(tmp_path / "both")
    auto = learned("--levels", levels)
    trees = []
    for device in ("cpu", "torch-cpu"):
        out = tmp_path / device
        result = run_cli("purify", images, "--dict", auto, "-o", out, "--device", device)
        assert result.exit_code == 0, result.stderr
        trees.append(tree_of(out))
    assert trees[0]["ramp.png"] == trees[1]["ramp.png"]


@pytest.mark.parametrize(
    ("levels", "message"),
    [
        ("whole:2", None),
        ("whole:2<3", "levels 'whole:2<3': its levels do not rise from above 0 to one without "
         "a limit"),
        ("whole:2<3,whole:1<2,whole:1", "levels 'whole:2<3,whole:1<2,whole:1': its levels do not "
         "rise from above 0 to one without a limit"),
        ("keep<1,bilateral+region:2", None),
        ("all:2", "levels: expected keep<noise, region:K<noise, whole:K<noise or the latter two "
         "after bilateral+, the last without <noise, got 'all:2'"),
        ("whole:0", "levels: expected keep<noise, region:K<noise, whole:K<noise or the latter two "
         "after bilateral+, the last without <noise, got 'whole:0'"),
        ("whole:2:size=3", "levels: expected :period=NUMBER, :weakest=NUMBER or "
         ":stride=PIXELS, got 'whole:2:size=3'"),
        ("whole:2:stride=1.5", "levels: expected :period=NUMBER, :weakest=NUMBER or "
         ":stride=PIXELS, got 'whole:2:stride=1.5'"),
        ("keep:period=3", "levels 'keep:period=3': its levels do not rise from above 0 to one "
         "without a limit"),
        ("whole:2:stride=0", "levels: 'whole:2:stride=0': stride: expected a whole number from 1 "
         "to 64, or auto, got 0"),
        ("whole:2:stride=2:stride=3", "levels: 'whole:2:stride=2:stride=3' says something twice"),
    ],
)  # fmt: skip
def test_how_levels_are_spelled(run_cli, assert_error, pictures, tmp_path, levels, message):
    command = ("learn-dict", pictures, *QUICK, "--levels", levels, "-o", tmp_path / "d.h5")
    if message is None:
        assert run_cli(*command).exit_code == 0
    else:
        assert_error(message, *command)
        assert not (tmp_path / "d.h5").exists()


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("sparsity", None, "is damaged or incomplete: the dataset levels/sparsity is missing"),
        ("sparsity", [1], "is damaged or incomplete: levels: its datasets differ in length"),
        ("noise_below", [2.0, 1.0],
         "dictionary: its levels do not rise from above 0 to one without a limit"),
        ("localize", [1.0, 0.0],
         "is damaged or incomplete: levels/localize: expected 1-d truth values, found 1-d float64"),
        ("stride", [0, 1], "dictionary: a level has stride 0"),
        ("weakest", [0.0, np.inf], "dictionary: a level has weakest inf"),
    ],
)  # fmt: skip
def test_levels_that_are_damaged(assert_error, learned, pictures, tmp_path, name, values, message):
    path = learned("--levels", "whole:6<3,whole:1")
    with h5py.File(path, "a") as file:
        del file[f"levels/{name}"]
        if values is not None:
            file[f"levels/{name}"] = np.array(values)
    assert_error(f"{path}: {message}", "purify", pictures, "--dict", path, "-o", tmp_path / "out")


def test_untrained_atoms_are_cosines(learned):
    dictionary, record = load_dictionary(learned("--no-training"))
    assert np.array_equal(dictionary.atoms, cosines(4, 3, 16))
    assert record["parameters"]["training"] is False

"""``rsparse purify --defense``: one command for all defenses."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from rsparse.defenses import DEFENSES, Resources, parse_defense
from rsparse.models.fit import Fit
from rsparse.models.resize import fit_pixels
from rsparse.store.files import sha256_of_file
from rsparse.store.folders import read_manifest
from rsparse.store.images import decode_image
from tests.conftest import tree_of

BASELINES = sorted(set(DEFENSES) - {"regionsparse"})


def read(path):
    return decode_image(path.read_bytes(), path)


@pytest.mark.parametrize("spec", [*BASELINES, "bilateral+jpeg:quality=40"])
def test_it_writes_what_the_defense_makes(run_cli, pictures, tmp_path, spec):
    out = tmp_path / "out"
    result = run_cli("purify", pictures, "--defense", spec, "-o", out, "--seed", 5)
    assert (result.exit_code, result.stdout) == (0, f"{out}\n")
    defense = parse_defense(spec)[0]
    for name in ("a", "sub/c"):
        expected = defense.clean(read(pictures / f"{name}.png"), Resources(seed=5))
        np.testing.assert_array_equal(read(out / f"{name}.png"), expected)
    manifest = read_manifest(out)
    assert manifest["parameters"]["defense"] == defense.as_record()
    assert manifest["parameters"].get("codecs", {}) == defense.codecs()
    assert manifest["seed"] == (5 if defense.is_random else None)
    assert [source["name"] for source in manifest["inputs"]] == ["imgs"]


def test_images_are_resized_before_they_are_cleaned(run_cli, pictures, tmp_path):
    out = tmp_path / "out"
    options = ("--defense", "median:size=3", "--resize-to", "24x20", "-o", out)
    assert run_cli("purify", pictures, *options).exit_code == 0
    fitted = fit_pixels(read(pictures / "a.png"), Fit((24, 20)))
    expected = parse_defense("median:size=3")[0].clean(fitted, Resources())
    assert expected.shape == (24, 20, 3)
    np.testing.assert_array_equal(read(out / "a.png"), expected)
    assert read_manifest(out)["parameters"]["size"] == [24, 20]


def test_sizes_that_cannot_be_used(assert_error, pictures, dict_file, tmp_path):
    options = ("--sparsity", 2, "--dict", dict_file, "-o", tmp_path / "out", "--resize-to")
    common = ("purify", pictures, *options)
    assert_error(
        "resize-to: expected a side such as 299 or height x width such as 224x320, got 'small'",
        *common, "small",
    )  # fmt: skip
    assert_error("resize-to: expected height and width from 1 to 8192, got [0, 0]", *common, "0")
    assert_error(
        "--masks and --resize-to cannot be used together; masks have the size of the images",
        *common, "24", "--masks", pictures,
    )  # fmt: skip
    assert not (tmp_path / "out").exists()


def test_the_summary_names_it(run_cli, pictures, tmp_path):
    result = run_cli("purify", pictures, "--defense", "jpeg", "-o", tmp_path / "out")
    lines = [line.split() for line in result.stderr.splitlines()]
    assert lines[:3] == [["purified"], ["images", "3"], ["defense", "jpeg-quality=75"]]


@pytest.mark.parametrize(
    ("plain", "spec"),
    [(("--sparsity", 2), "regionsparse"),
     ((), "policy:default"),
     (("--policy", "Paper"), "policy:paper"),
     (("--sparsity", 1, "--no-localize", "--stride", 3),
      "regionsparse:sparsity=1,localize=no,stride=3"),
     (("--sparsity", 2, "--closing-size", 5, "--keep-background"),
      "regionsparse:closing-size=5,filter-background=no")],
)  # fmt: skip
def test_a_spec_gives_the_bytes_of_its_plain_options(
    run_cli, pictures, dict_file, tmp_path, plain, spec
):
    run_cli("purify", pictures, "--dict", dict_file, "-o", tmp_path / "plain", *plain)
    options = ("--dict", dict_file, "-o", tmp_path / "named", "--defense", spec)
    assert run_cli("purify", pictures, *options).exit_code == 0
    assert tree_of(tmp_path / "plain") == tree_of(tmp_path / "named")


def test_a_named_dictionary(run_cli, pictures, dict_file, tmp_path):
    other = shutil.copy(dict_file, tmp_path / "other.h5")
    run_cli("purify", pictures, "--dict", dict_file, "--sparsity", 2, "-o", tmp_path / "plain")
    options = ("--dict", f"dct={other}", "--dict", "missing.h5", "-o", tmp_path / "named")
    run_cli("purify", pictures, *options, "--defense", "regionsparse:dictionary=dct")
    manifest = read_manifest(tmp_path / "named")
    assert manifest["parameters"].pop("dictionaries") == {"dct": sha256_of_file(dict_file)}
    assert manifest["parameters"] == read_manifest(tmp_path / "plain")["parameters"]
    assert [source["name"] for source in manifest["inputs"]] == ["imgs", "other.h5"]
    for name in ("a.png", "sub/c.png"):
        assert (tmp_path / "named" / name).read_bytes() == (tmp_path / "plain" / name).read_bytes()


def test_a_chain_with_regionsparse_takes_masks_and_the_dictionary(
    run_cli, pictures, dict_file, tmp_path
):
    masks = tmp_path / "masks"
    run_cli("localize", pictures, "-o", masks, "--threshold", 20)
    options = ("--dict", dict_file, "--masks", masks, "-o", tmp_path / "out", "--json")
    result = run_cli("purify", pictures, *options, "--defense", "regionsparse+jpeg")
    assert json.loads(result.stdout)["done"] == 3
    manifest = read_manifest(tmp_path / "out")
    assert [source["name"] for source in manifest["inputs"]] == ["imgs", "dict.h5", "masks"]
    assert manifest["parameters"]["defense"]["name"] == "regionsparse+jpeg"


@pytest.mark.parametrize("spec", ["slq", "tvm+jpeg"])
def test_equal_bytes_for_any_jobs_and_another_seed_differs(run_cli, pictures, tmp_path, spec):
    trees = {}
    for name, jobs, seed in (("one", 1, 0), ("two", 2, 0), ("other", 1, 1)):
        out = tmp_path / name
        options = ("--jobs", jobs, "--seed", seed, "-o", out)
        assert run_cli("purify", pictures, "--defense", spec, *options).exit_code == 0
        trees[name] = tree_of(out)
    assert trees["one"] == trees["two"]
    assert trees["one"]["a.png"] != trees["other"]["a.png"]


@pytest.mark.parametrize(
    ("line", "arguments"),
    [
        ("--defense 'jpeg:quality=20,75': expected one defense, got 2",
         ("--defense", "jpeg:quality=20,75")),
        ("unknown defense 'jpg'; did you mean jpeg? Known: " + ", ".join(DEFENSES),
         ("--defense", "jpg")),
        ("--sparsity and --defense cannot be used together; for regionsparse write "
         "--defense regionsparse:sparsity=…", ("--defense", "jpeg", "--sparsity", 1)),
        ("--closing-size and --defense cannot be used together; for regionsparse write "
         "--defense regionsparse:closing-size=…",
         ("--defense", "regionsparse", "--closing-size", 3)),
        ("--policy and --defense cannot be used together; give one of them",
         ("--defense", "jpeg", "--policy", "paper")),
        ("--sparsity and --policy cannot be used together; set it in a copy of the policy: "
         "rsparse policy show paper --toml > mine.toml", ("--policy", "paper", "--sparsity", 2)),
        ("--stride needs --sparsity K, such as --sparsity 2; or set it in a copy of a policy: "
         "rsparse policy show default --toml > mine.toml", ("--stride", 2)),
        ("--keep-background needs --sparsity K, such as --sparsity 2; or set it in a copy of a "
         "policy: rsparse policy show default --toml > mine.toml", ("--keep-background",)),
        ("--no-localize and --defense cannot be used together; for regionsparse write "
         "--defense regionsparse:localize=…", ("--defense", "regionsparse", "--no-localize")),
        ("--no-localize needs --sparsity K, such as --sparsity 2; or set it in a copy of a "
         "policy: rsparse policy show default --toml > mine.toml", ("--no-localize",)),
        ("regionsparse needs a dictionary named 'dct': --dict dct=dict.h5",
         ("--defense", "jpeg+regionsparse:dictionary=dct")),
        ("regionsparse needs a dictionary named 'dct': --dict dct=dict.h5",
         ("--defense", "regionsparse:dictionary=dct", "--dict", "dict.h5")),
        *((f"--masks: {text} has no object region; give --sparsity K without --no-localize, or a "
           "defense that contains regionsparse without localize=no", (*options, "--masks", "masks"))
          for text, options in {
              "jpeg-quality=75": ("--defense", "jpeg"), "policy-default": (),
              "none+regionsparse-sparsity=2-localize=false":
                  ("--defense", "none+regionsparse:localize=no"),
          }.items()),
        ("--device: jpeg only runs on the cpu; regionsparse and comdefend also run on a GPU",
         ("--defense", "jpeg", "--device", "cuda")),
        ("--device: none+jpeg only runs on the cpu; regionsparse and comdefend also run on a GPU",
         ("--defense", "none+jpeg", "--device", "cuda")),
        ("--dict: a dictionary without a name is given twice; write --dict NAME=b.h5",
         ("--dict", "a.h5", "--dict", "b.h5")),
        ("--dict: the dictionary 'x' is given twice; write --dict NAME=b.h5",
         ("--dict", "x=a.h5", "--dict", "x=b.h5")),
    ],
)  # fmt: skip
def test_what_does_not_go_together(assert_error, pictures, tmp_path, line, arguments):
    assert_error(line, "purify", pictures, "-o", tmp_path / "out", *arguments)
    assert not (tmp_path / "out").exists()


def test_an_equals_sign_in_a_folder_is_no_name(run_cli, pictures, dict_file, tmp_path):
    folder = tmp_path / "k=3"
    folder.mkdir()
    placed = shutil.copy(dict_file, folder / "dict.h5")
    options = ("--dict", placed, "-o", tmp_path / "out")
    assert run_cli("purify", pictures, *options).exit_code == 0

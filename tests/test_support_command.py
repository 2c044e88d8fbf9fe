"""The command ``rsparse support``."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from rsparse.core.support import compare
from rsparse.options.support import SupportParameters
from rsparse.store.dictionaries import load_dictionary
from rsparse.store.hdf5_reading import open_hdf5, read_texts
from rsparse.store.images import encode_png, to_unit
from rsparse.store.records import SUPPORT
from tests.conftest import REPOSITORY, make_picture, tree_of

DICT = REPOSITORY / "fixtures" / "dict.h5"


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_png(pixels))


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """Three benign images, and two attacks on them: one weak, one strong."""
    for number in range(3):
        benign = make_picture(number, 24, 32)
        save(tmp_path / f"clean/{number}.png", benign)
        signs = np.random.default_rng(number).choice((-1, 1), benign.shape)
        for eps in (1, 16):
            attacked = np.clip(benign.astype(int) + eps * signs, 0, 255).astype(np.uint8)
            save(tmp_path / f"adv-{eps}/{number}.png", attacked)
    return tmp_path


def test_it_measures_each_attack(run_cli, folders):
    out = folders / "support.h5"
    arguments = ("support", folders / "clean", folders / "adv-1", folders / "adv-16", "-d", DICT)
    result = run_cli(*arguments, "-o", out, "--json")
    assert result.exit_code == 0, result.stderr
    content = json.loads(result.stdout)
    weak, strong = content["attacks"]
    assert (weak["attack"], strong["attack"]) == ("adv-1", "adv-16")
    assert 0 < weak["moved"] < strong["moved"] <= 1
    assert weak["common"] > strong["common"]
    assert weak["change"] < strong["change"]
    assert 0 < content["radius"]["median"] <= content["radius"]["largest"] < weak["change"]
    dictionary = load_dictionary(DICT)[0]
    values = SupportParameters()
    pictures = [make_picture(1, 24, 32)]
    signs = np.random.default_rng(1).choice((-1, 1), pictures[0].shape)
    pictures.append(np.clip(pictures[0].astype(int) + signs, 0, 255).astype(np.uint8))
    expected = compare(*map(to_unit, pictures), dictionary, values.sparsity, values.stride)
    with open_hdf5(out, SUPPORT) as (file, record):
        assert read_texts(file, "name") == ["0", "1", "2"]
        assert file["measured/inside"].shape == (3, 2)
        for name in ("moved", "inside", "survives", "analysis"):
            assert file[f"measured/{name}"][1, 0] == getattr(expected, name)
        assert file["radius"][1] == expected.radius
        assert record["parameters"]["attacks"] == ["adv-1", "adv-16"]
        assert len(record["inputs"]) == 4


def test_a_folder_of_several_attacks_stands_for_all_of_them(run_cli, folders):
    model = REPOSITORY / "fixtures" / "colours.onnx"
    adv, out = folders / "adv", folders / "support.h5"
    result = run_cli("attack", folders / "clean", "-m", model, "-a", "fgsm:eps=2,8",
                     "--predicted-labels", "--keep-size", "-o", adv)  # fmt: skip
    assert result.exit_code == 0, result.stderr
    result = run_cli("support", folders / "clean", adv, "-d", DICT, "-o", out, "--json")
    assert result.exit_code == 0, result.stderr
    names = [row["attack"] for row in json.loads(result.stdout)["attacks"]]
    assert names == ["fgsm-eps=2", "fgsm-eps=8"]
    verified = run_cli("verify", out, "--json")
    assert verified.exit_code == 0, verified.stderr
    (artifact,) = json.loads(verified.stdout)["artifacts"]
    assert (artifact["problems"], artifact["inputs_found"]) == ([], 3)
    shown = run_cli("show", out)
    assert (shown.exit_code, "rsparse-support" in shown.stdout) == (0, True)


def test_any_number_of_jobs_gives_the_same_bytes(run_cli, folders):
    for jobs in (1, 2):
        place = folders / f"out-{jobs}"
        place.mkdir()
        arguments = ("support", folders / "clean", folders / "adv-1", "-d", DICT, "-j", jobs)
        assert run_cli(*arguments, "-o", place / "support.h5").exit_code == 0
    assert tree_of(folders / "out-1") == tree_of(folders / "out-2")


def test_an_attack_that_changes_nothing_has_no_ratios(run_cli, folders):
    out = folders / "support.h5"
    command = ("support", folders / "clean", folders / "clean", "-d", DICT, "-o", out)
    result = run_cli(*command, "--json")
    (row,) = json.loads(result.stdout)["attacks"]
    assert (row["moved"], row["inside"], row["analysis"]) == (0, None, None)
    assert "–" not in result.stderr  # JSON alone
    assert "–" in run_cli(*command, "--overwrite").stderr


def test_sizes_that_differ_are_told_with_what_works(run_cli, folders):
    save(folders / "adv-1/1.png", make_picture(1, 16, 16))
    out = folders / "support.h5"
    result = run_cli("support", folders / "clean", folders / "adv-1", "-d", DICT, "-o", out)
    assert result.exit_code == 1
    assert "is 32×24 pixels, but its attacked version" in result.stderr
    assert "rsparse purify BENIGN --defense none --resize-to 16x16" in result.stderr
    assert out.exists()


def test_what_is_refused(folders, assert_error):
    clean, out = folders / "clean", folders / "support.h5"
    line = "clean: is given twice; each attack needs a folder of its own name"
    # the parents' names are alike, too
    assert_error(f"{folders.name}/{line}", "support", clean, clean, clean, "-d", DICT, "-o", out)
    assert_error(
        f"{folders / 'support.png'}: expected a file ending in .h5 or .hdf5",
        "support", clean, folders / "adv-1", "-d", DICT, "-o", folders / "support.png",
    )  # fmt: skip

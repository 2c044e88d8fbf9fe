"""``rsparse learn-dict``: the dictionary it writes, its record, its preview."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path
from zlib import crc32

import h5py
import numpy as np
import pytest

from rsparse.core.learning import DictionaryLearner, patch_rng, standardized, take_patches
from rsparse.options.learn_dict import LearnParameters
from rsparse.pictures.atoms import draw_atoms, draw_dictionary
from rsparse.store.dictionaries import load_dictionary
from rsparse.store.files import sha256_of_file
from rsparse.store.images import decode_image
from tests.conftest import tree_of
from tests.processes import finished, start

QUICK = ("--patch-size", 4, "--n-atoms", 16, "--patches-per-image", 60)


@pytest.fixture
def learn(run_cli, pictures):
    def run(*arguments: object):
        return run_cli("learn-dict", pictures, *QUICK, *arguments)

    return run


def test_what_it_prints(learn, tmp_path):
    path = tmp_path / "deep/dict.h5"
    result = learn("-o", path)
    assert (result.exit_code, result.stdout) == (0, f"{path}\n")
    lines = [" ".join(line.split()) for line in result.stderr.splitlines()]
    assert lines[:3] == ["dictionary", "images 3", "atoms 16 of 48 numbers"]
    assert lines[3].startswith("error on held-out patches ")
    assert [part.split()[1] for part in lines[3].split(", ")][1:] == ["(K=2)", "(K=4)", "(K=8)"]
    assert len(lines) == 5


def test_json(learn, tmp_path):
    outcome = json.loads(learn("-o", tmp_path / "dict.h5", "--json").stdout)
    errors = outcome.pop("held_out_error")
    assert outcome == {
        "output": str(tmp_path / "dict.h5"), "done": 3, "resumed": 0, "failed": [],
        "n_atoms": 16, "n_features": 48, "passed_over": {"count": 0, "files": []}, "notes": [],
    }  # fmt: skip
    assert list(errors) == ["1", "2", "4", "8"]
    assert 1 > errors["1"] > errors["8"] > 0
    outcome = json.loads(learn("-o", tmp_path / "d2.h5", "--held-out-share", 0, "--json").stdout)
    assert outcome["held_out_error"] == {}


def test_the_documented_tree_of_shapes_and_types(learn, pictures, tmp_path):
    learn("-o", tmp_path / "dict.h5", "--grey", "--no-normalize", "--l1-penalty", 0.5)
    with h5py.File(tmp_path / "dict.h5") as file:
        assert sorted(file) == ["atoms", "held_out", "images"]
        assert file["atoms"].shape == (16, 16)
        assert file["atoms"].dtype == np.float32
        assert {key: value.item() for key, value in file["atoms"].attrs.items()} == {
            "patch_size": 4, "color": False, "normalize": False,
        }  # fmt: skip
        assert file["held_out/sparsity"][()].tolist() == [1, 2, 4, 8]
        assert file["held_out/error"].shape == (4,)
        assert [name.decode() for name in file["images/name"]] == ["a", "b", "sub/c"]
        assert file["images/sha256"][0].decode() == sha256_of_file(pictures / "a.png")


def test_the_record_tells_parameters_seed_and_images(learn, tmp_path):
    learn("-o", tmp_path / "dict.h5", "--seed", 5, "--smoothing-h", 3)
    _, record = load_dictionary(tmp_path / "dict.h5")
    expected = LearnParameters(
        patch_size=4, n_atoms=16, patches_per_image=60, seed=5, smoothing_h=3
    )
    assert record["parameters"] == expected.as_record()
    assert record["seed"] == 5
    assert [source["name"] for source in record["inputs"]] == ["imgs"]
    assert str(tmp_path).encode() not in (tmp_path / "dict.h5").read_bytes()


def test_options_that_are_given_replace_those_of_a_preset(learn, tmp_path):
    given = ("--smoothing-window", 5, "--color", "--coder", "omp")
    learn("-o", tmp_path / "dict.h5", "--preset", "paper", *given)
    _, record = load_dictionary(tmp_path / "dict.h5")
    expected = LearnParameters.preset(
        "paper",
        patch_size=4,
        n_atoms=16,
        patches_per_image=60,
        smoothing_window=5,
        color=True,
        coder="omp",
    )
    assert record["parameters"] == expected.as_record()
    assert record["parameters"]["replace_atoms"] is False


def test_the_patches_of_an_image_depend_on_its_name_and_the_seed_only(run_cli, pictures, tmp_path):
    run_cli("learn-dict", pictures / "a.png", *QUICK, "-o", tmp_path / "dict.h5")
    image = decode_image((pictures / "a.png").read_bytes(), pictures / "a.png")
    parameters = LearnParameters(patch_size=4, n_atoms=16, patches_per_image=60)
    learner = DictionaryLearner(parameters)
    patches = take_patches(image, parameters, patch_rng(0, 0, crc32(b"a")))
    learner.partial_fit(standardized(patches, parameters))
    dictionary, _ = load_dictionary(tmp_path / "dict.h5")
    np.testing.assert_array_equal(dictionary.atoms, learner.finish()[0].atoms)


@pytest.mark.parametrize("jobs", [1, 2])
def test_equal_runs_give_equal_bytes_for_any_jobs(
    run_cli, learn, pictures, tmp_path, monkeypatch, jobs
):
    learn("-o", tmp_path / "one.h5", "--preview", tmp_path / "one.png")
    monkeypatch.chdir(pictures.parent)
    outputs = ("-o", "two.h5", "--preview", "two.png")
    result = run_cli("learn-dict", "imgs", *QUICK, *outputs, "--jobs", jobs)
    assert result.exit_code == 0, result.stderr
    for suffix in (".h5", ".png"):
        one, two = (tmp_path / f"{name}{suffix}" for name in ("one", "two"))
        assert one.read_bytes() == two.read_bytes()


@pytest.mark.parametrize(
    "option",
    [("--seed", 1), ("--grey",), ("--no-smoothing",), ("--smoothing-h", 30), ("--no-normalize",),
     ("--smoothing-patch", 3), ("--smoothing-window", 5), ("--coder", "lars"), ("--coder", "cd"),
     ("--atoms-per-patch", 2), ("--batch-size", 20),
     ("--passes", 2), ("--max-coherence", 0.3), ("--held-out-share", 0.5),
     ("--patches-per-image", 70),
     ("--n-atoms", 15), ("--patch-size", 5)],
    ids=lambda option: option[0],
)  # fmt: skip
def test_every_option_has_an_effect(learn, tmp_path, option):
    learn("-o", tmp_path / "standard.h5")
    learn("-o", tmp_path / "other.h5", *option)
    (standard, _), (other, _) = (
        load_dictionary(tmp_path / f"{name}.h5") for name in ("standard", "other")
    )
    assert standard.atoms.tobytes() != other.atoms.tobytes()


def test_the_penalty_is_that_of_the_lasso(learn, tmp_path):
    learn("-o", tmp_path / "standard.h5", "--coder", "lars")
    learn("-o", tmp_path / "other.h5", "--coder", "lars", "--l1-penalty", 2)
    (standard, _), (other, _) = (
        load_dictionary(tmp_path / f"{name}.h5") for name in ("standard", "other")
    )
    assert standard.atoms.tobytes() != other.atoms.tobytes()


def test_one_bad_image_is_told_and_the_rest_is_learned_from(learn, pictures, tmp_path):
    (pictures / "b.png").write_bytes(b"words")
    result = learn("-o", tmp_path / "dict.h5", "--passes", 2)
    assert result.exit_code == 1
    assert result.stdout == f"{tmp_path / 'dict.h5'}\n"
    assert result.stderr.splitlines()[-1] == (
        f"rsparse: skipped: {pictures}/b.png: is not a PNG, JPEG, WebP, TIFF or BMP image"
    )
    with h5py.File(tmp_path / "dict.h5") as file:
        assert [name.decode() for name in file["images/name"]] == ["a", "sub/c"]


def test_overwriting(learn, tmp_path):
    learn("-o", tmp_path / "dict.h5")
    first = (tmp_path / "dict.h5").read_bytes()
    assert learn("-o", tmp_path / "dict.h5", "--seed", 1).exit_code == 2
    assert (tmp_path / "dict.h5").read_bytes() == first
    assert learn("-o", tmp_path / "dict.h5", "--seed", 1, "--overwrite").exit_code == 0
    assert (tmp_path / "dict.h5").read_bytes() != first


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("n_atoms", [1, 2, 7, 9])
def test_the_preview_shows_every_atom_once(channels, n_atoms):
    atoms = np.random.default_rng(0).standard_normal((n_atoms, 16 * channels)).astype(np.float32)
    sheet = draw_atoms(atoms, 4)
    columns = int(np.ceil(np.sqrt(n_atoms)))
    assert sheet.dtype == np.uint8
    assert sheet.shape == (-(-n_atoms // columns) * 34 + 2, columns * 34 + 2, 3)
    tiles = [
        sheet[top + 2 : top + 34, left + 2 : left + 34][::8, ::8].astype(float)
        for top in range(0, sheet.shape[0] - 2, 34)
        for left in range(0, sheet.shape[1] - 2, 34)
    ]
    stretched = 127.5 + 127.5 * atoms / np.abs(atoms).max(axis=1, keepdims=True)
    pictures = np.broadcast_to(stretched.reshape(n_atoms, 4, 4, channels), (n_atoms, 4, 4, 3))
    for picture in pictures:
        assert sum(np.abs(tile - picture).max() <= 0.51 for tile in tiles) == 1


def test_an_atom_of_zeros_is_drawn_grey():
    assert (draw_atoms(np.zeros((1, 16), np.float32), 4)[3:30, 3:30] == 128).all()


def test_ctrl_c_says_one_line_and_the_run_goes_on_to_the_same_bytes(run_cli, pictures, tmp_path):
    out = tmp_path / "out"
    arguments = ("learn-dict", pictures, *QUICK, "--passes", 9, "--jobs", 1, "-o")
    with start(*arguments, out / "dict.h5") as running:
        journal, deadline = out / ".dict.h5.rsparse-journal.jsonl", time.monotonic() + 60
        while not journal.exists() or journal.read_bytes().count(b"\n") < 6:
            assert running.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.005)
        running.send_signal(signal.SIGINT)
        stdout, stderr = running.communicate(timeout=60)
    assert (running.returncode, stdout) == (130, "")
    assert stderr == "rsparse: interrupted; run the same command again to continue\n"
    assert list(tree_of(out)) == [journal.name]
    done = run_cli(*arguments, out / "dict.h5", "--json")
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["resumed"] == 3
    assert list(tree_of(out)) == ["dict.h5"]
    run_cli(*arguments, tmp_path / "whole.h5")
    assert (out / "dict.h5").read_bytes() == (tmp_path / "whole.h5").read_bytes()


def test_in_a_pipe_stdout_holds_the_path_only(pictures, tmp_path):
    path: Path = tmp_path / "dict.h5"
    code, stdout, stderr = finished("learn-dict", pictures, *QUICK, "-o", path)
    assert (code, stdout) == (0, f"{path}\n")
    assert stderr.startswith("dictionary\n")
    assert "\x1b" not in stderr


@pytest.mark.parametrize("n", [1, 256])
def test_the_sheet_has_a_caption_below_the_atoms(n):
    atoms = np.random.default_rng(0).normal(size=(n, 192)).astype(np.float32)
    bare, sheet = draw_atoms(atoms, 8), draw_dictionary(atoms, 8)
    height, width = bare.shape[:2]
    assert (sheet[:height, :width] == bare).all()
    below = sheet[height:]
    assert below.min() < 128
    assert (sheet[:, -4:][height:] == 255).all()  # no letter is cut

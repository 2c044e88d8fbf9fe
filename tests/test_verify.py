"""``rsparse verify``: what is intact, what differs, and what is missing."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import Result

from rsparse.evaluation.timing import save_timing
from rsparse.models.onnx.file import load_onnx
from rsparse.models.onnx.provenance import CHECKSUM_KEY
from tests.conftest import save_pictures, tree_of
from tests.evaluations import make_eval_folder, make_evaluation
from tests.onnx_models import four_animals, linear_classifier

SPEC = ("--preset", "unit")


@pytest.fixture(scope="module")
def made(run_cli: Callable[..., Result], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures, a model, a dictionary, and artifacts made from them."""
    folder = tmp_path_factory.mktemp("made")
    save_pictures(folder / "imgs")
    four_animals(folder / "plain.onnx")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for command in (
            ("learn-dict", "imgs", "-o", "dict.h5", "--patch-size", 4, "--n-atoms", 16,
             "--patches-per-image", 40),
            ("purify", "imgs", "-d", "dict.h5", "--sparsity", 2, "-o", "pur"),
            ("model", "tag", "plain.onnx", "-o", "m.onnx", *SPEC),
            ("classify", "pur", "-m", "m.onnx", "-o", "p.csv"),
            ("classify", "imgs", "-m", "m.onnx", "-o", "p.h5"),
        ):  # fmt: skip
            assert run_cli(*command).exit_code == 0
    return folder


@pytest.fixture
def artifacts(made: Path, tmp_path: Path, monkeypatch) -> Path:
    """A copy of ``made``, as the working directory."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def found_by(run_cli: Callable[..., Result], *paths: object) -> tuple[dict, list[str]]:
    """The verified artifacts by path, and the problems."""
    result = run_cli("verify", *paths, "--json")
    shown = json.loads(result.stdout)
    assert result.exit_code == bool(shown["problems"])
    assert result.stderr.splitlines() == [f"rsparse: {text}" for text in shown["problems"]]
    return {entry["path"]: entry for entry in shown["artifacts"]}, shown["problems"]


def test_what_is_whole(artifacts: Path, run_cli: Callable[..., Result]) -> None:
    found, problems = found_by(run_cli, ".")
    assert problems == []
    assert set(found) == {"dict.h5", "pur", "m.onnx", "plain.onnx", "p.csv", "p.h5"}
    assert {path: entry["inputs_found"] for path, entry in found.items()} == {
        "dict.h5": 1, "pur": 2, "m.onnx": 0, "plain.onnx": 0, "p.csv": 2, "p.h5": 2,
    }  # fmt: skip
    assert not any(entry["inputs_absent"] for entry in found.values())
    assert found["pur"]["files"] == 3


def test_the_inputs_of_inputs_are_verified(artifacts: Path, run_cli: Callable[..., Result]) -> None:
    assert set(found_by(run_cli, "p.csv")[0]) == {"p.csv", "pur", "dict.h5", "m.onnx"}
    (artifacts / "imgs/a.png").write_bytes((artifacts / "imgs/b.png").read_bytes())
    changed = "its input imgs has changed: a differs"
    assert found_by(run_cli, "p.csv")[1] == [f"pur: {changed}", f"dict.h5: {changed}"]


def test_inputs_that_are_not_at_hand(artifacts: Path, run_cli: Callable[..., Result]) -> None:
    shutil.copytree("pur", "elsewhere/pur")
    found, problems = found_by(run_cli, "elsewhere/pur")
    absent = found["elsewhere/pur"]["inputs_absent"]  # the dictionary was learned from imgs/ too
    assert (sorted(absent), problems) == (["dict.h5", "imgs", "imgs"], [])
    rows = run_cli("verify", "elsewhere/pur").stdout
    assert "imgs, dict.h5" in rows


def flip(path: Path, place: int = -200) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("spoil", "paths", "problem"),
    [
        (lambda: flip(Path("pur/a.png")), "pur",
         "pur/a.png: differs from the checksum that is recorded for it"),
        (lambda: Path("pur/sub/c.png").unlink(), "pur", "pur/sub/c.png: is missing"),
        (lambda: shutil.copy("imgs/a.png", "pur/z.png"), "pur",
         "pur/z.png: is not in the manifest of its folder"),
        (lambda: flip(Path("p.csv")), "p.csv",
         "p.csv: differs from the checksum that is recorded for it"),
        (lambda: flip(Path("p.h5")), "p.h5", "p.h5: is damaged: it differs from its checksum"),
        (lambda: flip(Path("m.onnx"), -len(CHECKSUM_KEY) - 80), "m.onnx",
         "m.onnx: differs from its checksum"),
        (lambda: Path("pur/manifest.json").write_text("{"), "pur",
         "pur/manifest.json: is not valid JSON: Expecting property name enclosed in double quotes:"
         " line 1 column 2 (char 1)"),
        (lambda: shutil.copy("p.h5", "dict.h5"), "pur", "pur: its input dict.h5 has changed"),
    ],
    ids=["changed", "missing", "more", "csv", "hdf5", "onnx", "manifest", "input"],
)  # fmt: skip
def test_what_is_not_whole(artifacts: Path, run_cli, spoil, paths: str, problem: str) -> None:
    spoil()
    assert problem in found_by(run_cli, paths)[1]


def test_a_label_that_was_edited(artifacts: Path, run_cli: Callable[..., Result]) -> None:
    manifest = artifacts / "pur/manifest.json"
    content = json.loads(manifest.read_text()) | {"checksum": None}
    content["images"][0]["source_sha256"] = "0" * 64
    manifest.write_text(json.dumps(content))
    assert "pur: its images are not those of its record" in found_by(run_cli, "pur")[1]


def test_an_evaluation(tmp_path: Path, run_cli: Callable[..., Result]) -> None:
    evaluation = make_evaluation(5)
    folder = make_eval_folder(tmp_path / "ev", evaluation, side=8)
    save_timing(folder, {defense.text: defense.seconds for defense in evaluation.defenses})
    path = f"{folder}/evaluation.h5"
    found, problems = found_by(run_cli, folder)
    assert (set(found), problems) == ({path}, [])
    (folder / "checks.csv").unlink()
    (folder / "results.csv").write_text("mine\n")
    assert found_by(run_cli, folder)[1] == [
        f"{folder}/results.csv: is not the table of evaluation.h5",
        f"{folder}/checks.csv: is missing",
    ]


def test_an_evaluation_that_left_out_what_the_model_gets_wrong(
    tmp_path: Path, pictures: Path, run_cli: Callable[..., Result]
) -> None:
    model = linear_classifier(tmp_path / "m.onnx", np.ones((2, 12)) * [[1], [-1]], (2, 2))
    labels = tmp_path / "labels.csv"
    labels.write_text("file,label\na.png,0\nb.png,0\nsub/c.png,1\n")
    done = run_cli(
        "evaluate", pictures, "--model", model, *SPEC, "--labels", labels,
        "--attack", "noise:eps=2", "--defense", "jpeg", "-o", tmp_path / "eval",
    )  # fmt: skip
    assert done.exit_code == 0, done.stderr
    listed = json.loads((tmp_path / "eval" / "clean" / "manifest.json").read_text())["images"]
    assert [entry["name"] for entry in listed] == ["a", "b"]
    assert found_by(run_cli, tmp_path / "eval")[1] == []


def test_a_tagged_model_has_one_checksum(artifacts: Path, run_cli: Callable[..., Result]) -> None:
    assert run_cli("model", "tag", "m.onnx", "-o", "again.onnx", *SPEC).exit_code == 0
    assert Path("again.onnx").read_bytes() == Path("m.onnx").read_bytes()
    metadata = load_onnx(Path("m.onnx")).model.metadata_props
    assert [entry.key for entry in metadata].count(CHECKSUM_KEY) == 1


def test_an_unfinished_run(tmp_path: Path, run_cli: Callable[..., Result]) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/.rsparse-journal.jsonl").write_text("{}\n")
    assert found_by(run_cli, tmp_path / "out")[1] == [
        f"{tmp_path}/out: is unfinished because its run was interrupted; run the same command again"
    ]


def test_the_table(artifacts: Path, run_cli: Callable[..., Result]) -> None:
    result = run_cli("verify", "dict.h5", "pur")
    lines = [line.split() for line in result.stdout.splitlines() if line.strip()]
    assert result.exit_code == 0
    assert lines[0] == [
        "artifact",
        "format",
        "files",
        "MB",
        "inputs",
        "not",
        "at",
        "hand",
        "result",
    ]
    assert lines[2] == ["dict.h5", "rsparse-dictionary", "1", "0.0", "1", "0", "whole"]
    assert lines[4][:3] == ["2", "in", "all"]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("gone", "no such file or folder"),
        ("imgs/a.png", "is not an rsparse artifact"),
        ("imgs", "is not an rsparse artifact and contains none"),
    ],
)
def test_what_is_no_artifact(artifacts: Path, assert_error, path: str, message: str) -> None:
    assert_error(f"{path}: {message}", "verify", path)


def test_others_are_verified_beside_what_is_no_artifact(artifacts: Path, run_cli) -> None:
    found, problems = found_by(run_cli, "imgs", "pur", "gone")
    assert problems == [
        "gone: no such file or folder",
        "imgs: is not an rsparse artifact and contains none",
    ]
    assert (found["pur"]["problems"], found["pur"]["files"]) == ([], 3)
    assert [found[path]["format"] for path in ("imgs", "gone")] == ["none", "none"]


def test_an_input_with_files_that_cannot_be_read(artifacts: Path, run_cli) -> None:
    """Files that were skipped are no part of the input."""
    (artifacts / "imgs/gone.png").symlink_to("nowhere.png")
    (artifacts / "imgs/text.png").write_text("words")
    result = run_cli("purify", "imgs", "--defense", "none", "-o", "some")
    assert result.exit_code == 1
    found, problems = found_by(run_cli, "some")
    assert (found["some"]["inputs_found"], found["some"]["inputs_absent"]) == (1, [])
    assert problems == []


def test_equal_images_in_folders_of_one_name(
    pictures: Path, run_cli: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An input is the one whose record agrees, wherever the other one lies."""
    monkeypatch.chdir(pictures.parent)
    for place, defense in (("a", "bit-depth:bits=8"), ("b", "none")):
        words = ("--defense", defense, "-o", f"{place}/kept")
        assert run_cli("purify", "imgs", *words).exit_code == 0
    assert tree_of(Path("a/kept")) != tree_of(Path("b/kept"))
    assert run_cli("purify", "b/kept", "--defense", "none", "-o", "again").exit_code == 0
    found, problems = found_by(run_cli, "a/kept", "b/kept", "again")
    assert problems == []
    assert found["again"]["inputs_found"] == 1
    shutil.rmtree("b")
    _, problems = found_by(run_cli, "a/kept", "again")
    assert problems == ["a/kept: its record differs from the one in again"]
